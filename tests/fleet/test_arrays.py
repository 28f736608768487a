"""What nobody can write to is shared, whatever else is copied; and rules of a kind share what they have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pro.fleet import RuleSpec, frozen
from pro.placement.constraints import build
from pro.placement.language import Limit
from tests.builders import fleet


def test_what_nobody_can_write_to_is_shared_and_all_else_is_copied() -> None:
    mine = np.arange(6)
    kept = frozen(mine)
    mine[0] = 9
    assert kept.tolist() == [0, 1, 2, 3, 4, 5]
    assert frozen(kept) is kept
    assert frozen(kept, np.int64) is kept
    assert frozen(kept, np.int32).dtype == np.int32
    view = mine[:3]
    view.flags.writeable = False  # but its owner can still write
    seen = frozen(view)
    mine[1] = 9
    assert seen.tolist() == [9, 1, 2]
    turned = frozen(frozen(np.arange(6).reshape(2, 3)).T)
    assert turned.flags.c_contiguous
    for array in (kept, seen, turned):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_row_that_is_cut_shares_what_did_not_change() -> None:
    row = Limit(np.arange(3), np.ones((3, 1)), np.arange(4), np.zeros((4, 1)), np.ones((4, 1)), "after", "one each")
    cut = replace(row, label="another")
    assert all(getattr(cut, name) is getattr(row, name) for name in ("vms", "weight", "scope", "base", "upper"))


@pytest.mark.parametrize("scope", ["host", "rack"])
def test_two_rules_of_a_kind_share_scope_and_bounds(scope: str) -> None:
    rules = [RuleSpec(name, "spread", vms, scope=scope) for name, vms in (("ab", ("a", "b")), ("cd", ("c", "d")))]
    found = fleet("h1: a c | h2: b d | h3:", rules=rules)
    rows = [row for rule in build(found) for row in rule.rows(found) if isinstance(row, Limit) and row.label in "ab cd"]
    first, second = rows
    assert first.scope is second.scope
    assert first.base is second.base
    assert first.upper is second.upper
    assert first.vms.tolist() != second.vms.tolist()
