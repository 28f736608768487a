"""The inventory in the store: what goes in comes out, once, with its history."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import FleetError, InputError
from pro.core.table import describe
from pro.fleet.inventory import (
    build_inventory,
    import_inventory,
    load_inventory,
    read_inventory,
    resized,
    save_inventory,
    settled,
    with_placement,
)
from pro.fleet.readers import read_sources
from pro.fleet.snapshot import snapshot
from tests.conftest import HOSTILE_NAMES
from tests.fleet.estates import AT, estates, folder, host, vm

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

DAY = timedelta(days=1)


def stored(root: Path) -> list[str]:
    return sorted(os.listdir(root / "inventory"))


@given(estate=estates())
def test_what_is_stored_comes_back(tmp_path_factory: pytest.TempPathFactory, estate: Any) -> None:
    hosts, vms, rules = estate
    home = folder(tmp_path_factory.mktemp("estate"), hosts, vms, rules)
    root = home / "store"
    inventory = read_inventory([home], AT)
    assert save_inventory(root, inventory)
    again = load_inventory(root)
    assert again.hosts.equals(inventory.hosts)
    assert again.vms.equals(inventory.vms)
    assert (again.rules, again.at) == (inventory.rules, inventory.at)
    assert not save_inventory(root, again)


def test_importing_the_same_again_adds_nothing(tmp_path: Path) -> None:
    hosts, vms = [host("h1"), host("h2")], [vm("a", "h1"), vm("b", "h2")]
    home = folder(tmp_path / "one", hosts, vms)
    shuffled = folder(tmp_path / "two", hosts[::-1], vms[::-1])
    first = import_inventory(tmp_path / "s", [home], AT)
    assert first.stored
    assert (first.hosts, first.vms, first.rules) == (2, 2, 0)
    assert not import_inventory(tmp_path / "s", [home], AT + DAY).stored
    assert not import_inventory(tmp_path / "s", [shuffled], AT + 2 * DAY).stored
    assert len(stored(tmp_path / "s")) == 1


def test_going_back_to_an_older_state_is_news(tmp_path: Path) -> None:
    there = folder(tmp_path / "there", [host("h1"), host("h2")], [vm("a", "h1")])
    elsewhere = folder(tmp_path / "elsewhere", [host("h1"), host("h2")], [vm("a", "h2")])
    for day, home in enumerate((there, elsewhere, there)):
        assert import_inventory(tmp_path, [home], AT + day * DAY).stored
    assert [load_inventory(tmp_path, AT + d * DAY).vms["host"][0] for d in range(3)] == ["h1", "h2", "h1"]


def test_the_newest_at_or_before_is_loaded_and_the_earliest_stands_in(tmp_path: Path) -> None:
    home = folder(tmp_path / "one", [host("h1")], [vm("a", "h1")])
    more = folder(tmp_path / "two", [host("h1")], [vm("a", "h1"), vm("b", "h1")])
    import_inventory(tmp_path, [home], AT)
    import_inventory(tmp_path, [more], AT + DAY)
    assert load_inventory(tmp_path).at == AT + DAY
    assert load_inventory(tmp_path, AT + DAY / 2).at == AT
    assert load_inventory(tmp_path, AT).warnings == ()
    early = load_inventory(tmp_path, AT - DAY)
    assert early.at == AT
    assert "no inventory is as old as 2013-08-18 00:00 UTC" in early.warnings[0]
    assert snapshot(early, AT - DAY).warnings[0] == early.warnings[0]


def test_a_correction_of_the_same_instant_wins_and_both_are_kept(tmp_path: Path) -> None:
    home = folder(tmp_path / "one", [host("h1")], [vm("a", "h1")])
    right = folder(tmp_path / "two", [host("h1")], [vm("a", "h1", memory_mib=2048)])
    import_inventory(tmp_path, [home], AT)
    import_inventory(tmp_path, [right], AT)
    assert load_inventory(tmp_path, AT).vms["memory_mib"].tolist() == [2048]
    assert stored(tmp_path) == ["20130819T000000.000000Z", "20130819T000000.000000Z-2"]


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pro inventory import"):
        load_inventory(tmp_path)


def test_a_store_from_before_a_column_existed_still_speaks(tmp_path: Path) -> None:
    """The column was an attribute, and so text, or was not there at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    taken = datetime(2013, 8, 1, tzinfo=UTC)
    home = folder(
        tmp_path / "in", [host("h1", feed="A")], [vm("a", "h1", oldest_snapshot=taken.isoformat(), cpu_cap_mhz=None)]
    )
    import_inventory(tmp_path, [home], AT)
    (new,) = (tmp_path / "inventory").iterdir()
    for name, columns in (("hosts", ["networks", "storage"]), ("vms", ["networks", "storage", "numa_span"])):
        table = pq.read_table(new / f"{name}.parquet").drop_columns(columns)
        if name == "hosts":
            table = table.drop_columns(["numa_nodes"]).append_column("numa_nodes", pa.array(["2"]))
        pq.write_table(table, new / f"{name}.parquet")
    inventory = load_inventory(tmp_path)
    fresh = read_inventory([home], AT)
    assert inventory.hosts.columns.tolist() == fresh.hosts.columns.tolist()
    assert inventory.vms.equals(fresh.vms)
    assert inventory.hosts["numa_nodes"].tolist() == [2]
    assert snapshot(inventory, AT).snapshot_age_days.tolist() == [18.0]


