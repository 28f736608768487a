"""hosts.csv, vms.csv and rules.json as the world writes them."""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import FleetError, InputError
from pro.core.text import cell
from pro.fleet.inventory import read_inventory
from pro.fleet.readers import read_sources
from pro.fleet.readers.cells import parse
from pro.fleet.readers.rules import rule_json
from tests.fleet.estates import AT, as_csv, folder, host, vm
from tests.strategies import written

if TYPE_CHECKING:
    from pro.fleet import RuleSpec

HOSTS = [host("HV01", site="Z\u00fcrich"), host("HV02", site="Gen\u00e8ve")]
VMS = [vm("WEB1", "HV01", highly_available=True), vm("SQL1", "hv02", snapshot_gib=1.5)]


def rows(frame: Any) -> list[dict[str, Any]]:
    return [
        {k: None if v is None or v != v else v for k, v in r.items()} for r in frame.astype(object).to_dict("records")
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_dress_of_a_csv_says_the_same(tmp_path: Path, encoding: str, newline: str, delimiter: str) -> None:
    plain = read_inventory([folder(tmp_path / "plain", HOSTS, VMS)], AT)
    dressed = tmp_path / "dressed"
    dressed.mkdir()
    (dressed / "a.csv").write_bytes(as_csv(HOSTS, delimiter, newline).encode(encoding))
    (dressed / "b.csv").write_bytes(as_csv(VMS, delimiter, newline).encode(encoding))
    other = read_inventory([dressed], AT)
    assert rows(other.hosts) == rows(plain.hosts)
    assert rows(other.vms) == rows(plain.vms)


def test_columns_may_come_in_any_order_and_rows_too(tmp_path: Path) -> None:
    plain = read_inventory([folder(tmp_path / "plain", HOSTS, VMS)], AT)
    mixed = [dict(random.Random(7).sample(sorted(v.items()), len(v))) for v in reversed(VMS)]
    other = read_inventory([folder(tmp_path / "mixed", HOSTS[::-1], mixed)], AT)
    assert rows(other.vms) == rows(plain.vms)
    assert rows(other.hosts) == rows(plain.hosts)


def test_header_words_may_be_capital_and_have_blanks(tmp_path: Path) -> None:
    text = as_csv(HOSTS).replace("host,", " Host ,", 1).replace("memory_mib", "Memory MiB", 1)
    (tmp_path / "h.csv").write_text(text, "utf-8")
    assert [h["memory_mib"] for h in read_sources([tmp_path]).hosts] == [16384, 16384]


def test_several_files_and_folders_add_up_and_none_is_read_twice(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", HOSTS, VMS)
    two = folder(tmp_path / "two", [host("HV03")], [vm("APP1", "HV03")])
    found = read_sources([one, two, one / "vms.csv"])
    assert sorted(h["host"] for h in found.hosts) == ["HV01", "HV02", "HV03"]
    assert sorted(v["vm"] for v in found.vms) == ["APP1", "SQL1", "WEB1"]


def test_other_files_in_a_folder_are_skipped_but_a_named_one_is_a_problem(tmp_path: Path) -> None:
    home = folder(tmp_path, HOSTS, VMS)
    (home / "counters.csv").write_text("DateTime,Path,SampleValue\n2013-08-12,hv01,1\n", "utf-8")
    (home / "estate.json").write_text('{"name": "x"}', "utf-8")
    (home / "picture.bin").write_bytes(bytes(range(256)))
    assert read_sources([home]).skipped == ["counters.csv", "estate.json", "picture.bin"]
    with pytest.raises(FleetError, match="not an inventory file"):
        read_inventory([home / "hosts.csv", home / "picture.bin"], AT)


def test_nothing_found_and_nothing_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no inventory found"):
        read_sources([tmp_path])
    with pytest.raises(InputError, match="no such file or folder"):
        read_sources([tmp_path / "absent"])


def test_all_unreadable_cells_are_told_at_once_with_their_place(tmp_path: Path) -> None:
    hosts = [host("HV01", cores="many"), host("HV02", core_mhz="2,4", memory_mib="")]
    vms = [vm("a", "HV01", vcpus="1.5"), vm("b", "HV01", highly_available="perhaps", oldest_snapshot="8/12/2013")]
    home = folder(tmp_path, hosts, vms)
    with (home / "vms.csv").open("a", encoding="utf-8") as file:
        file.write("c,HV01,2\n")
    with pytest.raises(FleetError) as caught:
        read_inventory([home], AT)
    told = "\n".join(caught.value.problems)
    for place in (
        "hosts.csv:2:cores: not a whole number, got 'many'",
        "hosts.csv:3:core_mhz: not a whole number, got '2,4'",
        "hosts.csv:3:memory_mib: no value, expected a number",
        "vms.csv:2:vcpus: not a whole number, got '1.5'",
        "vms.csv:3:highly_available: neither yes nor no, got 'perhaps'",
        "vms.csv:3:oldest_snapshot: not a time, got '8/12/2013'",
        "vms.csv:4: wrong number of cells, got 3, expected 7",
    ):
        assert place in told
    assert len(caught.value.problems) == 7


def test_missing_and_repeated_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_text("host,cores,cores\nHV01,1,2\n", "utf-8")
    (tmp_path / "vms.csv").write_text("vm,vcpus\nx,1\n", "utf-8")
    told = "\n".join(map(str, read_sources([tmp_path]).problems))
    assert "hosts.csv: columns missing" in told
    assert "core_mhz, memory_mib" in told
    assert "hosts.csv: column named twice, got 'cores'" in told
    assert "vms.csv: columns missing, got 'vm, vcpus', expected memory_mib, host" in told


def test_the_line_told_is_the_line_where_the_row_begins(tmp_path: Path) -> None:
    vms = [vm("two\nlines", "HV01"), vm("bad", "HV01", vcpus="x")]
    (tmp_path / "v.csv").write_text("\n" + as_csv(vms), "utf-8", newline="")
    assert read_sources([tmp_path]).problems[0].where == "v.csv:5:vcpus"


@pytest.mark.parametrize("text", ["true", "YES", "1", "Wahr", "on", " y ", "$True"])
def test_yes_in_many_spellings(text: str) -> None:
    assert parse(text, "bool") is True


@pytest.mark.parametrize("text", ["false", "No", "0", "falsch", "OFF", "$false"])
def test_no_in_many_spellings(text: str) -> None:
    assert parse(text, "bool") is False


@pytest.mark.parametrize("text", ["", " ", "NULL", "n/a", "-", "None", "NaN"])
def test_nothing_in_many_spellings_but_never_in_a_name(text: str) -> None:
    assert parse(text, "int") is None
    assert parse(text, "text") == text


@pytest.mark.parametrize("text", ["inf", "1e400", "2147483648", "0x10", "1 000", "\u0661x"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(InputError):
        parse(text, "int")


@given(
    st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\n"), min_size=1), min_size=1)
)
def test_names_escaped_for_spreadsheets_come_back(names: list[str]) -> None:
    from pro.fleet.columns import VM_COLUMNS
    from pro.fleet.readers.csv import _unescape

    table = [(i, [cell(name)]) for i, name in enumerate(names)]
    _unescape(table, ["vm"], VM_COLUMNS)
    assert [cells[0] for _, cells in table] == names


def test_a_file_with_a_bare_formula_was_not_escaped_so_its_apostrophes_stay(tmp_path: Path) -> None:
    home = folder(tmp_path, HOSTS, [vm("=1+1", "HV01"), vm("'=1+1", "HV01")])
    assert sorted(v["vm"] for v in read_sources([home]).vms) == ["'=1+1", "=1+1"]


def test_an_escaped_file_is_undone(tmp_path: Path) -> None:
    home = folder(tmp_path, HOSTS, [vm("'=1+1", "HV01"), vm("plain", "HV01", snapshot_gib="0.5")])
    assert sorted(v["vm"] for v in read_sources([home]).vms) == ["=1+1", "plain"]


def test_unknown_columns_are_kept_as_attributes(tmp_path: Path) -> None:
    inventory = read_inventory([folder(tmp_path, [host("HV01", power_feed="A")], [vm("a", "HV01", owner="=ops")])], AT)
    assert inventory.hosts["power_feed"].tolist() == ["A"]
    assert inventory.vms["owner"].tolist() == ["=ops"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "speard", "members": ["a"]}, "unknown kind of rule, got 'speard'"),
        ({"kind": "fence", "members": ["a"]}, "a fence without hosts"),
        ({"kind": "spread", "members": "a", "least": -1}, "not a count, got -1"),
        ({"kind": "spread", "members": [1]}, "not a list of names"),
        ({"kind": "spread", "members": ["\ud800"]}, "not a list of names"),
        ({"kind": "spread", "members": ["a"], "scope": 3}, "not text, got 3"),
        ({"kind": "limit", "members": ["a"]}, "a limit without most"),
        ({"kind": "limit", "most": None}, "a limit without most"),
        (
            {"kind": "limit", "members": ["a"], "most": 0},
            "must be at least 1, got 0, expected 1, 2, 3, ...; a ban keeps VMs off hosts",
        ),
        ({"kind": "licence", "members": ["a"], "most": 0}, "must be at least 1, got 0"),
        ({"kind": "limit", "most": 2**31}, "not a count"),
        ({"kind": "limit", "most": True}, "not a count, got True"),
        ({"kind": "licence", "members": ["a"], "most": 16, "hosts": ["h"]}, "a licence has no hosts"),
        ({"kind": "gather", "members": ["a"], "least": 2}, "a gather has no least"),
        ({"kind": "spread", "members": ["a"], "sotf": True}, "perhaps soft"),
        ({"kind": "spread", "members": ["a"], "soft": "yes"}, "neither true nor false, got 'yes'"),
        ({"kind": "spread", "members": ["a"], "soft": True, "worth": 0}, "not a worth, got 0"),
        ({"kind": "spread", "members": ["a"], "soft": True, "worth": 1e999}, "not a worth"),
        ({"kind": "spread", "members": ["a"], "worth": 2}, "only a soft rule has a worth"),
        ({"kind": "prefer", "members": ["a"], "hosts": ["h"], "soft": False}, "a prefer is always soft"),
        ("spread", "a rule is an object"),
    ],
)
def test_rules_that_make_no_sense(tmp_path: Path, entry: object, said: str) -> None:
    home = folder(tmp_path, HOSTS, VMS, [entry, {"kind": "spread", "members": ["WEB1"]}])
    found = read_sources([home])
    assert said in str(found.problems[0])
    assert "rules.json: rule 1" in str(found.problems[0])
    assert len(found.rules) == 1


@pytest.mark.parametrize("text", ["[", "{}", '{"rules": 3}', "[" * 100_000])
def test_a_file_that_is_no_list_of_rules(tmp_path: Path, text: str) -> None:
    home = folder(tmp_path, HOSTS, VMS)
    (home / "rules.json").write_text(text, "utf-8")
    assert [p.where for p in read_sources([home]).problems] == ["rules.json"]


def test_rules_may_be_wrapped_and_use_other_words(tmp_path: Path) -> None:
    wrapped = {"rules": [{"name": "n", "kind": "Spread", "vms": "WEB1", "count": 2, "scope": "Rack", "owner": "ops"}]}
    (rule,) = read_sources([folder(tmp_path, HOSTS, VMS, wrapped)]).rules
    assert (rule.name, rule.kind, rule.members, rule.least, rule.scope, rule.owner) == (
        "n",
        "spread",
        ("WEB1",),
        2,
        "rack",
        "ops",
    )


@given(st.lists(written(), max_size=4))
def test_rules_are_read_as_they_were_written(rules: list[RuleSpec]) -> None:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "rules.json"
        path.write_text(json.dumps([rule_json(rule) for rule in rules]), "utf-8")
        found = read_sources([path])
    assert found.problems == []
    assert found.rules == [replace(rule, members=tuple(dict.fromkeys(rule.members)),
                                   hosts=tuple(dict.fromkeys(rule.hosts))) for rule in rules]  # fmt: skip
