"""What will happen: forecasts with their record, and hotspots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pro.cli.common import (
    DEFAULT_STORE,
    SOMETHING_TO_DO,
    Horizon,
    Json,
    Now,
    Progress,
    Settings,
    Store,
    Threshold,
    emit,
    errors,
    instant,
    remark,
    say,
    settings,
    table,
)
from pro.core.text import plain

if TYPE_CHECKING:
    from pro.config import Config
    from pro.workflow import Outlook

group = typer.Typer()

SHOWN = 5
"""Of what was learned, so many lines."""


@group.command()
def forecast(
    store: Store = DEFAULT_STORE,
    now: Now = None,
    horizon: Horizon = None,
    origins: Annotated[int, typer.Option(min=1, help="How many past instants the record is taken from.")] = 4,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the quantiles of every VM as Parquet.")
    ] = None,
    json: Json = False,
    config: Settings = None,
) -> None:
    """Forecast demand, and print how accurate such forecasts have been, beside last value and seasonal naive."""
    with errors():
        from pro.actions.looking import forecast_record
        from pro.core.text import minute

        with Progress() as progress:
            conf = settings(config, horizon=horizon)
            record = forecast_record(store, conf, instant(now), origins, output, progress)
        asked, given = conf.forecast.horizon_h, record["horizon_h"]
        if abs(given - asked) > 1e-6:
            slots = f"whole slots of {conf.forecast.slot_minutes} minutes"
            remark(
                f"{60 * asked:g} minutes ahead were asked for; forecasts are made of {slots}, so these are {60 * given:g}"
            )
        if json:
            emit(record)
            return
        if not record["series"]:
            say("there are no counters to forecast from: `pro ingest` first")
            return
        say(f"now {minute(record['now'])}, {record['series']:,} series, {record['horizon_h']:g} h ahead")
        for counter in record["counters"]:
            say()
            say(f"{counter['counter']}: {counter['series']} series, {len(counter['origins'])} rolling origins")
            if not counter["rows"]:
                say("too little history to keep a record: a day to learn from and a day to be judged by are needed")
                continue
            head = ("model", "MAE", "pinball .5", "pinball .9", "pinball .95", "CRPS", "90 % interval covers")
            losses = ("mae", "pinball_50", "pinball_90", "pinball_95", "crps")
            rows = [
                (r["model"], *("-" if r[k] is None else f"{r[k]:.3f}" for k in losses),
                 "-" if r["coverage"] is None else f"{r['coverage']:.1%}")
                for r in counter["rows"]
            ]  # fmt: skip
            say(table(rows, head))
        if output:
            remark(f"written: {output}")


@group.command()
def train(store: Store = DEFAULT_STORE, now: Now = None, json: Json = False, config: Settings = None) -> None:
    """Learn from the store's own counters; what does not beat simple rules on held-back days is kept but not used."""
    with errors():
        from pro.actions.training import train_models
        from pro.core.text import minute

        with Progress() as progress:
            page = train_models(store, settings(config), instant(now), progress)
        if json:
            emit(page)
            return
        say(f"learned from {page['days']:.1f} days of counters up to {minute(page['until'])}")
        for row in page["forecast"]:
            say(
                f"forecast of {row['counter']}: serves {len(row['entities'])} of {row['candidates']} with a daily pattern;"
                f" held-back CRPS {row['crps_learned']:.3f} instead of {row['crps_plain']:.3f}"
            )
        for row in page["heat"]:
            used = "used" if row["used"] else "not used"
            say(
                f"hot on {row['resource']} within {row['hours']} h: average precision {row['average_precision']:.3f},"
                f" {row['gain']:+.3f} against the best rule ({plain(row['best_rule'])}): {used}"
            )
        if not page["forecast"] and not page["heat"]:
            say("nothing worth having yet: five days of counters are needed, and a host that runs hot now and then")
        if "kept" in page:
            say(f"not written: {page['kept']}")