def test_an_import_that_dies_leaves_no_half_inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = folder(tmp_path / "one", [host("h1")], [vm("a", "h1")])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            import_inventory(tmp_path / "s", [home], AT)
    assert stored(tmp_path / "s") == []
    assert import_inventory(tmp_path / "s", [home], AT).stored


def test_an_inventory_that_contradicts_itself_is_refused_unless_asked(tmp_path: Path) -> None:
    home = folder(tmp_path / "one", [host("h1")], [vm("a", "h1"), vm("b", "nowhere")])
    with pytest.raises(FleetError, match="no known host"):
        import_inventory(tmp_path / "s", [home], AT)
    assert not (tmp_path / "s").exists()
    report = import_inventory(tmp_path / "s", [home], AT, leave_out=True)
    assert [p.severity for p in report.problems] == ["error"]
    assert report.to_json()["problems"][0]["severity"] == "error"
    assert snapshot(load_inventory(tmp_path / "s"), AT, leave_out=True).vms == ("a",)


def test_hostile_names_survive_to_the_byte(tmp_path: Path) -> None:
    hosts = [host(name, id=f"h{i}") for i, name in enumerate(HOSTILE_NAMES)]
    vms = [vm(name, f"h{i}", id=f"v{i}", note=name) for i, name in enumerate(HOSTILE_NAMES)]
    rules = [
        {"rule": name, "kind": "spread", "members": [name, HOSTILE_NAMES[0]], "owner": name} for name in HOSTILE_NAMES
    ]
    import_inventory(tmp_path, [folder(tmp_path / "in", hosts, vms, rules)], AT)
    inventory = load_inventory(tmp_path)
    assert tuple(inventory.hosts["host"]) == HOSTILE_NAMES
    assert tuple(inventory.vms["vm"]) == HOSTILE_NAMES
    assert tuple(inventory.vms["note"]) == HOSTILE_NAMES
    assert {r.name for r in inventory.rules} == set(HOSTILE_NAMES)
    fleet = snapshot(inventory, AT)
    assert fleet.vm_names == HOSTILE_NAMES
    assert fleet.host_of.tolist() == list(range(len(HOSTILE_NAMES)))
    assert {r.owner for r in fleet.rules} == set(HOSTILE_NAMES)


def test_names_that_serve_as_ids_survive_too(tmp_path: Path) -> None:
    hosts = [host(name) for name in HOSTILE_NAMES]
    vms = [vm(name, name) for name in HOSTILE_NAMES]
    import_inventory(tmp_path, [folder(tmp_path / "in", hosts, vms)], AT)
    fleet = snapshot(load_inventory(tmp_path), AT)
    assert set(fleet.vms) == set(HOSTILE_NAMES)
    assert [fleet.hosts[h] for h in fleet.host_of] == list(fleet.vms)


