"""Scripts: the words never change, and the data cannot be anything but data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tree_sitter
import tree_sitter_powershell
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import InputError
from pro.planning import Migration, Plan, Wave, make_plan
from pro.planning.scripts import DIALECTS, script
from pro.planning.scripts.powershell import BEGIN, END
from tests.builders import fleet, stand
from tests.conftest import HOSTILE_NAMES
from tests.planning.worlds import CONTEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
CATALOGUE = json.loads((Path(__file__).parent / "cmdlets.json").read_text())
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
QUOTES = "'\u2018\u2019\u201a\u201b\"\u201c\u201d\u201e"
NAMES = st.sampled_from(HOSTILE_NAMES) | st.text() | st.text(alphabet=QUOTES + "@\n\r$`;(){}|&<>#u0027\\")


def plan_for(vm: str = "a", source: str = "h1", destination: str = "h2", **changes: Any) -> Plan:
    """A plan of one step with these ids."""
    f = fleet("h1: a | h2:")
    plan = make_plan(f, None, stand(f, "h2: a"), CONTEXT)
    step = replace(plan.migrations[0], vm=vm, source=source, destination=destination, vm_name=vm, reason=vm, **changes)
    return replace(plan, waves=(Wave((step,)),))


def parts(text: str) -> tuple[str, str, str]:
    """What stands before the data, the data, what stands after it."""
    head, begin, rest = text.partition(BEGIN)
    data, end, tail = rest.partition(END)
    assert begin
    assert end
    return head, data, tail


def texts(data: str) -> list[list[Any]]:
    """The steps as the script will read them: [vm, source, destination, kind]."""
    read = json.loads(data)
    keys = ("vm", "source", "destination", "kind")
    return [[step[k].removeprefix("t:") for k in keys] for wave in read["waves"] for step in wave["steps"]]


@given(vm=NAMES, host=NAMES, dialect=st.sampled_from(sorted(DIALECTS)), tip=NAMES)
def test_for_any_name_only_the_data_differs_and_the_data_is_only_data(
    vm: str, host: str, dialect: str, tip: str
) -> None:
    constant = parts(script(plan_for(), dialect))
    text = script(plan_for(vm, host, host + "x"), dialect, tip)
    head, data, tail = parts(text)
    assert (head, tail) == (constant[0], constant[2])
    assert re.fullmatch(r'[A-Za-z0-9 ._:{}\[\],"\\\n-]*', data)
    assert re.fullmatch(r'(?:[^"\\\n]|\n|"(?:[A-Za-z0-9 ._:-]|\\u[0-9a-f]{4})*")*', data)
    assert texts(data) == [[vm, host, host + "x", "live"]]


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_the_script_parses_whatever_the_name(dialect: str, name: str) -> None:
    text = script(plan_for(name), dialect)
    assert text.isascii()
    tree = PARSER.parse(text.encode())
    assert not tree.root_node.has_error


def test_the_parser_would_notice_a_name_that_breaks_out() -> None:
    text = script(plan_for("MARK"), "scvmm")
    assert PARSER.parse(text.replace("t:MARK", "\n'@\n'; Remove-VM -Force '").encode()).root_node.has_error


def nodes(node: tree_sitter.Node, kind: str) -> Iterator[tree_sitter.Node]:
    """All nodes of a kind below `node`."""
    if node.type == kind:
        yield node
    for child in node.children:
        yield from nodes(child, kind)


def commands(text: str) -> list[tuple[str, str, list[str]]]:
    """(module, cmdlet, parameters) of every command in a script."""
    found = []
    for command in nodes(PARSER.parse(text.encode()).root_node, "command"):
        name = command.child_by_field_name("command_name")
        if name is None or name.text is None:
            continue
        module, _, cmdlet = name.text.decode().rpartition("\\")
        own = [e for c in command.children if c.type == "command_elements" for e in c.children]
        parameters = [e.text.decode() for e in own if e.type == "command_parameter" and e.text]
        found.append((module, cmdlet, [p.strip("-").split(":")[0] for p in parameters]))
    return found


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_every_cmdlet_is_in_the_catalogue_with_every_parameter(dialect: str) -> None:
    text = script(plan_for(), dialect)
    own = set(re.findall(r"^function ([A-Za-z-]+)", text, re.MULTILINE))
    seen = commands(text)
    for module, cmdlet, parameters in seen:
        if module or cmdlet not in own:
            known = CATALOGUE[module][cmdlet]
            assert set(parameters) <= {*known, *CATALOGUE["common parameters"]}, (module, cmdlet)
    move = {"scvmm": "Move-SCVirtualMachine", "cluster": "Move-ClusterVirtualMachineRole", "hyperv": "Move-VM"}[dialect]
    module = {"scvmm": "VirtualMachineManager", "cluster": "FailoverClusters", "hyperv": "Hyper-V"}[dialect]
    moves = [parameters for m, cmdlet, parameters in seen if (m, cmdlet) == (module, move)]
    assert moves
    must = {
        "scvmm": {"VM", "VMHost"},
        "cluster": {"Node", "MigrationType", "Wait"},
        "hyperv": {"VM", "DestinationHost"},
    }
    assert all(must[dialect] <= set(parameters) for parameters in moves)
    assert not any(cmdlet in ("Invoke-Expression", "iex") for _, cmdlet, _ in seen)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_script_checks_before_it_moves_and_can_pretend(dialect: str) -> None:
    text = script(plan_for(), dialect)
    assert "SupportsShouldProcess = $true" in text
    assert "$PSCmdlet.ShouldProcess(" in text
    assert "$ErrorActionPreference = 'Stop'" in text
    assert "expected exactly one match" in text
    assert text.index("Get-Migration $vmId") < text.index("Start-Migration $ready") < text.index("Test-Arrival $one")
    assert "-ceq" in text
    assert not re.search(r"-like\b|-match\b|Invoke-|\biex\b", text)


def test_waves_and_waiting_times_are_in_the_data() -> None:
    f = fleet("h1: a | h2: b | h3:", memory=1024)
    plan = make_plan(f, None, stand(f, "h2: a | h1: b"), CONTEXT)
    data = json.loads(parts(script(plan, "cluster"))[1])
    assert [len(w["steps"]) for w in data["waves"]] == [1, 1, 1]
    assert all(
        s["deadline"] >= 600 + 4 * m.seconds
        for w, m in zip(data["waves"], plan.migrations, strict=True)
        for s in w["steps"]
    )
    assert data["plan"] == "t:" + plan.id


def test_an_empty_plan_is_a_script_that_does_nothing() -> None:
    f = fleet("h1: a")
    text = script(make_plan(f, None, f.host_of, CONTEXT), "scvmm")
    assert json.loads(parts(text)[1])["waves"] == []
    assert not PARSER.parse(text.encode()).root_node.has_error


def test_a_tip_is_passed_on_only_if_it_is_a_guid() -> None:
    assert f'"tip": "t:{GUID}"' in script(plan_for(), "scvmm", GUID)
    for tip in ("", "tip-7", GUID + "\n", "'; Remove-VM"):
        assert '"tip": "t:"' in script(plan_for(), "scvmm", tip)


def test_quick_migrations_are_for_clusters_only() -> None:
    plan = plan_for(kind="quick")
    assert texts(parts(script(plan, "cluster"))[1])[0][3] == "quick"
    for dialect in ("scvmm", "hyperv"):
        with pytest.raises(InputError, match="quick migrations"):
            script(plan, dialect)


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(InputError, match="scvmm"):
        script(plan_for(), "bash")


def test_lone_surrogates_and_characters_beyond_the_first_plane_survive() -> None:
    name = "\ud800 \U0001f600"
    assert json.loads(parts(script(plan_for(name), "cluster"))[1])["waves"][0]["steps"][0]["vm"] == "t:" + name


def test_the_step_type_has_nothing_else_that_reaches_the_script() -> None:
    plain_step = parts(script(plan_for(), "scvmm"))[1]
    other = plan_for()
    migration: Migration = replace(other.migrations[0], reason="x'@\n", vm_name="'@", memory_mib=1, mib=1)
    assert parts(script(replace(other, waves=(Wave((migration,)),)), "scvmm"))[1] == plain_step
