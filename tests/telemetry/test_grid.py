"""Grids: what a patient person with a pencil would get, and never a sample from the future."""

from __future__ import annotations

import csv
import io
import math
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import InputError
from pro.telemetry.store import Store
from tests.telemetry.oracles import EPOCH, grid, read_scom, write

START = datetime(2013, 8, 12, tzinfo=UTC)
RAW = ["DateTime", "Path", "ObjectName", "CounterName", "InstanceName", "SampleValue"]
HOURLY = ["DateTime", "Path", "ObjectName", "CounterName", "InstanceName", "AverageValue", "MaxValue", "SampleCount"]
CPU = ["Processor", "% Processor Time", "_Total"]


def text(header: list[str], rows: list[list[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


def store_of(folder, raw: list[list[str]], hourly: list[list[str]] = ()) -> Store:
    """A store of raw rows (minutes after START, path, object, counter, instance, value) and hourly ones (hours, ..., mean, max)."""
    store = Store(folder / "store")
    sources = []
    if raw:
        sources.append(write(folder / "raw", text(RAW, [[stamp(60 * float(row[0])), *row[1:]] for row in raw])))
    if hourly:
        # an odd hour of another counter keeps the file from looking like days
        rows = [["2013-08-12 05:00:00", "x", "Y", "Z", "", "1", "1", "1"]]
        rows += [[stamp(3600 * float(row[0])), *row[1:], "12"] for row in hourly]
        sources.append(write(folder / "hourly", text(HOURLY, rows)))
    store.ingest(sources)
    return store


def stamp(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def line(store: Store, minutes: float, points: int, counter: str = "cpu_pct", step_s: int = 300) -> list[float]:
    """The only entity's last points up to START + minutes; -1 where nothing is known."""
    out = store.grid(counter, START + timedelta(minutes=minutes), points * step_s / 86_400, step_s)
    assert out.values.shape == (1, points)
    return np.nan_to_num(out.values[0], nan=-1.0).round(4).tolist()


def test_a_sample_stands_until_the_next_but_not_for_ever(tmp_path):
    store = store_of(tmp_path, [["2", "w", *CPU, "10"], ["7", "w", *CPU, "20"], ["40", "w", *CPU, "30"]])
    # known at 2, 7 and 40 minutes; a processor sample stands for 15 minutes
    assert line(store, 60, 13) == [-1, 10, 20, 20, 20, -1, -1, -1, 30, 30, 30, 30, -1]


def test_a_sample_on_the_grid_point_counts_there(tmp_path):
    assert line(store_of(tmp_path, [["5", "w", *CPU, "10"]]), 20, 5) == [-1, 10, 10, 10, 10]
    assert line(Store(tmp_path / "store"), 21, 4) == [10, 10, 10, 10]


def test_the_grid_ends_at_until_and_knows_nothing_later(tmp_path):
    store = store_of(tmp_path, [["4", "w", *CPU, "10"], ["9", "w", *CPU, "90"]])
    out = store.grid("cpu_pct", START + timedelta(minutes=8), 1 / 24)
    assert out.cutoff == START + timedelta(minutes=5)
    assert np.nanmax(out.values) == 10.0
    assert store.grid("cpu_pct").cutoff == START + timedelta(minutes=5)


def test_the_instant_of_the_newest_sample_is_kept_however_far_it_is_carried(tmp_path):
    rows = [["2", "w", *CPU, "10"], ["1438", "w", *CPU, "20"], ["1441", "x", *CPU, "5"], ["1462", "x", *CPU, "7"]]
    store = store_of(tmp_path, rows)
    for until, want in ((1455, [1438, 1441]), (1463, [1438, 1462])):
        out = store.grid("cpu_pct", START + timedelta(minutes=until), 2.0)
        assert out.entities == ("w", "x")
        newest = [(EPOCH + timedelta(microseconds=int(us)) - START) / timedelta(minutes=1) for us in out.seen_us]
        assert newest == want


def test_an_hour_shows_its_maximum_for_15_minutes_and_keeps_its_average(tmp_path):
    store = store_of(tmp_path, [], [["1", "w", *CPU, "40", "100"]])
    shown = line(store, 125, 14)
    assert shown[0] == shown[13] == -1
    hour = shown[1:13]
    assert sorted(hour) == [20.0] * 9 + [100.0] * 3
    assert np.mean(hour) == pytest.approx(40.0)


def test_a_maximum_that_cannot_have_lasted_is_lowered_not_the_average(tmp_path):
    hour = line(store_of(tmp_path, [], [["1", "w", *CPU, "5", "100"]]), 120, 12)
    assert sorted(hour) == [0.0] * 9 + [20.0] * 3


def test_an_hour_is_known_at_its_end_only(tmp_path):
    store = store_of(tmp_path, [["0", "w", *CPU, "10"]], [["1", "w", *CPU, "40", "40"]])
    known = store.grid("cpu_pct", START + timedelta(minutes=119), 1.0)
    assert np.nanmax(known.values) == 10.0
    assert np.nanmax(store.grid("cpu_pct", START + timedelta(minutes=120), 1.0).values) == 40.0


def test_raw_beats_aggregates(tmp_path):
    raw = [[str(minute), "w", *CPU, "70"] for minute in range(60, 91, 5)]
    shown = line(store_of(tmp_path, raw, [["1", "w", *CPU, "40", "40"]]), 120, 12)
    assert shown == [70.0] * 9 + [40.0] * 3


def test_adapters_are_added_though_sampled_at_other_seconds(tmp_path):
    net = ["Network Interface", "Bytes Total/sec"]
    store = store_of(
        tmp_path, [["1", "w", *net, "lan", "100"], ["3", "w", *net, "san", "7"], ["31", "w", *net, "lan", "200"]]
    )
    assert line(store, 40, 8, "net_bps") == [107, 107, 107, 107, 107, 107, 207, 207]


def test_a_total_beats_its_parts_and_layers_are_not_added(tmp_path):
    disk = "Disk Bytes/sec"
    rows = [
        ["1", "a", "LogicalDisk", disk, "_Total", "100"],
        ["1", "a", "LogicalDisk", disk, "C:", "60"],
        ["1", "b", "LogicalDisk", disk, "C:", "60"],
        ["1", "b", "LogicalDisk", disk, "D:", "20"],
        ["1", "b", "PhysicalDisk", disk, "0 C: D:", "85"],
        ["1", "c", "PhysicalDisk", disk, "0 C: D:", "85"],
    ]
    out = store_of(tmp_path, rows).grid("disk_bps", START + timedelta(minutes=5), 300 / 86_400)
    assert dict(zip(out.entities, out.values[:, 0].tolist(), strict=True)) == {"a": 100, "b": 80, "c": 85}


def test_virtual_processors_are_averaged_and_belong_to_the_vm(tmp_path):
    vp = ["Hyper-V Hypervisor Virtual Processor", "% Guest Run Time"]
    rows = [["1", "HV1", *vp, f"Web 1:Hv VP {k}", value] for k, value in enumerate(("10", "30"))]
    rows += [
        ["1", "HV1", *vp, "_Total", "77"],
        ["1", "HV1", "Hyper-V Hypervisor Logical Processor", "% Total Run Time", "_Total", "50"],
    ]
    store = store_of(tmp_path, rows)
    out = store.grid("cpu_pct", START + timedelta(minutes=5), 300 / 86_400)
    assert (out.entities, out.values[:, 0].tolist()) == (("hv1/web 1",), [20.0])
    assert store.grid("host_cpu_pct", START + timedelta(minutes=5)).entities == ("hv1",)


def test_an_empty_store_and_an_unknown_counter_are_errors(tmp_path):
    with pytest.raises(InputError, match="no samples"):
        Store(tmp_path / "none").grid("cpu_pct")
    with pytest.raises(InputError, match="unknown counter"):
        Store(tmp_path / "none").grid("cpu")
    store = store_of(tmp_path, [["1", "w", *CPU, "1"]])
    assert store.grid("net_bps").entities == ()


def test_values_cannot_be_changed(tmp_path):
    out = store_of(tmp_path, [["1", "w", *CPU, "1"]]).grid("cpu_pct", START + timedelta(minutes=5))
    with pytest.raises(ValueError, match="read-only"):
        out.values[0, 0] = 1.0


def test_coverage_says_what_share_is_known(tmp_path):
    store = store_of(tmp_path, [[str(minute), "w", *CPU, "1"] for minute in range(0, 720, 5)])
    [row] = store.coverage(START + timedelta(hours=24), 1.0)
    assert (row.counter, row.entity) == ("cpu_pct", "w")
    assert (row.first, row.newest) == (START + timedelta(minutes=5), START + timedelta(minutes=715))
    # the grid's points from 5 to 715 minutes, and those of the 15 minutes the last sample stands for
    assert row.share == pytest.approx(146 / 288)


raw_rows = st.lists(
    st.tuples(
        st.integers(0, 400).map(str),
        st.sampled_from(["a", "b"]),
        st.sampled_from(
            [
                CPU,
                ["Processor", "% Processor Time", "0"],
                ["Processor", "% Processor Time", "1"],
                ["LogicalDisk", "Disk Bytes/sec", "C:"],
                ["PhysicalDisk", "Disk Bytes/sec", "0"],
                ["Network Interface", "Bytes Total/sec", "n1"],
                ["Network Interface", "Bytes Total/sec", "n2"],
            ]
        ),
        st.integers(0, 100).map(str),
    ).map(lambda r: [r[0], r[1], *r[2], r[3]]),
    min_size=1,
    max_size=25,
)
hourly_rows = st.lists(
    st.tuples(
        st.integers(0, 6).map(str),
        st.sampled_from(["a", "b"]),
        st.sampled_from([CPU, ["Processor", "% Processor Time", "0"], ["Network Interface", "Bytes Total/sec", "n1"]]),
        st.integers(0, 50),
        st.integers(0, 50),
    ).map(lambda r: [r[0], r[1], *r[2], str(r[3]), str(r[3] + r[4])]),
    max_size=10,
)


@given(
    raw_rows,
    hourly_rows,
    st.sampled_from(["cpu_pct", "disk_bps", "net_bps"]),
    st.integers(0, 500),
    st.tuples(st.sampled_from([60, 300, 420, 900, 3600]), st.integers(1, 40)),
    st.sampled_from([0, 21]),
)
def test_grid_agrees_with_the_oracle(tmp_path_factory, raw, hourly, counter, minutes, shape, late):
    """`late` hours into the day, so that midnight, where one partition ends, lies before, among or after the samples."""
    folder = tmp_path_factory.mktemp("grid")
    raw = [[str(float(row[0]) + 60 * late), *row[1:]] for row in raw]
    hourly = [[str(int(row[0]) + late), *row[1:]] for row in hourly]
    minutes += 60 * late
    step_s, points = shape
    store = store_of(folder, raw, hourly)
    samples = {}
    for name in ("raw", "hourly"):
        if (folder / name).exists():
            samples |= read_scom((folder / name).read_text()).samples
    until = START + timedelta(minutes=minutes)
    got = store.grid(counter, until, points * step_s / 86_400, step_s)
    want = grid(samples, counter, until, points, step_s)
    assert got.entities == tuple(want)
    assert got.cutoff == EPOCH + timedelta(seconds=int((until - EPOCH).total_seconds()) // step_s * step_s)
    for entity, values in zip(got.entities, got.values.tolist(), strict=True):
        for mine, theirs in zip(values, want[entity], strict=True):
            assert (math.isnan(mine) and math.isnan(theirs)) or mine == pytest.approx(theirs, rel=1e-5, abs=1e-4)


@given(raw_rows, hourly_rows, st.integers(30, 500))
def test_the_future_changes_nothing(tmp_path_factory, raw, hourly, minutes):
    folder = tmp_path_factory.mktemp("future")
    until = START + timedelta(minutes=minutes)
    raw = [["0", "z", *CPU, "1"], *raw]
    past = [row for row in raw if float(row[0]) <= minutes]
    hours = [row for row in hourly if 60 * (float(row[0]) + 1) <= minutes]
    (folder / "all").mkdir()
    (folder / "past").mkdir()
    whole, early = store_of(folder / "all", raw, hourly), store_of(folder / "past", past, hours)
    for counter in ("cpu_pct", "net_bps", "disk_bps"):
        a, b = whole.grid(counter, until, 0.3), early.grid(counter, until, 0.3)
        assert a.entities == b.entities
        assert np.array_equal(a.values, b.values, equal_nan=True)
    assert whole.newest(until) == early.newest(until)


@given(st.sets(st.sampled_from(("a", "b", "c"))))
def test_a_grid_of_some_entities_is_those_rows_of_the_whole(wanted: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [[str(7 * k + i), name, *CPU, str(k + i)] for i, name in enumerate("abc") for k in range(0, 300, 1 + i)]
        store = store_of(Path(folder), rows)
        at = START + timedelta(minutes=2000)
        whole = store.grid("cpu_pct", at, 2.0)
        some = store.grid("cpu_pct", at, 2.0, about=lambda names: np.isin(names, list(wanted)))
        kept = [e for e in whole.entities if e in wanted]
        assert some.entities == tuple(kept)
        np.testing.assert_array_equal(some.values, whole.values[[whole.entities.index(e) for e in kept]])
