"""The store: ingest twice is once; order, duplicates and chunks change nothing; a kill leaves old or new."""

from __future__ import annotations

import csv
import io
import os
import random
import shutil
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import InputError, RefusedError
from pro.core.table import describe
from pro.telemetry import merge, samples_schema, store
from pro.telemetry.store import Store
from tests.conftest import HOSTILE_NAMES
from tests.telemetry.oracles import read_scom, stored, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADER = ["DateTime", "Path", "ObjectName", "CounterName", "InstanceName", "SampleValue"]
HOURLY = ["DateTime", "Path", "ObjectName", "CounterName", "InstanceName", "AverageValue", "MaxValue", "SampleCount"]
CPU = ["Processor", "% Processor Time", "_Total"]


def text(rows: list[list[str]], header: list[str] = HEADER) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


raw = st.tuples(
    st.sampled_from(
        [
            "2013-08-12 00:00:00",
            "2013-08-12 00:05:07",
            "2013-08-12 23:59:59",
            "2013-08-13 00:00:00",
            "2013-08-14 12:00:00",
        ]
    ),
    st.sampled_from(["a.test", "B.test", "hv.test"]),
    st.sampled_from(
        [CPU, ["Memory", "Available MBytes", ""], ["Network Interface", "Bytes Total/sec", "n1"], ["X", "Y", ""]]
    ),
    st.sampled_from(["1", "2.5", "99", "bad"]),
).map(lambda row: [row[0], row[1], *row[2], row[3]])


