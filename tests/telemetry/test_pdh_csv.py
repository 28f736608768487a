"""PerfMon logs: zones that are cut off, blanks, torn rows, other languages; all real samples go in."""

from __future__ import annotations

import csv
import io
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import InputError
from pro.telemetry import ReadReport
from pro.telemetry.readers import ReadOptions, stream
from pro.telemetry.readers.catalogue import find
from pro.telemetry.readers.detect import detect
from pro.telemetry.readers.pdh_csv import PdhCsv
from pro.telemetry.readers.pdh_header import CounterPath, parse_header, parse_path
from pro.telemetry.store import Store

if TYPE_CHECKING:
    from pathlib import Path

Value = tuple[datetime, str, str, str, float]


def read(path: Path, options: ReadOptions | None = None) -> tuple[list[Value], ReadReport]:
    report = ReadReport()
    rows = [row for table in PdhCsv(options or ReadOptions()).read(path, report) for row in table.to_pylist()]
    return sorted((r["time"], r["entity"], r["counter"], r["part"], r["value"]) for r in rows), report


def log(*columns: str, zone: str = "(PDH-CSV 4.0) (Eastern Standard Time)(300)", rows: str = "") -> str:
    return ",".join(f'"{cell}"' for cell in (zone, *columns)) + "\r\n" + rows


CPU = r"\\HV1\Processor(_Total)\% Processor Time"


def at(hour: int, minute: int = 0, second: int = 0, day: int = 12) -> datetime:
    return datetime(2013, 8, day, hour, minute, second, tzinfo=UTC)


def test_the_bias_is_added_to_local_time(tmp_path):
    path = tmp_path / "f"
    path.write_text(log(CPU, rows='"08/12/2013 20:00:00.250","12.5"\r\n'))
    got, report = read(path)
    assert got == [(datetime(2013, 8, 13, 1, 0, 0, 250_000, tzinfo=UTC), "hv1", "cpu_pct", "", 12.5)]
    assert report.warnings == []


@pytest.mark.parametrize(
    ("zone", "bias"),
    [
        ("(PDH-CSV 4.0) (India Standard Time)(-330)", -330),
        ("(PDH-CSV 4.0) (Paris, Madrid)(-60)", -60),
        ("(PDH-CSV 4.0) (UTC)(0)", 0),
        ("(PDH-CSV 4.0) (RTZ 2 (", None),
        ("(PDH-CSV 4.0) (Maroc (heure d", None),
        ("(PDH-CSV 4.0) (", None),
        ("(PDH-CSV 4.0)", None),
    ],
)
def test_zones_are_often_cut_off(zone, bias):
    assert parse_header(f'"{zone}","{CPU}"\r\n', "f").bias_minutes == bias


def test_a_missing_bias_is_taken_from_the_option_or_warned_about(tmp_path):
    path = tmp_path / "f"
    path.write_text(log(CPU, zone="(PDH-CSV 4.0) (RTZ 2 (", rows='"08/12/2013 20:00:00.000","12.5"\r\n'))
    got, report = read(path)
    assert got[0][0] == at(20)
    assert "taken as UTC" in report.warnings[0]
    got, report = read(path, ReadOptions(tz="Europe/Moscow"))
    assert got[0][0] == at(16)
    assert "Europe/Moscow" in report.warnings[0]
    with pytest.raises(InputError, match="unknown time zone"):
        read(path, ReadOptions(tz="Atlantis/Capital"))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (CPU, CounterPath("HV1", "Processor", "_Total", "% Processor Time")),
        (r"\\HV1\Memory\Available MBytes", CounterPath("HV1", "Memory", "", "Available MBytes")),
        (r"\\DC\Prozessor(_Total)\Prozessorzeit (%)", CounterPath("DC", "Prozessor", "_Total", "Prozessorzeit (%)")),
        (
            r"\\H\Hyper-V Dynamic Memory VM(web (old) (2))\Physical Memory",
            CounterPath("H", "Hyper-V Dynamic Memory VM", "web (old) (2)", "Physical Memory"),
        ),
        (
            r"\\H\Network Interface(Intel[R] 82574L _2)\Bytes Total/sec",
            CounterPath("H", "Network Interface", "Intel[R] 82574L _2", "Bytes Total/sec"),
        ),
        (r"\\H\Thread(explorer/3#1)\ID", CounterPath("H", "Thread", "explorer/3#1", "ID")),
        (r"\\H\LogicalDisk(a)b)\Disk Bytes/sec", CounterPath("H", "LogicalDisk", "a)b", "Disk Bytes/sec")),
        (r"\Processor(_Total)\% Processor Time", None),
        ("", None),
        (r"\\H", None),
    ],
)
def test_counter_paths_are_taken_apart_from_the_right(text, want):
    assert parse_path(text) == want


