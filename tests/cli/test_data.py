"""Bringing data in: counters, inventory, and what the doctor says of them."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pro.core.text import span
from pro.telemetry.store import Store

if TYPE_CHECKING:
    from tests.cli.conftest import Pro
    from tests.small import Estate


def test_the_same_file_twice_adds_nothing(pro: Pro, home: Path, small: Estate) -> None:
    first = pro("ingest", small.counters, "--store", home / "s", "--json").json("ingest/1")
    again = pro("ingest", small.counters, "--store", home / "s", "--json").json("ingest/1")
    assert first["kept"] > 10_000
    assert first["quarantined"] == 0
    assert (again["read"], again["kept"]) == (first["read"], 0)
    assert again["duplicate"] == first["kept"] + first["duplicate"]


def test_ingest_counts_for_people_too(pro: Pro, small: Estate, home: Path) -> None:
    said = pro("ingest", small.counters)
    assert said.code == 0
    assert said.out.startswith("read ")
    assert "kept" in said.out
    assert (home / "pro-store").is_dir()


def test_what_cannot_be_read_is_counted_and_kept_with_its_reason(pro: Pro, home: Path) -> None:
    rows = "DateTime,ManagementGroup,Path,ObjectName,CounterName,InstanceName,SampleValue\r\n"
    rows += "2024-06-02 00:00:00,OM,a.test,Processor,% Processor Time,_Total,9.09\r\n"
    rows += "yesterday,OM,a.test,Processor,% Processor Time,_Total,9.09\r\n"
    rows += "2024-06-02 00:05:00,OM,a.test,Processor,% Processor Time,_Total,many\r\n" * 2
    (home / "c.csv").write_text(rows, encoding="utf-8")
    said = pro("ingest", "c.csv", "--store", "s")
    assert said.code == 0
    assert "quarantined 3" in said.out
    told = [line.split(" not understood, ") for line in said.err.splitlines() if "not understood" in line]
    assert [amount for amount, _ in told] == ["warning: c.csv: 2 rows", "warning: c.csv: 1 row"]
    assert [
        why.startswith(where)
        for (_, why), where in zip(told, ("the first in line 4:", "the first in line 3:"), strict=True)
    ] == [True] * 2
    assert str(home.joinpath("s", "quarantine").relative_to(home)) in said.out
    assert list((home / "s" / "quarantine").glob("*.parquet"))


def test_a_file_without_one_counter_of_use_is_told_of(pro: Pro, home: Path) -> None:
    rows = "DateTime,ManagementGroup,Path,ObjectName,CounterName,InstanceName,SampleValue\r\n"
    rows += "2024-06-02 00:00:00,OM,a.test,Print Queue,Jobs,_Total,9\r\n"
    (home / "c.csv").write_text(rows, encoding="utf-8")
    said = pro("ingest", "c.csv", "--store", "s")
    assert said.err == "warning: c.csv: none of its values is of a counter that PRO uses\n"
    assert "ignored 1" in said.out


def test_a_file_of_no_known_format_is_named(pro: Pro, home: Path) -> None:
    (home / "photo.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    said = pro("ingest", "photo.csv", "--store", "s")
    assert (said.code, said.out) == (1, "")
    assert "photo.csv" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "none.csv"),
        ("inventory", "import", "none.csv"),
        ("show", "none.json"),
        ("explain", "none.json", "vm"),
        ("verify", "none.json"),
        ("script", "none.json"),
        ("apply", "none.json", "--backend", "simulated:x.json"),
        ("watch", "--once", "--backend", "simulated:x.json", "--contract", "none.toml"),
    ],
    ids=" ".join,
)
def test_a_file_that_is_not_there_is_named(words: tuple[str, ...], pro: Pro) -> None:
    said = pro(*words)
    assert (said.code, said.out) == (1, "")
    assert "error: " in said.err
    assert "none." in said.err


@pytest.mark.parametrize(
    "words",
    [("forecast",), ("hotspots",), ("plan",), ("report",)],
    ids=" ".join,
)
def test_an_empty_store_is_an_error_that_says_what_is_missing(words: tuple[str, ...], pro: Pro) -> None:
    said = pro(*words, "--store", "nothing-here")
    assert (said.code, said.out) == (1, "")
    assert "inventory" in said.err


def test_the_inventory_comes_in_once(pro: Pro, home: Path, small: Estate) -> None:
    words = ("inventory", "import", *small.tables, "--at", small.now.isoformat(), "--store", "s")
    first = pro(*words, "--json").json("inventory-import/1")
    assert (first["hosts"], first["vms"], first["stored"]) == (6, 30, True)
    assert "already known" in pro(*words).out


def test_contradictions_are_told_all_at_once(pro: Pro, home: Path, small: Estate) -> None:
    hosts, vms = (small.folder / n for n in ("hosts.csv", "vms.csv"))
    text = vms.read_text("utf-8").splitlines()
    text[1] = text[1].replace("HV0", "NOWHERE", 1)
    text[2] = text[3]
    (home / "vms.csv").write_text("\n".join(text), encoding="utf-8")
    said = pro("inventory", "import", hosts, "vms.csv", "--store", "s")
    assert (said.code, said.out) == (1, "")
    assert "problems in the inventory" in said.err
    assert "NOWHERE" in said.err
    assert "2 VMs have the id" in said.err
    left_out = pro("inventory", "import", hosts, "vms.csv", "--store", "s", "--leave-out", "--json")
    assert left_out.code == 0
    assert left_out.json("inventory-import/1")["stored"]
    assert "error: " in left_out.err


def test_the_doctor_says_what_there_is(pro: Pro, store: Path, small: Estate) -> None:
    found = pro("doctor", "--store", store, "--now", small.now.isoformat(), "--json").json("doctor/1")
    assert found["usable"]
    assert found["now"] == small.now.isoformat()
    said = pro("doctor", "--store", store)
    assert said.code == 0
    assert "6 hosts, 30 VMs" in said.out


def test_counters_that_are_old_by_the_clock_are_said_to_be(pro: Pro, store: Path, small: Estate) -> None:
    """Years old here. Who asks about another instant knows."""
    assert "ago by the clock" in pro("doctor", "--store", store).out
    found = pro("doctor", "--store", store, "--json").json("doctor/1")
    assert "the collector may be dead" in found["warnings"][0]
    assert "by the clock" not in pro("doctor", "--store", store, "--now", small.now.isoformat()).out


@pytest.mark.parametrize(
    ("minutes", "said"), [(90, "90 minutes"), (180, "3 hours"), (3000, "2 days"), (10**7, "6,944 days")]
)
def test_spans_of_time_are_said_in_the_unit_that_fits(minutes: int, said: str) -> None:
    assert span(timedelta(minutes=minutes)) == said


def test_the_doctor_says_whether_hosts_may_fail(pro: Pro, store: Path) -> None:
    assert "N+1: " in pro("doctor", "--store", store).out
    assert set(pro("doctor", "--store", store, "--json").json("doctor/1")["failover"]) >= {"k", "holds", "checked"}


def test_failover_names_the_hosts_that_may_not_fail_and_can_be_a_monitor(pro: Pro, store: Path) -> None:
    found = pro("failover", "--store", store, "--json").json("failover/1")
    assert found["checked"] == found["sets"] == found["hosts"] == 6
    said = pro("failover", "--store", store, "--check")
    assert said.out.splitlines() == found["lines"]
    assert said.code == (0 if found["holds"] else 3)
    tight = pro("failover", "--store", store, "--cpu", "1", "--check")
    assert tight.code == 3
    assert "cpu promises" in tight.out
    assert pro("failover", "--store", store, "--k", "0").code == 2
    assert pro("failover", "--store", "nothing-here").code == 1


def test_the_doctor_fails_where_there_is_nothing(pro: Pro) -> None:
    assert pro("doctor", "--store", "nothing-here").code == 1
    told = pro("doctor", "--store", "nothing-here", "--json")
    assert told.code == 1
    assert not told.json("doctor/1")["usable"]


def test_a_backend_says_where_vms_stand(pro: Pro, store: Path, home: Path) -> None:
    words = ("inventory", "discover", "--backend", "simulated:sim.json", "--store", store)
    world = pro(*words, "--json").json("inventory/1")
    assert len(world["vms"]) == 30
    assert {v["host"] for v in world["vms"]} <= {h["host"] for h in world["hosts"]}
    assert pro(*words).out.startswith("vm")
    assert json.loads((home / "sim.json").read_text("utf-8"))


@pytest.mark.parametrize(
    "url", ["simulated:", "telepathy:x", "x", "simulated:absent.json", "simulated:vms.csv", "simulated:."]
)
def test_a_backend_that_is_none_is_an_error(url: str, pro: Pro, home: Path, small: Estate) -> None:
    (home / "vms.csv").write_bytes((small.folder / "vms.csv").read_bytes())
    said = pro("inventory", "discover", "--backend", url)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ingest", "{counters}", "--tz", "Mars/Olympus"), "unknown time zone, got 'Mars/Olympus'"),
        (("ingest", "{counters}", "--encoding", "hex"), "unknown encoding, got 'hex'"),
        (("report", "-o", "report.pdf"), "report.pdf: no such kind of report, got '.pdf'"),
        (("plan", "--evacuate", "HV99"), "--evacuate: no such host, got 'HV99', expected one of HV01"),
    ],
)
def test_what_an_option_names_and_is_not_there_is_an_error_before_any_work(
    words: tuple[str, ...], told: str, pro: Pro, past: Path, small: Estate
) -> None:
    given = [w.format(counters=small.counters, hosts=small.folder / "hosts.csv") for w in words]
    said = pro(*given, "--store", past)
    assert (said.code, said.out) == (1, "")
    assert told in said.err


def test_a_value_that_is_no_instant_is_a_usage_error(pro: Pro, past: Path, small: Estate) -> None:
    said = pro("inventory", "import", small.folder / "hosts.csv", "--at", "noon", "--store", past)
    assert (said.code, said.out) == (2, "")
    assert "--at: not an instant, got 'noon'" in said.err


def test_where_nothing_comes_in_any_more_the_doctor_promises_nothing(pro: Pro, past: Path, small: Estate) -> None:
    assert "enough from" in pro("doctor", "--store", past).out
    late = pro("doctor", "--store", past, "--now", (small.now + timedelta(days=6)).isoformat()).out
    assert "enough from" not in late
    newest = Store(past).newest()
    assert newest is not None
    assert f"no processor counter has come in since {newest:%Y-%m-%d %H:%M} UTC" in late


def test_counters_that_nobody_judges_are_named_with_the_column_that_is_missing(
    pro: Pro, past: Path, small: Estate
) -> None:
    missing = ["disk_kibps", "net_mbps"]
    found = pro("doctor", "--store", past, "--json").json("doctor/1")
    assert [sum(column in w for w in found["warnings"]) for column in missing] == [1, 1]
    assert all(f"warning: {w}" in found["lines"] for w in found["warnings"])
    report = pro("report", "--store", past, "-o", "r.json", "--json").json("report/1")
    assert [sum(column in w for w in report["data"]["warnings"]) for column in missing] == [1, 1]
    with small.tables[0].open(encoding="utf-8", newline="") as file:
        hosts = [{**row, "disk_kibps": "900000", "net_mbps": "10000"} for row in csv.DictReader(file)]
    with Path("hosts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, hosts[0])
        writer.writeheader()
        writer.writerows(hosts)
    assert (
        pro("inventory", "import", "hosts.csv", *small.tables[1:], "--store", past, "--at", small.now.isoformat()).code
        == 0
    )
    assert not any("judged" in w for w in pro("doctor", "--store", past, "--json").json("doctor/1")["warnings"])


def test_a_store_without_processor_counters_is_told_of(pro: Pro, home: Path, small: Estate) -> None:
    rows = "DateTime,ManagementGroup,Path,ObjectName,CounterName,InstanceName,SampleValue\r\n"
    rows += "2024-06-04 00:00:00,OM,hv01.fabrikam.test,Memory,Available MBytes,,900\r\n"
    Path("c.csv").write_text(rows, encoding="utf-8")
    pro("ingest", "c.csv", "--store", "s")
    pro("inventory", "import", *small.tables, "--store", "s", "--at", "2024-06-04T00:00Z")
    said = pro("doctor", "--store", "s").out
    assert "there is no processor counter in the last 8 days, only memory_available_mib" in said
    assert "nothing to learn from" in said
    assert "enough from" not in said


def test_who_sends_nothing_fresh_is_named(pro: Pro, past: Path, small: Estate) -> None:
    late = pro("doctor", "--store", past, "--now", (small.now + timedelta(days=2)).isoformat()).out
    assert "nothing fresh of HV01, HV02, HV03, HV04, HV05, HV06\n" in late
    assert "and 20 more\n" in late
