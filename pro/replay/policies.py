"""Policies that a backtest compares: what each is called, of which kind it is, and its parameters."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pro.config import SlotMinutes, faults_of
from pro.core.errors import InputError
from pro.remediation.antiflap import LEAD_H, SAVED_DAYS, AntiFlap, daily

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Kind = Literal["nothing", "pro2008", "mmt", "hourly", "ours"]


class PolicySpec(BaseModel):
    """A policy as `--policy FILE` (TOML) states it. Parameters that a kind does not use are ignored by it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]*$", description="in tables and file names"
    )
    kind: Kind = Field(description="nothing, pro2008, mmt, hourly or ours")
    threshold: float | None = Field(
        None, gt=0, le=1, description="fraction of capacity; unset: the settings' threshold"
    )
    samples: int = Field(
        3, ge=1, description="pro2008, mmt: samples of 5 minutes over the threshold in a row that raise the alert"
    )
    aggressiveness: int = Field(3, ge=1, le=5, description="ours: as in the settings")
    goal: Literal["balance", "consolidate"] = Field("balance", description="ours: as of `pro plan`")
    weigh_power: float | None = Field(
        None,
        ge=0,
        le=1_000,
        allow_inf_nan=False,
        description="ours: migrations that 100 W are worth (typical curves); unset: as in the settings",
    )
    look_minutes: float = Field(
        120.0, gt=0, description="ours: a forecast at least this often; between them only what is measured is looked at"
    )
    again_minutes: float = Field(
        60.0, gt=0, description="ours: after a look that found nothing better, a host that stays hot is looked at again"
    )
    lead_h: float = Field(LEAD_H, gt=0, description="ours: heat expected later than this can wait for a later look")
    min_probability: float = Field(0.3, gt=0, le=1, description="ours: least share of scenarios in which a host is hot")
    horizon_h: float = Field(24.0, gt=0, description="ours: how far plans look ahead")
    slot_minutes: SlotMinutes = Field(60, description="ours: length of a time slot of a moment")
    scenarios: int = Field(16, ge=1, le=1000, description="ours: joint sample paths")
    history_days: float = Field(4.0, gt=0, description="ours: days of counters that forecasts look back on")
    rounds: int = Field(8, ge=0, description="ours: rounds of local search")
    moves_per_plan: int | None = Field(None, ge=0, description="ours: migrations in one plan; unset: as `pro plan`")
    moves_per_day: int | None = Field(
        None, ge=0, description="ours: migrations a day, on the average; unset: one for every 30 VMs, at least 2"
    )
    saved_days: float = Field(
        SAVED_DAYS,
        ge=1,
        description="ours: so many days' migrations may be saved up while little moves; it begins with these",
    )
    reserve: float = Field(
        0.34,
        ge=0,
        le=1,
        description="ours: share of a day's migrations kept for hosts that are hot, not only expected to be",
    )
    dwell_minutes: float = Field(15.0, ge=0, description="ours: hot for this long before it is acted on")
    margin: float = Field(0.05, ge=0, lt=1, description="ours: act above the threshold, plan to this far below it")
    cooldown_minutes: float = Field(240.0, ge=0, description="ours: rest of a VM after a migration, doubled each time")
    longest_minutes: float = Field(2880.0, ge=0, description="ours: longest rest of a VM")
    ledger_h: float = Field(24.0, ge=0, description="ours: for so long a way back needs more gain")
    return_gain: float = Field(10.0, ge=1, description="ours: how many times the usual gain a way back needs")
    most_hot: float = Field(
        0.4, gt=0, le=1, description="ours: share of hosts hot at once from which the data is doubted"
    )

    @property
    def antiflap(self) -> AntiFlap:
        """How steady it is."""
        return AntiFlap(
            dwell_minutes=self.dwell_minutes, margin=self.margin, cooldown_minutes=self.cooldown_minutes,
            longest_minutes=self.longest_minutes, ledger_h=self.ledger_h, return_gain=self.return_gain,
            most_hot=self.most_hot,
        )  # fmt: skip

    def daily(self, vms: int) -> int:
        """Migrations a day, on the average."""
        return daily(vms) if self.moves_per_day is None else self.moves_per_day


def side_by_side() -> tuple[PolicySpec, ...]:
    """What is compared when nobody says: doing nothing, three rules people use, and ours at every aggressiveness."""
    return (
        PolicySpec(name="nothing", kind="nothing"),
        PolicySpec(name="pro-2008", kind="pro2008"),
        PolicySpec(name="threshold-mmt", kind="mmt"),
        PolicySpec(name="hourly-greedy", kind="hourly"),
        *(PolicySpec(name=f"ours-{a}", kind="ours", aggressiveness=a) for a in (1, 2, 3, 4, 5)),
    )


def load_policies(files: Iterable[Path]) -> tuple[PolicySpec, ...]:
    """Policies from TOML files, one a file. Raises InputError that names file, key, what it got and what was expected."""
    found = []
    for file in files:
        try:
            body: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"the policy cannot be read ({error})", where=file) from error
        try:
            found.append(PolicySpec(**{"name": file.stem, **body}))
        except (ValidationError, TypeError) as error:
            raise InputError(_words(error), where=file) from None
    return tuple(found)


def beside_nothing(specs: Iterable[PolicySpec]) -> tuple[PolicySpec, ...]:
    """`specs` with doing nothing, which is always among them and comes first."""
    found = sorted(specs, key=lambda s: s.kind != "nothing")
    if not found or found[0].kind != "nothing":
        found.insert(0, PolicySpec(name="nothing", kind="nothing"))
    return tuple(found)


def distinct(specs: Iterable[PolicySpec]) -> tuple[PolicySpec, ...]:
    """`specs` beside doing nothing; InputError where two of them have one name, for results and files are found by name."""
    found = beside_nothing(specs)
    names = [s.name.casefold() for s in found]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(
            "two policies of one name", got=", ".join(twice),
            expected="a name of its own in each file; doing nothing is always beside them and is called nothing",
        )  # fmt: skip
    return found


def _words(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    known = ", ".join(PolicySpec.model_fields)
    return faults_of(error, lambda key: f"unknown parameter {key}, expected some of {known}")
