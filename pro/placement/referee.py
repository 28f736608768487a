"""The referee: checks an answer in the plainest words, apart from engines and from everything engines read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.core.errors import RefereeError
from pro.core.text import plain
from pro.placement.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.core.arrays import Ints
    from pro.fleet import Fleet
    from pro.placement.rules import Constraint

MOVABLE = "movable"
"""The rule that every fleet has: what cannot be migrated stays."""


@dataclass(frozen=True)
class Verdict:
    """What is broken after a placement, rule by rule against today.

    `worse`: violations of rules that are broken by more than today, or of immovable VMs that were moved; an answer with
    any of these is refused. `still`: violations of rules broken by as much as today or by less. `repaired`: what is
    broken today, of rules that hold afterwards.
    """

    worse: tuple[Violation, ...]
    still: tuple[Violation, ...]
    repaired: tuple[Violation, ...]

    @property
    def accepted(self) -> bool:
        """Whether no rule is broken worse than today."""
        return not self.worse

    def reason(self) -> str:
        """Why the placement is refused, in words; empty when it is accepted."""
        return "; ".join(f"{plain(v.rule)}: {v.text}" for v in self.worse)


def check(fleet: Fleet, constraints: Sequence[Constraint], host_of: Ints) -> list[Violation]:
    """Everything that `host_of` (V,) breaks, in the order of the rules; whether or not it is broken today."""
    return [violation for rule in constraints for violation in rule.violations(fleet, host_of)]


def judge(fleet: Fleet, constraints: Sequence[Constraint], host_of: Ints) -> Verdict:
    """Compare `host_of` (V,) with today, rule by rule, by the sum of the amounts.

    Raises `RefereeError` when `host_of` is no placement of this fleet at all.
    """
    _must_be_placement(fleet, host_of)
    worse, still, repaired = list(_moved_but_immovable(fleet, host_of)), [], []
    for rule in constraints:
        today, after = rule.violations(fleet, fleet.host_of), rule.violations(fleet, host_of)
        if sum(v.amount for v in after) > sum(v.amount for v in today):
            worse += after
        elif after:
            still += after
        else:
            repaired += today
    return Verdict(tuple(worse), tuple(still), tuple(repaired))


def require(fleet: Fleet, constraints: Sequence[Constraint], host_of: Ints) -> Verdict:
    """`judge`, and raise `RefereeError` with the reasons when the placement is refused."""
    verdict = judge(fleet, constraints, host_of)
    if not verdict.accepted:
        raise RefereeError(f"the placement breaks rules worse than today: {verdict.reason()}")
    return verdict


def _moved_but_immovable(fleet: Fleet, host_of: Ints) -> list[Violation]:
    found = []
    for v, vm in enumerate(fleet.vms):
        if not fleet.movable[v] and int(host_of[v]) != int(fleet.host_of[v]):
            host = int(host_of[v])
            text = f"{plain(fleet.vm_names[v])} cannot be migrated but was put on {plain(fleet.host_names[host])}"
            found.append(Violation(MOVABLE, text, 1, (vm,), (fleet.hosts[host],)))
    return found


def _must_be_placement(fleet: Fleet, host_of: Ints) -> None:
    if len(host_of) != len(fleet.vms):
        raise RefereeError(f"a placement of {len(host_of)} VMs for a fleet of {len(fleet.vms)}")
    for v, host in enumerate(host_of):
        if not 0 <= int(host) < len(fleet.hosts):
            raise RefereeError(f"{plain(fleet.vm_names[v])} was put on host number {int(host)}, which does not exist")
