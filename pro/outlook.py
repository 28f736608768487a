"""From counters to an outlook: the stages of `workflow.look_ahead` that need more than a line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from pro.config import Config
    from pro.core.arrays import Ints
    from pro.fleet import Demand, Fleet
    from pro.fleet.memory import MemoryUse
    from pro.fleet.readiness import Readiness
    from pro.fleet.sizes import Sizes
    from pro.forecast import Scenarios
    from pro.forecast.joint import Reach
    from pro.forecast.taught import Taught
    from pro.heat import Hotspot
    from pro.heat.learnt import Learnt
    from pro.heat.soon import Soon
    from pro.telemetry import Grid
    from pro.telemetry.store import Store

WATCHED = "this is watched, plans go by what is assigned and do not act on it"
"""What is said of memory in use beside every plan."""

MODELS = "models"
"""Folder in the store for what `pro train` learned."""


@dataclass(frozen=True)
class Outlook:
    """What is known and expected at `now`: everything that leads to a decision, before one is taken."""

    now: datetime
    fleet: Fleet
    demand: Demand
    history: Mapping[str, Grid]
    scenarios: Mapping[str, Scenarios]
    hotspots: tuple[Hotspot, ...]
    readiness: Readiness | None
    soon: tuple[Soon, ...] = ()
    """Probabilities within hours, by the classifier of `pro train`; empty where there is none that wins."""
    remarks: tuple[str, ...] = ()
    """What this look goes without."""
    inventory_at: datetime | None = None
    """The instant of the inventory that said where VMs stand."""
    stale: tuple[str, ...] = ()
    """What was learned and is true no more, and why; each is a remark, too."""
    memory: MemoryUse | None = None
    """Memory in use by counters; None where no host sends them."""
    short: tuple[Hotspot, ...] = ()
    """Hosts that will run short of it: watched, not acted on."""

    @property
    def blindness(self) -> str:
        """Which hosts are not seen, in one sentence; "" where all are."""
        if self.readiness is None:
            return "blind to every host: there are no counters"
        return self.readiness.blindness(self.fleet)

    @property
    def thinness(self) -> str:
        """That probabilities rest on too short a past to mean much, in one sentence; "" where they do not."""
        from pro.fleet.readiness import LEAST

        days = days_of(self.history)
        grid = self.history.get("cpu_pct")
        wanted = LEAST * grid.values.shape[1] * grid.step_s / 86_400 if grid is not None else 0.0
        # A step more or less at either end is no news.
        if not days or days > wanted - 0.02:
            return ""
        return (
            f"what is expected rests on {24 * days:.0f} h of counters, and {24 * wanted:.0f} h are wanted: a probability of 100% says no more "
            "than that these hours were so"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything a person should know of it, in the order in which it is told."""
        return (*self.remarks, *self.shortage, *self.fleet.warnings, *self.demand.warnings)

    @property
    def shortage(self) -> tuple[str, ...]:
        """That hosts run short of memory and no plan acts on it, in one sentence, if there are any."""
        from pro.core.text import counted, listed

        if not self.short:
            return ()
        who = [self.fleet.host_names[self.fleet.host_index(s.host)] for s in self.short]
        return (f"{counted(len(who), 'host')} will run short of memory by counters: {listed(who)}; {WATCHED}",)


def read_history(store: Any, fleet: Fleet, now: datetime, config: Config, resized: Sizes) -> dict[str, Grid]:
    """Grids of the counters this fleet is judged by; nothing after `now`. `resized`: see `archive.resized`."""
    from pro.core.units import CPU, DISK, NET
    from pro.fleet.entities import unite
    from pro.fleet.sizes import of_today

    of = {CPU: ("cpu_pct", "host_cpu_pct"), DISK: ("disk_bps",), NET: ("net_bps",)}
    wanted = [name for resource in fleet.resources for name in of.get(resource, ())]
    grids = {name: believed(unite(fleet, store.grid(name, now, config.forecast.history_days))) for name in wanted}
    grids["cpu_pct"] = of_today(fleet, grids["cpu_pct"], resized)
    return {name: grid for name, grid in grids.items() if grid.entities or name == "cpu_pct"}


