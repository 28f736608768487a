"""Memory by counters, from end to end: said wherever heat is, acted on nowhere, and plans are what they are without it."""

from __future__ import annotations

import csv
import gzip
import shutil
from typing import TYPE_CHECKING

import pytest

from pro.config import load
from pro.workflow import look_ahead
from tests.small import Estate, fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Pro

SHORT, SILENT = "HV02", "HV03"


def rewritten(estate: Estate, folder: Path, row: Callable[[dict[str, str]], dict[str, str] | None]) -> Estate:
    """`estate` in `folder`, with every counter row as `row` leaves it; None takes it away."""
    shutil.copytree(estate.folder, folder)
    with gzip.open(estate.counters, "rt", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = [kept for one in reader if (kept := row(one)) is not None]
        names = list(reader.fieldnames or ())
    with gzip.open(folder / "counters.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return Estate(folder, estate.now)


def leaking(row: dict[str, str]) -> dict[str, str] | None:
    """One host has a hundredth of its memory left, another is not counted."""
    of, _, _ = row["Path"].partition(".")
    if row["ObjectName"] != "Memory" or of not in (SHORT.lower(), SILENT.lower()):
        return row
    return None if of == SILENT.lower() else {**row, "SampleValue": "1966"}


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory, small: Estate) -> dict[str, Path]:
    """Stores of the small estate: as it is, with a host short of memory, and without any memory counter."""
    folder = tmp_path_factory.mktemp("memory")
    kinds = {
        "plain": lambda row: row,
        "short": leaking,
        "none": lambda row: None if row["ObjectName"] == "Memory" else row,
    }
    return {
        kind: fill(folder / f"{kind}-store", rewritten(small, folder / kind, change), until_now=True)
        for kind, change in kinds.items()
    }


def test_a_host_whose_counters_say_that_little_is_left_is_named_and_why(
    pro: Pro, stores: dict[str, Path], home: Path
) -> None:
    found = pro("hotspots", "--store", stores["short"], "--json").json("hotspots/1")
    (spot,) = [s for s in found["hotspots"] if s.get("measured")]
    assert (spot["host"], spot["resource"], spot["severity"]) == (SHORT, "memory", "critical")
    assert spot["probability"] == 1.0
    assert spot["expected_peak"] == pytest.approx(0.99, abs=0.005)
    assert 0.9 < sum(v["share"] for v in spot["vms"]) <= 1 + 1e-9
    assert found["memory_threshold"] == 0.95
    said = pro("hotspots", "--store", stores["short"])
    assert "memory, measured" in said.out
    assert "do not act on it" in said.err
    plain = pro("hotspots", "--store", stores["plain"], "--json").json("hotspots/1")
    assert [s for s in plain["hotspots"] if "measured" in s] == []


def test_the_threshold_is_a_setting_of_its_own(pro: Pro, stores: dict[str, Path], home: Path) -> None:
    (home / "pro.toml").write_text("[heat]\nmemory_threshold = 0.995\n", encoding="utf-8")
    assert "measured" not in pro("hotspots", "--store", stores["short"]).out


def test_doctor_says_where_memory_is_not_judged_by_counters(pro: Pro, stores: dict[str, Path]) -> None:
    found = pro("doctor", "--store", stores["short"], "--json").json("doctor/1")
    assert found["readiness"]["memory"] == {SILENT: "no Memory, Available MBytes"}
    assert (
        f"memory in use is judged by counters on 5 of 6 hosts; no Memory, Available MBytes: {SILENT}" in found["lines"]
    )
    none = pro("doctor", "--store", stores["none"], "--json").json("doctor/1")
    assert len(none["readiness"]["memory"]) == 6
    assert [w for w in none["warnings"] if "memory" in w] == []


def test_plans_and_probabilities_are_what_they_are_without_memory_counters(stores: dict[str, Path]) -> None:
    config = load(None)
    looks = {kind: look_ahead(store, config) for kind, store in stores.items()}
    assert {kind: [s.host for s in look.short] for kind, look in looks.items()} == {
        "plain": [], "short": [SHORT], "none": [],
    }  # fmt: skip
    for look in looks.values():
        assert (look.demand.use == looks["none"].demand.use).all()
        assert (look.demand.base == looks["none"].demand.base).all()
        assert look.hotspots == looks["none"].hotspots


def test_the_report_and_the_plan_say_that_it_is_watched_and_not_acted_on(
    pro: Pro, stores: dict[str, Path], home: Path
) -> None:
    told = pro("report", "--store", stores["short"], "-o", "report.html", "--json").json("report/1")
    page = (home / "report.html").read_text("utf-8")
    assert "memory, measured" in page
    assert "do not act on it" in page
    assert [s["host"] for s in told["hotspots"] if s.get("measured")] == [SHORT]
    planned = pro("plan", "--store", stores["short"])
    assert f"1 host will run short of memory by counters: {SHORT}" in planned.err


def test_a_tip_about_it_has_no_plan_to_approve(pro: Pro, stores: dict[str, Path], home: Path) -> None:
    store = shutil.copytree(stores["short"], home / "store")
    looked = pro("watch", "--once", "--json", "--backend", "simulated:sim.json", "--store", store).json("watch/1")
    (tip,) = [t for t in looked["tips"] if t["key"] == f"heat:{SHORT}:memory:measured"]
    assert "do not act on it" in tip["action"]
    assert (tip["plan_id"], tip["cost"]) == ("", "nothing")
    assert pro("tips", "approve", tip["id"], "--store", store).code == 4
    again = pro("watch", "--once", "--json", "--backend", "simulated:sim.json", "--store", store).json("watch/1")
    assert tip["id"] in [t["id"] for t in again["tips"]]
