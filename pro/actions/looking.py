"""Documents about what is known and expected."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pro.core.table import field
from pro.core.text import counted, minute, plain, span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from pro.config import Config
    from pro.fleet import Fleet
    from pro.workflow import Outlook, Tell


def hotspots_document(outlook: Outlook, config: Config) -> dict[str, Any]:
    """hotspots.json."""
    from pro.heat.hotspots import to_json
    from pro.workflow import baselines

    seconds = outlook.demand.slots * outlook.demand.step_s
    beside = baselines(outlook, config.heat.threshold)
    ready = outlook.readiness
    return {
        **to_json((*outlook.hotspots, *outlook.short), outlook.now, seconds),
        "warnings": [w for w in (outlook.blindness, outlook.thinness, *outlook.warnings) if w],
        "blind": None
        if ready is None
        else [{"host": h, "since": at.isoformat() if at else None} for h, at in ready.blind.items()],
        "threshold": config.heat.threshold,
        "memory_threshold": config.heat.memory_threshold,
        "soon": [s.to_json() for s in outlook.soon],
        "baselines": None if beside is None else asdict(beside),
    }


def forecast_record(
    root: Path, config: Config, now: datetime | None, origins: int, output: Path | None, tell: Tell
) -> dict[str, Any]:
    """forecast.json: how accurate forecasts have been up to `now`; with `output`, also the present one as Parquet."""
    from pro.workflow import look_ahead

    outlook = look_ahead(root, config, now, tell)
    counters = record_of(outlook, config, origins, tell)
    if output is not None:
        write_quantiles(outlook, output)
    return {
        "schema": "forecast/1",
        "now": outlook.now.isoformat(),
        "horizon_h": outlook.demand.slots * outlook.demand.step_s / 3600
        if outlook.scenarios
        else config.forecast.horizon_h,
        "series": sum(len(s.entities) for s in outlook.scenarios.values()),
        "counters": counters,
    }


def record_of(outlook: Outlook, config: Config, origins: int, tell: Tell) -> list[dict[str, Any]]:
    """For every counter that was forecast, how good such forecasts have been at `origins` past instants."""
    from pro.forecast.accuracy import rolling

    horizon_s, slot_s = outlook.demand.slots * outlook.demand.step_s, outlook.demand.step_s
    found = []
    for name in outlook.scenarios:
        tell(f"rolling origins of {name}")
        history = outlook.history[name]
        record = rolling(history, horizon_s=horizon_s, origins=origins, seed=config.forecast.seed, slot_s=slot_s)
        found.append(record.to_json())
    return found


QUANTILES = (0.05, 0.5, 0.95)


def quantiles_schema() -> pa.Schema:
    """Columns of `pro forecast -o`."""
    import pyarrow as pa

    return pa.schema(
        [
            field("time", pa.timestamp("us", "UTC"), "UTC", "end of the slot that is meant"),
            field("entity", pa.string(), "", "who the value belongs to, as in the samples"),
            field("counter", pa.string(), "", "canonical counter"),
            *(
                field(
                    f"q{round(q * 100):02d}",
                    pa.float32(),
                    "the counter's",
                    f"the mean of the slot is below this in {q:.0%} of the paths",
                )
                for q in QUANTILES
            ),
        ]
    )


def write_quantiles(outlook: Outlook, output: Path) -> None:
    """Quantiles of every series and slot, long form, as Parquet."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = quantiles_schema()
    parts = [schema.empty_table()]
    for s in outlook.scenarios.values():
        count, slots = len(s.entities), s.values.shape[2]
        times = np.datetime64(s.cutoff.replace(tzinfo=None), "us") + (np.arange(slots) + 1) * np.timedelta64(
            s.step_s, "s"
        )
        columns = [
            np.tile(times, count), np.repeat(np.array(s.entities, object), slots), np.full(count * slots, s.counter, object),
            *(s.quantile(q).ravel() for q in QUANTILES),
        ]  # fmt: skip
        arrays = [pa.array(c).cast(f.type) for c, f in zip(columns, schema, strict=True)]
        parts.append(pa.Table.from_arrays(arrays, schema=schema))
    output.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(parts), output)


