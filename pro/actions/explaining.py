"""Answers about a plan: why a VM goes where it goes, and whether the plan holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError
from pro.core.text import plain

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pro.planning.plan import Plan


@dataclass(frozen=True)
class Told:
    """An explanation for programs and for people."""

    document: dict[str, Any]
    lines: tuple[str, ...]


def explain_vm(plan: Plan, vm: str) -> Told:
    """Explain one VM by id or, if no id fits, by name. Raises InputError if the plan does not know it."""
    told = plan.explain.get(vm) or next((e for e in plan.explain.values() if e["vm_name"] == vm), None)
    if told is None:
        near = _nearest(plan, vm)
        raise InputError(
            "the plan says nothing about this VM", got=vm, expected=near or "a VM that moves or causes heat"
        )
    steps = [m for m in plan.migrations if m.vm == told["vm"]]
    blocked = [b.reason for b in plan.blocked if b.vm == told["vm"]]
    document = {
        "schema": "explain/1",
        "plan": plan.id,
        **told,
        "moves": [
            {"source": m.source, "destination": m.destination, "reason": m.reason, "seconds": m.seconds,
             "blackout_s": m.blackout_s, "starts_s": m.starts_s, "stopover": m.stopover}
            for m in steps
        ],
        "blocked": blocked,
    }  # fmt: skip
    return Told(document, tuple(_lines(told, steps, blocked)))


def _lines(told: dict[str, Any], steps: list[Any], blocked: list[str]) -> list[str]:
    name = plain(told["vm_name"])
    label = {o["host"]: plain(o["host_name"]) for o in told["options"]}
    lines = []
    if steps:
        route = " -> ".join([label[steps[0].source], *(label[m.destination] for m in steps)])
        lines.append(f"{name} moves {route}: {steps[-1].reason}")
        home = next(o for o in told["options"] if o["home"])
        lines.append(f"Without this move: {_cost(home)}.")
    elif blocked:
        lines.append(f"{name} should move but cannot: {'; '.join(blocked)}")
    else:
        lines.append(f"{name} stays on {label.get(told['home'], plain(told['home']))}: no move is worth its price.")
    refused = [o for o in told["options"] if o["refusals"] and not o["chosen"]]
    allowed = [o for o in told["options"] if not o["refusals"] and not o["chosen"] and not o["home"]]
    if allowed:
        lines.append("Also allowed:")
        lines += [f"  {plain(o['host_name'])}: {_cost(o)}" for o in allowed]
    if refused:
        lines.append("Refused:")
        for o in refused:
            why = "; ".join(f"{plain(r['rule'])} ({plain(r['text'], 160)})" for r in o["refusals"])
            lines.append(f"  {plain(o['host_name'])}: {why}")
    return lines


def _cost(option: dict[str, Any]) -> str:
    if option["refusals"]:
        return "; ".join(f"{plain(r['rule'])}: {plain(r['text'], 160)}" for r in option["refusals"])
    said = []
    for change in option["changes"]:
        if change["amount"]:
            more = "worse" if change["amount"] > 0 else "better"
            percent = change["percent"]
            said.append(
                f"{change['tier']} {more}" + (f" by {abs(percent):,.0f} %" if percent is not None else ", from nothing")
            )
    return ", ".join(said) or "as good"


def _nearest(plan: Plan, vm: str) -> str:
    import difflib

    names = [e["vm_name"] for e in plan.explain.values()] + list(plan.explain)
    near = difflib.get_close_matches(vm, names, 1)
    return f"perhaps {near[0]!r}" if near else ""


def verify_plan(plan: Plan, store: Path, now: datetime | None) -> list[str]:
    """Everything that is wrong with `plan` on the store's inventory (at `now`: the plan's own instant if None)."""
    from datetime import datetime as instant

    from pro.fleet.archive import load_inventory
    from pro.fleet.snapshot import snapshot
    from pro.placement.constraints import build
    from pro.planning.checker import check

    at = now or instant.fromisoformat(plan.now)
    fleet = snapshot(load_inventory(store, at), at, leave_out=True)
    return check(plan, fleet, build(fleet))
