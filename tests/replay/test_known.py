"""What is not known counts as no load, and a backtest says so; where enough is known it says nothing."""

from __future__ import annotations

import csv
import gzip
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.config import Config
from pro.core.errors import InputError
from pro.fleet.inventory import import_inventory
from pro.replay.backtest import Backtest, backtest
from pro.replay.known import Known
from pro.replay.past import read_past
from pro.replay.policies import PolicySpec
from pro.telemetry.store import Store
from tests.replay.pasts import CAP, DAY, past_of, steady
from tests.small import fill

if TYPE_CHECKING:
    from pathlib import Path

    from pro.core.arrays import Floats
    from tests.small import Estate

BEGIN = 2 * DAY + 1
"""First column that is replayed."""


def loads(vms: int = 8, days: float = 3.0) -> Floats:
    """VMs that are half busy and all seen."""
    return steady([0.5] * vms, days=days)


def told(share: Floats) -> Backtest:
    """The backtest of doing nothing, two VMs on each host."""
    past = past_of(share, [v // 2 for v in range(len(share))])
    return backtest(past, [PolicySpec(name="nothing", kind="nothing")], Config(), every_s=3600.0)


def verdict(found: Backtest) -> str:
    return str(found.to_json()["verdict"])


def test_where_all_is_known_nothing_is_doubted() -> None:
    found = told(loads())
    assert found.warnings == ()
    assert verdict(found).endswith("no host was over 85%: there was nothing to gain.")


def test_samples_that_begin_after_the_replay_are_no_idle_hosts() -> None:
    share = loads()
    share[:, : BEGIN + 216] = np.nan
    found = told(share)
    begins, known = found.warnings
    assert begins.startswith("no VM's processors are known for 18 of the 23.9 hours, which counts as no load")
    assert begins.endswith("the first samples of VMs in it are of 2024-03-06 18:10 UTC")
    assert known.startswith("25% of the VMs' processor time is known")
    assert verdict(found).endswith(
        "no host was seen over 85%; but only 25% of the VMs' processor time is known, and the rest counts as no load."
    )


def test_a_large_vm_that_was_mostly_unseen_is_named_with_its_size() -> None:
    share = steady([0.1] * 30)
    share[:2] = 0.95
    share[4, BEGIN + 100 :] = np.nan
    found = told(share)
    assert found.warnings == ("V04 (10.0 GHz) was not seen for most of the time, which counts as no load",)
    assert verdict(found).endswith(
        "no policy moved anything; but V04 (10.0 GHz) was not seen for most of it and counts as no load."
    )


def test_of_many_unseen_vms_some_are_named_and_the_others_counted() -> None:
    share = loads()
    share[:5, BEGIN:] = np.nan
    warnings = told(share).warnings
    assert any("V00 (10.0 GHz), V01 (10.0 GHz), V02 (10.0 GHz) and 2 more VMs were not seen" in w for w in warnings)


def test_a_collector_that_restarts_is_not_worth_a_word() -> None:
    share = loads()
    share[:, BEGIN + 50 : BEGIN + 60] = np.nan
    assert told(share).warnings == ()


@given(st.integers(0, DAY - 2), st.integers(1, 8))
def test_the_share_that_is_known_is_what_is_there_by_size(missing: int, vms: int) -> None:
    share = loads()
    share[:vms, BEGIN : BEGIN + missing] = np.nan
    known = Known.of(past_of(share, [v // 2 for v in range(8)]))
    assert known.share == pytest.approx(1 - missing * vms / (8 * (DAY - 1)))
    assert known.dark.sum() == (missing if vms == 8 else 0)


@given(st.lists(st.integers(0, 7), max_size=4), st.floats(1.0, 1000.0))
def test_no_vm_ever_asks_for_more_than_its_size(wrong: list[int], factor: float) -> None:
    """Whatever the counters say, hosts are loaded with what their VMs have, and spend on themselves what they did."""
    share = loads()
    plain = past_of(share.copy(), [v // 2 for v in range(8)])
    share[wrong] *= factor
    past = past_of(share, [v // 2 for v in range(8)])
    load = past.load(past.fleet.host_of, 0, past.last + 1)
    full = np.array([2.0 * CAP] * 4)[:, None]
    assert (load <= full + past.own + 1e-6).all()
    right = [h for h in range(4) if not {2 * h, 2 * h + 1} & set(wrong)]
    np.testing.assert_array_equal(load[right], plain.load(plain.fleet.host_of, 0, plain.last + 1)[right])


def test_a_unit_error_that_lasts_counts_as_a_full_vm_and_is_named() -> None:
    share = loads()
    share[3] *= 100
    found = told(share)
    assert found.nothing.account.peak < 0.85
    assert found.warnings == (
        "V03 (10.0 GHz) was measured above what such a VM can use, in 100% of the samples, a wrong unit or a wrong size: it counts as full then",
    )
    share[0, BEGIN:] *= 100
    share[5, BEGIN : BEGIN + 2] = 1.04
    assert told(share).warnings[0].startswith("V00 (10.0 GHz) and V03 (10.0 GHz) were measured above")


def test_rules_people_use_find_a_place_for_a_vm_whose_unit_is_wrong() -> None:
    """What they see of a VM is at most its size, so that one that is measured at a hundred times as much still fits somewhere."""
    share = steady([0.9, 0.9, 0.1, 0.1])
    share[:2] *= 100
    past = past_of(share, [0, 0, 1, 1])
    found = backtest(past, [PolicySpec(name="rule", kind="mmt", samples=1)], Config(), every_s=3600.0)
    assert found.rows[1].account.migrations >= 1
    assert found.rows[1].account.hot_minutes < found.nothing.account.hot_minutes


def test_where_no_vm_is_known_nothing_is_replayed(small: Estate, tmp_path: Path) -> None:
    """Only memory was counted: the error says so, and what would have been needed."""
    with gzip.open(small.counters, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    memory = tmp_path / "memory.csv"
    with memory.open("w", encoding="utf-8", newline="") as out:
        kept = csv.DictWriter(out, rows[0])
        kept.writeheader()
        kept.writerows(r for r in rows if r["ObjectName"] == "Memory")
    root = tmp_path / "store"
    assert Store(root).ingest([memory]).kept > 0
    import_inventory(root, small.tables, small.now)
    with pytest.raises(InputError, match=r"no VM's processors are known .* the store holds no samples of cpu_pct"):
        read_past(root, small.now, small.now + timedelta(hours=6), 2.0)


def test_a_stretch_before_the_first_sample_says_from_when_to_when_there_are_some(small: Estate, tmp_path: Path) -> None:
    root = fill(tmp_path / "store", small)
    with pytest.raises(InputError, match=r"the store holds samples of cpu_pct from \d{4}-\d\d-\d\d \d\d:\d\d to"):
        read_past(root, small.now - timedelta(days=20), small.now - timedelta(days=19), 2.0)
