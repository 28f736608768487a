"""A plan's question asked again of the store it came from: for answers that its file has no room for, or had no time for."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pro.config import Config
    from pro.core.arrays import Ints
    from pro.outlook import Outlook
    from pro.placement.policy import Policy
    from pro.placement.question import Question
    from pro.placement.relax import Wanted
    from pro.planning.plan import Plan
    from pro.workflow import Tell


@dataclass(frozen=True)
class Again:
    """The question of `plan`, compiled again.

    `host_of` (V,): where the plan leaves every VM. `hot`: "before" and "after", hotspots as JSON. `least`: share of scenarios from which
    a host counts as one. `remarks`: what is not as it was.
    """

    plan: Plan
    question: Question
    host_of: Ints
    hot: Mapping[str, Sequence[Mapping[str, Any]]]
    least: float
    remarks: tuple[str, ...] = ()


def ask_again(plan: Plan, store: Path, config: Config, tell: Tell) -> Again:
    """Look, forecast and compile as when `plan` was made: same instant, same inventory, same settings of forecast, heat and policy.

    Raises InputError where the plan does not say how it was asked, and where the store knows another fleet for that instant.
    """
    from datetime import datetime

    from pro.decision import hold_back, hot_spots, standing_by
    from pro.fleet.archive import load_inventory
    from pro.heat.hotspots import summary
    from pro.placement.question import prepare
    from pro.planning.facts import changes, facts_now
    from pro.planning.make import final_host_of
    from pro.remediation.antiflap import staying
    from pro.workflow import look_ahead

    config, policy, at = read_asked(plan, config)
    outlook = look_ahead(store, config, datetime.fromisoformat(plan.now), tell, load_inventory(store, at))
    outlook = replace(outlook, fleet=staying(outlook.fleet, plan.asked["still"]))
    fleet = hold_back(outlook, policy)
    if changed := changes(plan.facts, facts_now(plan.facts, fleet, plan.ends)):
        raise InputError(
            f"the store does not know the fleet that this plan was made for: {'; '.join(changed[:3])}", where=store
        )
    tell("compiling rules and goals")
    question = prepare(fleet, outlook.demand, standing_by(policy, outlook, fleet))
    host_of = final_host_of(plan, fleet)
    today = summary(fleet, outlook.demand, fleet.host_of, policy.threshold).to_json()
    return Again(
        plan, question, host_of, hot_spots(host_of, outlook, config, policy), config.heat.min_probability,
        () if today == plan.before else (_other_forecast(outlook),),
    )  # fmt: skip


def _other_forecast(outlook: Outlook) -> str:
    return (
        f"for {outlook.now:%Y-%m-%d %H:%M} UTC the store expects something else than when the plan was made (counters came late, or what "
        "was learned is another): answers are by what is there now"
    )


def read_asked(plan: Plan, config: Config) -> tuple[Config, Policy, datetime | None]:
    """(`config` with the settings of forecast and heat that the plan was made with, its policy, the instant of its inventory).

    Raises InputError where the plan does not say, or not what this version understands.
    """
    from datetime import datetime

    from pro.config import ForecastConfig, HeatConfig
    from pro.placement.policy import Policy
    from pro.placement.weights import Weights

    asked = plan.asked
    if not asked:
        raise InputError("the plan does not say how it was asked", expected="a plan of `pro plan`", where="plan.asked")
    try:
        told = dict(asked["policy"])
        for name in ("evacuate", "take_restarts"):
            told[name] = tuple(told[name])
        policy = Policy(**{**told, "weights": Weights(**told["weights"])}, workers=config.placement.workers)
        sections = {"forecast": ForecastConfig(**asked["forecast"]), "heat": HeatConfig(**asked["heat"])}
        at = None if asked["inventory"] is None else datetime.fromisoformat(asked["inventory"])
        {}.update(asked["still"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the plan was asked in a way that is not understood: {error}", where="plan.asked") from None
    return config.model_copy(update=sections), policy, at


def answered(again: Again, name: str, *, everywhere: bool = False, seconds: float | None = None) -> Plan:
    """The plan with everything about `name` (id or name of a VM or host, or the name of a rule) worked out anew, whatever the file says.

    `everywhere`: about all hosts, also of a fleet in which a VM is told about those of its cluster. `seconds`: deterministic ones that
    the search for rules to relax may take for each thing that cannot be had. Raises InputError where nobody is called so.
    """
    from pro.placement.answers import units_told

    fleet, plan = again.question.fleet, again.plan
    said = {**plan.answers, "units": units_told(again.question)}
    if (v := named(fleet.vms, fleet.vm_names, name)) is not None:
        return replace(plan, explain={**plan.explain, fleet.vms[v]: _vm(again, v, everywhere=everywhere)}, answers=said)
    if (h := named(fleet.hosts, fleet.host_names, name)) is not None:
        about = [w for w in _wanted(again) if fleet.hosts[h] in w.about]
        hosts = {**said.get("hosts", {}), **_host(again, h)}
        return replace(plan, answers={**said, "hosts": hosts, "remedies": _remedies(again, about, seconds)})
    rules = list(dict.fromkeys(rule.name for rule in (*again.question.constraints, *again.question.preferences)))
    if (r := named(rules, rules, name)) is not None:
        about = [w for w in _wanted(again) if w.rule is not None and w.about[0] == rules[r]]
        told = {rules[r]: _rule(again, rules[r])}
        return replace(plan, answers={**said, "rules": told, "remedies": _remedies(again, about, seconds)})
    raise InputError(
        "no VM, host or rule is called so",
        got=name,
        expected=_perhaps(name, [*fleet.vm_names, *fleet.host_names, *rules]),
    )


def named(ids: Sequence[str], names: Sequence[str], name: str) -> int | None:
    """Who has this id, or this name, or the only name that differs from it in upper and lower case alone."""
    for among in (ids, names):
        if name in among:
            return among.index(name)
    lower = [n.casefold() for n in names]
    return lower.index(name.casefold()) if Counter(lower)[name.casefold()] == 1 else None


def _perhaps(name: str, names: Sequence[str]) -> str:
    from pro.actions.explaining import near

    known = near(name, names) or "the id or name of a VM, of a host or of a rule"
    return f"{known}; about hosts that fail asks `pro failover`" if "failover" in name.casefold() else known


def _vm(again: Again, v: int, *, everywhere: bool) -> dict[str, Any]:
    from pro.placement.told import explained

    all_hosts = np.arange(again.question.fleet.n_hosts)
    (told,) = explained(again.question, again.host_of, [v], (lambda _: all_hosts) if everywhere else None)
    return asdict(told)


def _host(again: Again, h: int) -> dict[str, Any]:
    """Its story; what it refuses is asked for every VM, in a large fleet for those of its cluster."""
    from pro.placement.answers import host_told
    from pro.placement.told import explained, is_large, neighbours

    fleet = again.question.fleet
    near = neighbours(fleet) if is_large(fleet) else np.zeros(fleet.n_hosts, np.int64)
    vms = np.flatnonzero(near[fleet.host_of] == near[h]).tolist()
    told = explained(again.question, again.host_of, vms, lambda _: np.array([h]))
    return host_told(again.question, again.host_of, [h], told, again.hot)


def _rule(again: Again, name: str) -> dict[str, Any]:
    """Every rule of that name: who wrote it and where, and how it is broken today and with the plan."""
    fleet, question = again.question.fleet, again.question
    ours = [rule for rule in (*question.constraints, *question.preferences) if rule.name == name]
    return {
        "rule": name,
        "written": [
            {"kind": r.kind, "origin": r.origin, "owner": r.owner, "members": len(r.members), "soft": r.soft}
            for r in fleet.rules
            if r.name == name
        ],
        "today": [v.text for rule in ours for v in rule.violations(fleet, fleet.host_of)],
        "after": [v.text for rule in ours for v in rule.violations(fleet, again.host_of)],
    }


def _wanted(again: Again) -> list[Wanted]:
    from pro.placement.answers import still_wanted

    blocked = {b.vm: b.reason for b in again.plan.blocked}
    return still_wanted(again.question, again.host_of, again.hot["after"], again.least, blocked)


def _remedies(again: Again, wanted: Sequence[Wanted], seconds: float | None) -> list[dict[str, Any]]:
    from pro.placement.relax import remedy

    question = again.question
    return [
        asdict(remedy(question.fleet, question.constraints, w, again.host_of, work=seconds, seed=question.policy.seed))
        for w in wanted
    ]