def examine(root: Path, config: Config, now: datetime | None, clock: datetime | None = None) -> dict[str, Any]:
    """doctor.json: what is missing in the data and the inventory, and which hosts are therefore left alone. `clock`: what it says, where
    nobody asks about another instant: then counters should be as new."""
    from pro.core.errors import ProError
    from pro.fleet.archive import load_inventory
    from pro.fleet.memory import sentence
    from pro.fleet.problems import find_problems
    from pro.workflow import look_ahead

    lines: list[str] = []
    document: dict[str, Any] = {"schema": "doctor/1", "store": str(root), "usable": False}
    try:
        problems = find_problems(load_inventory(root, now))
        outlook = look_ahead(root, config, now)
    except ProError as error:
        return {**document, "lines": [f"cannot work: {error}"], "problems": [], "readiness": None}
    lines.append(
        f"{counted(outlook.fleet.n_hosts, 'host')}, {counted(outlook.fleet.n_vms, 'VM')}, {counted(len(outlook.fleet.rules), 'rule')}; "
        f"now is {outlook.now:%Y-%m-%d %H:%M} UTC"
    )
    lines += [f"{p.severity}: {p.text}" for p in problems]
    old = _old(outlook, config, clock) if now is None and clock is not None else ""
    warnings = [w for w in (old, outlook.thinness, *outlook.warnings) if w]
    lines += [f"warning: {w}" for w in warnings]
    ready = outlook.readiness
    if ready is None:
        lines.append("no counters at all: only broken rules can be repaired (`pro plan --goal repair`)")
    else:
        states = {s: sum(r.state == s for r in ready.rows) for s in ("ok", "sparse", "stale", "absent")}
        lines.append("counters: " + ", ".join(f"{n} {s}" for s, n in states.items()))
        lines += [c.sentence() for c in ready.by_counter()]
        lines.append(sentence(outlook.fleet, ready.memory))
        lines += [line for line in (learning_line(root, outlook, config),) if line not in outlook.remarks]
        lines += [f"host {plain(h)} is left alone: {why}" for h, why in ready.hold.items()]
    standby = survey(outlook.fleet, config, max(config.placement.failover, 1))
    lines.append(standby["lines"][0])
    return {
        **document,
        "usable": True,
        "warnings": warnings,
        "now": outlook.now.isoformat(),
        "problems": [asdict(p) for p in problems],
        "readiness": None if ready is None else ready.to_json(),
        "failover": {key: standby[key] for key in ("k", "holds", "hosts", "sets", "checked")},
        "lines": lines,
    }


def _old(outlook: Outlook, config: Config, clock: datetime) -> str:
    """What is said of counters that are old by the clock; "" where they are new, or there are none."""
    age = clock - outlook.now
    if outlook.readiness is None or age <= timedelta(minutes=config.apply.counters_minutes):
        return ""
    return (
        f"the newest counters are of {outlook.now:%Y-%m-%d %H:%M} UTC, {span(age)} ago by the clock: all that is said here is about then, "
        "and `pro watch` does nothing alone; if they should be newer, the collector may be dead"
    )


def failover_document(
    root: Path, config: Config, now: datetime | None, k: int, cpu_percent: int | None
) -> dict[str, Any]:
    """failover.json: whether any `k` hosts of a cluster may fail, as the inventory stands at `now`. Needs no counters."""
    from pro.fleet.archive import load_inventory
    from pro.fleet.snapshot import snapshot

    inventory = load_inventory(root, now)
    instant = now or inventory.at
    fleet = snapshot(inventory, instant, leave_out=True)
    return {"schema": "failover/1", "now": instant.isoformat(), **survey(fleet, config, k, cpu_percent)}


