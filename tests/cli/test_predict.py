"""Looking ahead: forecasts, hotspots, plans, reports; and that nothing after `--now` is read."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from pro.config import load
from pro.core.table import describe
from pro.decision import policy_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro
    from tests.small import Estate


def test_a_forecast_comes_with_its_record(pro: Pro, store: Path, small: Estate, home: Path) -> None:
    words = ("forecast", "--store", store, "--now", small.now.isoformat(), "--origins", 2, "-o", "q.parquet")
    record = pro(*words, "--json").json("forecast/1")
    assert record["now"] == small.now.isoformat()
    models = {row["model"] for c in record["counters"] if c["counter"] == "cpu_pct" for row in c["rows"]}
    assert len(models) >= 3
    quantiles = pq.read_table(home / "q.parquet").to_pylist()
    assert all(q["q05"] <= q["q50"] <= q["q95"] for q in quantiles)
    assert min(q["time"] for q in quantiles) > small.now
    said = pro("forecast", "--store", store, "--now", small.now.isoformat(), "--origins", 1)
    assert "MAE" in said.out
    assert all(model in said.out for model in models)


def test_a_horizon_is_rounded_up_to_whole_slots_and_that_is_said(
    pro: Pro, store: Path, small: Estate, home: Path
) -> None:
    """Slots last half an hour: seven minutes become one of them, forty become two; two hours stay two hours."""
    words = ("forecast", "--store", store, "--now", small.now.isoformat(), "--origins", 1, "-o", "q.parquet", "--json")
    for asked, hours in (("7m", 0.5), ("40m", 1.0), ("2h", 2.0)):
        ran = pro(*words, "--horizon", asked)
        assert ran.json("forecast/1")["horizon_h"] == hours
        ends = pq.read_table(home / "q.parquet").column("time").to_pylist()
        assert max(ends) - small.now == timedelta(hours=hours)
        assert ("slots of 30 minutes" in ran.err) == (asked != "2h")
        assert f"so these are {60 * hours:g}" in ran.err or asked == "2h"


def test_every_column_of_a_forecast_carries_its_unit_and_meaning(
    pro: Pro, store: Path, small: Estate, home: Path
) -> None:
    pro("forecast", "--store", store, "--now", small.now.isoformat(), "--origins", 1, "-o", "q.parquet")
    columns = describe(pq.read_schema(home / "q.parquet"))
    assert [name for name, *_ in columns] == ["time", "entity", "counter", "q05", "q50", "q95"]
    assert all(meaning for *_, meaning in columns)
    assert {unit for name, _, unit, _ in columns if name[0] == "q"} == {"the counter's"}


def test_hotspots_for_programs_and_for_people(pro: Pro, store: Path, small: Estate) -> None:
    words = ("hotspots", "--store", store, "--now", small.now.isoformat())
    found = pro(*words, "--json").json("hotspots/1")
    assert found["now"] == small.now.isoformat()
    assert found["hotspots"]
    for spot in found["hotspots"]:
        assert set(spot) >= {"host", "resource", "starts", "ends", "probability", "expected_peak", "severity", "vms"}
        assert 0 < spot["probability"] <= 1
    said = pro(*words)
    assert said.code == 0
    assert found["hotspots"][0]["host"] in said.out
    assert "{" not in said.out


def test_check_says_whether_there_is_something_to_do(pro: Pro, store: Path, small: Estate) -> None:
    at = ("--store", store, "--now", small.now.isoformat())
    assert pro("hotspots", *at, "--check").code == 3
    assert pro("hotspots", *at, "--check", "--threshold", 1).code in (0, 3)
    assert pro("plan", *at, "--check").code == 3
    assert pro("plan", *at, "--check", "--max-moves", 0).code == 0


def test_check_and_json_go_together(pro: Pro, store: Path, small: Estate) -> None:
    said = pro("plan", "--store", store, "--now", small.now.isoformat(), "--check", "--json")
    assert said.code == 3
    assert said.json("plan/1")["waves"]


def test_nothing_after_now_is_read(pro: Pro, store: Path, past: Path, small: Estate) -> None:
    def seen(at: Path) -> Any:
        return pro("hotspots", "--store", at, "--now", small.now.isoformat(), "--json").json("hotspots/1")

    assert seen(store) == seen(past)
    newest = pro("hotspots", "--store", store, "--json").json("hotspots/1")
    assert newest["now"] > small.now.isoformat()
    before_all = pro("hotspots", "--store", store, "--now", (small.now - timedelta(days=300)).isoformat())
    assert before_all.code == 0
    assert "no counters" in before_all.err
    assert "no inventory is as old" in before_all.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--now", "tomorrow"), "--now: not an instant, got 'tomorrow'"),
        (("--horizon", "soon"), "--horizon: not a duration, got 'soon'"),
        (("--horizon", "0h"), "--horizon: not a duration, got '0h'"),
        (("--horizon", "900d"), "--horizon, in hours: Input should be less than or equal to 336, got 21600.0"),
        (("--threshold", "85"), "--threshold: Input should be less than or equal to 1, got 85.0"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(words: tuple[str, str], says: str, pro: Pro, store: Path) -> None:
    said = pro("hotspots", "--store", store, *words)
    assert (said.code, said.out) == (2, "")
    assert says in said.err


def test_where_rounds_are_counted_the_same_question_has_the_same_plan_and_the_same_id(
    pro: Pro, past: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRO__PLACEMENT__STEPS", "1")
    monkeypatch.setenv("PRO__PLACEMENT__SECONDS", "600")
    assert policy_of(load(None)).steps == 1
    one, two = (pro("plan", "--store", past, "--json").json("plan/1") for _ in range(2))
    assert one["waves"]
    assert one["proof"]["gap"] > 0
    assert one["created_at"] != two["created_at"]
    assert {**one, "created_at": ""} == {**two, "created_at": ""}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--evacuate", "hv9"), "hv9"),
        (("--cluster", "none"), "none"),
        (("--config", "none.toml"), "none.toml"),
    ],
)
def test_a_plan_nobody_can_make_is_refused_in_words(words: tuple[str, str], says: str, pro: Pro, store: Path) -> None:
    said = pro("plan", "--store", store, *words)
    assert (said.code, said.out) == (1, "")
    assert says in said.err


@pytest.mark.parametrize(
    "words",
    [("--goal", "peace"), ("--aggressiveness", "9"), ("--max-moves", "-1"), ("--seconds", "-1"), ("--seed", "x")],
)
def test_a_plan_that_makes_no_sense_is_a_usage_error(words: tuple[str, str], pro: Pro) -> None:
    said = pro("plan", *words)
    assert (said.code, said.out) == (2, "")
    assert words[0] in said.err


def test_a_plan_goes_to_a_file_to_people_and_to_programs(pro: Pro, store: Path, small: Estate, home: Path) -> None:
    words = ("plan", "--store", store, "--now", small.now.isoformat(), "--seed", 1)
    said = pro(*words, "-o", "out/plan.json")
    assert said.code == 0
    assert "out" in said.err
    assert "{" not in said.out
    written = json.loads((home / "out" / "plan.json").read_text("utf-8"))
    assert written["schema"] == "plan/1"
    assert pro(*words, "-o", "-").json("plan/1")["waves"]
    assert pro(*words, "--json").json("plan/1")["fleet_fingerprint"] == written["fleet_fingerprint"]


def test_an_evacuated_host_is_empty_in_the_plan(pro: Pro, store: Path, small: Estate) -> None:
    at = ("--store", store, "--now", small.now.isoformat())
    world = pro("inventory", "discover", "--backend", "simulated:s.json", "--store", store, "--json").json(
        "inventory/1"
    )
    counts = {h["host"]: sum(v["host"] == h["host"] for v in world["vms"]) for h in world["hosts"]}
    host = min(counts, key=lambda h: counts[h] or 99)
    made = pro("plan", *at, "--evacuate", host.lower(), "--max-moves", 30, "--json").json("plan/1")
    moved = {m["vm"]: m["destination"] for wave in made["waves"] for m in wave["migrations"]}
    blocked = {b["vm"] for b in made["blocked"]}
    there = {v["vm"] for v in world["vms"] if v["host"] == host}
    assert there
    assert there <= set(moved) | blocked
    assert host not in moved.values()


def test_repair_moves_less_than_balance_or_as_much(pro: Pro, store: Path, small: Estate) -> None:
    def moves(goal: str) -> int:
        words = ("plan", "--store", store, "--now", small.now.isoformat(), "--goal", goal, "--json")
        return sum(len(w["migrations"]) for w in pro(*words).json("plan/1")["waves"])

    assert 0 < moves("repair") <= moves("balance")


def test_reports_in_every_form(pro: Pro, store: Path, small: Estate, home: Path) -> None:
    words = ("report", "--store", store, "--now", small.now.isoformat())
    said = pro(*words, "-o", "r.html", "-o", "r.xlsx", "-o", "r.json", "-o", "tables")
    assert said.code == 0
    assert (home / "r.html").read_text("utf-8").startswith("<!doctype html>")
    assert (home / "r.xlsx").read_bytes().startswith(b"PK")
    assert json.loads((home / "r.json").read_text("utf-8"))["schema"] == "report/1"
    assert list((home / "tables").glob("*.csv"))
    assert pro(*words, "--json", "-o", "r.json").json("report/1")
    refused = pro(*words, "-o", "r.pdf")
    assert (refused.code, refused.out) == (1, "")
    assert ".pdf" in refused.err


def test_training_is_kept_without_pickle_and_a_look_at_the_past_does_not_use_it(
    pro: Pro, store: Path, small: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("hotspots", "--store", store, "--now", small.now.isoformat(), "--json")
    before = pro(*words).out
    page = pro("train", "--store", store, "--json").json("models/1")
    assert page["until"] > small.now.isoformat()
    assert page["heat"] == []
    assert sorted(p.name for p in (store / "models").iterdir()) == ["models.json", "models.npz"]
    assert pro(*words).out == before
    assert pro("hotspots", "--store", store).code == 0
    assert "too few days" in pro("doctor", "--store", store, "--now", small.now.isoformat()).out
    assert "learned from" in pro("doctor", "--store", store).out
    with monkeypatch.context() as older:
        older.setattr("pro.forecast.taught.FORM", 1)
        assert pro("train", "--store", store).code == 0
    assert "older PRO" in pro("doctor", "--store", store).out
    arrays = (store / "models" / "models.npz").read_bytes()
    (store / "models" / "models.npz").write_bytes(arrays[: len(arrays) // 2])
    cut = pro("doctor", "--store", store)
    assert (cut.code, "changed after it was written" in cut.out) == (0, True)
    (store / "models" / "models.json").write_text("no page", encoding="utf-8")
    assert "pro train" in pro("hotspots", "--store", store).err


def test_where_nobody_sees_anything_that_is_said_first_and_nothing_is_promised(
    pro: Pro, past: Path, small: Estate
) -> None:
    words = ("hotspots", "--store", past, "--now", (small.now + timedelta(days=3)).isoformat())
    said = pro(*words)
    first = said.out.splitlines()[0]
    assert first.startswith("blind to 6 of 6 hosts")
    assert "since 2024-06-0" in first
    assert "no host" not in said.out
    assert "now by last hour's average: not known" in said.out
    found = pro(*words, "--json").json("hotspots/1")
    assert len(found["blind"]) == 6
    assert all(one["since"] < small.now.isoformat() for one in found["blind"])
    assert found["warnings"][0] == first
    assert found["soon"] == []
    fresh = pro("hotspots", "--store", past, "--json").json("hotspots/1")
    assert fresh["blind"] == []
    assert "blind" not in pro("hotspots", "--store", past).out


def test_a_plan_on_stale_counters_names_the_want_of_data_and_not_a_rule_nobody_made(
    pro: Pro, past: Path, small: Estate
) -> None:
    at = ("--now", (small.now + timedelta(days=3)).isoformat())
    made = pro("plan", "--store", past, *at, "--json").json("plan/1")
    assert made["waves"] == []
    assert pro("plan", "--store", past, *at, "--goal", "repair", "--json").json("plan/1")["waves"]
    told = json.dumps(made["answers"]) + json.dumps(made["explain"])
    assert "left alone for want of data" in told
    assert "accepts no VM" not in told
    assert "cannot be migrated" not in told


def test_a_day_of_counters_makes_nothing_sure(pro: Pro, past: Path, small: Estate) -> None:
    young = (small.now - timedelta(days=2)).isoformat()
    said = pro("hotspots", "--store", past, "--now", young)
    assert said.out.startswith("what is expected rests on 24 h of counters, and 96 h are wanted")
    told = pro("hotspots", "--store", past, "--now", young, "--json").json("hotspots/1")["warnings"][0]
    assert said.out.startswith(told)
    assert f"warning: {told}" in pro("doctor", "--store", past, "--now", young).out
    report = pro("report", "--store", past, "--now", young, "-o", "r.json", "--json").json("report/1")
    assert told in report["data"]["warnings"]


def test_with_as_many_days_as_are_wanted_nothing_is_said_of_their_number(pro: Pro, store: Path) -> None:
    assert "rests on" not in pro("hotspots", "--store", store).out
