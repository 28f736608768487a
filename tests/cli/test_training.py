"""When `pro watch` trains anew, and what models are worth that something has happened to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pro.actions.training import due, stays
from pro.config import load
from pro.forecast.taught import Taught, arrays_of, save
from pro.forecast.teaching import train as teach
from pro.heat.ahead import learn_ahead
from pro.heat.direct import HeatModel, Window, examples, to_arrays, train
from pro.heat.features import DAY, HOUR, Loads
from pro.outlook import trained
from pro.telemetry.partitions import FILE
from tests.cli.conftest import validator
from tests.forecast.pasts import grid, rhythmic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro
    from tests.small import Estate

NOW = datetime(2026, 3, 20, tzinfo=UTC)


def with_days(root: Path, days: int) -> Path:
    for k in range(days):
        folder = root / "samples" / f"date={(NOW - timedelta(days=k)).date().isoformat()}"
        folder.mkdir(parents=True)
        (folder / FILE).touch()
    return root


def a_page(**more: Any) -> dict[str, Any]:
    """models.json of a training that found nothing worth having."""
    return {
        "schema": "models/1", "until": NOW.isoformat(), "days": 7.0, "slot_s": 1800, "threshold": 0.85, "forecast": [],
        "heat": [], **more,
    }  # fmt: skip


def test_models_are_due_when_there_are_days_enough_and_none_or_only_old_ones(home: Path) -> None:
    config = load(None)
    assert not due(with_days(home / "short", 5), config, NOW)
    root = with_days(home / "long", 8)
    assert due(root, config, NOW)
    for age, expected in ((6, False), (8, True)):
        save(root / "models", a_page(until=(NOW - timedelta(days=age)).isoformat()), {})
        assert due(root, config, NOW) is expected
    off = config.model_copy(update={"forecast": config.forecast.model_copy(update={"retrain_days": 0.0})})
    assert not due(root, off, NOW)


@pytest.fixture(scope="module")
def classifier() -> HeatModel:
    """For an hour ahead, of invented hosts; what it says is of no account."""
    pool = np.random.default_rng(1)
    load = pool.gamma(1, 1, size=(12, 3)).repeat(DAY, axis=1) + pool.gamma(2, 0.5, size=(12, 3 * DAY))
    hosts = Loads(load.astype(np.float32), np.full(12, 9.0), np.arange(12) % 4, np.full(4, 6.5), np.zeros(4))
    early, late = Window(HOUR, 2 * DAY, 9), Window(2 * DAY, 3 * DAY - HOUR, 9)
    ahead = learn_ahead([(hosts, early.instants)], HOUR)
    learn, choose = (examples(hosts, w, HOUR, ahead.foresee(hosts, w.instants)) for w in (early, late))
    model = train(learn, choose, HOUR, ahead)
    assert model is not None
    return replace(model, gain=0.1)


HEAT = {
    "resource": "cpu",
    "hours": 1,
    "used": True,
    "average_precision": 0.9,
    "best_rule": "x",
    "gain": 0.1,
    "brier": 0.1,
}
DAMAGE = {
    "no_threshold": {k: v for k, v in a_page().items() if k != "threshold"},
    "no_hours": a_page(heat=[{k: v for k, v in HEAT.items() if k != "hours"}]),
    "no_offset": a_page(until="2026-03-20T00:00:00"),
    "no_such_resource": a_page(heat=[{**HEAT, "resource": "luck"}]),
    "no_arrays_of_it": a_page(heat=[HEAT]),
    "rows_of_nothing": a_page(forecast=[None]),
    "other_schema": a_page(schema="models/9"),
}


@pytest.mark.parametrize("page", DAMAGE.values(), ids=DAMAGE)
def test_models_that_are_not_what_was_written_are_due_and_not_used_and_it_is_said_why(
    page: dict[str, Any], home: Path
) -> None:
    root = with_days(home / "long", 8)
    save(root / "models", page, {})
    found, why = trained(root, NOW, 0.85)
    assert found is None
    assert "models.json" in why
    assert "run `pro train`" in why
    assert due(root, load(None), NOW)


@pytest.mark.parametrize("text", ["", "no page", "[]", "[" * 100_000, "null", '{"schema": "models/1"}', "\ud800"])
def test_a_page_that_is_none_is_named(text: str, home: Path) -> None:
    save(home / "models", a_page(), {})
    (home / "models" / "models.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    found, why = trained(home, NOW, 0.85)
    assert found is None
    assert "models.json" in why


def test_with_damaged_models_everything_goes_on_without_them_and_training_mends_it(
    pro: Pro, past: Path, small: Estate
) -> None:
    bare = pro("hotspots", "--store", past, "--json").out
    (past / "models").mkdir()
    for name in ("models.json", "models.npz"):
        (past / "models" / name).write_text("torn", encoding="utf-8")
    spots = pro("hotspots", "--store", past, "--json")
    assert (spots.code, json.loads(spots.out)["hotspots"]) == (0, json.loads(bare)["hotspots"])
    assert spots.err.count("models.json") == 1
    doctor = pro("doctor", "--store", past)
    assert doctor.code == 0
    assert doctor.out.count("models.json") == 1
    assert pro("plan", "--store", past, "--json").code == 0
    assert pro("train", "--store", past).code == 0
    assert "models.json" not in pro("hotspots", "--store", past).err


def test_what_lies_in_the_store_after_training_is_what_was_printed_and_fits_its_schema(pro: Pro, past: Path) -> None:
    printed = pro("train", "--store", past, "--json").json("models/1")
    written = json.loads((past / "models" / "models.json").read_text("utf-8"))
    validator("models/1").validate(written)
    assert written == printed
    assert written["sha256"]
    validator("models/1").validate({**written, "heat": [HEAT]})


def worth_something(until: datetime) -> Taught:
    """Lessons on machines that do the same every day."""
    g = grid(rhythmic(8, 8))
    taught = teach({"cpu_pct": g}, g.cutoff, 86_400, 1800, 8.0)
    assert taught.lessons
    return replace(taught, until=until)


def test_what_looks_from_earlier_or_has_too_few_days_does_not_replace_what_is_better(home: Path) -> None:
    taught = worth_something(NOW)
    save(home, a_page(**{**taught.to_json(), "threshold": 0.85}), arrays_of(taught))
    earlier, later = NOW - timedelta(days=3), NOW + timedelta(days=3)
    assert "earlier instant" in (stays(home, earlier, 8.0) or "")
    assert "too few" in (stays(home, later, 2.0) or "")
    assert stays(home, later, 8.0) is None
    assert stays(home, NOW, 8.0) is None


def test_what_learned_nothing_or_cannot_be_read_is_replaced_by_anything(home: Path) -> None:
    save(home, a_page(), {})
    assert stays(home, NOW - timedelta(days=3), 1.0) is None
    (home / "models.json").write_text("torn", encoding="utf-8")
    assert stays(home, NOW - timedelta(days=3), 1.0) is None
    assert stays(home / "nowhere", NOW, 1.0) is None


def test_a_training_on_too_few_days_leaves_better_models_as_they_are_and_says_so(
    pro: Pro, past: Path, small: Estate
) -> None:
    taught = worth_something(small.now - timedelta(days=1))
    save(past / "models", a_page(**{**taught.to_json(), "threshold": 0.85}), arrays_of(taught))
    before = (past / "models" / "models.json").read_bytes()
    page = pro("train", "--store", past, "--json").json("models/1")
    assert page["until"] > taught.until.isoformat()
    assert "stays" in page["kept"]
    assert "too few" in pro("train", "--store", past).out
    assert (past / "models" / "models.json").read_bytes() == before


def test_models_of_another_threshold_are_due_unless_they_saw_more_than_there_is(home: Path) -> None:
    config = load(None)
    root = with_days(home / "long", 8)
    other = config.model_copy(update={"heat": config.heat.model_copy(update={"threshold": 0.8})})
    for until, expected in ((NOW, True), (NOW + timedelta(days=1), False)):
        save(root / "models", a_page(until=until.isoformat()), {})
        assert due(root, other, NOW) is expected
        assert not due(root, config, NOW)


def test_days_that_are_not_looked_back_on_do_not_make_models_due(home: Path) -> None:
    config = load(None)
    short = config.model_copy(update={"forecast": config.forecast.model_copy(update={"history_days": 3.0})})
    assert not due(with_days(home / "long", 8), short, NOW)


def test_classifiers_of_another_threshold_are_not_used_and_it_is_said(
    pro: Pro, past: Path, small: Estate, classifier: HeatModel
) -> None:
    page = a_page(until=(small.now - timedelta(days=1)).isoformat(), heat=[HEAT])
    save(past / "models", page, to_arrays(classifier, "heat.cpu.1."))
    assert pro("hotspots", "--store", past, "--json").json("hotspots/1")["soon"]
    said = pro("hotspots", "--store", past, "--threshold", 0.8, "--json")
    assert said.json("hotspots/1")["soon"] == []
    assert "over 85%, not over 80%" in said.err
    assert "1 of 1 heat classifiers" in pro("doctor", "--store", past).out
    (past.parent / "pro.toml").write_text("[heat]\nthreshold = 0.8\n", encoding="utf-8")
    doctor = pro("doctor", "--store", past).out
    assert doctor.count("over 85%, not over 80%") == 1
    assert "heat classifiers beat" not in doctor


def test_what_was_learned_is_told_likeliest_first_with_how_many_more_and_how_it_goes_with_hotspots(
    pro: Pro, past: Path, small: Estate, classifier: HeatModel
) -> None:
    save(
        past / "models",
        a_page(until=(small.now - timedelta(days=1)).isoformat(), heat=[HEAT]),
        to_arrays(classifier, "heat.cpu.1."),
    )
    found = pro("hotspots", "--store", past, "--json").json("hotspots/1")["soon"]
    chances = [one["probability"]["1h"] for one in found]
    assert len(found) == 6
    assert chances == sorted(chances, reverse=True)
    said = pro("hotspots", "--store", past).out
    assert said.count("by what was learned, ") == 5
    assert f"and 1 more, not likelier than {chances[-1]:.0%}" in said
    assert said.count("two ways of looking") == 1
    assert "of CPU now by SCOM's rule" in said
