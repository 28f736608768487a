"""The loop: instant after instant, every policy looks, decides, and its estate goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.fleet.entities import unite
from pro.forecast.joint import JointForecaster
from pro.outlook import believed, draw_scenarios, reach_of
from pro.remediation.antiflap import Trip
from pro.replay.classic import HourlyGreedy, Nothing, Pro2008, ThresholdMmt
from pro.replay.course import Course
from pro.replay.ours import Ours
from pro.replay.past import STEP_S
from pro.replay.view import View
from pro.telemetry.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pro.config import Config
    from pro.forecast import Scenarios
    from pro.forecast.joint import Reach
    from pro.replay.past import Past
    from pro.replay.policies import PolicySpec
    from pro.replay.view import Steering


HOUR_S = 3600
CHANCE_DAYS, CHANCE_PATHS = 4, 48
"""History and number of paths behind the hourly probabilities."""
BASE_COLUMNS = 576
MOST_KEPT = 48
"""Forecasts kept at a time: policies that go side by side are up to a day apart."""
QUARTER_S = 900
CALIBRATED_COLUMNS = 288
"""How far paths reach is found once a day, and not anew for each forecast."""


def steering(spec: PolicySpec, config: Config) -> Steering:
    """The policy at work that a spec describes."""
    threshold = config.heat.threshold if spec.threshold is None else spec.threshold
    reserve = config.placement.memory_reserve_mib
    if spec.kind == "nothing":
        return Nothing()
    if spec.kind == "ours":
        return Ours(spec, config)
    kinds = {"pro2008": Pro2008, "mmt": ThresholdMmt, "hourly": HourlyGreedy}
    return kinds[spec.kind](spec, threshold, reserve)


@dataclass
class Runner:
    """One policy, its estate, and what it said. `said`: reason -> how often; `forecasts`: how many it drew on."""

    spec: PolicySpec
    steering: Steering
    course: Course
    threshold: float
    said: Counter[str] = field(default_factory=Counter)
    forecasts: int = 0
    chances: list[tuple[int, list[float]]] = field(default_factory=list)
    """(column, probability of every host to be over the threshold in the hour after it, as VMs stand then)."""

    def note_chances(self, shared: Shared) -> None:
        """Note how likely each host is to run hot in the next hour."""
        self.chances.append((self.course.column, shared.chances(self.course, self.threshold)))

    def to_json(self) -> dict[str, Any]:
        """Everything that is needed to go on."""
        return {
            "course": self.course.to_json(), "memory": self.steering.memory(), "said": dict(self.said),
            "forecasts": self.forecasts, "chances": self.chances,
        }  # fmt: skip

    def restore(self, past: Past, body: Mapping[str, Any]) -> None:
        """Go on where `to_json` was."""
        self.course = Course.restored(past, body["course"])
        self.steering.recall(body["memory"])
        self.said, self.forecasts = Counter(body["said"]), body["forecasts"]
        self.chances = [(column, list(share)) for column, share in body["chances"]]


def runners(past: Past, specs: Sequence[PolicySpec], config: Config) -> list[Runner]:
    """All policies at the first instant."""
    return [Runner(s, steering(s, config), Course.begin(past), config.heat.threshold) for s in specs]


class Shared:
    """Forecasts of one instant, drawn once for all policies that ask for the same.

    A host that counts its processors as a VM does (no Hyper-V) is in them as it was, wherever the VMs of a replay stand: its row says
    nothing about a VM, and demand is not read from it. How far paths reach is calibrated at the first instant and every 24 hours after it,
    whenever that is asked for, so that a replay that was interrupted goes on as it would have.
    """

    def __init__(self, past: Past) -> None:
        self.past = past
        self._lock = RLock()
        self._drawn: dict[Any, Mapping[str, Scenarios]] = {}
        self._reach: dict[Any, Mapping[str, Reach]] = {}

    def scenarios(self, column: int, config: Config) -> Mapping[str, Scenarios]:
        """Joint paths drawn at `column` from what VMs' counters showed up to it."""
        settings = config.forecast
        return self._of(column, settings, lambda reach: draw_scenarios(self._seen(column, settings.history_days), config, reach=reach),
                        lambda at: reach_of(self._seen(at, settings.history_days), config))  # fmt: skip

    def _seen(self, column: int, days: float) -> dict[str, Grid]:
        """Counters as they were known at `column`."""
        return {n: believed(unite(self.past.fleet, g)) for n, g in self.past.until(column, days).items()}

    def _of(
        self,
        column: int,
        key: Any,
        drawn: Callable[[Mapping[str, Reach]], Mapping[str, Scenarios]],
        reach: Callable[[int], Mapping[str, Reach]],
    ) -> Mapping[str, Scenarios]:
        """What `drawn` says, with what `reach` says for the last column not after `column` at which paths are calibrated."""
        at = column - (column - self.past.first) % CALIBRATED_COLUMNS
        with self._lock:
            if (column, key) not in self._drawn:
                if (at, key) not in self._reach:
                    _add(self._reach, (at, key), reach(at))
                _add(self._drawn, (column, key), drawn(self._reach[at, key]))
            return self._drawn[column, key]

    def chances(self, course: Course, threshold: float) -> list[float]:
        """Probability of every host to be over `threshold` for a quarter of an hour within the next hour, VMs standing as now.

        From paths of an hour in slots of 15 minutes; what a host spends on itself is taken to be its median over two days.
        """
        past, k = course.past, course.column
        drawn = self._of(k, "hour", lambda reach: _hourly(past, k, reach).scenarios(HOUR_S, CHANCE_PATHS, 1),
                         lambda at: _hourly(past, at).calibrate(HOUR_S))  # fmt: skip
        paths = np.minimum(drawn["cpu_pct"].values, 100.0)
        stands = np.zeros((past.fleet.n_hosts, past.fleet.n_vms))
        stands[course.host_of, np.arange(past.fleet.n_vms)] = past.fleet.cpu_cap_mhz / 100.0
        use = (stands @ paths.reshape(past.fleet.n_vms, -1)).reshape(-1, *paths.shape[1:])
        own = np.median(past.own[:, max(k - BASE_COLUMNS, 0) : k + 1], axis=1)
        hot = (use + own[:, None, None]) > threshold * past.capacity[:, None, None]
        return [round(float(p), 4) for p in hot.any(axis=2).mean(axis=1)]


