"""The HTML report: complete in one file, and deaf to what VMs are called."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pro.core import text
from pro.reports import html, svg
from tests.conftest import HOSTILE_NAMES
from tests.reports.fixtures import make_report

FETCHING = {"src", "href", "srcset", "xlink:href", "action", "data", "poster", "background", "formaction", "ping"}


class Page(HTMLParser):
    """What a browser would build: elements by name, their attributes, and the text between them."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def plain_page() -> Page:
    return Page(html.render(make_report()))


@pytest.fixture(scope="module")
def hostile_page() -> Page:
    return Page(html.render(make_report(HOSTILE_NAMES)))


def test_hostile_names_add_no_element(plain_page: Page, hostile_page: Page) -> None:
    tips = hostile_page.elements["title"] - plain_page.elements["title"]
    assert tips >= 0, "a cut label carries its full name as a tooltip"
    hostile_page.elements["title"] -= tips
    assert hostile_page.elements == plain_page.elements


def test_hostile_names_are_shown_as_they_are(hostile_page: Page) -> None:
    shown = " ".join(hostile_page.words)
    for name in HOSTILE_NAMES[:5]:
        assert text.plain(name, 80) in shown
    assert "<script>alert(1)</script>" in shown


def test_nothing_in_the_file_can_run_or_fetch(hostile_page: Page) -> None:
    assert not {"script", "iframe", "object", "embed", "img", "link", "a", "form", "base", "use", "image"} & set(
        hostile_page.elements
    )
    for tag, name, value in hostile_page.attributes:
        assert name not in FETCHING, (tag, name)
        assert not name.startswith("on"), (tag, name)
        assert "url(" not in value.lower()
        assert "javascript:" not in value.lower()


def test_a_report_of_harmless_names_mentions_no_address() -> None:
    document = html.render(make_report())
    assert "http://" not in document
    assert "https://" not in document
    assert "url(" not in document
    assert "@import" not in document


def test_the_policy_forbids_everything_but_inline_styles(plain_page: Page) -> None:
    (policy,) = [
        v for tag, name, v in plain_page.attributes if tag == "meta" and name == "content" and "default-src" in v
    ]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "script-src" not in policy


def test_every_element_is_closed(plain_page: Page, hostile_page: Page) -> None:
    assert plain_page.open == []
    assert hostile_page.open == []


def test_one_h1_and_it_is_the_headline(plain_page: Page) -> None:
    assert plain_page.elements["h1"] == 1
    assert any("2\u00a0hosts are expected to run hot in the next 24\u00a0h" in w for w in plain_page.words)


def test_pictures_have_a_name_for_those_who_cannot_see_them(plain_page: Page) -> None:
    named = [v for tag, name, v in plain_page.attributes if tag == "svg" and name == "aria-label"]
    hidden = [v for tag, name, v in plain_page.attributes if tag == "svg" and name == "aria-hidden"]
    assert all(named)
    assert len(named) + len(hidden) == plain_page.elements["svg"]
    assert any("if nothing is done" in n for n in named)


def test_the_same_report_is_the_same_file() -> None:
    assert html.render(make_report()) == html.render(make_report())


def test_nothing_to_do_is_said_and_not_drawn() -> None:
    page = Page(html.render(make_report(moves=())))
    shown = " ".join(page.words)
    assert "Staying put is the best answer found." in shown
    assert "Migrations over time" not in [v for _, name, v in page.attributes if name == "aria-label"]


def test_what_people_use_today_stands_beside_the_forecast(plain_page: Page) -> None:
    (note,) = [w for w in plain_page.words if "SCOM's rule" in w]
    assert note.replace("\u00a0", " ").endswith("flags 1 host, the one-hour average 0 hosts; the forecast 1 host.")


def test_measured_memory_is_listed_and_said_to_be_watched_only(plain_page: Page, hostile_page: Page) -> None:
    for page in (plain_page, hostile_page):
        assert " ".join(page.words).count("memory, measured") == 1
        assert "do not act on it" in " ".join(page.words)


def test_what_trained_classifiers_say_is_listed_where_it_is_likely() -> None:
    report = make_report()
    shown = [w.replace("\u00a0", " ").strip() for w in Page(html.render(report)).words]
    at = shown.index("Within hours, by what was learned")
    assert shown[at:].count("HV03") >= 2
    assert "62 %" in shown[at:]
    silent = " ".join(Page(html.render(replace(report, soon=()))).words)
    assert "by what was learned" not in silent
    unlikely = " ".join(Page(html.render(replace(report, soon=report.soon[2:]))).words).replace("\u00a0", " ")
    assert "No host is found likelier than 5 % to run hot." in unlikely


def test_a_large_fleet_is_cut_and_says_so() -> None:
    shown = " ".join(Page(html.render(make_report(hosts=60))).words)
    assert "The 48 hosts that matter most of 60" in shown


@settings(max_examples=8)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
def test_no_name_at_all_changes_the_document(names: list[str]) -> None:
    page, plain = Page(html.render(make_report(names))), Page(html.render(make_report(["x"] * len(names))))
    for elements in (page.elements, plain.elements):
        elements.pop("title")
    assert page.elements == plain.elements
    assert page.open == []


@given(st.text(), st.text())
def test_an_element_holds_exactly_what_it_was_given(words: str, value: str) -> None:
    shown, kept = text.plain(words, 200), text.plain(value, 200)
    page = Page(svg.el("text", shown, class_=kept))
    assert page.elements == Counter({"text": 1})
    assert "".join(page.words) == shown
    assert page.attributes == [("text", "class", kept)]