def days_of(history: Mapping[str, Grid]) -> float:
    """Days between the first and the last known processor sample."""
    import numpy as np

    grid = history.get("cpu_pct")
    if grid is None or not grid.values.size:
        return 0.0
    known = np.flatnonzero(np.isfinite(grid.values).any(axis=0))
    return float((known[-1] - known[0] + 1) * grid.step_s / 86_400) if known.size else 0.0


def unjudged(store: Any, fleet: Fleet, now: datetime, config: Config) -> tuple[str, ...]:
    """What is not judged although there are counters of it, or for want of them, and what is missing."""

    from pro.core.units import DISK, NET

    there = store.counters(now - timedelta(days=config.forecast.history_days), now)
    said = [
        f"{name} is not judged: there are counters of it, but not every host has {column} in hosts.csv"
        for name, resource, counter, column in (
            ("disk", DISK, "disk_bps", "disk_kibps"), ("network", NET, "net_bps", "net_mbps"),
        )
        if counter in there and resource not in fleet.resources
    ]  # fmt: skip
    if not there & {"cpu_pct", "host_cpu_pct"}:
        others = f", only {', '.join(sorted(there))}" if there else ""
        said.append(f"there is no processor counter in the last {config.forecast.history_days:g} days{others}")
    return tuple(said)


def believed(grid: Grid) -> Grid:
    """`grid` without processor values that cannot be: a unit error is not load, and is better not known."""
    import numpy as np

    from pro.remediation.antiflap import AntiFlap, incredible

    if grid.counter != "cpu_pct" or not grid.entities:
        return grid
    wrong = incredible(grid.values / 100.0, AntiFlap())
    return replace(grid, values=np.where(wrong, np.float32(np.nan), grid.values)) if wrong.any() else grid


def draw_scenarios(
    history: Mapping[str, Grid],
    config: Config,
    taught: Taught | None = None,
    reach: Mapping[str, Reach] | None = None,
) -> dict[str, Scenarios]:
    """Joint paths of everything but whole hosts, as the settings say; `taught`: what `pro train` learned; `reach`: see `reach_of`."""
    from pro.forecast.joint import JointForecaster
    from pro.forecast.young import loosened

    horizon_s, slot_s = _ahead(config)
    forecaster = JointForecaster(slot_s=slot_s, taught=taught, reach=reach).fit(_without_hosts(history))
    drawn = forecaster.scenarios(horizon_s, config.forecast.scenarios, config.forecast.seed)
    return {n: loosened(s, history[n]) if n == "cpu_pct" else s for n, s in drawn.items()}


def reach_of(history: Mapping[str, Grid], config: Config) -> dict[str, Reach]:
    """How far the paths of `draw_scenarios` reach, where that is not to be found anew each time."""
    from pro.forecast.joint import JointForecaster

    horizon_s, slot_s = _ahead(config)
    return JointForecaster(slot_s=slot_s).fit(_without_hosts(history)).calibrate(horizon_s)


def _ahead(config: Config) -> tuple[int, int]:
    """(seconds that paths look ahead, seconds of a slot): what was asked for, rounded up to whole slots."""
    import math

    slot_s = config.forecast.slot_minutes * 60
    return max(math.ceil(round(config.forecast.horizon_h * 3600 / slot_s, 6)), 1) * slot_s, slot_s


def _without_hosts(history: Mapping[str, Grid]) -> dict[str, Grid]:
    return {name: grid for name, grid in history.items() if name != "host_cpu_pct"}


def expect(
    fleet: Fleet,
    history: Mapping[str, Grid],
    scenarios: Mapping[str, Scenarios],
    now: datetime,
    config: Config,
    settled: Mapping[str, datetime],
) -> Outlook:
    """What `scenarios` mean for `fleet`: demand, hotspots, and how far the data can be trusted. `settled`: see `base_cpu`."""
    from pro.fleet.demand import demand
    from pro.fleet.readiness import readiness
    from pro.heat.hotspots import find_hotspots

    expected = demand(fleet, scenarios, history, history, settled)
    hotspots = find_hotspots(
        fleet, expected, threshold=config.heat.threshold, dwell_s=config.heat.dwell_minutes * 60,
        min_probability=config.heat.min_probability,
    )  # fmt: skip
    return Outlook(now, fleet, expected, history, scenarios, hotspots, readiness(fleet, history, now))