def test_blanks_are_not_known_and_never_zero(tmp_path):
    path = tmp_path / "f"
    path.write_text(
        log(CPU, r"\\HV1\Memory\Available MBytes", r"\\HV1\Print Queue(x)\Jobs", zone="(PDH-CSV 4.0) (UTC)(0)")
        + '"08/12/2013 00:00:00.000"," "," "," "\r\n"08/12/2013 00:00:15.000","5"," ","7"\r\n"08/12/2013 00:00:30.000","","100","7"\r\n'
    )
    got, report = read(path)
    assert got == [(at(0, 0, 15), "hv1", "cpu_pct", "", 5.0), (at(0, 0, 30), "hv1", "memory_available_mib", "", 100.0)]
    assert (report.rows, report.ignored, report.rejected_count) == (4, 2, 0)


@pytest.mark.parametrize(
    ("last", "kept"),
    [
        ('"08/12/2013 00:00:15.000","5","10', [5.0]),
        ('"08/12/2013 00:00:15.000","5","10"', [5.0, 10.0]),
        ('"08/12/2013 00:00:15.000","5","10"\r\n', [5.0, 10.0]),
        ('"08/12/2013 00:00:15.000","5","10","15', [5.0, 10.0]),
        ('"08/12/2013 00:00:1', []),
        ('"08/12/2013 00:00:15.000"', []),
        ("08/12/2013 00:00:15.000,5,10", [5.0]),
    ],
)
def test_a_torn_row_keeps_what_is_certain(tmp_path, last, kept):
    columns = [rf"\\W{k}\Processor(_Total)\% Processor Time" for k in range(3)]
    first = '"08/12/2013 00:00:00.000","1","2","3"\r\n'
    path = tmp_path / "f"
    path.write_bytes((log(*columns, zone="(PDH-CSV 4.0) (UTC)(0)") + first + last).encode())
    got, report = read(path)
    assert [value for time, *_, value in got if time == at(0, 0, 15)] == kept
    assert len(got) == 3 + len(kept)
    assert [reject.line for reject in report.rejected] == [3]
    assert report.rows == len(got) + 1


def test_a_whole_last_row_without_newline_is_a_row(tmp_path):
    path = tmp_path / "f"
    path.write_text(log(CPU, zone="(PDH-CSV 4.0) (UTC)(0)") + '"08/12/2013 00:00:15.000","5"')
    got, report = read(path)
    assert (len(got), report.rejected) == (1, [])


def test_bad_cells_go_alone(tmp_path):
    path = tmp_path / "f"
    columns = [rf"\\W{k}\Processor(_Total)\% Processor Time" for k in range(4)]
    path.write_text(
        log(*columns, zone="(PDH-CSV 4.0) (UTC)(0)")
        + '"08/12/2013 00:00:00.000","1","-1.#IND","3","1,5"\r\n"never","1","2","3","4"\r\n"08/12/2013 00:00:15.000","1","nan","99999","4"\r\n'
        + '"08/12/2013 00:00:30.000","1","2","3","4","5"\r\n'
    )
    got, report = read(path)
    assert [value for *_, value in got] == [1.0, 3.0, 1.0, 4.0]
    assert [reject.line for reject in report.rejected] == [2, 2, 3, 4, 4, 5]
    assert report.rows == len(got) + report.rejected_count


def test_time_running_backwards_is_noticed(tmp_path):
    path = tmp_path / "f"
    rows = "".join(f'"10/27/2013 {stamp}:00.000","1"\r\n' for stamp in ("02:30", "02:45", "02:00", "02:15"))
    path.write_text(log(CPU, zone="(PDH-CSV 4.0) (W. Europe Standard Time)(-120)", rows=rows))
    got, report = read(path)
    assert len(got) == 4
    assert "backwards at line 4" in report.warnings[0]


GERMAN = {
    r"\\FS1\Prozessor(_Total)\Prozessorzeit (%)": ("fs1", "cpu_pct", ""),
    r"\\FS1\Arbeitsspeicher\Verfügbare MB": ("fs1", "memory_available_mib", ""),
    r"\\FS1\Netzwerkschnittstelle(Intel[R] Gigabit)\Gesamtanzahl Bytes/s": ("fs1", "net_bps", "nic:intel[r] gigabit"),
    r"\\FS1\Logischer Datenträger(_Total)\Bytes/s": ("fs1", "disk_bps", ""),
}
RUSSIAN = {
    r"\\SRV\Процессор(_Total)\% загруженности процессора": ("srv", "cpu_pct", ""),
    r"\\SRV\Память\Доступно МБ": ("srv", "memory_available_mib", ""),
    r"\\SRV\Сетевой интерфейс(Подключение)\Всего байт/с": ("srv", "net_bps", "nic:подключение"),
}


