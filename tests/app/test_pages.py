"""Every page runs and says what the library found; a decision is passed on. Hostile names everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

import pro.app
from pro.app import components, service
from pro.core.errors import InputError
from pro.remediation.tip import of_rule
from pro.remediation.tips import TipBook
from tests.conftest import HOSTILE_NAMES
from tests.reports.fixtures import NOW, make_report

if TYPE_CHECKING:
    from pathlib import Path

    from pro.reports.report import Report

PAGES = ("fleet", "hot", "plan", "tips", "past", "data")


@dataclass(frozen=True)
class Visit:
    """Opens a page on a hand-made report, or on what goes wrong instead. `asked`: what it was asked for by then."""

    store: Path
    monkeypatch: pytest.MonkeyPatch
    asked: list[service.Options] = field(default_factory=list)

    def __call__(self, page: str, found: Report | Exception) -> AppTest:
        def recommend(store: Path, now: object, options: service.Options) -> Report:
            self.asked.append(options)
            if isinstance(found, Exception):
                raise found
            return found

        self.monkeypatch.setattr(service, "recommend", recommend)
        at = AppTest.from_file(str(pro.app.SCRIPT), default_timeout=60).run()
        at.switch_page(f"screens/{page}.py").run()
        return at


@pytest.fixture
def visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    """In a store of its own."""
    (tmp_path / "inventory" / "x").mkdir(parents=True)
    monkeypatch.setenv("PRO_STORE", str(tmp_path))
    return Visit(tmp_path, monkeypatch)


def raise_tips(store: Path, report: Report) -> None:
    with TipBook(store / service.TIPS) as book:
        book.raise_or_refresh(report.hotspots, report.plan, NOW, names={**report.host_label, **report.vm_label})


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("names", [None, HOSTILE_NAMES])
def test_every_page_opens(visit: Visit, page: str, names: tuple[str, ...] | None) -> None:
    at = visit(page, make_report(names))
    assert not at.exception
    assert len(at.title) == 1


@pytest.mark.parametrize("page", PAGES)
def test_no_name_reaches_a_markdown_surface_unescaped(visit: Visit, page: str) -> None:
    report = make_report(HOSTILE_NAMES)
    raise_tips(visit.store, report)
    at = visit(page, report)
    if page == "tips":
        assert at.selectbox(key="tip").options
    surfaces = [
        *at.title,
        *at.header,
        *at.subheader,
        *at.caption,
        *at.markdown,
        *at.error,
        *at.warning,
        *at.success,
        *at.info,
    ]
    for element in surfaces:
        bare = re.sub(r"\\.", "", str(element.value))
        assert "![](" not in bare
        assert "<script" not in bare
        assert "=cmd" not in bare


def test_the_fleet_page_says_the_headline_in_figures(visit: Visit) -> None:
    at = visit("fleet", make_report())
    assert {m.label: m.value for m in at.metric} == {
        "Hot hosts": "2 \u2192 1",
        "Minutes above 85 %": "315 \u2192 142",
        "Rules broken": "2 \u2192 1",
        "Migrations": "3",
    }
    hosts = at.dataframe[0].value
    assert list(hosts["host"]) == [f"HV{i:02d}" for i in range(1, 9)]


def test_the_hot_page_shows_causes_of_the_chosen_host(visit: Visit) -> None:
    report = make_report()
    at = visit("hot", report)
    at.selectbox(key="hotspot").set_value(f"{report.hotspots[1].host}/cpu").run()
    assert not at.exception
    causes = next(d.value for d in at.dataframe if "Share" in d.value.columns)
    assert set(causes["VM"]) <= {report.vm_label[c.vm] for c in report.hotspots[1].vms}


def test_the_data_page_says_where_memory_is_not_judged_by_counters(visit: Visit) -> None:
    report = make_report(HOSTILE_NAMES)
    assert report.readiness is not None
    ready = replace(report.readiness, memory={report.fleet.hosts[0]: "no counter"})
    at = visit("data", replace(report, readiness=ready))
    assert any("by counters on 7 of 8 hosts; no counter" in t.value for t in at.text)


@pytest.mark.parametrize("forecast", [True, False])
def test_the_hot_page_lists_measured_memory_and_says_that_no_plan_acts_on_it(visit: Visit, *, forecast: bool) -> None:
    report = make_report(HOSTILE_NAMES)
    at = visit("hot", report if forecast else replace(report, hotspots=()))
    listed = at.dataframe[0].value
    assert listed["Resource"].tolist()[-1] == "memory, measured"
    assert len(listed) == len(report.hotspots) * forecast + 1
    assert any("do not act on it" in c.value for c in at.caption)


@pytest.mark.parametrize("forecast", [True, False])
def test_the_hot_page_says_what_trained_classifiers_say(visit: Visit, *, forecast: bool) -> None:
    report = make_report()
    at = visit("hot", report if forecast else replace(report, hotspots=()))
    assert not at.exception
    assert any(box.key == "hotspot" for box in at.selectbox) == forecast
    likely = next(d.value for d in at.dataframe if "within_1h" in d.value.columns)
    assert list(likely["host"]) == ["HV03", "HV03"], "what is less likely than 5 % is not listed"
    assert likely["within_24h"].iloc[0] == 0.9


def test_where_all_is_unlikely_the_hot_page_says_so(visit: Visit) -> None:
    report = make_report()
    at = visit("hot", replace(report, soon=report.soon[2:]))
    assert any(t.value.replace("\u00a0", " ") == "No host is found likelier than 5 % to run hot." for t in at.text)


def test_the_plan_page_explains_a_vm(visit: Visit) -> None:
    report = make_report()
    at = visit("plan", report)
    at.selectbox(key="why").set_value(report.fleet.vms[13]).run()
    assert not at.exception
    options = next(d.value for d in at.dataframe if "Verdict" in d.value.columns)
    assert options.iloc[0][""] == "chosen"
    assert options.iloc[0]["Host"] == "HV02"
    assert set(options["Verdict"]) == {"allowed", "refused"}


def test_apply_needs_an_approval_of_this_plan(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(service.Hands, "start", lambda self, plan, url: begun.append(plan.id))
    report = make_report()
    at = visit("plan", report)
    button = next(b for b in at.button if b.label == "Apply on the simulator")
    assert button.disabled
    at.checkbox(key=f"approve-{report.plan.id}").check().run()
    button = next(b for b in at.button if b.label == "Apply on the simulator")
    assert not button.disabled
    button.click().run()
    assert begun == [report.plan.id]


def test_a_quiet_fleet_has_pages_too(visit: Visit) -> None:
    report = make_report(moves=())
    calm = replace(
        report, hotspots=(), hotspots_after=(), short=(), short_after=(), repaired=(), readiness=None, baselines=None
    )
    for page in ("fleet", "hot", "plan"):
        assert not visit(page, calm).exception


def test_without_a_store_the_sample_is_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRO_STORE", str(tmp_path / "nowhere"))
    at = AppTest.from_file(str(pro.app.SCRIPT), default_timeout=60).run()
    for page in PAGES:
        at.switch_page(f"screens/{page}.py").run()
        assert not at.exception
    at.switch_page("screens/fleet.py").run()
    assert at.title[0].value == "No estate yet"
    assert any("pro demo" in c.value for c in at.code)


def test_an_error_for_people_is_shown_as_text(visit: Visit) -> None:
    at = visit("fleet", InputError("no samples", got="![](http://127.0.0.1:9/x)"))
    assert not at.exception
    assert [e.value for e in at.error] == ["This could not be done."]
    assert any("no samples" in t.value for t in at.text)


def test_the_sidebar_is_what_is_asked_for(visit: Visit) -> None:
    at = visit("fleet", make_report())
    at.slider(key="threshold").set_value(70)
    at.selectbox(key="goal").set_value("repair")
    at.number_input(key="moves").set_value(4)
    next(b for b in at.button if b.label == "Recommend").click()
    at.run()
    assert visit.asked[-1] == service.Options(86400, 0.7, "repair", 4)


cells = st.one_of(st.none(), st.integers(0, 9), st.text(max_size=40), st.text("iW .,", min_size=100, max_size=600))


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6))
def test_a_table_has_room_for_all_of_every_cell(rows: list[tuple[object, object, object]]) -> None:
    """As many lines as text needs at the width of its column; nothing changes where all is short."""
    shown = pd.DataFrame(rows, columns=["a", "b", "c"])
    fitted, lines = components.fitting(shown, {"a": {"label": "A"}})
    assert fitted["a"]["label"] == "A"
    for name in shown.columns:
        room = fitted.get(name, {}).get("width", components.LONG_PX + components.PADDING_PX) - components.PADDING_PX
        # The blank at which a line ends takes no room.
        room = lines * room + (lines - 1) * components.text_px(" ")
        assert all(components.text_px(v) <= room for v in shown[name] if isinstance(v, str))
    long = {n for n in shown.columns if any(isinstance(v, str) and len(v) * 14 > components.LONG_PX for v in shown[n])}
    assert lines == 1 or long
    assert {n for n, c in fitted.items() if "width" in c} <= long


def test_what_a_tip_costs_is_read_in_full_beside_the_rest() -> None:
    part = "{} migrations, 80.0 GiB sent in 33 s, longest blackout 0.3 s"
    cost = f"{part.format(3)}; whole plan: {part.format(6)}"
    rule = "Rule SQL-apart-HVC-PROD is broken"
    shown = pd.DataFrame(
        [{"No.": 1, "State": "new", "What": rule, "Do": "Move SQL010 to HV04, APP057 to HV03.", "Cost": cost}]
    )
    fitted, lines = components.fitting(shown, {})
    assert 1 < lines <= 5
    others = sum(components.text_px(name) + components.PADDING_PX for name in ("No.", "State"))
    assert sum(c["width"] for c in fitted.values()) + others <= components.TABLE_PX
    alone, lines = components.fitting(shown[["No.", "Cost"]], {})
    assert lines == 1
    assert alone["Cost"]["width"] > 2 * fitted["Cost"]["width"]


def test_who_looks_at_a_tip_sees_that_another_of_its_plan_was_dismissed(visit: Visit) -> None:
    report = make_report(HOSTILE_NAMES)
    folder = visit.store
    rules = [of_rule(name, "broken", [m.vm for m in report.plan.migrations]) for name in ("one", "two")]
    with TipBook(folder / service.TIPS) as book:
        one, two = book.raise_or_refresh([], report.plan, NOW, repairs=rules)
        assert not any("dismissed" in t.value for t in visit("tips", report).text)
        book.dismiss(one.id, "kim", NOW, "a `batch`")
    at = visit("tips", report)
    assert at.selectbox(key="tip").value == two.id
    assert any(t.value.startswith(f"Tip {one.id} of the same plan was dismissed: a `batch`.") for t in at.text)


def test_a_tip_is_approved_by_name_and_dismissed_with_a_reason(visit: Visit) -> None:
    report = make_report(HOSTILE_NAMES)
    folder = visit.store
    raise_tips(folder, report)
    at = visit("tips", report)
    assert not at.exception
    at.selectbox(key="tip").set_value(next(t.id for t in service.tips(folder, active=True) if t.plan_id)).run()
    next(b for b in at.button if b.label == "Approve").click()
    at.run()
    assert any("needs the name" in t.value for t in at.text)
    at.text_input(key="who").set_value("ann")
    at.text_input(key="reason").set_value("known")
    next(b for b in at.button if b.label == "Dismiss").click()
    at.run()
    assert not at.exception
    states = {t.state.value for t in service.tips(folder, active=False)}
    assert "dismissed" in states


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_md_leaves_nothing_that_formats(name: str) -> None:
    bare = re.sub(r"\\.", "", components.md(name))
    assert not set(bare) & set("*_[]()<>!`#$:")
    assert "\n" not in bare


def test_the_real_walk_fills_every_page(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRO_STORE", str(store))
    at = AppTest.from_file(str(pro.app.SCRIPT), default_timeout=120).run()
    for page in PAGES:
        at.switch_page(f"screens/{page}.py").run()
        assert not at.exception, page
    at.switch_page("screens/plan.py").run()
    assert any(m.label == "Migrations" for m in at.metric)