@given(
    st.lists(raw, min_size=1, max_size=30),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
    st.sampled_from([1, 7, 10**6]),
)
def test_order_duplicates_and_chunks_change_nothing(tmp_path_factory, rows, random_, pieces, flush):
    folder = tmp_path_factory.mktemp("law")
    once = Store(folder / "once")
    report = once.ingest([write(folder / "all", text(rows))])
    assert report.read == report.kept + report.duplicate + report.ignored + report.quarantined == len(rows)
    shuffled = rows + random_.sample(rows, len(rows) // 2)
    random_.shuffle(shuffled)
    other = Store(folder / "other")
    kept = 0
    with mock.patch.object(merge, "FLUSH_ROWS", flush):
        for k in range(pieces):
            part = shuffled[k::pieces]
            kept += other.ingest([write(folder / f"part{k}", text(part))]).kept
    assert files(other.root / "samples") == files(once.root / "samples")
    assert kept == report.kept
    assert stored(other) == read_scom(text(rows)).samples


@given(st.lists(raw, min_size=1, max_size=20))
def test_ingest_twice_is_once(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("twice")
    source = write(folder / "f", text(rows))
    store_ = Store(folder / "store")
    first = store_.ingest([source])
    before = files(store_.root)
    second = store_.ingest([source])
    assert files(store_.root) == before
    assert (second.kept, second.duplicate) == (0, first.kept + first.duplicate)
    assert (second.read, second.quarantined) == (first.read, first.quarantined)


def test_late_samples_are_merged_into_their_day(tmp_path):
    store_ = Store(tmp_path / "store")
    store_.ingest([write(tmp_path / "a", text([["2013-08-12 10:00:00", "w", *CPU, "10"]]))])
    store_.ingest(
        [
            write(
                tmp_path / "b", text([["2013-08-12 09:00:00", "w", *CPU, "9"], ["2013-08-13 09:00:00", "w", *CPU, "9"]])
            )
        ]
    )
    assert [row["value"] for row in store_.samples("cpu_pct").to_pylist()] == [9.0, 10.0, 9.0]
    assert store_.newest() == datetime(2013, 8, 13, 9, tzinfo=UTC)
    assert store_.newest(datetime(2013, 8, 13, 8, tzinfo=UTC)) == datetime(2013, 8, 12, 10, tzinfo=UTC)
    assert store_.newest(datetime(2013, 8, 12, 8, tzinfo=UTC)) is None


def test_of_two_values_the_larger_wins_and_it_is_said(tmp_path):
    rows = [["2013-08-12 10:00:00", "w", *CPU, value] for value in ("10", "30", "20", "30")]
    for order in (rows, rows[::-1]):
        store_ = Store(tmp_path / f"store{order[0][-1]}")
        report = store_.ingest([write(tmp_path / "a", text(order))])
        assert [row["value"] for row in store_.samples("cpu_pct").to_pylist()] == [30.0]
        assert (report.kept, report.duplicate, report.conflicts) == (1, 3, 1)
        assert any("different values" in warning for warning in report.warnings)


def test_what_cannot_be_read_is_in_quarantine_once(tmp_path):
    rows = [
        ["2013-08-12 10:00:00", "w", *CPU, "10"],
        ["2013-08-12 10:05:00", "w", *CPU, "1,5"],
        ["never", "w", *CPU, "5"],
    ]
    source = write(tmp_path / "f.csv", text(rows))
    for _ in range(2):
        report = Store(tmp_path / "store").ingest([source])
        found = [
            row
            for path in (tmp_path / "store" / "quarantine").iterdir()
            for row in pq.ParquetFile(path).read().to_pylist()
        ]
        assert [(row["file"], row["line"], row["reason"]) for row in found] == [
            (str(source), 3, "value is not a number"),
            (str(source), 4, "not an instant in time"),
        ]
        assert found[0]["text"] == '2013-08-12 10:05:00,w,Processor,% Processor Time,_Total,"1,5"'
        assert report.quarantined == 2


def test_hostile_names_come_out_as_they_went_in(tmp_path):
    rows = [["2013-08-12 10:00:00", name, *CPU, "10"] for name in HOSTILE_NAMES]
    rows += [
        ["2013-08-12 10:00:00", "hv", "Hyper-V Dynamic Memory VM", "Physical Memory", name, "512"]
        for name in HOSTILE_NAMES
    ]
    store_ = Store(tmp_path / "store")
    report = store_.ingest([write(tmp_path / "f", text(rows))])
    assert report.kept == len(rows)
    assert store_.grid("cpu_pct").entities == tuple(sorted(name.casefold() for name in HOSTILE_NAMES))
    assert store_.grid("memory_assigned_mib").entities == tuple(
        sorted(f"hv/{name.casefold()}" for name in HOSTILE_NAMES)
    )
    assert sorted(path.name for path in store_.root.iterdir()) == [".ingest.lock", "samples"]


def test_a_folder_is_all_files_in_it_and_foreign_ones_are_named(tmp_path):
    folder = tmp_path / "export"
    (folder / "deep").mkdir(parents=True)
    write(folder / "deep" / "counters.txt", text([["2013-08-12 10:00:00", "w", *CPU, "10"]]))
    write(folder / "hosts.csv", "host,fqdn\nHV1,hv1.test\n")
    write(folder / "empty", "")
    report = Store(tmp_path / "store").ingest([folder, folder / "deep" / "counters.txt"])
    assert (report.read, report.kept) == (1, 1)
    assert report.skipped == [str(folder / "empty"), str(folder / "hosts.csv")]
    assert [file.file for file in report.files] == [str(folder / "deep" / "counters.txt")]


def test_a_foreign_file_named_itself_is_an_error_before_anything_is_stored(tmp_path):
    good = write(tmp_path / "a", text([["2013-08-12 10:00:00", "w", *CPU, "10"]]))
    with pytest.raises(InputError, match=r"not a counter file.*PDH-CSV.*SCOM"):
        Store(tmp_path / "store").ingest([good, write(tmp_path / "b", "hello\n")])
    assert Store(tmp_path / "store").newest() is None
    with pytest.raises(InputError, match="no such file"):
        Store(tmp_path / "store").ingest([tmp_path / "absent"])


def test_two_ingests_at_once_are_refused(tmp_path):
    root = tmp_path / "store"
    root.mkdir()
    source = write(tmp_path / "a", text([["2013-08-12 10:00:00", "w", *CPU, "10"]]))
    with (
        mock.patch.object(store, "LOCK_WAIT_S", 0.05),
        FileLock(root / ".ingest.lock"),
        pytest.raises(RefusedError, match="another ingest"),
    ):
        Store(root).ingest([source])
    assert Store(root).ingest([source]).kept == 1


def test_hosts_seen_through_the_root_partition_only_are_named(tmp_path):
    rows = [
        ["2013-08-12 10:00:00", "hv1.test", *CPU, "13"],
        ["2013-08-12 10:00:00", "hv1.test", "Hyper-V Virtual Switch", "Bytes/sec", "x", "1"],
        ["2013-08-12 10:00:00", "hv2.test", *CPU, "13"],
        ["2013-08-12 10:00:00", "hv2.test", "Hyper-V Hypervisor Logical Processor", "% Total Run Time", "_Total", "65"],
        ["2013-08-12 10:00:00", "web.test", *CPU, "13"],
    ]
    report = Store(tmp_path / "store").ingest([write(tmp_path / "a", text(rows))])
    [warning] = report.warnings
    assert "hv1.test" in warning
    assert "hv2.test" not in warning


def test_progress_ends_at_one(tmp_path):
    seen: list[float] = []
    for k in range(3):
        write(tmp_path / f"f{k}", text([["2013-08-12 10:00:00", f"w{k}", *CPU, "10"]]))
    Store(tmp_path / "store").ingest([tmp_path / f"f{k}" for k in range(3)], lambda _, share: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_file_explains_its_units(tmp_path):
    Store(tmp_path / "store").ingest([write(tmp_path / "a", text([["2013-08-12 10:00:00", "w", *CPU, "10"]]))])
    [path] = (tmp_path / "store" / "samples").rglob("*.parquet")
    assert describe(pq.ParquetFile(path).schema_arrow) == describe(samples_schema())
    assert path.parent.name == "date=2013-08-12"


KILLED = """
import os, sys
from pathlib import Path
from pro.telemetry.store import Store
from tests.telemetry.test_store import dying

with dying(int(sys.argv[3]), lambda: os.kill(os.getpid(), 9)):
    Store(Path(sys.argv[1])).ingest([Path(sys.argv[2])])
"""


class Killed(BaseException):
    """Stands for a kill: nothing in the code under test may catch it."""


@contextmanager
def dying(step: int, die: Callable[[], None]) -> Iterator[None]:
    """Calls `die` at the n-th time a file is opened for writing, synced or renamed."""
    left = step

    def mortal(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                die()
            return original(*arguments, **named)

        return call

    with (
        mock.patch.object(os, "fsync", mortal(os.fsync)),
        mock.patch.object(Path, "replace", mortal(Path.replace)),
        mock.patch.object(pq, "ParquetWriter", mortal(pq.ParquetWriter)),
    ):
        yield


def raise_killed() -> None:
    raise Killed


@pytest.fixture
def estates(tmp_path):
    """A store with two days, a file that adds to both, and the store as it should be then."""
    old_rows = [[f"2013-08-{day} 10:00:00", "w", *CPU, "10"] for day in (12, 13)]
    new_rows = [[f"2013-08-{day} 11:00:00", "w", *CPU, "11"] for day in (12, 13)] + [["x", "w", *CPU, "11"]]
    source = write(tmp_path / "new", text(new_rows))
    old = Store(tmp_path / "old")
    old.ingest([write(tmp_path / "f", text(old_rows))])
    done = Store(tmp_path / "done")
    shutil.copytree(old.root, done.root)
    done.ingest([source])
    return source, old, done


def test_a_kill_at_any_write_leaves_old_or_new(tmp_path, estates):
    source, old, done = estates
    states = set()
    for step in range(40):
        victim = Store(tmp_path / f"victim{step}")
        shutil.copytree(old.root, victim.root)
        finished = False
        try:
            with dying(step, raise_killed):
                victim.ingest([source])
            finished = True
        except Killed:
            pass
        found = files(victim.root / "samples")
        for name, content in found.items():
            assert content in (files(old.root / "samples")[name], files(done.root / "samples")[name])
        states.add(tuple(found.values()))
        victim.ingest([source])
        assert files(victim.root) == files(done.root)
        if finished:
            break
    assert finished
    assert step > 8
    assert len(states) == 3


@pytest.mark.parametrize("step", [3, 6])
def test_a_real_kill_leaves_old_or_new(tmp_path, estates, step):
    source, old, done = estates
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(old.root), str(source), str(step)]
    root = str(Path(__file__).resolve().parents[2])
    assert subprocess.run(script, check=False, cwd=root, env={**os.environ, "PYTHONPATH": root}).returncode == -9
    assert stored(old).items() <= stored(done).items()
    old.ingest([source])
    assert files(old.root) == files(done.root)


def test_a_random_estate_survives_a_random_number_of_ingests(tmp_path):
    rng = random.Random(5)
    rows = [
        [
            f"2013-08-{rng.randint(12, 15)} {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:00",
            f"w{rng.randint(0, 9)}",
            *CPU,
            str(rng.randint(0, 100)),
        ]
        for _ in range(3000)
    ]
    store_ = Store(tmp_path / "store")
    for k in range(5):
        store_.ingest([write(tmp_path / "f", text(rows[k * 500 : k * 500 + 1000]))])
    assert stored(store_) == read_scom(text(rows)).samples


def test_contoso(shared, tmp_path):
    source = shared / "data" / "estate-contoso" / "counters.csv.gz"
    store_ = Store(tmp_path / "store")
    report = store_.ingest([source])
    assert (report.read, report.ignored, report.quarantined) == (816_870, 0, 0)
    assert report.kept + report.duplicate == report.read
    assert report.warnings == []
    again = store_.ingest([source])
    assert (again.kept, again.duplicate) == (0, 816_870)
    assert store_.grid("cpu_pct", days=7).values.shape == (120, 2016)
    assert len(store_.grid("host_cpu_pct").entities) == 12


def test_a_damaged_partition_is_named(tmp_path):
    store_ = Store(tmp_path / "store")
    store_.ingest([write(tmp_path / "a", text([["2013-08-12 10:00:00", "w", *CPU, "10"]]))])
    [path] = (tmp_path / "store" / "samples").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"2013-08-12.*damaged"):
        store_.grid("cpu_pct")


def test_the_room_opens_without_heavy_libraries():
    code = "import sys, pro.telemetry; print(sorted({'numpy', 'pyarrow', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ingest_does_not_pull_in_pandas(tmp_path):
    source = write(tmp_path / "a", text([["2013-08-12 10:00:00", "w", *CPU, "10"], ["x", "w", *CPU, "1"]]))
    code = (
        "import sys; from pathlib import Path; from pro.telemetry import Store\n"
        "s = Store(Path(sys.argv[1])); s.ingest([Path(sys.argv[2])]); s.grid('cpu_pct'); print('pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "store"), str(source)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "False"
