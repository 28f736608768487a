"""How likely each host is to run hot within 1, 4 and 24 hours, by the classifier of this site, and which VMs its load is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.units import COUNTERS, CPU, DISK, NET
from pro.fleet.entities import entity_of, spokesmen
from pro.heat.ahead import Ahead, Foreseen, learn_ahead
from pro.heat.direct import (
    JUDGED_ON,
    MOST_JUDGED,
    MOST_ROWS,
    Examples,
    HeatModel,
    Window,
    examples,
    shuffles,
    together,
    train,
)
from pro.heat.features import HOUR, STEP_S, Loads, Table, features
from pro.heat.hotspot import Cause
from pro.heat.record import chances, contradicted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pro.fleet.fleet import Demand, Fleet
    from pro.telemetry.grid import Grid

HORIZONS_H = (1, 4, 24)
COUNTER_OF = {CPU: "cpu_pct", DISK: "disk_bps", NET: "net_bps"}
LEAST_DAYS = 5.0
"""Days of counters before a classifier is trained at all; below, a model of this kind loses to simple rules."""
CHOOSE_DAYS = 1.5
EVERY = 3
"""Instants between two examples to learn from: neighbours are much alike."""
LARGEST_SHARES = 5


@dataclass(frozen=True)
class Soon:
    """One host and resource: hours ahead -> probability of 15 minutes on end over the threshold, and its VMs' shares of the last hour."""

    host: str
    resource: str
    probability: Mapping[int, float]
    vms: tuple[Cause, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; hours are text keys."""
        return {
            "host": self.host,
            "resource": self.resource,
            "probability": {f"{h}h": round(p, 4) for h, p in self.probability.items()},
            "vms": [asdict(c) for c in self.vms],
        }


def loads_of(
    fleet: Fleet, demand: Demand | None, history: Mapping[str, Grid], resource: str, threshold: float
) -> Loads | None:
    """What every VM asked of `resource` in the past, standing where it stands now; None where nobody counts it or no host has it.

    A gap takes the VM's last known value, before the first its mean. CPU in MHz, disk and net in KiB/s.
    """
    grid = history.get(COUNTER_OF.get(resource, ""))
    if grid is None or grid.step_s != STEP_S or resource not in fleet.resources:
        return None
    r = fleet.resources.index(resource)
    known = np.isfinite(grid.values)
    speaker = spokesmen(fleet, entity_of(fleet, grid.entities), known.mean(axis=1).astype(np.float32))
    vms = np.flatnonzero(speaker >= 0)
    if not vms.size or not (fleet.capacity[:, r] > 0).any():
        return None
    load = np.zeros((fleet.n_vms, grid.values.shape[1]), dtype=np.float32)
    factor = fleet.cpu_cap_mhz[vms] / 100.0 if resource == CPU else np.full(vms.size, 1 / 1024)
    load[vms] = held(grid.values[speaker[vms]]) * factor[:, None].astype(np.float32)
    cap = fleet.cpu_cap_mhz.astype(np.float64) if resource == CPU else load.max(axis=1).astype(np.float64)
    own = demand.base[:, r, 0].astype(np.float64) if demand is not None else np.zeros(fleet.n_hosts)
    # A capacity of 0 means nobody stated one: such a host is never called hot.
    limit = np.where(fleet.capacity[:, r] > 0, threshold * fleet.capacity[:, r], 1e18)
    first = grid.start.hour * 3600 + grid.start.minute * 60
    return Loads(load, cap, fleet.host_of, limit, own, first)


def held(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """`values` (E, T) with each gap at the last value known before it; before the first, the mean of all; 0 for who was never seen."""
    known = np.isfinite(values)
    at = np.maximum.accumulate(np.where(known, np.arange(values.shape[1]), -1), axis=1)
    filled = np.take_along_axis(values, np.maximum(at, 0), axis=1)
    count = known.sum(axis=1)
    mean = np.where(known, values, 0).sum(axis=1) / np.maximum(count, 1)
    return np.asarray(np.where(at >= 0, filled, mean[:, None]), dtype=np.float32)


def train_heat(loads: Loads, days: float, seed: int = 0) -> dict[int, HeatModel]:
    """Hours ahead -> model, for horizons on which there was anything to learn; empty before `LEAST_DAYS` days.

    Learned on hosts as they are and on the same VMs thrown onto the same hosts at random; calibrated and judged on the newest days.
    """
    end = loads.load.shape[1]
    begin = max(end - round(days * 24 * HOUR), 0) + 6 * HOUR
    if days < LEAST_DAYS:
        return {}
    split = end - round(CHOOSE_DAYS * 24 * HOUR)
    ahead = {h: h * HOUR for h in HORIZONS_H if begin < split - h * HOUR and split < end - h * HOUR}
    if not ahead:
        return {}
    rng = np.random.default_rng(seed)
    count = 1 + shuffles(loads.hosts * (split - begin) // EVERY)
    lessons = {h: _Lesson.of(loads, begin, split, steps, count) for h, steps in ahead.items()}
    for k in range(count):
        one = loads if k == 0 else _thrown(loads, rng)
        table = features(one)
        for lesson in lessons.values():
            lesson.add(one, table, judged=k < JUDGED_ON)
    models = {h: lesson.train() for h, lesson in lessons.items()}
    return {h: model for h, model in models.items() if model is not None}


@dataclass
class _Lesson:
    """What a model for so many `steps` ahead is taught on, one arrangement of the same VMs after the other."""

    steps: int
    ahead: Ahead
    windows: tuple[Window, Window]
    foreseen: tuple[Foreseen, Foreseen]
    learn: list[Examples]
    choose: list[Examples]

    @classmethod
    def of(cls, loads: Loads, begin: int, split: int, steps: int, count: int) -> _Lesson:
        """To be learned on [begin, split), judged on what comes after, on `count` arrangements."""
        end = loads.load.shape[1]
        most = -(-loads.hosts * count * (split - begin) // MOST_ROWS)
        early = Window(begin, split - steps, max(most, EVERY))
        late = Window(split, end - steps, -(-loads.hosts * JUDGED_ON * (end - split) // MOST_JUDGED))
        ahead = learn_ahead([(loads, np.arange(begin, split - steps))], steps)
        foreseen = ahead.foresee(loads, early.instants), ahead.foresee(loads, late.instants)
        return cls(steps, ahead, (early, late), foreseen, [], [])

    def add(self, loads: Loads, table: Table, *, judged: bool) -> None:
        """One more arrangement, with its features; `judged`: to be judged on, too."""
        for kept, window, foreseen in zip((self.learn, self.choose), self.windows, self.foreseen, strict=True):
            if judged or kept is self.learn:
                kept.append(examples(loads, window, self.steps, foreseen, table=table))

    def train(self) -> HeatModel | None:
        """The model, if there was anything to learn."""
        return train(together(self.learn), together(self.choose), self.steps, self.ahead)


def _thrown(loads: Loads, rng: np.random.Generator) -> Loads:
    return Loads(loads.load, loads.cap, rng.permutation(loads.host_of), loads.limit, loads.own, loads.first)


def soon(
    fleet: Fleet, loads: Loads, models: Mapping[int, HeatModel], resource: str = CPU, fresh: int = 0
) -> tuple[tuple[Soon, ...], dict[int, float]]:
    """Every host by the models that beat every trivial rule on their held-back window, and have not been contradicted since; nothing from others.

    They were trained `fresh` steps ago. Beside it, hours ahead -> Brier score since then of those that were contradicted.
    """
    good = {h: m for h, m in models.items() if m.wins}
    if not good:
        return (), {}
    newest = np.array([loads.load.shape[1] - 1])
    table = features(loads)
    wrong = {h: score for h, m in good.items() if (score := contradicted(loads, table, m, fresh)) is not None}
    good = {h: m for h, m in good.items() if h not in wrong}
    if not good:
        return (), wrong
    said = {h: chances(loads, table, model, newest)[:, 0] for h, model in good.items()}
    recent = loads.load[:, -HOUR:].mean(axis=1)
    found = []
    for h, host in enumerate(fleet.hosts):
        if loads.limit[h] >= 1e18:
            continue
        each = {hours: float(p[h]) for hours, p in said.items()}
        found.append(Soon(host, resource, _rising(each), _shares(fleet, recent, h)))
    return tuple(sorted(found, key=likeliest)), wrong


def likeliest(one: Soon) -> tuple[object, ...]:
    """To sort by, over all resources: the near hours count several times, for the later ones contain them."""
    return -sum(one.probability.values()), one.host, one.resource


def _rising(each: Mapping[int, float]) -> dict[int, float]:
    """A longer horizon contains the shorter one, so it is at least as likely."""
    out, least = {}, 0.0
    for hours in sorted(each):
        least = max(least, each[hours])
        out[hours] = least
    return out


def _shares(fleet: Fleet, recent: NDArray[np.float32], h: int) -> tuple[Cause, ...]:
    vms = np.flatnonzero(fleet.host_of == h)
    total = float(recent[vms].sum())
    if total <= 0:
        return ()
    order = vms[np.argsort(-recent[vms], kind="stable")[:LARGEST_SHARES]]
    return tuple(Cause(fleet.vms[v], float(recent[v]) / total) for v in order if recent[v] > 0)


def wanted(fleet: Fleet) -> Sequence[str]:
    """Resources whose heat can be learned: a counter tells of them (memory is assigned, it does not vary)."""
    return [r for r in fleet.resources if r in COUNTER_OF and COUNTER_OF[r] in COUNTERS]