@group.command()
def hotspots(
    store: Store = DEFAULT_STORE,
    now: Now = None,
    horizon: Horizon = None,
    threshold: Threshold = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 3 when there are hotspots.")] = False,
    json: Json = False,
    config: Settings = None,
) -> None:
    """Hosts expected to run hot: when, how surely, how badly, and because of which VMs."""
    with errors():
        from pro.actions.looking import hotspots_document
        from pro.workflow import look_ahead

        with Progress() as progress:
            conf = settings(config, threshold=threshold, horizon=horizon)
            outlook = look_ahead(store, conf, instant(now), progress)
        for warning in outlook.warnings:
            remark(f"warning: {warning}")
        if json:
            emit(hotspots_document(outlook, conf))
        else:
            for line in hotspots_lines(outlook, conf):
                say(line)
        if check and (outlook.hotspots or outlook.short):
            raise SystemExit(SOMETHING_TO_DO)


def hotspots_lines(outlook: Outlook, conf: Config) -> list[str]:
    """What is expected, for people: first what nobody sees and on how little the rest stands, then hotspots, then what was learned, then what others would say."""
    from pro.workflow import baselines

    fleet = outlook.fleet
    lines = [line for line in (outlook.blindness, outlook.thinness) if line]
    unseen = len(outlook.readiness.blind if outlook.readiness else fleet.hosts)
    if outlook.hotspots or outlook.short:
        lines.append(hotspots_table(outlook))
    if not outlook.hotspots:
        ahead = outlook.demand.slots * outlook.demand.step_s / 3600
        who = (
            none_of(fleet.n_hosts, unseen)
            if unseen < fleet.n_hosts
            else "by what was known before, or is assumed, no host"
        )
        lines.append(f"{who} is expected to pass {conf.heat.threshold:.0%} in the next {ahead:g} h")
    lines += learned_lines(outlook)
    beside = baselines(outlook, conf.heat.threshold)
    if beside is not None:
        nobody = none_of(fleet.n_hosts, len(beside.unseen))
        for name, hosts in (
            ("SCOM's rule, 3 samples in a row", beside.scom_rule),
            ("last hour's average", beside.hourly_average),
        ):
            lines.append(
                f"over {conf.heat.threshold:.0%} of CPU now by {name}: {', '.join(map(plain, hosts)) or nobody}"
            )
    return lines


def learned_lines(outlook: Outlook) -> list[str]:
    """What trained classifiers say, the likeliest first, and how that goes with the hotspots above it."""
    from pro.reports.words import TWO_WAYS

    if not outlook.soon:
        return []
    lines = [""]
    for s in outlook.soon[:SHOWN]:
        chances = ", ".join(f"{p:.0%} within {h} h" for h, p in s.probability.items())
        lines.append(f"by what was learned, {plain(s.host)} runs hot on {s.resource}: {chances}")
    rest = outlook.soon[SHOWN:]
    if rest:
        most = max(max(s.probability.values()) for s in rest)
        lines.append(f"and {len(rest):,} more, not likelier than {most:.0%}; --json has all")
    return [*lines, TWO_WAYS, ""]


def none_of(hosts: int, unseen: int) -> str:
    """ "no host", of those that are seen."""
    if not unseen:
        return "no host"
    return f"no host of the {hosts - unseen:,} that are seen" if unseen < hosts else "not known, nobody sees them"


def hotspots_table(outlook: Outlook) -> str:
    """One line for each hotspot."""
    names = dict(zip(outlook.fleet.vms, outlook.fleet.vm_names, strict=True))
    rows = [
        (
            plain(h.host), h.what, f"{h.starts:%d %b %H:%M}", f"{h.ends:%d %b %H:%M}", f"{h.probability:.0%}",
            f"{h.expected_peak:.0%}", round(h.expected_hot_minutes), h.severity,
            ", ".join(f"{plain(names[c.vm], 20)} {c.share:.0%}" for c in h.vms[:3]),
        )
        for h in (*outlook.hotspots, *outlook.short)
    ]  # fmt: skip
    return table(rows, ("host", "of", "from (UTC)", "to", "surely", "peak", "hot min", "severity", "because of"))