def survey(fleet: Fleet, config: Config, k: int, cpu_percent: int | None = None) -> dict[str, Any]:
    """What `failover_document` says of a fleet. `cpu_percent`: processor promises, too, stay within so much of a host's."""
    from pro.placement.constraints import Capacity, build
    from pro.placement.failover import survives
    from pro.placement.failover.report import headline, sentence

    rules = build(fleet, memory_reserve_mib=config.placement.memory_reserve_mib)
    if cpu_percent is not None:
        rules.append(Capacity("cpu", overcommit_percent=cpu_percent, name="cpu promises"))
    report = survives(fleet, rules, k=k)
    told = [sentence(f, fleet) for f in report.failures if f.stranded]
    more = len(report.failures) - len(told)
    lines = [headline(report, fleet), *told[1:], *([f"and {more:,} more"] if more else [])]
    return {**report.to_json(), "lines": lines}


def learning_line(root: Path, outlook: Outlook, config: Config) -> str:
    """What was learned from this store, or when there will be enough to learn from."""
    from datetime import timedelta

    from pro.heat.soon import LEAST_DAYS
    from pro.outlook import days_of

    if (told := learnt_line(root, outlook.now, config.heat.threshold)) is not None:
        return told
    lacking = LEAST_DAYS - days_of(outlook.history)
    if lacking <= 0:
        return "nothing learned yet, and there are days enough: `pro train`"
    counted = [r for r in outlook.readiness.rows if r.counter == "cpu_pct"] if outlook.readiness else []
    newest = max((r.newest for r in counted if r.newest), default=None)
    if newest is None:
        return "nothing to learn from: there is no processor counter of any VM"
    if all(r.missing_since for r in counted):
        return f"too few days to learn from, and no processor counter has come in since {newest:%Y-%m-%d %H:%M} UTC"
    return f"too few days to learn from; enough from {outlook.now + timedelta(days=lacking):%Y-%m-%d %H:%M} UTC"


def learnt_line(root: Path, now: datetime, threshold: float) -> str | None:
    """What `pro train` has left for a look at `now`, or why not all of it is used; None where it has left nothing."""
    from pro.outlook import trained

    found, unused = trained(root, now, threshold)
    if unused or found is None:
        return unused or None
    return (
        f"learned from {found.days:.1f} days up to {minute(found.until.isoformat())}: "
        f"{found.good} of {found.tried} heat classifiers beat every simple rule"
    )


def discover(url: str, store: Path | None) -> dict[str, Any]:
    """inventory.json: where every VM stands according to a backend; with `store`, noted there as the newest inventory."""
    from pro.actions.places import absolute, world_in
    from pro.backends import open_backend
    from pro.core.clock import SystemClock

    clock = SystemClock()
    seen = open_backend(absolute(url), world=world_in(store), clock=clock).inventory()
    if store is not None:
        from pro.actions.applying import note_placement

        note_placement(store, seen, clock.now())
    return {
        "schema": "inventory/1",
        "backend": url,
        "at": seen.at,
        "hosts": [
            {"host": h.host, "accepting": h.accepting, "memory_mib": h.memory_mib, "balancer": h.balancer}
            for h in seen.hosts.values()
        ],
        "vms": [
            {"vm": v.vm, "host": v.hosts[0] if len(v.hosts) == 1 else None, "hosts": list(v.hosts),
             "state": v.state.value, "memory_mib": v.memory_mib}
            for v in seen.vms.values()
        ],
    }  # fmt: skip


def host_ids(fleet: Fleet, given: Sequence[str]) -> tuple[str, ...]:
    """Ids of hosts that people named by id, name or DNS name. Raises InputError for one that is not there."""
    from pro.core.errors import InputError

    found = []
    for text in given:
        key = text.casefold()
        match = [
            h for h, name, fqdn in zip(fleet.hosts, fleet.host_names, fleet.host_fqdn, strict=True)
            if text == h or key in (name.casefold(), fqdn.casefold())
        ]  # fmt: skip
        if len(match) != 1:
            raise InputError(
                "no such host" if not match else "several hosts have this name",
                got=text,
                expected=f"one of {', '.join(plain(h) for h in fleet.hosts[:20])}",
                where="--evacuate",
            )
        found.append(match[0])
    return tuple(found)
