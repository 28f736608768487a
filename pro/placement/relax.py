"""When something cannot be had: the smallest set of rules to relax for it, and whom to ask.

Asked of the whole fleet, of any number of migrations at once: a rule that stays broken, a host that is not empty yet, a host that
stays hot. What the plan repairs stays repaired, unless it is relaxed. Every rule may be, the budget and what the
hardware says included; rules that stay broken may stay as they are. Large fleets are looked at in part, and then nothing is called proven.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.core.text import plain
from pro.placement.constraints import written_as
from pro.placement.constraints.common import say_immovable
from pro.placement.language import Allow, Limit, Row, broken
from pro.placement.problem import Problem, loosen
from pro.placement.referee import MOVABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet, RuleSpec
    from pro.placement.engines.relaxing import Smallest
    from pro.placement.rules import Constraint

MOST_CHOICES = 12_000
"""Pairs of VM and host that are looked at at once; larger fleets in part."""
HARD = ("memory capacity", "CPU compatibility", "reach", "NUMA fit", MOVABLE)
"""Rules that nobody lifts with a word: proposed last among sets of the same size."""


@dataclass(frozen=True)
class RuleRef:
    """A rule to relax, and where it came from. `broken`: what it would say is wrong then."""

    rule: str
    kind: str
    origin: str
    owner: str
    broken: str


@dataclass(frozen=True)
class Step:
    """A migration (ids) of the placement that is possible once the set is relaxed."""

    vm: str
    host: str


@dataclass(frozen=True)
class Way:
    """Rules of one smallest set, and migrations that do it then."""

    relax: tuple[RuleRef, ...]
    migrations: tuple[Step, ...]


@dataclass(frozen=True)
class Remedy:
    """What cannot be had, and the smallest sets of rules of which relaxing one would make it possible.

    `proven`: no smaller set will do. `complete`: these are all of that size. `possible`: False, not even with every rule
    relaxed; None, not known. A single way with nothing to relax: no rule stands in the way.
    """

    wanted: str
    about: tuple[str, ...]
    ways: tuple[Way, ...]
    proven: bool
    complete: bool
    possible: bool | None
    text: str


@dataclass(frozen=True)
class Wanted:
    """Something to be had: in words, as rows that are to hold, and the rules that ask for it (these are not relaxed).

    `about`: the name of the rule, and ids of hosts. `rule`: it is to repair that one. `blocked`: VMs that should have moved for it and found no way in flight, with the reason, in words.
    """

    text: str
    about: tuple[str, ...]
    rows: tuple[Row, ...]
    rule: int | None = None
    vms: tuple[int, ...] = ()
    blocked: str = ""


def rules_broken(fleet: Fleet, constraints: Sequence[Constraint], host_of: Ints) -> list[Wanted]:
    """One for every rule that `host_of` (V,) leaves broken."""
    found = []
    for i, rule in enumerate(constraints):
        violations = rule.violations(fleet, host_of)
        if not violations:
            continue
        said = "; ".join(v.text for v in violations[:2]) + ("; ..." if len(violations) > 2 else "")
        vms = tuple(fleet.vm_index(vm) for v in violations for vm in v.vms)
        about = (rule.name, *dict.fromkeys(h for v in violations for h in v.hosts))
        found.append(Wanted(f"repair {plain(rule.name)} ({said})", about, tuple(rule.rows(fleet)), i, vms))
    return found


def host_cool(
    fleet: Fleet,
    demand: Demand,
    host: int,
    resource: str,
    threshold: float,
    least: float = 0.3,
    host_of: Ints | None = None,
) -> Wanted:
    """The host is above `threshold` in less than `least` of the scenarios, and no host's expected use is above it in any slot
    unless it is today.

    Scenarios that may stay hot are those that are hottest under `host_of` (V,); in all others no moment that is hot today or
    under `host_of` stays so.
    """
    r = fleet.resources.index(resource)
    placed = fleet.host_of if host_of is None else host_of
    shape = (-1, demand.scenarios, demand.slots)
    use, base = demand.use[:, r].astype(np.int64), demand.base[:, r].astype(np.int64)
    limit = np.floor(threshold * fleet.capacity[:, r]).astype(np.int64)[:, None]
    today, then = (base[host] + use[p == host].sum(axis=0) for p in (fleet.host_of, placed))
    may = max(int(np.ceil(least * demand.scenarios)) - 1, 0)
    hottest = np.argsort(-then.reshape(shape[1:]).max(axis=1), kind="stable")[:may]
    kept = ~np.isin(np.arange(demand.moments) // demand.slots, hottest)
    hot = np.flatnonzero(kept & (np.maximum(today, then) > limit[host]))
    only = np.where(np.arange(fleet.n_hosts) == host, 0, -1)
    own = Limit(
        np.arange(fleet.n_vms),
        use[:, hot],
        only,
        base[[host]][:, hot],
        np.repeat(limit[[host]], len(hot), 1),
        "after",
        f"{resource} use",
    )
    use, base = (x.reshape(shape).sum(axis=1) for x in (use, base))
    level = base.copy()
    np.add.at(level, fleet.host_of, use)
    room = limit * demand.scenarios
    upper = np.where(np.arange(fleet.n_hosts)[:, None] == host, room, np.maximum(room, level))
    others = Limit(np.arange(fleet.n_vms), use, np.arange(fleet.n_hosts), base, upper, "after", f"{resource} use")
    text = (
        f"keep {plain(fleet.host_names[host])} from {resource} above {threshold:.0%} in {least:.0%} of futures or more"
    )
    on_it = tuple(np.flatnonzero(fleet.host_of == host).tolist())
    return Wanted(text, (fleet.hosts[host],), (own, others), None, on_it)


def remedies(
    fleet: Fleet, constraints: Sequence[Constraint], wanted: Sequence[Wanted], host_of: Ints, work: float
) -> list[Remedy]:
    """`remedy` for each of `wanted`, in `work` deterministic seconds all together: what one of them leaves the others get."""
    found: list[Remedy] = []
    for i, one in enumerate(wanted):
        told, spent = _remedy(fleet, constraints, one, host_of, work=work / (len(wanted) - i))
        found.append(told)
        work = max(work - spent, 0.0)
    return found


def remedy(
    fleet: Fleet,
    constraints: Sequence[Constraint],
    wanted: Wanted,
    host_of: Ints | None = None,
    seed: int = 1,
    work: float | None = None,
) -> Remedy:
    """The smallest sets of rules to relax for `wanted`, while rules that hold under `host_of` (V,; None: today) go on to hold.

    `work`: deterministic seconds of search; None: as long as a person who asks would wait.
    """
    from pro.placement.engines.relaxing import WORK

    placed = fleet.host_of if host_of is None else host_of
    return _remedy(fleet, constraints, wanted, placed, seed, WORK if work is None else work)[0]


def _remedy(
    fleet: Fleet, constraints: Sequence[Constraint], wanted: Wanted, placed: Ints, seed: int = 1, work: float = 1.0
) -> tuple[Remedy, float]:
    """The remedy, and the deterministic seconds that it took."""
    from pro.placement.engines.relaxing import smallest

    stuck = [v for v in dict.fromkeys(wanted.vms) if not fleet.movable[v]]
    part, whole = _part(fleet, wanted)
    names = [i for i in range(len(constraints)) if i != wanted.rule]
    rules = [[kept for row in constraints[i].rows(fleet) for kept in _in_force(fleet, row, placed)] for i in names]
    rules += [[Allow(np.array([v]), _only(fleet, int(fleet.host_of[v])), MOVABLE)] for v in stuck]
    # Who is not looked at stays where the plan puts it: or what that is good for would be missing.
    away = np.flatnonzero(~part & (placed != fleet.host_of)).tolist()
    movable = (fleet.movable | np.isin(np.arange(fleet.n_vms), stuck)) & part
    movable[away] = True
    planned = tuple(Allow(np.array([v]), _only(fleet, int(placed[v])), "as planned") for v in away)
    rows = _hold(fleet, (*wanted.rows, *planned), movable)
    if rows is None:
        return _say(fleet, wanted, (), proven=whole, complete=whole, possible=False if whole else None), 0.0
    problem = Problem(fleet.host_of, fleet.n_hosts, movable, rows, ())
    written = written_as(fleet, constraints)
    hard = [written[i] is None and constraints[i].name in HARD for i in names] + [True] * len(stuck)
    found = smallest(problem, rules, hard, seed=seed, work=work, start=placed)
    ways = []
    for chosen, then in _smallest_of(found, rules, fleet.host_of).items():
        refs = [
            _ref(fleet, constraints[names[i]], written[names[i]], then)
            if i < len(names)
            else _immovable(fleet, stuck[i - len(names)])
            for i in chosen
        ]
        # What is not in the plan first.
        moved = sorted(np.flatnonzero(then != fleet.host_of).tolist(), key=lambda v: (bool(then[v] == placed[v]), v))
        ways.append(Way(tuple(refs), tuple(Step(fleet.vms[v], fleet.hosts[then[v]]) for v in moved)))
    nothing = bool(ways) and not ways[0].relax
    possible = found.possible if whole or found.possible else None
    return _say(
        fleet, wanted, tuple(ways), proven=nothing or (found.proven and whole),
        complete=nothing or (found.complete and whole), possible=possible,
    ), found.work  # fmt: skip


def _smallest_of(found: Smallest, rules: Sequence[Sequence[Row]], home: Ints) -> dict[tuple[int, ...], Ints]:
    """Set of rules -> a placement: of what was found, the smallest sets, without rules that their placement keeps anyway.

    A search that ends before it has proven anything may name more than is needed, and smaller sets after larger ones.
    """
    needed: dict[tuple[int, ...], Ints] = {}
    for chosen, then in zip(found.sets, found.placements, strict=True):
        broke = tuple(i for i in chosen if any(broken(row, home, then) for row in rules[i]))
        needed.setdefault(broke, then)
    least = min(map(len, needed), default=0)
    return {chosen: then for chosen, then in needed.items() if len(chosen) == least}


def _in_force(fleet: Fleet, row: Row, placed: Ints) -> list[Row]:
    """`row` where it holds as placed, else never worse than today."""
    return loosen(row, fleet.host_of) if broken(row, fleet.host_of, placed) else [row]


def _part(fleet: Fleet, wanted: Wanted) -> tuple[NDArray[np.bool_], bool]:
    """(V,) VMs that are looked at, and whether these are all: those asked about, then those of the nearest hosts."""
    everyone = np.ones(fleet.n_vms, np.bool_)
    if fleet.n_vms * fleet.n_hosts <= MOST_CHOICES:
        return everyone, True
    asked = np.isin(np.arange(fleet.n_vms), wanted.vms)
    here = np.unique(fleet.host_of[asked])
    groups = fleet.host_groups.get("cluster")
    near = np.isin(groups.code, groups.code[here]) if groups is not None else np.ones(fleet.n_hosts, np.bool_)
    rank = np.where(np.isin(np.arange(fleet.n_hosts), here), 0, np.where(near, 1, 2))
    part = asked.copy()
    for h in np.argsort(rank, kind="stable").tolist():
        grown = part | (fleet.host_of == h)
        if int(grown.sum()) * fleet.n_hosts > MOST_CHOICES:
            break
        part = grown
    return part, False


def _hold(fleet: Fleet, rows: tuple[Row, ...], movable: NDArray[np.bool_]) -> tuple[Row, ...] | None:
    """`rows` for a model in which these VMs are movable; None where somebody has no host at all."""
    allowed = np.ones((fleet.n_vms, fleet.n_hosts), np.bool_)
    for row in rows:
        if isinstance(row, Allow):
            allowed[row.vms] &= row.hosts
    stays = ~movable & ~allowed[np.arange(fleet.n_vms), fleet.host_of]
    return None if stays.any() or not allowed.any(axis=1).all() else rows


def _only(fleet: Fleet, host: int) -> NDArray[np.bool_]:
    mask = np.zeros(fleet.n_hosts, np.bool_)
    mask[host] = True
    return mask


def _ref(fleet: Fleet, rule: Constraint, written: RuleSpec | None, placed: Ints) -> RuleRef:
    before, then = rule.violations(fleet, fleet.host_of), rule.violations(fleet, placed)
    said = "; ".join(v.text for v in ([v for v in then if v not in before] or then)[:2])
    if written is not None:
        return RuleRef(rule.name, written.kind, written.origin, written.owner, said)
    return RuleRef(rule.name, type(rule).__name__, "", "", said)


def _immovable(fleet: Fleet, v: int) -> RuleRef:
    return RuleRef(MOVABLE, MOVABLE, "", "", say_immovable(fleet, v))


def _say(
    fleet: Fleet, wanted: Wanted, ways: tuple[Way, ...], *, proven: bool, complete: bool, possible: bool | None
) -> Remedy:
    if possible is False:
        text = f"To {wanted.text}: cannot be had, whatever is relaxed."
    elif not ways:
        text = f"To {wanted.text}: not known what stands in the way; the search ended before it found a set of rules."
    elif not ways[0].relax and wanted.blocked:
        text = f"To {wanted.text}: possible in the end, but there is no way there: {wanted.blocked}."
    elif not ways[0].relax and not ways[0].migrations:
        text = (
            f"To {wanted.text}: so it is today, with every rule in force; {_undone(wanted)}. "
            "To do without that was not worth its price, or the search needs more time."
        )
    elif not ways[0].relax:
        why = "it was not worth its price" if wanted.rule is None else "what else the plan does came first"
        text = f"To {wanted.text}: no rule stands in the way ({_moves(fleet, ways[0])}); {why}, or the search needs more time."
    else:
        size = len(ways[0].relax)
        sets = [" and ".join(rule_words(r) for r in way.relax) for way in ways]
        head = "relax " + (f"one of: {'; or '.join(sets)}" if len(sets) > 1 else sets[0])
        more = "" if complete else " There may be others of that size."
        surely = (
            f"Proven: fewer than {size} will not do." if proven else f"Not proven that fewer than {size} will not do."
        )
        if size == 1 and proven:
            surely = "Proven: it cannot be had with every rule in force."
        then = (
            f"Then, for example, {_moves(fleet, ways[0])}."
            if ways[0].migrations
            else f"Then all may stand as today; {_undone(wanted)}."
        )
        text = f"To {wanted.text}: {head}. {then} {surely}{more}"
    return Remedy(wanted.text, wanted.about, ways, proven, complete, possible, text)


def rule_words(ref: RuleRef) -> str:
    """A rule with where it comes from, for people."""
    source = [plain(ref.origin, 80)] if ref.origin else []
    if ref.owner:
        source.append(f"owner {plain(ref.owner)}")
    broken = [ref.broken] if ref.broken else []
    inside = ": ".join([*([", ".join(source)] if source else []), *broken])
    return plain(ref.rule) + (f" ({inside})" if inside else "")


def _moves(fleet: Fleet, way: Way) -> str:
    said = [
        f"{plain(fleet.vm_names[fleet.vm_index(s.vm)])} to {plain(fleet.host_names[fleet.host_index(s.host)])}"
        for s in way.migrations[:3]
    ]
    return ", ".join(said) + (f" and {len(way.migrations) - 3} more" if len(way.migrations) > 3 else "")


def _undone(wanted: Wanted) -> str:
    """What is said where nobody need move for it."""
    return "it is the plan that makes the host hot" if wanted.rule is None else "it is the plan that undoes it"
