"""Documents that people write, `contract/1` and `rules/1`: schema and reader agree on what may stand in them."""

from __future__ import annotations

import json
import re
import tomllib
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pro.core.errors import InputError
from pro.fleet.readers import Found
from pro.fleet.readers.rules import RulesReader, rule_json
from pro.fleet.rule_kinds import KINDS
from pro.placement.constraints import from_written
from pro.remediation.contract import parse_contract
from tests.cli.conftest import validator
from tests.cli.test_rules import RULES
from tests.strategies import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pro.fleet import RuleSpec

ROOT = Path(__file__).parents[2]
WINDOW = {"zone": "Europe/Berlin", "days": ["mon", "fri"], "starts": "22:00", "ends": "5:00"}
CONTRACT = {
    "schema": "contract/1", "goals": ["balance"], "max_moves": 3, "max_gib": 0.5, "max_blackout_s": 2, "min_probability": 1,
    "window": "always", "quick": True,
}  # fmt: skip


def reads_contract(document: Any) -> bool:
    """Whether the reader takes it."""
    try:
        parse_contract(document, "here")
    except InputError:
        return False
    return True


def reads_rules(folder: Path, document: Any) -> bool:
    """Whether the reader takes all of it."""
    path = folder / "rules.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    found = Found()
    RulesReader().read(path, found)
    try:
        for rule in found.rules:
            from_written(rule)
    except InputError:
        return False
    return not found.problems


def examples(page: str, language: str) -> list[str]:
    """Code of this kind in a page of the documentation."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)


def test_the_examples_of_the_documentation_fit_and_are_read(tmp_path: Path) -> None:
    (rules,) = (json.loads(text) for text in examples("rules.md", "json rules"))
    (contract,) = (tomllib.loads(text) for text in examples("contract.md", "toml contract"))
    sample = json.loads((ROOT / "data" / "sample" / "rules.json").read_text("utf-8"))
    for document in (rules, sample, RULES, {"rules": rules}):
        validator("rules/1").validate(document)
        assert reads_rules(tmp_path, document)
    for document in (contract, CONTRACT, {**CONTRACT, "window": WINDOW}):
        validator("contract/1").validate(document)
        assert reads_contract(document)


@given(st.lists(written(), max_size=3))
def test_rules_as_the_store_keeps_them_fit(rules: list[RuleSpec]) -> None:
    validator("rules/1").validate({"schema": "rules/1", "rules": [rule_json(rule) for rule in rules]})


NAMES: st.SearchStrategy[Any] = st.sampled_from(["a", "", None, [], ["a"], ["a", "b"], [""], [1], 0, False, {}])
COUNT: st.SearchStrategy[Any] = st.sampled_from([None, 0, 1, 7, -1, 1.5, True, "2", [], 2**31])
TEXT: st.SearchStrategy[Any] = st.sampled_from(["x", "", None, 3, True, ["x"]])
ENTRIES: Mapping[str, st.SearchStrategy[Any]] = {
    "members": NAMES, "vms": NAMES, "hosts": NAMES, "least": COUNT, "count": COUNT, "most": COUNT, "rule": TEXT, "name": TEXT,
    "owner": TEXT, "origin": TEXT, "comment": st.sampled_from(["why", 3]), "member": NAMES,
    "scope": st.sampled_from(["host", "rack", "site", "cluster", "row", "", None, 3]),
    "soft": st.sampled_from([True, False, None, 1, "yes"]),
    "worth": st.sampled_from([None, 0.5, 3, 1000, 0, -1, 1001, True, "2"]),
}  # fmt: skip


@given(st.sampled_from(RULES), st.dictionaries(st.sampled_from(["kind", *ENTRIES]), st.none(), max_size=3), st.data())
def test_schema_and_reader_agree_on_every_rule(
    tmp_path_factory: pytest.TempPathFactory, rule: dict[str, Any], some: dict[str, None], data: st.DataObject
) -> None:
    values = {**ENTRIES, "kind": st.sampled_from([*KINDS, "cuddle", 3, None])}
    entry = {**rule, **{key: data.draw(values[key], label=key) for key in sorted(some)}}
    assert reads_rules(tmp_path_factory.getbasetemp(), [entry]) == validator("rules/1").is_valid([entry])


@pytest.mark.parametrize(
    "document", [{"rules": {}}, {"rule": []}, 3, "x", [3], [[]], {"schema": "rules/2", "rules": []}]
)
def test_what_is_no_list_of_rules_is_refused_by_both(document: Any, tmp_path: Path) -> None:
    assert not validator("rules/1").is_valid(document)
    assert not reads_rules(tmp_path, document)


VALUES: Mapping[str, list[Any]] = {
    "schema": ["contract/1", "contract/2", 1], "goals": [["balance"], ["repair", "consolidate"], [], ["win"], "balance", None],
    "max_moves": [0, 3, 2.0, 2.5, -1, "3", True, None], "max_gib": [0, 0.5, -1, "3", True, None, 2e9],
    "max_blackout_s": [0, 2.5, -1, "3", False, None], "min_probability": [0, 0.7, 1, 1.1, -0.1, "x", True],
    "quick": [True, False, 0, "no", None], "max_move": [3],
}  # fmt: skip
WINDOWS: Mapping[str, list[Any]] = {
    "zone": ["UTC", "Asia/Tokyo", "", 3, None], "days": [["mon"], ["sat", "sun"], [], ["monday"], "mon", [1]],
    "starts": ["00:00", "5:07", "23:59", "24:00", "7", 7, "07:60", None], "ends": ["5:00", "x", ""], "opens": ["5:00"],
}  # fmt: skip


def changed(document: dict[str, Any], values: Mapping[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """`document` with up to three keys set to something else, or taken away."""
    key = st.sampled_from([*values, *document])

    def edit(name: str) -> st.SearchStrategy[tuple[str, Any]]:
        return st.tuples(st.just(name), st.sampled_from([*values.get(name, []), ...]))

    def put(body: dict[str, Any], change: tuple[str, Any]) -> dict[str, Any]:
        name, value = change
        rest = {k: v for k, v in body.items() if k != name}
        return rest if value is ... else {**rest, name: value}

    return st.lists(key.flatmap(edit), max_size=3).map(lambda edits: reduce(put, edits, document))


@given(
    changed(CONTRACT, VALUES),
    st.one_of(st.just("always"), changed(WINDOW, WINDOWS), st.sampled_from(["never", 3, None, []])),
)
def test_schema_and_reader_agree_on_every_contract(contract: dict[str, Any], window: Any) -> None:
    document = {**contract, "window": window} if "window" in contract else contract
    assert reads_contract(document) == validator("contract/1").is_valid(document)
