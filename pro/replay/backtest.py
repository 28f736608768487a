"""The backtest: had these policies run over the past, what would have happened? Kept on disk as it goes, so that it can be taken up."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pro import __version__
from pro.core.errors import InputError
from pro.core.files import write_atomically
from pro.placement.policy import WORTH
from pro.replay.known import Known
from pro.replay.loop import HOUR_S, Runner, Shared, columns, look, runners
from pro.replay.measure import BUSY_W, IDLE_W, Account, account
from pro.replay.policies import distinct
from pro.replay.verdict import STEADY, remarks, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pro.config import Config
    from pro.replay.past import Past
    from pro.replay.policies import PolicySpec

STATE = "backtest-state.json"
LOOKS_KEPT = 96
"""Looks between two writes of the state."""


@dataclass(frozen=True)
class Row:
    """One policy's result."""

    runner: Runner
    account: Account

    @property
    def name(self) -> str:
        """Of the policy."""
        return self.runner.spec.name

    @property
    def cost(self) -> float:
        """Per cent x hours over the threshold, and for every migration what it must be worth at aggressiveness 3."""
        return self.account.area + WORTH[3] * self.account.migrations

    @property
    def steady(self) -> bool:
        """Whether it undoes so little that it can be recommended."""
        return self.account.undone <= STEADY * self.account.migrations


@dataclass(frozen=True)
class Backtest:
    """All rows, the one of doing nothing first."""

    past: Past
    every_s: float
    threshold: float
    looks: int
    rows: tuple[Row, ...]

    @property
    def nothing(self) -> Row:
        """What happened."""
        return self.rows[0]

    @property
    def best(self) -> Row:
        """The cheapest of the steady ones."""
        return min((r for r in self.rows if r.steady), key=lambda r: (r.cost, r.account.migrations))

    @cached_property
    def known(self) -> Known:
        """How much of the replayed time is known."""
        return Known.of(self.past)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the past does not tell, and what to know about policies beside the verdict."""
        return (*self.past.warnings, *self.known.warnings, *remarks(self))

    def to_json(self) -> dict[str, Any]:
        """Schema "backtest/1"."""
        past = self.past
        return {
            "schema": "backtest/1", "from": past.at(past.first).isoformat(), "to": past.at(past.last).isoformat(),
            "every_s": self.every_s, "threshold": self.threshold, "looks": self.looks,
            "hosts": past.fleet.n_hosts, "vms": past.fleet.n_vms,
            "power_model": {"idle_w": IDLE_W, "busy_w": BUSY_W, "empty_w": 0.0},
            "policies": [self._row(r) for r in self.rows], "best": self.best.name, "verdict": verdict(self),
            "warnings": list(self.warnings),
        }  # fmt: skip

    def _row(self, row: Row) -> dict[str, Any]:
        nothing, runner = self.nothing.account, row.runner
        return {
            "name": row.name, "kind": runner.spec.kind, "parameters": runner.spec.model_dump(exclude={"name", "kind"}),
            **row.account.to_json(),
            "hot_minutes_of_nothing": _share(row.account.hot_minutes, nothing.hot_minutes),
            "area_of_nothing": _share(row.account.area, nothing.area),
            "forecasts": runner.forecasts, "refused": runner.course.refused, "said": dict(sorted(runner.said.items())),
        }  # fmt: skip


@dataclass(frozen=True)
class Keep:
    """Where the state is kept: in `folder`, every so many `looks`. `tell` hears from which share of all a run could go on now."""

    folder: Path
    tell: Callable[[float], None] = lambda _: None
    looks: int = LOOKS_KEPT


def backtest(
    past: Past,
    specs: Sequence[PolicySpec],
    config: Config,
    *,
    every_s: float,
    keep: Keep | None = None,
    tell: Callable[[float], None] = lambda _: None,
) -> Backtest:
    """Replay `past` under every policy; doing nothing is always among them.

    `keep`: where the state is kept; a backtest of exactly the same that was interrupted goes on where it was last kept. `tell` hears
    the share that is done, 0..1.
    """
    specs = distinct(specs)
    looks, shared = columns(past, every_s), Shared(past)
    mark = fingerprint(past, specs, config, every_s)
    begin, crew = _restored(keep.folder if keep else None, mark, past, runners(past, specs, config))
    if not crew:
        crew = runners(past, specs, config)
    looks_kept = keep.looks if keep else LOOKS_KEPT
    if keep and begin:
        keep.tell(begin / len(looks))
    with ThreadPoolExecutor(1) as beside:
        for first in range(begin, len(looks), looks_kept):
            steps = range(first, min(first + looks_kept, len(looks)))
            others = beside.submit(_go, crew[1::2], shared, looks, steps, every_s)
            _go(crew[::2], shared, looks, steps, every_s, tell)
            others.result()
            if keep:
                _keep(keep.folder, mark, steps.stop, crew)
                keep.tell(steps.stop / len(looks))
    threshold = config.heat.threshold
    rows = tuple(Row(r, account(past, r.course.trail, threshold)) for r in crew)
    return Backtest(past, every_s, threshold, len(looks), rows)


def fingerprint(past: Past, specs: Sequence[PolicySpec], config: Config, every_s: float) -> str:
    """Of everything the result depends on."""
    digest = hashlib.sha256()
    for array in (past.use, past.own, past.counted, past.fleet.host_of, past.fleet.capacity):
        digest.update(np.ascontiguousarray(array).tobytes())
    said = [__version__, past.start.isoformat(), past.first, past.last, every_s, past.fleet.vms, past.fleet.hosts]
    said += [[s.model_dump() for s in specs], config.model_dump(mode="json"), repr(past.fleet.rules)]
    digest.update(json.dumps(said, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _go(
    crew: Sequence[Runner],
    shared: Shared,
    looks: Sequence[int],
    steps: range,
    every_s: float,
    tell: Callable[[float], None] = lambda _: None,
) -> None:
    """These policies through these looks; policies know nothing of each other, so two crews may go side by side."""
    past = shared.past
    for step in steps:
        until = looks[step + 1] if step + 1 < len(looks) else past.last
        for runner in crew:
            if step == 0 or past.at(looks[step]).hour != past.at(looks[step - 1]).hour or every_s >= HOUR_S:
                runner.note_chances(shared)
            look(runner, shared, until)
        tell((step + 1) / len(looks))


def _share(value: float, whole: float) -> float | None:
    return round(value / whole, 4) if whole else None


def _keep(folder: Path, mark: str, step: int, crew: Sequence[Runner]) -> None:
    body = {
        "schema": "backtest-state/1",
        "of": mark,
        "step": step,
        "policies": {r.spec.name: r.to_json() for r in crew},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / STATE, json.dumps(body, allow_nan=False).encode())


def _restored(folder: Path | None, mark: str, past: Past, crew: list[Runner]) -> tuple[int, list[Runner]]:
    """The step to go on with and the policies as they were; (0, []) when nothing of the same backtest was kept whole."""
    if folder is None or not (folder / STATE).is_file():
        return 0, []
    try:
        body = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if body["schema"] != "backtest-state/1" or body["of"] != mark:
            return 0, []
        for runner in crew:
            runner.restore(past, body["policies"][runner.spec.name])
        return int(body["step"]), crew
    except (InputError, ValueError, KeyError, TypeError):
        return 0, []