def watch_memory(store: Store, outlook: Outlook, settled: Mapping[str, datetime], config: Config) -> Outlook:
    """`outlook` with what its hosts will have in use of their memory by counters, and who will run short. `settled`: see `seen_free`."""
    from functools import partial

    from pro.fleet.entities import unite
    from pro.fleet.memory import FREE, FRESH_S, GIVEN, hosts_only, memory_use, seen_free
    from pro.forecast.joint import JointForecaster
    from pro.forecast.taught import Taught

    fleet, now, days = outlook.fleet, outlook.now, config.forecast.history_days
    free, why = seen_free(fleet, store.grid(FREE, now, days, about=partial(hosts_only, fleet)), settled)
    told = replace(outlook, readiness=outlook.readiness and replace(outlook.readiness, memory=why))
    if not free.entities:
        return told
    horizon_s, slot_s = _ahead(config)
    # Drawn apart from the processors' paths, which then are what they are without it; nothing adds the two up.
    forecaster = JointForecaster(slot_s=slot_s, cutoff=outlook.demand.start, taught=Taught(now, 0.0, slot_s, {})).fit(
        {FREE: free}
    )
    ahead = forecaster.scenarios(horizon_s, config.forecast.scenarios, config.forecast.seed)[FREE]
    memory = memory_use(fleet, free, ahead, unite(fleet, store.grid(GIVEN, now, FRESH_S / 86_400)), why)
    return replace(told, memory=memory, short=short_of(fleet, memory, config))


def short_of(fleet: Fleet, memory: MemoryUse, config: Config, host_of: Ints | None = None) -> tuple[Hotspot, ...]:
    """Hosts that will run short of memory by counters with VMs at `host_of` (V,), or as they stand."""
    from pro.heat.hotspots import find_short

    heat = config.heat
    return find_short(
        fleet, memory, threshold=heat.memory_threshold, dwell_s=heat.dwell_minutes * 60,
        min_probability=heat.min_probability, host_of=host_of,
    )  # fmt: skip


def trained(root: Path, now: datetime, threshold: float) -> tuple[Learnt | None, str]:
    """What `pro train` learned, None where it has not or only from what lies after `now`; and why not all that is there is used, or "".

    Classifiers are of one `threshold`; forecasts of any.
    """
    from pro.core.text import minute
    from pro.forecast.taught import outdated
    from pro.heat.learnt import read

    try:
        found = read(root / MODELS)
        old = found is None and outdated(root / MODELS)
    except InputError as error:
        return None, str(error)
    if old:
        return None, "what was learned is of an older PRO and is not used before `pro train` runs again"
    if found is None or found.until > now:
        return None, ""
    if not found.heat or found.threshold == threshold:
        return found, ""
    return found, (
        f"what was learned up to {minute(found.until.isoformat())} calls a host hot over {found.threshold:.0%}, not over "
        f"{threshold:.0%}: no heat classifier is used before `pro train` runs again"
    )


def within_hours(outlook: Outlook, config: Config, known: Learnt) -> tuple[tuple[Soon, ...], tuple[str, ...]]:
    """Every host's probability to run hot within 1, 4 and 24 h by the trained classifiers that win, and what is said of those that do so no more.

    Nothing at another threshold. Nor of hosts that are not seen: what they did when they last were is no sign of the next hour.
    """
    from pro.core.text import minute
    from pro.heat.features import STEP_S
    from pro.heat.soon import likeliest, loads_of, soon

    if known.threshold != config.heat.threshold:
        return (), ()
    found: list[Soon] = []
    remarks: list[str] = []
    fresh = int((outlook.now - known.until).total_seconds() // STEP_S)
    for resource, models in known.heat.items():
        loads = loads_of(outlook.fleet, outlook.demand, outlook.history, resource, config.heat.threshold)
        if loads is None:
            continue
        here, wrong = soon(outlook.fleet, loads, models, resource, fresh)
        found += here
        remarks += [
            f"the classifier of hosts that run hot on {resource} within {hours} h, learned up to {minute(known.until.isoformat())}, is right no more and "
            f"not used before `pro train` runs again: its Brier score since is {score:.3f}, {models[hours].brier:.3f} when it was trained, and one "
            "probability for all hosts would have done better"
            for hours, score in wrong.items()
        ]
    blind = outlook.readiness.blind if outlook.readiness else {}
    return tuple(sorted((s for s in found if s.host not in blind), key=likeliest)), tuple(remarks)