def _add(kept: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep it; the oldest goes where there are too many."""
    while len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value


def _hourly(past: Past, column: int, reach: Mapping[str, Reach] | None = None) -> JointForecaster:
    """Of per cent of every VM's processors in quarters of an hour, fitted to some days as they were known at `column`."""
    begin = max(column + 1 - CHANCE_DAYS * 86_400 // STEP_S, 0)
    cap = np.maximum(past.fleet.cpu_cap_mhz, 1)[:, None]
    values = (100.0 * past.seen(column)[:, begin:] / cap).astype(np.float32)
    grid = believed(Grid("cpu_pct", past.fleet.vms, past.at(begin), STEP_S, values))
    return JointForecaster(slot_s=QUARTER_S, reach=reach).fit({"cpu_pct": grid})


@dataclass(frozen=True)
class Sight:
    """The `Reader` of one view: bound to its column."""

    shared: Shared
    course: Course
    column: int

    def history(self, days: float) -> dict[str, Grid]:
        """Counters of the last `days`, host counters as the replay has them."""
        found = self.shared.past.until(self.column, days, self.course.load)
        return {name: believed(unite(self.shared.past.fleet, grid)) for name, grid in found.items()}

    def trips(self) -> tuple[Trip, ...]:
        """Migrations that are over, oldest first."""
        past = self.course.past
        return tuple(Trip(m.vm, m.source, m.destination, past.at(m.column)) for m in self.course.trail)

    def scenarios(self, config: Config) -> Mapping[str, Scenarios]:
        """Joint paths drawn at this instant."""
        return self.shared.scenarios(self.column, config)


def view_of(course: Course, shared: Shared) -> View:
    """What the policy of `course` sees now."""
    past, k = course.past, course.column
    return View(
        now=past.at(k), base=past.fleet, placed=course.host_of, coming=course.under_way, use=past.seen(k),
        load=course.known_load(), counted=past.counted[:, : k + 1], reader=Sight(shared, course, k),
    )  # fmt: skip


def look(runner: Runner, shared: Shared, until: int) -> None:
    """One instant of one policy: decide, ask for what was decided, and let the time until the next instant pass."""
    decision = runner.steering.decide(view_of(runner.course, shared))
    runner.said[decision.why] += 1
    runner.forecasts += decision.forecast
    runner.course.ask(decision.migrations)
    runner.course.go_to(until)


def columns(past: Past, every_s: float) -> list[int]:
    """Columns at which policies look."""
    return list(range(past.first, past.last, max(round(every_s / STEP_S), 1)))
