"""The loop: instant after instant, every policy looks, decides, and its estate goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pro.remediation.antiflap import Trip
from pro.replay.classic import HourlyGreedy, Nothing, Pro2008, ThresholdMmt
from pro.replay.course import Course
from pro.replay.ours import Ours
from pro.replay.past import STEP_S
from pro.replay.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from pro.config import Config
    from pro.forecast import Scenarios
    from pro.replay.past import Past
    from pro.replay.policies import PolicySpec
    from pro.replay.view import Steering
    from pro.telemetry import Grid


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
    said: Counter[str] = field(default_factory=Counter)
    forecasts: int = 0

    def to_json(self) -> dict[str, Any]:
        """Everything that is needed to go on."""
        return {
            "course": self.course.to_json(), "memory": self.steering.memory(), "said": dict(self.said),
            "forecasts": self.forecasts,
        }  # fmt: skip

    def restore(self, past: Past, body: Mapping[str, Any]) -> None:
        """Go on where `to_json` was."""
        self.course = Course.restored(past, body["course"])
        self.steering.recall(body["memory"])
        self.said, self.forecasts = Counter(body["said"]), body["forecasts"]


def runners(past: Past, specs: Sequence[PolicySpec], config: Config) -> list[Runner]:
    """All policies at the first instant."""
    return [Runner(spec, steering(spec, config), Course.begin(past)) for spec in specs]


class Shared:
    """Forecasts of one instant, drawn once for all policies that ask for the same."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self._column = -1
        self._drawn: dict[Any, Mapping[str, Scenarios]] = {}

    def scenarios(self, column: int, config: Config) -> Mapping[str, Scenarios]:
        """Joint paths drawn at `column` from what VMs' counters showed up to it."""
        from pro.stages import draw_scenarios

        if column != self._column:
            self._column, self._drawn = column, {}
        key = config.forecast
        if key not in self._drawn:
            self._drawn[key] = draw_scenarios(self.past.until(column, key.history_days), config)
        return self._drawn[key]


@dataclass(frozen=True)
class Sight:
    """The `Reader` of one view: bound to its column."""

    shared: Shared
    course: Course
    column: int

    def history(self, days: float) -> dict[str, Grid]:
        """Counters of the last `days`, host counters as the replay has them."""
        from pro.fleet.entities import unite

        found = self.shared.past.until(self.column, days, self.course.load)
        return {name: unite(self.shared.past.fleet, grid) for name, grid in found.items()}

    def scenarios(self, config: Config) -> Mapping[str, Scenarios]:
        """Joint paths drawn at this instant."""
        return self.shared.scenarios(self.column, config)


def view_of(course: Course, shared: Shared, step: int) -> View:
    """What the policy of `course` sees now."""
    past, k = course.past, course.column
    trips = tuple(Trip(m.vm, m.source, m.destination, past.at(m.column)) for m in course.trail)
    since: dict[str, datetime] = {}
    for trip in trips:
        since[trip.source] = since[trip.destination] = trip.ended
    placed: NDArray[np.int64] = course.host_of
    from dataclasses import replace

    return View(
        now=past.at(k), step=step, fleet=replace(past.fleet, host_of=placed, at=past.at(k)), coming=course.under_way,
        use=past.use[:, : k + 1], load=course.load[:, : k + 1], counted=past.counted[:, : k + 1], trips=trips, since=since,
        reader=Sight(shared, course, k),
    )  # fmt: skip


def look(runner: Runner, shared: Shared, step: int, until: int) -> None:
    """One instant of one policy: decide, ask for what was decided, and let the time until the next instant pass."""
    decision = runner.steering.decide(view_of(runner.course, shared, step))
    runner.said[decision.why] += 1
    runner.forecasts += decision.forecast
    runner.course.ask(decision.migrations)
    runner.course.go_to(until)


def columns(past: Past, every_s: float) -> list[int]:
    """Columns at which policies look."""
    return list(range(past.first, past.last, max(round(every_s / STEP_S), 1)))
