"""SCOM rows: the fast reader says what the csv module says, and nothing is lost in silence."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import InputError
from pro.telemetry import ReadReport
from pro.telemetry.readers import stream
from pro.telemetry.readers.scom_csv import ScomCsv
from tests.telemetry.oracles import EPOCH, Key, read_scom, write

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "DateTime,ManagementGroup,Path,ObjectName,CounterName,InstanceName,SampleValue\r\n"
CPU = "Processor,% Processor Time,_Total"


def read(path: Path) -> tuple[dict[Key, float], ReadReport]:
    """Samples of a file (the larger where one comes twice), and the report."""
    report = ReadReport()
    out: dict[Key, float] = {}
    for table in ScomCsv().read(path, report):
        for row in table.to_pylist():
            time_us = round((row["time"] - EPOCH).total_seconds() * 1_000_000)
            key = (time_us, row["entity"], row["counter"], row["part"], row["span_s"])
            out[key] = max(row["value"], out.get(key, row["value"]))
    return out, report


def us(text: str) -> int:
    return round((datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH).total_seconds() * 1_000_000)


def quoted(rows: list[list[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue()


names = st.sampled_from(
    ["web1.test", "WEB1.test ", "hv1.test", "", "NULL", 'a "b", c', "two\nlines", "d\u2019or", "x" * 200]
)
objects = st.sampled_from(
    ["Processor", "memory", "LogicalDisk", "Network Interface", "Print Queue", "Процессор", "a,b"]
)
counters = st.sampled_from(
    ["% Processor Time", "Available MBytes", "Available KBytes", "Disk Bytes/sec", "Bytes Total/sec", "Jobs", '"x"']
)
instances = st.sampled_from(["_Total", "", "NULL", "0", "C:", "vmbus0", "a\r\nb", 'q"q'])
instants = st.sampled_from(
    [
        "2013-08-12 00:05:02",
        "2013-08-12 00:05:02.25",
        "2013-08-12T00:10:00",
        "2013-08-12 23:59:59.9999999",
        "yesterday",
        "",
        "1970-01-01 00:00:00",
        "2013-02-30 00:00:00",
    ]
)
values = st.one_of(
    st.floats(0, 100).map(repr),
    st.sampled_from(
        [
            "5",
            "1,5",
            "1e999",
            "NaN",
            "",
            "NULL",
            "-1",
            "1_0",
            " 7 ",
            "+3",
            ".5",
            "5.",
            "0x10",
            "1e2",
            "1e12",
            "inf",
            "７",
        ]
    ),
)
raw_rows = st.lists(
    st.tuples(instants, st.just("MG"), names, objects, counters, instances, values).map(list), max_size=40
)
odd_rows = st.lists(st.sampled_from([["short"], ["a"] * 9, [""], ["2013-08-12 00:05:02", "MG"]]), max_size=3)


@given(raw_rows, odd_rows, st.sampled_from([100, 1000, 8 << 20]), st.sampled_from([1, 300]))
def test_reader_agrees_with_the_csv_module(tmp_path_factory, rows, odd, block, small):
    text = HEADER + quoted(rows[: len(rows) // 2] + odd + rows[len(rows) // 2 :])
    path = write(tmp_path_factory.mktemp("scom") / "f", text)
    want = read_scom(text)
    with mock.patch.multiple(stream, BLOCK=block, SMALL=small, PIECES=2):
        got, report = read(path)
    assert got == want.samples
    assert (report.rows, report.ignored) == (want.rows, want.ignored)
    assert [reject.line for reject in report.rejected] == want.rejected


@given(st.text('",\n\r a1;_', max_size=200), st.sampled_from([7, 64, 8 << 20]), st.sampled_from([1, 50]))
def test_no_garbage_makes_it_fail_or_lose_a_row(tmp_path_factory, garbage, block, small):
    good = f"2013-08-12 00:05:02,MG,web1.test,{CPU},12.5\r\n"
    path = tmp_path_factory.mktemp("garbage") / "f"
    path.write_bytes((HEADER + good + garbage).encode())
    with mock.patch.multiple(stream, BLOCK=block, SMALL=small, PIECES=2):
        got, report = read(path)
    assert list(got.values()) == [12.5]
    assert report.rows == 1 + report.ignored + report.rejected_count
    lines = [reject.line for reject in report.rejected]
    assert lines == sorted(lines)
    kept = "".join(reject.text for reject in report.rejected)
    assert sorted("".join(kept.split())) == sorted("".join(garbage.split()))


hourly_values = st.sampled_from(["10", "20.5", "99", "101", "NULL", "", "x"])
hourly_rows = st.lists(
    st.tuples(
        st.sampled_from(["2013-08-12 00:00:00", "2013-08-12 01:00:00", "2013-08-13 05:00:00", "never"]),
        st.sampled_from(["web1.test", "web2.test"]),
        st.just("Processor"),
        st.just("% Processor Time"),
        st.sampled_from(["_Total", "0"]),
        hourly_values,
        hourly_values,
        hourly_values,
        st.sampled_from(["12", "0", "1", ""]),
    ).map(list),
    max_size=20,
)


@given(hourly_rows, st.sampled_from([200, 8 << 20]))
def test_hourly_reader_agrees_with_the_csv_module(tmp_path_factory, rows, block):
    header = "DateTime,Path,ObjectName,CounterName,InstanceName,AverageValue,MinValue,MaxValue,SampleCount\r\n"
    rows = [["2013-08-12 07:00:00", "w", "Processor", "% Processor Time", "_Total", "1", "1", "1", "1"], *rows]
    text = header + quoted(rows)
    path = write(tmp_path_factory.mktemp("hourly") / "f", text)
    want = read_scom(text)
    with mock.patch.multiple(stream, BLOCK=block, SMALL=1, PIECES=2):
        got, report = read(path)
    assert got == want.samples
    assert [reject.line for reject in report.rejected] == want.rejected


def test_an_hourly_row_is_known_at_the_end_of_its_hour(tmp_path):
    text = (
        "DateTime,Path,ObjectName,CounterName,InstanceName,AverageValue,MinValue,MaxValue,SampleCount\n"
        f"2013-08-12 01:00:00,web1.test,{CPU},40,5,99,12\n"
    )
    got, _ = read(write(tmp_path / "h.csv", text))
    end = us("2013-08-12 02:00:00")
    assert got == {(end, "web1.test", "cpu_pct", "", 3600): 40.0, (end, "web1.test", "cpu_pct_max", "", 3600): 99.0}


def test_columns_may_come_in_any_order_under_any_usual_name(tmp_path):
    want = {(us("2013-08-12 00:05:02"), "web1.test", "cpu_pct", "", 0): 12.5}
    forms = {
        "a": f"DateTime,Path,ObjectName,CounterName,InstanceName,SampleValue\n2013-08-12 00:05:02,Web1.Test,{CPU},12.5\n",
        "b": "Value;InstanceName;extra;CounterName;ObjectName;Computer;TimeSampled\n12.5;_Total;?;% Processor Time;Processor;web1.test;2013-08-12 00:05:02\n",
        "c": '"TimeGenerated [UTC]","Computer","ObjectName","CounterName","InstanceName","CounterValue"\r\n'
        f'"8/12/2013, 12:05:02.000 AM","web1.test","{CPU.replace(",", chr(34) + "," + chr(34))}","12.5"\r\n',
        "d": f"\ufefftimegenerated,computer,objectname,countername,instancename,countervalue\n2013-08-12T00:05:02Z,web1.test,{CPU},12.5\n",
        "e": f"DateTime,Path,ObjectName,CounterName,InstanceName,SampleValue\n2013-08-12 02:05:02+02:00,web1.test,{CPU},12.5\n",
        "f": f"DateTime,Path,ObjectName,CounterName,InstanceName,SampleValue\n12.08.2013 00:05:02,web1.test,{CPU},12.5\n",
    }
    for name, text in forms.items():
        got, report = read(write(tmp_path / name, text))
        assert got == want, name
        assert report.rejected == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_encoding_and_packing_change_nothing(tmp_path, encoding, packed):
    data = (HEADER + f"2013-08-12 00:05:02,MG,m\u00fcnchen.test,{CPU},12.5\r\n").encode(encoding)
    path = tmp_path / "named.jpg"
    path.write_bytes(gzip.compress(data) if packed else data)
    got, _ = read(path)
    assert got == {(us("2013-08-12 00:05:02"), "m\u00fcnchen.test", "cpu_pct", "", 0): 12.5}


def test_a_file_without_a_header_says_so(tmp_path):
    path = write(tmp_path / "f.csv", f"2013-08-12 00:05:02,MG,web1.test,{CPU},12.5\r\n")
    assert ScomCsv().sniff(path.read_bytes(), path)
    with pytest.raises(InputError, match="without a header"):
        read(path)


def test_dates_that_can_be_read_two_ways_are_refused(tmp_path):
    header = "DateTime,Path,ObjectName,CounterName,InstanceName,SampleValue\n"
    with pytest.raises(InputError, match="month/day and as day/month"):
        read(write(tmp_path / "f", header + f"08/12/2013 00:05:02,web1.test,{CPU},1\n" * 3))
    for first, name in (("13/08/2013", "day first"), ("08/13/2013", "month first")):
        got, _ = read(write(tmp_path / name, header + f"{first} 00:05:02,web1.test,{CPU},1\n"))
        assert {key[0] for key in got} == {us("2013-08-13 00:05:02")}


def test_daily_aggregates_are_refused(tmp_path):
    header = "DateTime,Path,ObjectName,CounterName,InstanceName,AverageValue,MinValue,MaxValue,SampleCount\n"
    rows = "".join(f"2013-08-{day} 00:00:00,web1.test,{CPU},40,5,99,288\n" for day in (12, 13))
    with pytest.raises(InputError, match="daily aggregates"):
        read(write(tmp_path / "f", header + rows))
    got, _ = read(write(tmp_path / "g", header + rows[: rows.index("\n") + 1]))
    assert len(got) == 2


def test_line_numbers_hold_behind_quoted_newlines(tmp_path):
    good = f"2013-08-12 00:05:02,MG,web1.test,{CPU},12.5\r\n"
    long = f'2013-08-12 00:05:02,MG,"three\r\nlines\r\nlong",{CPU},1.0\r\n'
    bad = f"2013-08-12 00:05:02,MG,web1.test,{CPU},bad\r\n"
    _, report = read(write(tmp_path / "f", HEADER + good + long + good + bad + "\r\n" + long + bad))
    assert [reject.line for reject in report.rejected] == [7, 12]
    assert {reject.text for reject in report.rejected} == {bad.strip()}


def test_a_quotation_mark_left_open_spoils_its_own_line_only(tmp_path):
    good = "".join(f"2013-08-12 00:{k:02d}:02,MG,web1.test,{CPU},12.5\r\n" for k in range(40))
    open_quote = f'2013-08-12 01:00:02,MG,"web1.test,{CPU},12.5\r\n'
    got, report = read(write(tmp_path / "f", HEADER + good + open_quote + good.replace("web1", "web2")))
    assert len(got) == 80
    assert [reject.line for reject in report.rejected] == [42]


def test_a_lone_quotation_mark_inside_a_cell_is_only_a_character(tmp_path):
    row = '2013-08-12 00:05:02,MG,web1.test,LogicalDisk,Disk Bytes/sec,5" disk,12.5\r\n'
    got, report = read(write(tmp_path / "f", HEADER + row + row.replace("05:02", "10:02")))
    assert {key[3] for key in got} == {'logical:5" disk'}
    assert (len(got), report.rejected) == (2, [])


def test_a_gzip_file_cut_short_gives_what_it_has_and_says_so(tmp_path):
    rows = "".join(
        f"2013-08-12 {k // 60:02d}:{k % 60:02d}:02,MG,web1.test,{CPU},{k % 97}.{k * 7919 % 1000}\r\n"
        for k in range(1200)
    )
    whole = gzip.compress((HEADER + rows).encode())
    path = tmp_path / "f.gz"
    path.write_bytes(whole[: len(whole) // 2])
    got, report = read(path)
    assert 100 < len(got) < 1200
    assert sorted(got.values()) == sorted(list(read_scom(HEADER + rows).samples.values())[: len(got)])
    assert any("damaged or cut short" in reject.reason for reject in report.rejected)
    assert report.rows == len(got) + report.rejected_count


def test_many_bad_rows_are_counted_even_where_their_text_is_not_kept(tmp_path):
    _, report = read(write(tmp_path / "f", HEADER + f"2013-08-12 00:05:02,MG,web1.test,{CPU},x\r\n" * 10_050))
    assert (report.rows, report.rejected_count, len(report.rejected)) == (10_050, 10_050, 10_000)


def test_bytes_that_are_no_text_are_quarantined(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(
        (HEADER + f"2013-08-12 00:05:02,MG,web1.test,{CPU},1\r\n").encode()
        + b"2013-08-12 00:05:02,MG,w\xff,Processor,% Processor Time,_Total,1\r\n"
    )
    got, report = read(path)
    assert len(got) == 1
    assert [(reject.line, reject.reason) for reject in report.rejected] == [(3, "not UTF-8 text")]