@pytest.mark.parametrize(
    ("columns", "encoding", "guessed"),
    [
        (GERMAN, "cp1252", True),
        (RUSSIAN, "cp1251", True),
        (RUSSIAN, "utf-8", False),
        (GERMAN, "utf-16", False),
        (RUSSIAN, "utf-8-sig", False),
    ],
)
def test_counters_in_other_languages(tmp_path, columns, encoding, guessed):
    path = tmp_path / "f.csv"
    cells = "".join(f',"{k}"' for k in range(len(columns)))
    text = log(*columns, zone="(PDH-CSV 4.0) (RTZ 2 (", rows=f'"08/12/2013 00:00:00.000"{cells}\r\n')
    path.write_bytes(text.encode(encoding))
    assert detect(path).name == "PerfMon CSV"
    got, report = read(path)
    assert {(entity, counter, part) for _, entity, counter, part, _ in got} == set(columns.values())
    assert any("guess" in warning for warning in report.warnings) == guessed
    if guessed:
        _, told = read(path, ReadOptions(encoding=encoding))
        assert not any("guess" in warning for warning in told.warnings)


def test_a_tab_separated_log(tmp_path):
    path = tmp_path / "f"
    path.write_text(
        log(CPU, zone="(PDH-TSV 4.0) (UTC)(0)", rows='"08/12/2013 00:00:00.000","5"\n').replace('","', '"\t"')
    )
    assert [value for *_, value in read(path)[0]] == [5.0]


def test_an_unquoted_esxtop_log_without_milliseconds(tmp_path):
    path = tmp_path / "f"
    path.write_text(f"(PDH-CSV 4.0) (UTC)(0),{CPU}\n08/12/2013 00:00:00,5\n")
    assert read(path)[0] == [(at(0), "hv1", "cpu_pct", "", 5.0)]


cells = st.sampled_from(["1", "2.5", " ", "", "99", "x", "-1", "1e3", "19.000000000000001"])


@given(
    st.lists(st.tuples(st.integers(0, 86_399), st.lists(cells, min_size=4, max_size=4)), max_size=15),
    st.sampled_from([64, 500, 1 << 20]),
)
def test_reader_agrees_with_the_csv_module(tmp_path_factory, rows, block):
    names = [
        CPU,
        r"\\HV1\Print Queue(x)\Jobs",
        r"\\WEB\LogicalDisk(C:)\Disk Bytes/sec",
        r"\\web\Memory\Available KBytes",
    ]
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["(PDH-CSV 4.0) (UTC)(0)", *names])
    want, bad, ignored = [], [], 0
    for line, (second, values) in enumerate(rows, start=2):
        time = at(second // 3600, second // 60 % 60, second % 60)
        writer.writerow([time.strftime("%m/%d/%Y %H:%M:%S.000"), *values])
        for name, cell in zip(names, values, strict=True):
            path = parse_path(name)
            meaning = find(path.object, path.counter, path.instance)
            if cell.strip() == "":
                continue
            if meaning is None:
                ignored += 1
            elif cell in ("x", "-1"):
                bad.append(line)
            else:
                want.append((time, path.computer.casefold(), meaning.name, meaning.part, float(cell) * meaning.factor))
    path = tmp_path_factory.mktemp("pdh") / "f"
    path.write_text(out.getvalue(), newline="")
    with mock.patch.multiple(stream, BLOCK=block, SMALL=1, PIECES=2):
        got, report = read(path)
    assert got == sorted(want)
    assert ([reject.line for reject in report.rejected], report.ignored) == (bad, ignored)
    assert report.rows == len(want) + len(bad) + ignored


def test_real_samples_go_in(shared, tmp_path):
    folder = shared / "data" / "formats"
    for name in ("pdh_csv_india_ist.csv", "pdh_csv_mizosk_small.csv", "pdh_csv_ru_cp1251_truncated_zone.csv"):
        report = Store(tmp_path / name).ingest([folder / name])
        assert report.read == report.ignored + report.kept + report.duplicate + report.quarantined > 0
        assert report.quarantined == 0


def test_a_binary_log_is_refused_with_the_way_out(shared, tmp_path):
    shutil.copy(shared / "data" / "formats" / "SampleLog.blg", tmp_path / "in.blg")
    with pytest.raises(InputError, match=r"relog in\.blg -f CSV -o out\.csv"):
        Store(tmp_path / "store").ingest([tmp_path / "in.blg"])
