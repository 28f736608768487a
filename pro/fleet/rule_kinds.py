"""The kinds of rule that people write, and what each is made of: readers, the judge of rules and the data dictionary follow this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pro.fleet.fleet import RuleSpec

SCOPES = ("host", "rack", "site", "cluster")


@dataclass(frozen=True)
class Kind:
    """`uses`: what may be said beside members; `needs`: what must be. `doc`: what the rule says, in one clause.

    `soft`: it is a preference, always. `everybody`: without members it is about every VM.
    """

    doc: str
    uses: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    soft: bool = False
    everybody: bool = False


KINDS: dict[str, Kind] = {
    "spread": Kind("the members stand apart", ("scope", "least")),
    "gather": Kind("the members stand together", ("scope",)),
    "fence": Kind("the members stand on these hosts and on no other", ("hosts",), ("hosts",)),
    "pin": Kind("the members stand on these hosts; without hosts, where they are", ("hosts",)),
    "ban": Kind("the members stand on none of these hosts", ("hosts",), ("hosts",)),
    "limit": Kind(
        "at most so many of the members, or of all VMs, in one scope item",
        ("scope", "most", "hosts"),
        ("most",),
        everybody=True,
    ),
    "licence": Kind("the hosts that hold any member have at most so many cores", ("most",), ("most",)),
    "dedicate": Kind("the members stand on these hosts, and nobody else does", ("hosts",), ("hosts",)),
    "prefer": Kind(
        "the members had best stand on the first of these hosts, else on the next", ("hosts",), ("hosts",), True
    ),
}
"""Every kind, by its name."""

MOST_WORTH = 1000
"""Migrations that one unit of a soft rule may be worth: who wants more wants a rule."""

_UNSAID = {"hosts": (), "least": 0, "most": 0}
_LACKS = {"hosts": ("without hosts", '"hosts": [...]'), "most": ("without most", '"most": 1, 2, 3, ...')}


def contradictions(rule: RuleSpec, where: str) -> Iterator[InputError]:
    """Everything that makes no sense about `rule` by itself, whatever the fleet; its scope apart."""
    kind = KINDS.get(rule.kind)
    if kind is None:
        yield InputError("unknown kind of rule", got=rule.kind, expected=" | ".join(KINDS), where=where)
        return
    for name, unsaid in _UNSAID.items():
        value = getattr(rule, name)
        if isinstance(value, int) and value < 0:
            yield InputError(f"{name} must not be negative", got=value, where=where)
        elif value == unsaid and name in kind.needs:
            lack, expected = _LACKS[name]
            yield InputError(f"a {rule.kind} {lack}", expected=expected, where=where)
        elif value != unsaid and name not in kind.uses:
            can = " or ".join(k for k, v in KINDS.items() if name in v.uses)
            yield InputError(f"a {rule.kind} has no {name}", got=value, expected=f"{name} of a {can}", where=where)
    if kind.soft and not rule.soft:
        yield InputError(f"a {rule.kind} is always soft", got=rule.soft, where=f"{where}: soft")
    if not 0 <= rule.worth <= MOST_WORTH:
        yield InputError("worth is how many migrations one unit of a soft rule is worth", got=rule.worth,
                         expected=f"a number above 0 and at most {MOST_WORTH:,}", where=f"{where}: worth")  # fmt: skip
    elif rule.worth and not rule.soft:
        yield InputError(
            "only a soft rule has a worth", got=rule.worth, expected='"soft": true', where=f"{where}: worth"
        )
