"""Per cent of a processor that a VM has no more are told as what they are of the one it has."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pro.config import Config
from pro.fleet.archive import load_inventory, save_inventory
from pro.fleet.sizes import of_today
from pro.telemetry import Grid
from pro.workflow import look_ahead
from tests.builders import fleet
from tests.small import fill

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small import Estate

START = datetime.fromisoformat("2024-03-01T00:00:00+00:00")


@given(st.data())
def test_each_sample_is_told_by_the_size_of_its_instant(data: st.DataObject) -> None:
    a_fleet = fleet("h1: a b | h2: c")
    columns = data.draw(st.integers(1, 12))
    values = data.draw(
        st.lists(st.lists(st.floats(0, 100, width=32) | st.just(9000.0) | st.just(float("nan")), min_size=columns, max_size=columns),
                 min_size=3, max_size=3)
    )  # fmt: skip
    instants = st.integers(-600, 300 * columns).map(lambda s: START + timedelta(seconds=s))
    pieces = {
        vm: tuple(zip(sorted(data.draw(st.lists(instants, max_size=3))), [2.0, 0.25, 3.0], strict=False))
        for vm in data.draw(st.sets(st.sampled_from("abz")))
    }
    before = Grid("cpu_pct", ("a", "h2", "c"), START, 300, np.array(values, np.float32))
    after = of_today(a_fleet, before, pieces)
    for e, entity in enumerate(before.entities):
        for k in range(columns):
            at = START + timedelta(seconds=300 * k)
            ratio = next((r for until, r in pieces.get(entity, ()) if at <= until), None)
            was = before.values[e, k]
            expected = was
            if ratio is not None and not np.isnan(was):
                expected = min(was * np.float32(ratio), max(was, np.float32(100)))
            np.testing.assert_allclose(after.values[e, k], expected, rtol=1e-6)


def test_who_got_twice_the_processor_is_not_expected_to_use_twice_as_much(small: Estate, tmp_path: Path) -> None:
    """What it asked for in MHz stays what it was; without that its host would be expected to be far hotter."""
    store = fill(tmp_path / "store", small, until_now=True)
    plain = look_ahead(store, Config(), small.now)
    inventory = load_inventory(store)
    busiest = int(np.argmax(plain.demand.use[:, plain.fleet.resources.index("cpu")].mean(axis=1)))
    vm = plain.fleet.vms[busiest]
    vms = inventory.vms.copy()
    row = vms["id"] == vm
    vms.loc[row, "cpu_cap_mhz"] *= 2
    save_inventory(store, type(inventory)(inventory.hosts, vms, inventory.rules, small.now + timedelta(minutes=1)))
    now = small.now + timedelta(minutes=1)
    grown = look_ahead(store, Config(), now)
    assert grown.fleet.cpu_cap_mhz[busiest] == 2 * plain.fleet.cpu_cap_mhz[busiest]
    assert any("0.5 times the processor it has now" in w for w in grown.fleet.warnings), grown.fleet.warnings
    cpu = plain.fleet.resources.index("cpu")
    before, after = (x.demand.use[busiest, cpu].mean() for x in (plain, grown))
    assert abs(after - before) < 0.05 * before
    others = np.arange(plain.fleet.n_vms) != busiest
    np.testing.assert_allclose(
        grown.demand.use[others, cpu].mean(axis=1), plain.demand.use[others, cpu].mean(axis=1), rtol=0.01
    )
