"""An estate in which every name is hostile goes through every command: nothing is executed, fetched, or broken."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest
import tree_sitter
import tree_sitter_powershell

from pro.core.text import uncell
from pro.fleet.archive import load_inventory
from tests.conftest import HOSTILE_NAMES
from tests.small import TABLES, Estate, fill, renamed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Pro, Ran

FAST = "simulated:sim.json?speed=10000"
WAYS = {"ids": {"ids": True}, "names are ids": {"ids": False}, "dns names too": {"ids": False, "dns": True}}


@pytest.fixture(params=WAYS, scope="module")
def estate(request: pytest.FixtureRequest, small: Estate, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    """The small estate under hostile names: with ids, without, and with hostile DNS names."""
    return renamed(small, tmp_path_factory.mktemp("hostile"), HOSTILE_NAMES, **WAYS[request.param])


@pytest.fixture
def store(estate: Estate, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of that estate, in a process that cannot run or reach anything."""

    def forbidden(*words: object, **_: object) -> None:
        raise AssertionError(f"a name got out: {words!r}")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    monkeypatch.setattr(os, "system", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    return fill(home / "store", estate)


def told(estate: Estate, table: str, column: str) -> set[str]:
    """What the inventory's file says, read by nothing of PRO."""
    with (estate.folder / table).open(encoding="utf-8", newline="") as file:
        return {row[column] for row in csv.DictReader(file)}


def is_quiet(said: Ran) -> bool:
    """Whether nothing in text for people steers a terminal, and no name has brought a line of its own."""
    text = said.out + said.err
    return all(c in "\n\xa0" or c.isprintable() for c in text) and "two\nlines" not in text


def test_names_come_back_exactly(pro: Pro, store: Path, estate: Estate) -> None:
    inventory = load_inventory(store)
    assert set(inventory.vms["vm"]) == told(estate, "vms.csv", "vm")
    assert set(inventory.hosts["host"]) == told(estate, "hosts.csv", "host")
    assert {r.name for r in inventory.rules} == {r["rule"] for r in json.loads((estate.folder / TABLES[2]).read_text())}
    world = pro("inventory", "discover", "--backend", FAST, "--store", store, "--json").json("inventory/1")
    key = "id" if "id" in (estate.folder / "vms.csv").read_text("utf-8").split(",", 1)[0] else "vm"
    assert {v["vm"] for v in world["vms"]} == told(estate, "vms.csv", key)


def test_looking_says_what_is_meant_and_no_more(pro: Pro, store: Path, estate: Estate) -> None:
    at = ("--store", store, "--now", estate.now.isoformat())
    spots = pro("hotspots", *at, "--json").json("hotspots/1")["hotspots"]
    assert spots
    for words in (("hotspots", *at), ("doctor", *at), ("forecast", *at, "--origins", 1), ("plan", *at)):
        said = pro(*words)
        assert said.code == 0
        assert is_quiet(said)


def test_a_plan_is_made_shown_explained_scripted_and_applied(pro: Pro, store: Path, estate: Estate, home: Path) -> None:
    made = pro("plan", "--store", store, "--now", estate.now.isoformat(), "-o", "plan.json", "--json").json("plan/1")
    moves = [m for wave in made["waves"] for m in wave["migrations"]]
    assert moves
    assert {m["vm_name"] for m in moves} <= told(estate, "vms.csv", "vm")
    assert is_quiet(pro("show", "plan.json"))
    assert pro("verify", "plan.json", "--store", store).code == 0
    for m in moves:
        assert is_quiet(pro("explain", "plan.json", m["vm"]))
        assert pro("explain", "plan.json", m["vm_name"], "--json").json("explain/1")["vm"] == m["vm"]
        for host in (m["source"], m["destination"]):
            assert is_quiet(pro("explain", "plan.json", host))
            assert is_quiet(pro("explain", "plan.json", m["vm"], "--on", host))
            assert pro("explain", "plan.json", host, "--json").json("explain/1")["host"] == host
    for dialect in ("scvmm", "cluster", "hyperv"):
        assert commands(pro("script", "plan.json", "--dialect", dialect).out).isdisjoint(PAYLOAD)
    done = pro("apply", "plan.json", "--backend", FAST, "--store", store, "--yes")
    assert done.code == 0
    assert is_quiet(done)
    assert is_quiet(pro("status", "--store", store))
    world = pro("inventory", "discover", "--backend", FAST, "--json").json("inventory/1")
    where = {v["vm"]: v["host"] for v in world["vms"]}
    assert {m["vm"]: where[m["vm"]] for m in moves} == {m["vm"]: m["destination"] for m in moves}


def test_what_cannot_be_had_is_told_in_peace(pro: Pro, store: Path, estate: Estate, home: Path) -> None:
    """Without a budget for repairs, rules stay broken, and those to relax are named by hostile names."""
    words = ("plan", "--store", store, "--now", estate.now.isoformat(), "--max-moves", 0, "-o", "plan.json")
    said = pro(*words)
    assert said.code == 0
    assert is_quiet(said)
    remedies = json.loads((home / "plan.json").read_text("utf-8"))["answers"]["remedies"]
    assert remedies
    assert "move budget" in {ref["rule"] for r in remedies for way in r["ways"] for ref in way["relax"]}
    assert is_quiet(pro("show", "plan.json"))
    for host in json.loads((home / "plan.json").read_text("utf-8"))["answers"]["hosts"]:
        assert is_quiet(pro("explain", "plan.json", host))
    report = pro("report", "--store", store, "--now", estate.now.isoformat(), "-o", "r.html")
    assert report.code == 0
    assert set(tags((home / "r.html").read_text("utf-8"))) == set()


def test_reports_hold_names_as_text(pro: Pro, store: Path, estate: Estate, home: Path) -> None:
    words = ("report", "--store", store, "--now", estate.now.isoformat())
    said = pro(*words, "-o", "r.html", "-o", "r.xlsx", "-o", "r.json", "-o", "tables")
    assert said.code == 0
    assert is_quiet(said)
    assert set(tags((home / "r.html").read_text("utf-8"))) == set()
    names = told(estate, "vms.csv", "vm")
    assert names & set(strings(json.loads((home / "r.json").read_text("utf-8"))))
    book = openpyxl.load_workbook(home / "r.xlsx")
    cells = [c for sheet in book for row in sheet.iter_rows() for c in row if c.value is not None]
    assert [c.value for c in cells if c.data_type == "f" or c.hyperlink] == []
    assert names & {c.value for c in cells}
    seen = set()
    for path in (home / "tables").glob("*.csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            fields = [f for row in csv.reader(file) for f in row]
        assert [f for f in fields if f[:1] in ("=", "+", "@", "\t", "\r") or (f[:1] == "-" and not is_number(f))] == []
        seen |= {uncell(f) for f in fields}
    assert names <= seen


def test_tips_and_the_hook_stay_calm(pro: Pro, store: Path, estate: Estate) -> None:
    watched = pro("watch", "--once", "--backend", FAST, "--store", store)
    assert watched.code == 0
    assert is_quiet(watched)
    listed = pro("tips", "list", "--store", store, "--json").json("tips/1")["tips"]
    assert listed
    assert is_quiet(pro("tips", "list", "--store", store))
    for tip in listed:
        assert is_quiet(pro("tips", "show", tip["id"], "--store", store))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_word_is_refused_by_its_name(name: str, pro: Pro, store: Path) -> None:
    for words, code in (
        (("plan", "--evacuate", name), 1),
        (("plan", "--cluster", name), 1),
        (("hotspots", "--now", name), 2),
    ):
        said = pro(*words, "--store", store)
        assert (said.code, said.out) == (code, "")
        assert is_quiet(said)


PAYLOAD = {"remove-vm", "stop-computer", "calc", "cmd"}


def commands(script: str) -> set[str]:
    """Every command a PowerShell script would run, by a parser of the language. Fails where it does not parse."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    tree = parser.parse(script.encode())
    assert not tree.root_node.has_error
    found = set()
    waiting = [tree.root_node]
    while waiting:
        node = waiting.pop()
        waiting += node.children
        if node.type == "command_name" and node.text is not None:
            found.add(node.text.decode().lower())
    assert found
    return found


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what would run or fetch."""
        if tag in ("img", "iframe", "object", "embed", "link", "base", "form"):
            self.bad.append(tag)
        for key, value in attrs:
            if key.startswith("on") or (key in ("src", "href", "action") and not (value or "").startswith("#")):
                self.bad.append(f"{tag} {key}={value}")


def tags(page: str) -> list[str]:
    """Elements and attributes of a page that could run or fetch something."""
    parser = _Tags()
    parser.feed(page)
    assert "<script>alert(1)" not in page
    return parser.bad


def strings(document: Any) -> Iterator[str]:
    """Every string of a JSON document."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from strings(value)
    elif isinstance(document, list):
        for value in document:
            yield from strings(value)


def is_number(text: str) -> bool:
    """Whether a field is a number below zero."""
    try:
        float(text)
    except ValueError:
        return False
    return True