def test_stored_tables_explain_themselves(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    import_inventory(tmp_path, [folder(tmp_path / "in", [host("h1", feed="A")], [vm("a", "h1")])], AT)
    schema = pq.read_schema(next(tmp_path.glob("inventory/*/hosts.parquet")))
    told = {name: (unit, doc) for name, _, unit, doc in describe(schema)}
    assert told["core_mhz"] == ("MHz", "clock of one core")
    assert told["feed"] == ("", "attribute, kept as it came")
    assert all(doc for _, doc in told.values())


def test_where_vms_stand_can_be_updated(tmp_path: Path) -> None:
    hosts = [host("h1", id="1"), host("h2", id="2"), host("h3", id="3", cluster="d")]
    vms = [vm("a", "H1", id="A", cluster="c"), vm("b", "h1", id="B", cluster="c")]
    inventory = build_inventory(hosts, vms, [], AT)
    moved = with_placement(inventory, {"A": "2", "B": "1", "ghost": "1"}, AT + DAY)
    assert moved.vms["host"].tolist() == ["2", "h1"]
    assert moved.at == AT + DAY
    assert [w for w in moved.warnings if "ghost" in w and "not in the inventory" in w]
    assert snapshot(moved, AT + DAY).host_of.tolist() == [1, 0]
    crossed = with_placement(moved, {"A": "3", "B": "gone"}, AT + 2 * DAY)
    assert crossed.vms["cluster"].tolist() == ["d", "c"]
    assert crossed.vms["host"].tolist() == ["3", "h1"]
    assert inventory.vms["host"].tolist() == ["H1", "h1"]
    assert save_inventory(tmp_path, inventory)
    assert save_inventory(tmp_path, moved)
    assert not save_inventory(tmp_path, with_placement(moved, {"A": "2"}, AT + DAY))


def test_since_when_a_host_has_the_vms_of_now(tmp_path: Path) -> None:
    hosts, vms = [host("h1"), host("h2"), host("h3")], [vm("a", "h1"), vm("b", "h2"), vm("c", "h3")]
    inventory = build_inventory(hosts, vms, [], AT)
    save_inventory(tmp_path, inventory)
    save_inventory(tmp_path, with_placement(inventory, {"a": "h2"}, AT + DAY / 4))
    now = with_placement(inventory, {"a": "h2", "b": "h1"}, AT + DAY / 2)
    save_inventory(tmp_path, now)
    since = settled(tmp_path, now)
    assert since["h1"] == since["h2"] == AT + DAY / 2
    assert since["h3"] == datetime.min.replace(tzinfo=UTC)


def test_what_a_vm_had_before_it_was_resized(tmp_path: Path) -> None:
    """APP had 2 GHz, then 4 for two days, and has 1 now; of B only the number of processors is known, and only once."""
    sizes = [(2000, 2), (4000, None), (4000, None), (1000, 4)]
    for day, (cap, vcpus) in enumerate(sizes):
        more = {} if day == 0 else {"new": vm("new", "h1")}
        vms = [vm("app", "h1", cpu_cap_mhz=cap), vm("b", "h1", cpu_cap_mhz=None, vcpus=vcpus), *more.values()]
        save_inventory(tmp_path, build_inventory([host("h1")], vms, [], AT + day * DAY))
    now = load_inventory(tmp_path)
    found = resized(tmp_path, now, AT - DAY)
    assert found["app"] == ((AT + DAY, 2.0), (AT + 3 * DAY, 4.0))
    assert found["b"] == ((AT + DAY, 0.5),)
    assert "new" not in found
    assert resized(tmp_path, now, AT + 2 * DAY)["app"] == ((AT + 3 * DAY, 4.0),)
    assert resized(tmp_path, load_inventory(tmp_path, AT + 2 * DAY), AT - DAY)["app"] == ((AT + DAY, 0.5),)
    assert resized(tmp_path, load_inventory(tmp_path, AT), AT - DAY) == {}


@given(estate=estates(), seed=st.integers(0, 2**32))
def test_shuffled_rows_make_the_same_fleet(tmp_path_factory: pytest.TempPathFactory, estate: Any, seed: int) -> None:
    hosts, vms, rules = estate
    home = tmp_path_factory.mktemp("estate")
    rng = random.Random(seed)
    mixed = [rng.sample(x, len(x)) for x in (hosts, vms)]
    one = read_inventory([folder(home / "a", hosts, vms, rules)], AT)
    two = read_inventory([folder(home / "b", *mixed, rules)], AT)
    assert one.hosts.equals(two.hosts)
    assert one.vms.equals(two.vms)


def test_contoso_is_twelve_hosts_and_120_vms(shared: Path, tmp_path: Path) -> None:
    report = import_inventory(tmp_path, [shared / "data" / "estate-contoso"], AT)
    assert (report.hosts, report.vms, report.rules, report.problems) == (12, 120, 5, ())
    assert report.skipped == ("counters.csv.gz", "estate.json")
    fleet = snapshot(load_inventory(tmp_path), AT)
    assert (fleet.n_hosts, fleet.n_vms) == (12, 120)
    assert fleet.capacity.tolist() == [[57600, 262144]] * 12
    assert (fleet.snapshot_age_days >= 0).sum() == 8
    assert [r.kind for r in fleet.rules] == ["spread"] * 4 + ["fence"]
    assert fleet.warnings == ()
    assert read_sources([shared / "data" / "estate-contoso"]).problems == []
