"""Answers about a plan: why a VM goes where it goes and not elsewhere, what a host gets and why, what a rule is broken by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError
from pro.core.text import counted, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pro.planning.plan import Plan

LONG = 160


@dataclass(frozen=True)
class Told:
    """An explanation for programs and for people."""

    document: dict[str, Any]
    lines: tuple[str, ...]


def explain(plan: Plan, name: str, on: str | None = None) -> Told:
    """Explain a VM or a host by id or, if no id fits, by name, or a rule; with `on` (a host), why the VM is not there.

    Raises InputError if the plan knows none of these, or if `on` is asked of something else than a VM.
    """
    if _find(plan.explain, name, "vm_name") is not None:
        return explain_vm(plan, name, on)
    host, rule = _host(plan, name), _rule(plan, name)
    if on is not None and (host is not None or rule is not None):
        raise InputError(f"--on asks about a VM, this is a {'rule' if host is None else 'host'}", got=name)
    if host is not None:
        return _explain_host(plan, host)
    return explain_vm(plan, name, on) if rule is None else _explain_rule(plan, rule)


def explain_vm(plan: Plan, vm: str, on: str | None = None) -> Told:
    """Explain one VM by id or, if no id fits, by name. Raises InputError if the plan does not know it, or not the host `on`."""
    told = _find(plan.explain, vm, "vm_name")
    if told is None:
        raise InputError(
            "the plan says nothing about this VM or host",
            got=vm,
            expected=_expected(plan, vm),
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
        "gain": next((g for g in plan.answers.get("gains", ()) if g["vm"] == told["vm"]), None),
    }  # fmt: skip
    units = plan.answers.get("units", {})
    if on is None:
        return Told(document, tuple(_lines(told, steps, blocked, units)))
    option = next((o for o in told["options"] if o["host"] == on), None)
    option = option or next((o for o in told["options"] if o["host_name"] == on), None)
    if option is None:
        known = [o["host_name"] for o in told["options"]]
        expected = near(on, known) or "a host of the VM's fleet, such as " + ", ".join(known[:5])
        raise InputError("the plan says nothing about this host", got=on, expected=expected, where="--on")
    return Told({**document, "asked": option}, tuple(_why_not(told, option, units)))


def _find(entries: Mapping[str, Any], name: str, called: str) -> Any:
    """By id, by name, or by a name that differs in upper and lower case alone and is the only one that does."""
    found = entries.get(name) or next((e for e in entries.values() if e[called] == name), None)
    if found is not None:
        return found
    alike = [e for e in entries.values() if e[called].casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def _host(plan: Plan, name: str) -> Any:
    return _find(plan.answers.get("hosts", {}), name, "host_name")


def _rule(plan: Plan, name: str) -> dict[str, Any] | None:
    """What the plan says of a rule of that name: what was worked out, else what it leaves broken."""
    told: dict[str, Any] | None = _find(plan.answers.get("rules", {}), name, "rule")
    if told is not None:
        return told
    broken: dict[str, dict[str, Any]] = {}
    for v in plan.violations:
        one = broken.setdefault(v["rule"], {"rule": v["rule"], "written": [], "today": None, "after": []})
        one["after"].append(v["text"])
    found: dict[str, Any] | None = _find(broken, name, "rule")
    return found


def _explain_rule(plan: Plan, rule: dict[str, Any]) -> Told:
    name = plain(rule["rule"])
    lines = []
    for one in rule["written"]:
        source = [plain(one["origin"], 80)] if one["origin"] else []
        source += [f"owner {plain(one['owner'])}"] if one["owner"] else []
        whom = f"about {counted(one['members'], 'VM')}" if one["members"] else "about every VM"
        what = "a preference" if one["soft"] else "a rule"
        lines.append(
            f"{name} is {what} to {plain(one['kind'])}, {whom}" + (f" ({', '.join(source)})" if source else "") + "."
        )
    if rule["today"] is not None and not rule["written"]:
        lines.append(
            f"{name} is in no file of rules: it is kept in every plan, by the settings or by what the platform can do."
        )
    if rule["today"] is not None and not rule["today"]:
        lines.append(f"{name} holds today.")
    lines += [f"{name}, today: {plain(text, 400)}" for text in rule["today"] or ()]
    if not rule["after"]:
        lines.append(f"{name} holds with the plan.")
    lines += [f"{name}, with the plan: {plain(text, 400)}" for text in rule["after"]]
    about = [r for r in plan.answers.get("remedies", ()) if rule["rule"] in r["about"][:1]]
    document = {"schema": "explain/1", "plan": plan.id, **rule, "remedies": about}
    return Told(document, (*lines, *(plain(r["text"], 2_000) for r in about)))


def _lines(told: dict[str, Any], steps: list[Any], blocked: list[str], units: Mapping[str, Any]) -> list[str]:
    name = plain(told["vm_name"])
    label = {o["host"]: plain(o["host_name"]) for o in told["options"]}
    lines = []
    if steps:
        route = " -> ".join([label[steps[0].source], *(label[m.destination] for m in steps)])
        lines.append(f"{name} moves {route}: {steps[-1].reason}")
        home = next(o for o in told["options"] if o["home"])
        breaks = f"breaks {_refusals(home)}; " if home["refusals"] else ""
        lines.append(f"Without this move: {breaks}{changed(home, units)}.")
    elif blocked:
        lines.append(f"{name} should move but cannot: {'; '.join(blocked)}")
    else:
        elsewhere = [o for o in told["options"] if not o["home"]]
        why = "no other host may take it"
        if any(_only_budget(o) for o in elsewhere):
            why = "the budget of migrations is spent; the hosts below refuse it for that alone"
        if any(not o["refusals"] for o in elsewhere):
            why = "no move is worth its price"
        lines.append(f"{name} stays on {label.get(told['home'], plain(told['home']))}: {why}.")
    refused = [o for o in told["options"] if o["refusals"] and not o["chosen"]]
    allowed = [o for o in told["options"] if not o["refusals"] and not o["chosen"] and not o["home"]]
    if allowed:
        lines.append("Also allowed:")
        lines += [f"  {plain(o['host_name'])}: {changed(o, units)}" for o in allowed]
    if refused:
        lines.append("Refused:")
        lines += [
            f"  {plain(o['host_name'])}: {_refused(o, units)}" for o in sorted(refused, key=_only_budget, reverse=True)
        ]
    return lines


def _only_budget(option: Mapping[str, Any]) -> bool:
    """Whether nothing but a spent budget of migrations refuses the VM there."""
    return bool(option["refusals"]) and all(r.get("spent", False) for r in option["refusals"])


def _refused(option: Mapping[str, Any], units: Mapping[str, Any]) -> str:
    more = f"; with a larger one: {changed(option, units)}" if _only_budget(option) else ""
    return _refusals(option) + more


def _why_not(told: dict[str, Any], option: dict[str, Any], units: Mapping[str, Any]) -> list[str]:
    name, host = plain(told["vm_name"]), plain(option["host_name"])
    if option["chosen"]:
        return [f"{name} is on {host} in this plan."]
    if not option["refusals"]:
        return [f"{name} may go to {host}; compared with the plan: {changed(option, units)}."]
    lines = [f"{name} may not go to {host}, with all others where the plan puts them:"]
    lines += [f"  {plain(r['rule'])}, broken by {r['amount']:,}: {plain(r['text'], LONG)}" for r in option["refusals"]]
    return [*lines, f"If that were allowed: {changed(option, units)}."]


def _explain_host(plan: Plan, story: dict[str, Any]) -> Told:
    document = {"schema": "explain/1", "plan": plan.id, **story}
    name, lines = plain(story["host_name"]), []
    for when, said in (("before", "is expected to run hot"), ("after", "stays hot with the plan")):
        lines += [f"{name} {said}: {_hot(spot, plan)}" for spot in story["hot"][when]]
    if not lines:
        lines.append(f"{name} is not expected to run hot, neither now nor with the plan.")
    for key, word, other in (("goes", "leaves", "for"), ("comes", "comes", "from")):
        for p in story[key]:
            lines.append(f"{plain(p['vm_name'])} {word} {other} {plain(p['host_name'])}: {_reason(plan, p['vm'])}")
    if not story["goes"] and not story["comes"]:
        lines.append("Nobody comes and nobody goes.")
    lines.append("Fullest, as expected, of what is allowed:")
    for f in story["fills"]:
        binds = "  <- binds it" if f["resource"] == story["binds"] else ""
        before, after = (f"{_share(f, when):.0%} at {_minute(f['at_' + when])}" for when in ("before", "after"))
        lines.append(f"  {f['resource']}: {before} now, {after} with the plan{binds}")
    if story["refused"]:
        lines.append("Refused to other VMs:")
        for r in story["refused"]:
            lines.append(f"  {plain(r['rule'])}, to {r['vms']}: {'; '.join(plain(t, LONG) for t in r['examples'])}")
    about = [r for r in plan.answers.get("remedies", ()) if story["host"] in r["about"]]
    return Told({**document, "remedies": about}, (*lines, *(plain(r["text"], 2_000) for r in about)))


def _share(fill: Mapping[str, Any], when: str) -> float:
    return float(fill[f"use_{when}"] / fill["limit"]) if fill["limit"] else 0.0


def _hot(spot: Mapping[str, Any], plan: Plan) -> str:
    names = {e["vm"]: e["vm_name"] for e in plan.explain.values()}
    causes = ", ".join(f"{plain(names.get(c['vm'], c['vm']))} {c['share']:.0%}" for c in spot["vms"][:4])
    return (
        f"{spot['resource']}, {_minute(spot['starts'])} to {_minute(spot['ends'])}, in {spot['probability']:.0%} of futures, "
        f"peak {spot['expected_peak']:.0%} of capacity; most of it by {causes or 'the host itself'}"
    )


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")


def _reason(plan: Plan, vm: str) -> str:
    said = [m.reason for m in plan.migrations if m.vm == vm]
    gain = next((g["text"] for g in plan.answers.get("gains", ()) if g["vm"] == vm), "")
    return " ".join([*(plain(s, 400) for s in said[-1:]), *([f"({plain(gain, 400)})"] if gain else [])])


def _refusals(option: Mapping[str, Any]) -> str:
    return "; ".join(f"{plain(r['rule'])} ({plain(r['text'], LONG)})" for r in option["refusals"])


def changed(option: Mapping[str, Any], units: Mapping[str, Any]) -> str:
    """What is more or less than as planned, in people's units where the plan names them."""
    from pro.placement.words import say_changes

    changes = ((c["tier"], c["amount"], c["percent"]) for c in option["changes"])
    return say_changes(changes, {goal: (u["per"], u["unit"]) for goal, u in units.items()}) or "as good"


def _expected(plan: Plan, name: str) -> str:
    """What could have been meant; a plan of a large fleet does not tell of every VM, so the name may well be right."""
    hosts, told = plan.answers.get("hosts", {}), plan.answers.get("told", {})
    names = [e["vm_name"] for e in plan.explain.values()] + [h["host_name"] for h in hosts.values()]
    meant = near(name, [*names, *plan.explain, *hosts])
    if told and told["vms"] < told["of"]:
        some = f"one of the {told['vms']:,} of {told['of']:,} VMs that move or cause heat, or a host (of others in a fleet as large as this: --store DIR)"
        return f"{some}; {meant}" if meant else some
    return meant or "a VM that moves or causes heat, or a host"


def near(name: str, names: Iterable[str]) -> str:
    """The name that could have been meant, in words; "" where none is like it."""
    import difflib

    found: Sequence[str] = difflib.get_close_matches(name, list(names), 1)
    return f"perhaps {found[0]!r}" if found else ""
