"""What the pages ask for, without pages: the walk, files, applying in the background, tips."""

from __future__ import annotations

import io
import json
import time
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pro.app import service
from pro.core.errors import RefusedError
from pro.heat.hotspots import find_hotspots
from pro.planning.io import loads
from pro.remediation.tip import TipRefusedError
from pro.remediation.tips import TipBook
from tests.reports.fixtures import NOW, make_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 60.0


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def fast(store: Path) -> str:
    return service.simulator_url(store).replace("speed=10", "speed=100000")


def test_the_walk_is_that_of_the_command_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pro import config, workflow

    monkeypatch.setenv("PRO__PLACEMENT__SECONDS", "30")  # so that rounds end the search, not the clock
    options = service.Options(horizon_s=6 * 3600, threshold=0.5, goal="repair", max_moves=3)
    report = service.recommend(store, None, options)
    settings = config.load()
    settings = settings.model_copy(
        update={
            "heat": settings.heat.model_copy(update={"threshold": 0.5}),
            "forecast": settings.forecast.model_copy(update={"horizon_h": 6.0}),
        }
    )
    found = workflow.recommend(store, settings, workflow.policy_of(settings, goal="repair", max_moves=3))
    assert report.horizon_s == 6 * 3600
    assert report.threshold == 0.5
    assert report.plan.id == found.plan.id
    assert len(report.plan.migrations) <= 3


def test_a_vm_of_which_the_plan_says_nothing_is_worked_out_the_same(store: Path, short_walk: dict[str, str]) -> None:
    report = service.recommend(store, None, service.Options())
    known = report.plan.explain
    mute = replace(report, plan=replace(report.plan, explain={}))
    assert len(known) == report.fleet.n_vms
    for vm in report.fleet.vms[::7]:
        assert service.why(report, vm) == known[vm]
        assert json.loads(json.dumps(service.why(mute, vm))) == known[vm]
    assert service.why(replace(mute, question=None), report.fleet.vms[0]) == {}


def test_a_store_is_known_by_its_inventory(store: Path, tmp_path: Path) -> None:
    assert service.is_store(store)
    assert not service.is_store(tmp_path)


def test_new_files_in_the_store_change_its_stamp(copied: Path) -> None:
    before = service.stamp(copied)
    assert service.stamp(copied) == before
    (folder := copied / "inventory" / "later").mkdir()
    (folder / "x").write_text("x")
    after = service.stamp(copied)
    (folder / "x").unlink()
    folder.rmdir()
    assert after != before


def test_everything_can_be_taken_along() -> None:
    report = make_report()
    files = service.downloads(report)
    assert sorted(files) == ["plan.json", "pro-report.html", "pro-report.json", "pro-report.xlsx", "pro-tables.zip"]
    assert files["pro-report.html"][0].startswith(b"<!doctype html>")
    assert json.loads(files["pro-report.json"][0])["schema"] == "report/1"
    assert len(zipfile.ZipFile(io.BytesIO(files["pro-tables.zip"][0])).namelist()) == 4
    assert zipfile.is_zipfile(io.BytesIO(files["pro-report.xlsx"][0]))


def test_a_plan_is_applied_in_the_background_and_only_once(copied: Path, short_walk: dict[str, str]) -> None:
    report = service.recommend(copied, None, service.Options(goal="repair"))
    plan = loads(service.downloads(report)["plan.json"][0].decode())
    assert plan.migrations
    hands = service.Hands(copied)
    assert hands.status() is None
    hands.start(plan, fast(copied))
    wait_for(lambda: not hands.busy)
    assert not isinstance(hands.ended, Exception), hands.ended
    status = hands.status()
    assert status is not None
    assert status.plan_id == plan.id
    assert {s.state.value for s in status.steps} == {"done"}
    hands.start(plan, fast(copied))
    wait_for(lambda: not hands.busy)
    assert getattr(hands.ended, "state", None) == "nothing to do"


def test_an_error_in_the_background_is_kept_for_the_page(tmp_path: Path) -> None:
    hands = service.Hands(tmp_path)
    hands.start(make_report().plan, "warp:drive")
    wait_for(lambda: not hands.busy)
    assert isinstance(hands.ended, Exception)
    assert "unknown backend" in str(hands.ended)


def test_nobody_applies_twice_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    gate = threading.Event()
    monkeypatch.setattr(service.applying, "apply_plan", lambda *_: gate.wait(PATIENCE_S))
    hands = service.Hands(tmp_path)
    hands.start(make_report().plan, "simulated:x")
    try:
        with pytest.raises(RefusedError, match="under way"):
            hands.start(make_report().plan, "simulated:x")
    finally:
        gate.set()
    wait_for(lambda: not hands.busy)


@pytest.fixture
def with_tips(tmp_path: Path) -> Path:
    report = make_report()
    with TipBook(tmp_path / service.TIPS) as book:
        spots = find_hotspots(report.fleet, report.demand)
        book.raise_or_refresh(spots, report.plan, NOW, names={**report.host_label, **report.vm_label})
    return tmp_path


def test_without_a_tip_book_there_are_no_tips(tmp_path: Path) -> None:
    assert service.tips(tmp_path, active=True) == []
    assert list(tmp_path.iterdir()) == []


def test_a_tip_is_approved_for_the_plan_that_was_seen(with_tips: Path) -> None:
    tip = next(t for t in service.tips(with_tips, active=True) if t.plan_id)
    with pytest.raises(TipRefusedError, match="new plan"):
        service.approve(with_tips, replace(tip, plan_id="another"), "ann")
    service.approve(with_tips, tip, "ann")
    assert {t.state.value for t in service.tips(with_tips, active=True) if t.plan_id} == {"approved"}
    assert service.tip_history(with_tips, tip.id)[-1]["who"] == "ann"


def test_a_tip_is_dismissed_with_a_reason_only(with_tips: Path) -> None:
    tip = service.tips(with_tips, active=True)[0]
    with pytest.raises(TipRefusedError, match="reason"):
        service.dismiss(with_tips, tip, "ann", " ")
    service.dismiss(with_tips, tip, "ann", "known, batch night")
    over = [t for t in service.tips(with_tips, active=False) if t.id == tip.id]
    assert over[0].reason == "known, batch night"
