"""Memory in use by counters: what hosts have less what is free, who holds how much, and whose counters say nothing."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.fleet.inventory import build_inventory
from pro.fleet.memory import ENOUGH, FREE, GIVEN, MemoryUse, memory_use, newest, seen_free, sentence
from pro.fleet.snapshot import snapshot
from tests.builders import START
from tests.fleet.estates import AT, host, vm
from tests.fleet.grids import STEP, grid, scenarios
from tests.strategies import fleets, placements

if TYPE_CHECKING:
    from pro.fleet import Fleet

NAN = math.nan
HAS = 16384
FLEET: Fleet = snapshot(
    build_inventory([host("h1"), host("h2")], [vm("a", "h1", memory_mib=4096), vm("b", "h1"), vm("c", "h2")], [], AT),
    AT,
)


def judged(series: dict[str, list[float]], settled=()) -> tuple[tuple[str, ...], dict[str, str]]:
    free, why = seen_free(FLEET, grid(FREE, series), dict(settled))
    return free.entities, why


def use(free_h1: float, given_mib: dict[str, list[float]] | None = None) -> MemoryUse:
    free, why = seen_free(FLEET, grid(FREE, {"h1": [free_h1] * ENOUGH}), {})
    ahead = scenarios(FREE, {"h1": [[free_h1, free_h1 / 2], [free_h1, 0.0]]})
    return memory_use(FLEET, free, ahead, grid(GIVEN, given_mib) if given_mib else None, why)


@st.composite
def memories(draw: st.DrawFn, fleet: Fleet) -> MemoryUse:
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    known = rng.random(fleet.n_hosts) < 0.7
    paths = rng.integers(0, 60, (fleet.n_hosts, 3, 5)) * known[:, None, None]
    return MemoryUse(paths, known, rng.integers(0, 20, fleet.n_vms), fleet.host_of, START, 1800, {})


@given(st.data())
def test_who_moves_takes_along_what_it_holds_and_nothing_else_changes(data: st.DataObject) -> None:
    f = data.draw(fleets())
    memory, to = data.draw(memories(f)), data.draw(placements(f))
    got = memory.placed(to)
    for h in range(f.n_hosts):
        was = sum(int(memory.held[v]) for v in range(f.n_vms) if f.host_of[v] == h)
        will = sum(int(memory.held[v]) for v in range(f.n_vms) if to[v] == h)
        for s, t in np.ndindex(3, 5):
            expected = max(int(memory.use[h, s, t]) - was + will, 0) if memory.judged[h] else 0
            assert got[h, s, t] == expected
    assert (memory.placed(f.host_of) == memory.use).all()


@given(
    st.integers(0, HAS),
    st.lists(st.integers(0, 9000), min_size=2, max_size=2) | st.none(),
)
def test_vms_never_hold_more_than_is_in_use_and_what_they_are_given_where_it_is(
    free: int, given_mib: list[int] | None
) -> None:
    memory = use(free, {"h1/a": [given_mib[0]], "h1/b": [given_mib[1]]} if given_mib else None)
    asked = np.array(given_mib or [4096, 1024])
    here = memory.held[:2]
    assert here.sum() <= HAS - free
    if asked.sum() <= HAS - free:
        assert here.tolist() == asked.tolist()
    elif asked.sum():
        assert here == pytest.approx(asked * (HAS - free) / asked.sum(), abs=1)
    assert memory.held[2] == 1024
    assert memory.use[0].tolist() == [[HAS - free, HAS - free // 2], [HAS - free, HAS]]
    assert memory.judged.tolist() == [True, False]


def test_free_memory_with_other_vms_says_nothing_of_these() -> None:
    since = {"h1": AT - timedelta(seconds=STEP * ENOUGH)}
    one, _ = seen_free(FLEET, grid(FREE, {"h1": [100.0] * 20 + [5000.0] * (ENOUGH + 1)}), since)
    other, _ = seen_free(FLEET, grid(FREE, {"h1": [9000.0] * 20 + [5000.0] * (ENOUGH + 1)}), since)
    np.testing.assert_array_equal(one.values, other.values)
    assert np.isfinite(one.values).sum() == ENOUGH + 1


@pytest.mark.parametrize(
    ("series", "since_steps", "why"),
    [
        ({"h2": [1.0] * 20}, None, "no Memory, Available MBytes"),
        ({"h1": [1.0] * 19 + [NAN]}, None, "older than 65 minutes"),
        ({"h1": [HAS + 1.0] * 20}, None, "more is free by Memory, Available MBytes than hosts.csv says"),
        ({"h1": [1.0] * (ENOUGH - 1)}, None, "less than an hour of Memory, Available MBytes"),
        ({"h1": [1.0] * 40}, ENOUGH - 2, "with the VMs that stand there now"),
        ({"h1": [1.0] * 40}, -5, "with the VMs that stand there now"),
    ],
)
def test_whose_counters_say_nothing_is_told_why(
    series: dict[str, list[float]], since_steps: int | None, why: str
) -> None:
    settled = {} if since_steps is None else {"h1": AT - timedelta(seconds=STEP * since_steps)}
    found, said = judged(series, settled.items())
    assert "h1" not in found
    assert why in said["h1"]
    assert why in sentence(FLEET, said)
    full, _ = judged({"h1": [1.0] * 40})
    assert full == ("h1",)


@given(st.lists(st.lists(st.floats(0, 9, width=32) | st.just(NAN), min_size=3, max_size=3), min_size=1, max_size=4))
def test_the_newest_is_the_last_that_is_known(rows: list[list[float]]) -> None:
    rows = [[*row, 1.0] if all(map(math.isnan, row)) else [*row, NAN] for row in rows]
    expected = [[x for x in row if not math.isnan(x)][-1] for row in rows]
    assert newest(np.array(rows, dtype=np.float32)).tolist() == expected
