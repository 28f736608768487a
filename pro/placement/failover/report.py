"""What is known about failures: which sets of hosts may not fail, whom that would leave down, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pro.core.text import counted, plain

if TYPE_CHECKING:
    from pro.fleet import Fleet


@dataclass(frozen=True)
class Refusal:
    """A rule that refuses a VM on `hosts` of the surviving hosts."""

    rule: str
    hosts: int


@dataclass(frozen=True)
class Stranded:
    """A VM (id) that finds no place once all others are restarted, and why not.

    `nearest`: the host (id) that fewest rules refuse, by the least amount; `lacks`: what would have to give there, rule by rule,
    with its unit where it has one. Both empty where no host is left at all.
    """

    vm: str
    refusals: tuple[Refusal, ...]
    nearest: str
    lacks: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True)
class Failure:
    """A set of hosts (ids) of one cluster that cannot fail together.

    `amount`: VMs left without a place by the best packing found; `least`: no packing leaves fewer (0: not proven that any is
    left). `stranded` tells of those VMs; empty where the report was asked for fewer details.
    """

    hosts: tuple[str, ...]
    cluster: str
    amount: int
    least: int
    memory_mib: int
    stranded: tuple[Stranded, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether it is certain that somebody finds no place."""
        return self.least > 0


@dataclass(frozen=True)
class Report:
    """Whether any `k` hosts of one cluster, or fewer, may fail.

    `hosts` in clusters; `sets` of them that could fail; `checked` of those. `failures`: those that leave somebody down, fewest
    hosts first, the worst first.
    """

    k: int
    hosts: int
    sets: int
    checked: int
    failures: tuple[Failure, ...]

    @property
    def holds(self) -> bool | None:
        """True: every set was checked and survives. False: some proven does not. None: neither is known."""
        if any(f.proven for f in self.failures):
            return False
        return None if self.failures or self.checked < self.sets or not self.hosts else True

    def to_json(self) -> dict[str, Any]:
        """failover.json, without the lines for people."""
        return {
            "k": self.k, "holds": self.holds, "hosts": self.hosts, "sets": self.sets, "checked": self.checked,
            "failures": [{**asdict(f), "proven": f.proven} for f in self.failures],
        }  # fmt: skip


def headline(report: Report, fleet: Fleet, when: str = "") -> str:
    """One line: `N+1: holds for all 64 hosts`, or which hosts cannot fail and why. `when`: as in `N+1 with the plan: ...`."""
    name = f"N+{report.k}{when and ' '}{when}"
    if not report.hosts:
        return f"{name}: nothing to check, no host is in a cluster"
    if not report.failures:
        if report.checked < report.sets:
            return f"{name}: holds for {report.checked:,} of {_sets(report.k, report.sets)} that were tried"
        return f"{name}: holds for {'the only host' if report.sets == 1 else f'all {_sets(report.k, report.sets)}'}"
    proven = sum(f.proven for f in report.failures)
    unproven = len(report.failures) - proven
    said = (
        f"{name}: {proven:,} of {_sets(report.k, report.checked)} cannot fail"
        if proven
        else f"{name}: not shown to hold"
    )
    if unproven:
        said += f"{', and ' if proven else ': '}{unproven:,} could not be shown to be survivable"
    return f"{said}: {sentence(report.failures[0], fleet)}"


def _sets(k: int, number: int) -> str:
    return counted(number, "host") if k == 1 else f"{counted(number, 'set')} of up to {k} hosts of a cluster"


def sentence(failure: Failure, fleet: Fleet) -> str:
    """What happens if these hosts fail, and why."""
    hosts = " and ".join(plain(fleet.host_names[fleet.host_index(h)]) for h in failure.hosts)
    verb = ("would leave" if failure.proven else "may leave") + " "
    if not failure.stranded:
        return f"{hosts} {verb}{failure.amount:,} VM{'s' * (failure.amount > 1)} without a place"
    first = failure.stranded[0]
    vm = plain(fleet.vm_names[fleet.vm_index(first.vm)])
    more = f" and {failure.amount - 1:,} more" if failure.amount > 1 else ""
    return f"{hosts} {verb}{vm}{more} without a place because {reason(first, fleet)}"


def reason(stranded: Stranded, fleet: Fleet) -> str:
    """Why a VM finds no place: `no other host of its cluster takes restarts`, or the rules that refuse it."""
    if not stranded.refusals and not stranded.nearest:
        return "no other host of its cluster takes restarts"
    if not stranded.refusals:
        return "no way was found to restart it together with the others"
    said = ", ".join(f"{plain(r.rule)} ({r.hosts} host{'s' * (r.hosts > 1)})" for r in stranded.refusals[:3])
    lacks = " and ".join(
        f"{amount:,} {unit} too little by {plain(rule)}" if unit else plain(rule)
        for rule, amount, unit in stranded.lacks
    )
    near = plain(fleet.host_names[fleet.host_index(stranded.nearest)])
    return f"it is refused by {said}; nearest is {near}: {lacks}"
