"""What will happen: forecasts with their record, and hotspots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pro.cli.common import (
    SOMETHING_TO_DO,
    Horizon,
    Json,
    Now,
    Progress,
    Settings,
    Store,
    emit,
    errors,
    hours,
    instant,
    remark,
    say,
    settings,
    table,
)

group = typer.Typer()


@group.command()
def forecast(
    store: Store = Path("pro-store"),
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

        progress = Progress()
        conf = settings(config, forecast={"horizon_h": hours(horizon)})
        record = forecast_record(store, conf, instant(now), origins, output, progress)
        progress.end()
        if json:
            emit(record)
            return
        say(f"now {record['now']}, {record['series']} series, {record['horizon_h']:g} h ahead")
        for counter in record["counters"]:
            say()
            say(f"{counter['counter']}: {counter['origins']} rolling origins")
            head = ("model", "MAE", "pinball .5", "pinball .9", "pinball .95", "90 % interval covers")
            rows = [
                (
                    r["model"],
                    *(
                        f"{r[k]:.3f}" if r[k] is not None else "-"
                        for k in ("mae", "pinball_50", "pinball_90", "pinball_95")
                    ),
                    f"{r['coverage_90']:.1%}" if r["coverage_90"] is not None else "-",
                )
                for r in counter["rows"]
            ]
            say(table(rows, head))
        if output:
            remark(f"written: {output}")


@group.command()
def hotspots(
    store: Store = Path("pro-store"),
    now: Now = None,
    horizon: Horizon = None,
    threshold: Annotated[float | None, typer.Option(help="Fraction of capacity from which a host is hot.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 3 when there are hotspots.")] = False,
    json: Json = False,
    config: Settings = None,
) -> None:
    """Hosts expected to run hot: when, how surely, how badly, and because of which VMs."""
    with errors():
        from pro.actions.looking import hotspots_document
        from pro.core.text import plain
        from pro.workflow import look_ahead

        progress = Progress()
        conf = settings(config, heat={"threshold": threshold}, forecast={"horizon_h": hours(horizon)})
        outlook = look_ahead(store, conf, instant(now), progress)
        progress.end()
        if json:
            emit(hotspots_document(outlook, conf))
        elif not outlook.hotspots:
            say(f"no host is expected to pass {conf.heat.threshold:.0%} in the next {conf.forecast.horizon_h:g} hours")
        else:
            names = dict(zip(outlook.fleet.vms, outlook.fleet.vm_names, strict=True))
            rows = [
                (
                    plain(h.host), h.resource, f"{h.starts:%d %b %H:%M}", f"{h.ends:%d %b %H:%M}", f"{h.probability:.0%}",
                    f"{h.expected_peak:.0%}", round(h.expected_hot_minutes), h.severity,
                    ", ".join(f"{plain(names[c.vm], 20)} {c.share:.0%}" for c in h.vms[:3]),
                )
                for h in outlook.hotspots
            ]  # fmt: skip
            say(table(rows, ("host", "of", "from (UTC)", "to", "surely", "peak", "hot min", "severity", "because of")))
        if check and outlook.hotspots:
            raise SystemExit(SOMETHING_TO_DO)
