"""A plan as plain lines of text for a terminal. Names come from outside: each is made harmless before it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pro.core.text import counted, minute, plain
from pro.placement.placement import for_people

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pro.planning.plan import Migration, Plan

_COLUMNS = ("wave", "starts", "takes", "blackout", "VM", "from", "to", "")
_NAME = 24
_GAINS = 20
_SUMMARY = {
    "hot_hosts": ("hosts over the threshold at some moment, expected", 1.0, ""),
    "hot_minutes": ("minutes over the threshold, all hosts together", 1.0, ""),
    "area": ("heat over the threshold, without margin", 0.01, "% x hours"),
}
"""What the figures of a heat summary are called, by how much they are divided, and their unit then."""


def show(plan: Plan) -> list[str]:
    """Lines that say what the plan does, wave by wave, what it cannot do, and what becomes better."""
    lines = [
        f"plan {plain(plan.id[:12])}  goal {plain(plan.goal)}  for {plain(minute(plan.now))}  "
        f"law {plain(plan.profile)}  made {plain(minute(plan.created_at))}"
    ]
    if plan.waves:
        lines += ["", *_table(plan), "", _in_flight(plan)]
    else:
        lines.append("Nothing to move.")
    if plan.blocked:
        lines += ["", "Blocked:", *(f"  {plain(b.vm, _NAME)}: {plain(b.reason, 400)}" for b in plan.blocked)]
    lines += _tiers(plan.tiers)
    lines += _bound(plan)
    lines += _before_after(plan.before, plan.after)
    for title, soft in (("Still broken:", False), ("Preferences not kept:", True)):
        told = [f"  {_violation(v)}" for v in plan.violations if bool(v.get("preference")) == soft]
        lines += ["", title, *told] if told else []
    lines += _answers(plan)
    return lines


def _answers(plan: Plan) -> list[str]:
    """What each migration is good for, whether fewer would do, and what would have to be relaxed."""
    said = plan.answers
    lines: list[str] = []
    if said.get("gains"):
        lines += ["", "What each migration is good for:"]
        lines += [f"  {plain(str(g['text']), 400)}" for g in said["gains"][:_GAINS]]
        if len(said["gains"]) > _GAINS:
            lines.append(f"  and {len(said['gains']) - _GAINS} more (--json has all)")
        lines.append(plain(str(said["fewer"]["text"]), 600))
    if said.get("remedies"):
        lines += ["", "What the plan leaves, and what stands in the way:"]
        lines += [f"  {plain(str(r['text']), 2_000)}" for r in said["remedies"]]
        if said.get("more_remedies"):
            lines.append(f"  {plain(str(said['more_remedies']), 400)}")
        if plan.asked and (
            said.get("more_remedies") or any(not r.get("ways") and r.get("possible") is None for r in said["remedies"])
        ):
            lines.append("  To look longer: pro explain PLAN.JSON HOST|RULE --store DIR --seconds 60")
    return lines


def _bound(plan: Plan) -> list[str]:
    """How far from the best it is at most, by the lower bound; nothing of a plan for which nobody asked."""
    gap = plan.proof.get("gap", "")
    if gap is None:
        return ["", "How much better another plan could be is not known: there is no bound."]
    if not isinstance(gap, float | int):
        return []
    within = "within the rules and the budget of migrations"
    if gap <= 0:
        return ["", f"Proven: by all that is weighed after repairs nothing {within} is better."]
    return [
        "",
        f"Bound: all that is weighed after repairs could be at most {gap:.1%} lower, whatever else was moved {within}.",
    ]


def duration(seconds: float) -> str:
    """`0.2 s`, `45 s`, `4 min 55 s`, `1 h 12 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _table(plan: Plan) -> list[str]:
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for number, wave in enumerate(plan.waves, 1):
        rows += [_row(number, m) for m in wave.migrations]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS) - 1)]
    return ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows]


def _row(number: int, m: Migration) -> tuple[str, ...]:
    kind = "" if m.kind == "live" else f"[{plain(m.kind)}] "
    return (
        str(number),
        "+" + duration(m.starts_s),
        duration(m.seconds),
        duration(m.blackout_s),
        plain(m.vm_name or m.vm, _NAME),
        plain(m.source, _NAME),
        plain(m.destination, _NAME),
        kind + plain(m.reason, 400),
    )


def _in_flight(plan: Plan) -> str:
    said = plan.in_flight
    memory = said.get("memory", {})
    parts = [f"{counted(len(plan.migrations), 'migration')} in {duration(_number(said.get('seconds')))}"]
    parts.append(f"longest blackout {duration(_number(said.get('blackout_s')))}")
    if memory.get("host"):
        parts.append(f"memory at most {_number(memory.get('fraction')):.0%} (on {plain(str(memory['host']), _NAME)})")
    if said.get("split"):
        parts.append("apart on the way: " + ", ".join(plain(str(name), _NAME) for name in said["split"]))
    return "; ".join(parts) + "."


def _tiers(tiers: Sequence[Mapping[str, Any]]) -> list[str]:
    if not tiers:
        return []
    return ["", "Costs, most important first:"] + [
        f"  {_value(name)}: {_value(before)} -> {_value(after)} {_value(unit)}".rstrip()
        for t in tiers
        for name, before, after, unit in for_people(t)
    ]


def _before_after(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The single values both summaries share; what is nested (per host) is left to the report."""
    shared = [k for k in before if k in after and _single(before[k]) and _single(after[k])]
    if not shared:
        return []
    return ["", "Before -> after:"] + [
        f"  {_figure(k, before[k])} -> {_figure(k, after[k], named=False)}" for k in shared
    ]


def _figure(key: str, value: Any, *, named: bool = True) -> str:
    """A figure of a summary under its name for people, in the unit that the report gives it."""
    name, per, unit = _SUMMARY.get(key, (key, 1.0, ""))
    shown = _value(value if per == 1 or not isinstance(value, int | float) else value / per)
    return f"{plain(name)}: {shown}" if named else f"{shown} {unit}".rstrip()


def _violation(v: Mapping[str, Any]) -> str:
    return ": ".join(_value(v[k], 400) for k in ("rule", "text") if k in v)


def _single(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _value(value: Any, limit: int = 64) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return plain(f"{value:,}" if isinstance(value, int) else str(value), limit)
