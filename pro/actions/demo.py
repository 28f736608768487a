"""The main job on the sample estate: counters in, plan applied on the simulator, report out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError, RefusedError

if TYPE_CHECKING:
    from pro.config import Config
    from pro.workflow import Tell

MARK = ".pro-demo"


@dataclass(frozen=True)
class Demo:
    """What the demo did, in lines for people and as a document."""

    lines: tuple[str, ...]
    document: dict[str, Any]


def sample_folder() -> Path:
    """The sample estate: beside the package in an installation, under data/ in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "sample", package.parent / "data" / "sample"):
        if (folder / "hosts.csv").is_file():
            return folder
    raise InputError("the sample estate is not here", expected=f"{package.parent / 'data' / 'sample'}")


def run_demo(out: Path, config: Config, tell: Tell) -> Demo:
    """Do it all in `out`, which must be new, empty, or of an earlier demo. Takes nothing from outside."""
    import json

    from pro.actions.applying import apply_plan
    from pro.actions.reporting import with_record, write_report
    from pro.backends import open_backend
    from pro.backends.simulation import world_of
    from pro.core.clock import SystemClock
    from pro.core.text import counted
    from pro.fleet.inventory import import_inventory
    from pro.planning.io import dumps
    from pro.replay import hindsight
    from pro.reports.views import rules_broken
    from pro.reports.words import headline
    from pro.telemetry.store import Store
    from pro.workflow import policy_of, recommend

    _clean(out)
    sample, store = sample_folder(), out / "store"
    now = datetime.fromisoformat(json.loads((sample / "estate.json").read_text())["now"]) - timedelta(days=1)
    tell("taking in counters")
    took = Store(store).ingest([sample / "counters.csv.gz"])
    known = import_inventory(store, [sample / name for name in ("hosts.csv", "vms.csv", "rules.json")], now)
    found = recommend(store, config, policy_of(config), now=now, tell=tell)
    (out / "plan.json").write_text(dumps(found.plan), encoding="utf-8")
    tell("applying on the simulator, six hundred times as fast as life")
    url = f"simulated:{(out / 'simulator.json').resolve()}?speed=600"
    open_backend(url, world=world_of(found.outlook.fleet), clock=SystemClock())
    result = apply_plan(found.plan, url, store, config)
    if result.exit_code:
        raise RefusedError(f"the demo's plan was not applied whole: {result.state}; {'; '.join(result.reasons)}")
    tell("writing the report")
    told = with_record(found, config, tell)
    written = [
        p for name in ("report.html", "report.xlsx", "report.json", "tables") for p in write_report(told, out / name)
    ]
    real = hindsight(store, found, base=True)
    today, still = rules_broken(found.report)
    lines = (
        f"counters in    {took.kept:,} samples of {counted(known.vms, 'VM')} on {counted(known.hosts, 'host')}; "
        f"{took.duplicate:,} came twice, {took.quarantined:,} were put in quarantine",
        f"now            {now:%A %Y-%m-%d %H:%M} UTC; nothing later was read",
        f"expected       {headline(found.report)}",
        f"applied        {counted(result.moved, 'migration')} on the simulator, each journalled and seen to arrive",
        f"report         {out / 'report.html'}  (also .xlsx, .json, tables/, plan.json)",
        f"improved       on the real counters of the next day: {real.minutes_after:,} instead of {real.minutes_before:,} hot host-minutes, "
        f"highest peak {real.peak_after:.0%} instead of {real.peak_before:.0%}, "
        f"broken rules {still} instead of {today}",
    )
    return Demo(lines, {
        "schema": "demo/1", "now": now.isoformat(), "ingest": took.to_json(), "plan": found.plan.id,
        "applied": result.to_json(), "hindsight": real.to_json(), "files": [str(p) for p in written],
    })  # fmt: skip


def _clean(out: Path) -> None:
    if out.exists() and any(out.iterdir()) and not (out / MARK).is_file():
        raise InputError(
            "the demo needs a folder of its own", got=str(out), expected="one that is new, empty, or of an earlier demo"
        )
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARK).write_text("made by `pro demo`; may be removed\n", encoding="utf-8")
