"""How likely each host is to run hot within 1, 4 and 24 hours, by the classifier of this site, and which VMs its load is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.units import COUNTERS, CPU, DISK, NET
from pro.fleet.entities import entity_of, spokesmen
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
from pro.heat.features import HOUR, STEP_S, Loads, features
from pro.heat.hotspot import Cause

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

    Learned on hosts as they are and on the same VMs thrown onto the same hosts at random; weighed and judged on the newest days.
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
    rows, judged = loads.hosts * (split - begin) // EVERY, loads.hosts * (end - split)
    count = 1 + shuffles(rows)
    learn: dict[int, list[Examples]] = {h: [] for h in ahead}
    choose: dict[int, list[Examples]] = {h: [] for h in ahead}
    for k in range(count):
        one = loads if k == 0 else _thrown(loads, rng)
        table = features(one)
        for hours, steps in ahead.items():
            each = examples(one, Window(begin, split - steps, EVERY), steps, table=table)
            learn[hours].append(each.every(max(rows * count // MOST_ROWS, 1)))
            if k < JUDGED_ON:
                each = examples(one, Window(split, end - steps), steps, table=table)
                choose[hours].append(each.every(max(judged * JUDGED_ON // MOST_JUDGED, 1)))
    models = {h: train(together(learn[h]), together(choose[h]), steps) for h, steps in ahead.items()}
    return {h: model for h, model in models.items() if model is not None}


def _thrown(loads: Loads, rng: np.random.Generator) -> Loads:
    return Loads(loads.load, loads.cap, rng.permutation(loads.host_of), loads.limit, loads.own, loads.first)


def soon(fleet: Fleet, loads: Loads, models: Mapping[int, HeatModel], resource: str = CPU) -> tuple[Soon, ...]:
    """Every host by the models that beat every trivial rule on their held-back window; nothing from one that did not."""
    good = {h: m for h, m in models.items() if m.wins}
    if not good:
        return ()
    table = features(loads)
    now = table.values[:, -1]
    chances = {h: m.probability(now[:, [table.names.index(n) for n in m.names]]) for h, m in good.items()}
    recent = loads.load[:, -HOUR:].mean(axis=1)
    found = []
    for h, host in enumerate(fleet.hosts):
        if loads.limit[h] >= 1e18:
            continue
        each = {hours: float(p[h]) for hours, p in chances.items()}
        found.append(Soon(host, resource, _rising(each), _shares(fleet, recent, h)))
    return tuple(sorted(found, key=lambda s: (-s.probability[min(s.probability)], s.host)))


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
