"""The contract: what may be applied without asking anybody. No contract, nothing.

A TOML or JSON file; every limit has to be stated, for what nobody wrote down nobody agreed to:

    schema = "contract/1"
    goals = ["balance", "repair"]
    max_moves = 6
    max_gib = 100
    max_blackout_s = 2.0
    min_probability = 0.7
    quick = false                       # optional: may VMs be saved and resumed (an outage)?
    [window]                            # or: window = "always"
    zone = "Europe/Berlin"
    days = ["mon", "tue", "wed", "thu"]
    starts = "22:00"
    ends = "05:00"
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pro.core.errors import InputError
from pro.core.text import counted
from pro.remediation.gates import Permit
from pro.remediation.window import DAYS, ChangeWindow

if TYPE_CHECKING:
    from pathlib import Path

    from pro.backends.base import World
    from pro.planning.plan import Plan

SCHEMA = "contract/1"
GOALS = ("balance", "consolidate", "repair")
_REQUIRED = ("schema", "goals", "max_moves", "max_gib", "max_blackout_s", "min_probability", "window")


@dataclass(frozen=True)
class Contract:
    """Alone if at most `max_moves` migrations, `max_gib`, `max_blackout_s` for any one VM, inside `window` (None: always),
    with at least `min_probability`, for one of `goals`; otherwise ask."""

    goals: frozenset[str]
    max_moves: int
    max_gib: float
    max_blackout_s: float
    min_probability: float
    window: ChangeWindow | None
    quick: bool = False

    def allows(self, plan: Plan, probability: float, world: World, now: datetime) -> Permit:
        """Whether `plan` may be applied alone. `probability`: of the least sure hotspot it acts on; 1 for broken rules."""
        gib = sum(m.mib for m in plan.migrations) / 1024
        blackout: dict[str, float] = {}
        for m in plan.migrations:
            blackout[m.vm] = blackout.get(m.vm, 0.0) + m.blackout_s
        worst = max(blackout.values(), default=0.0)
        reasons = []
        if plan.goal not in self.goals:
            reasons.append(f"the goal {plan.goal} is not in the contract")
        if len(plan.migrations) > self.max_moves:
            reasons.append(f"{counted(len(plan.migrations), 'migration')}, the contract allows {self.max_moves}")
        if gib > self.max_gib:
            reasons.append(f"{gib:.1f} GiB, the contract allows {self.max_gib:g}")
        if worst > self.max_blackout_s:
            reasons.append(f"a blackout of {worst:.1f} s, the contract allows {self.max_blackout_s:g}")
        if not probability >= self.min_probability:
            reasons.append(f"a probability of {probability:.0%}, the contract asks for {self.min_probability:.0%}")
        if not self.quick and any(m.kind == "quick" for m in plan.migrations):
            reasons.append("a quick migration is an outage, and the contract does not allow any")
        window = Permit(True, "") if self.window is None else self.window.permits(plan, world, now)
        reasons += [] if window.allowed else [window.reason]
        return Permit(not reasons, "; ".join(reasons) or "within the contract")


@dataclass(frozen=True)
class ContractGate:
    """A contract as a gate, for a plan of known probability. No contract refuses everything."""

    name: ClassVar[str] = "contract"
    contract: Contract | None
    probability: float

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Whether the contract allows `plan`."""
        if self.contract is None:
            return Permit(False, "there is no contract, so a person has to approve")
        return self.contract.allows(plan, self.probability, world, now)


def load_contract(path: Path) -> Contract:
    """The contract in a .toml or .json file. Raises InputError that says what is wrong and where."""
    try:
        text = path.read_text(encoding="utf-8")
        body = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(f"the contract cannot be read ({error})", where=path) from error
    return parse_contract(body, str(path))


def parse_contract(body: Any, where: str) -> Contract:
    """A contract from what was read. Unknown keys are an error: a limit that is misspelt limits nothing."""
    if not isinstance(body, dict):
        raise InputError("a contract is a table of keys", got=type(body).__name__, where=where)
    unknown = sorted(set(body) - {*_REQUIRED, "quick"})
    missing = [key for key in _REQUIRED if key not in body]
    if unknown or missing:
        parts = [f"unknown: {', '.join(unknown)}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
        raise InputError("; ".join(parts), expected=", ".join(_REQUIRED), where=where)
    if body["schema"] != SCHEMA:
        raise InputError("unknown schema", got=body["schema"], expected=SCHEMA, where=where)
    goals = body["goals"]
    if not isinstance(goals, list) or not goals or not all(g in GOALS for g in goals):
        raise InputError("goals must be a list", got=goals, expected=f"some of {', '.join(GOALS)}", where=where)
    if not isinstance(body.get("quick", False), bool):
        raise InputError("quick must be true or false", got=body["quick"], where=where)
    moves = _number(body, "max_moves", where)
    if moves != int(moves):
        raise InputError("max_moves must be a whole number", got=moves, where=where)
    return Contract(
        goals=frozenset(goals),
        max_moves=int(moves),
        max_gib=_number(body, "max_gib", where),
        max_blackout_s=_number(body, "max_blackout_s", where),
        min_probability=_number(body, "min_probability", where, upper=1.0),
        window=None if body["window"] == "always" else _window(body["window"], f"{where}, window"),
        quick=body.get("quick", False),
    )


def _number(body: dict[str, Any], key: str, where: str, upper: float = 1e9) -> float:
    value = body[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= upper:
        raise InputError(f"{key} must be a number", got=value, expected=f"0 to {upper:g}", where=where)
    return float(value)


def _window(body: Any, where: str) -> ChangeWindow:
    if not isinstance(body, dict) or not {"zone", "starts", "ends"} <= set(body) <= {"zone", "starts", "ends", "days"}:
        raise InputError(
            "not a change window", got=body, expected='"always" or zone, starts, ends and maybe days', where=where
        )
    try:
        ZoneInfo(body["zone"])
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise InputError(
            "unknown time zone", got=body["zone"], expected="a name such as Europe/Berlin", where=where
        ) from None
    days = body.get("days", list(DAYS))
    if not isinstance(days, list) or not days or not all(d in DAYS for d in days):
        raise InputError("days must be a list", got=days, expected=f"some of {', '.join(DAYS)}", where=where)
    return ChangeWindow(
        body["zone"],
        _clock_time(body, "starts", where),
        _clock_time(body, "ends", where),
        frozenset(map(DAYS.index, days)),
    )


def _clock_time(body: dict[str, Any], key: str, where: str) -> time:
    value = body[key]
    try:
        found = value if isinstance(value, time) else datetime.strptime(value, "%H:%M").time()
    except (TypeError, ValueError):
        raise InputError(f"{key} must be a time of day", got=value, expected='"HH:MM"', where=where) from None
    return found
