"""What the pages ask of the library: thin calls, no Streamlit, no figures of its own."""

from __future__ import annotations

import io
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pro import config
from pro.actions import applying
from pro.actions.places import JOURNAL, TIPS
from pro.core.clock import SystemClock
from pro.core.errors import RefusedError
from pro.remediation.tip import TipState
from pro.remediation.tips import TipBook

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pro.planning.plan import Plan
    from pro.remediation.result import ApplyResult, RunStatus
    from pro.remediation.tip import Tip
    from pro.reports.report import Report

SIMULATOR = "simulator.json"
GOALS = ("balance", "consolidate", "repair")


@dataclass(frozen=True)
class Options:
    """What a person may turn: `horizon_s` seconds ahead, `threshold` 0..1, `goal`, at most `max_moves` migrations
    (None: as many as the settings say)."""

    horizon_s: int = 86400
    threshold: float = 0.85
    goal: str = "balance"
    max_moves: int | None = None


def stamp(store: Path) -> str:
    """Changes whenever the store's samples or inventory do, so that what was computed before is not shown after."""
    files = [*store.glob("samples/*/*.parquet"), *store.glob("inventory/*/*")]
    return f"{len(files)}-{max((f.stat().st_mtime_ns for f in files), default=0)}"


def is_store(folder: Path) -> bool:
    """Whether `folder` holds an inventory; counters may be missing, then VMs are taken to use what they usually do."""
    return any(folder.glob("inventory/*"))


def recommend(store: Path, now: datetime | None, options: Options) -> Report:
    """The same walk as `pro plan`, with the settings in force and what the person turned on top."""
    from pro import workflow

    base = config.load()
    settings = base.model_copy(
        update={
            "forecast": base.forecast.model_copy(update={"horizon_h": options.horizon_s / 3600}),
            "heat": base.heat.model_copy(update={"threshold": options.threshold}),
        }
    )
    policy = workflow.policy_of(settings, goal=options.goal, max_moves=options.max_moves)
    return workflow.recommend(store, settings, policy, now=now).report


def why(report: Report, vm: str) -> dict[str, Any]:
    """What each host would mean for a VM (id): as the plan tells it, else worked out; {} where neither can be had."""
    from dataclasses import asdict

    from pro.placement.told import explained
    from pro.planning.make import final_host_of

    told: dict[str, Any] = dict(report.plan.explain.get(vm, {}))
    if told or report.question is None:
        return told
    fleet = report.question.fleet
    (found,) = explained(report.question, final_host_of(report.plan, fleet), [fleet.vm_index(vm)])
    return asdict(found)


def learned(store: Path, now: datetime, threshold: float) -> str:
    """What `pro train` has left for a look at `now` that calls a host hot over `threshold`."""
    from pro.actions.looking import learnt_line

    told = learnt_line(store, now, threshold)
    if told is None:
        return "Nothing learned yet. The command pro train says whether there is enough to learn from."
    return f"{told[0].upper()}{told[1:]}.".replace("`", "")


def downloads(report: Report) -> dict[str, tuple[bytes, str]]:
    """File name -> (content, media type) of everything a person may take along."""
    from pro.planning.io import dumps
    from pro.reports import html, json, tables, xlsx

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        xlsx.write(report, folder / "pro-report.xlsx")
        workbook = (folder / "pro-report.xlsx").read_bytes()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in tables.write_csv(report, folder / "csv"):
                archive.write(path, path.name)
    return {
        "pro-report.html": (html.render(report).encode(), "text/html"),
        "pro-report.xlsx": (workbook, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        "pro-tables.zip": (packed.getvalue(), "application/zip"),
        "pro-report.json": (json.dumps(report).encode(), "application/json"),
        "plan.json": (dumps(report.plan).encode(), "application/json"),
    }


def simulator_url(store: Path) -> str:
    """The simulator that belongs to a store, ten times as fast as real, so that people can watch."""
    return f"simulated:{store / SIMULATOR}?speed=10"


class Hands:
    """Applies plans in the background of this process. All truth is in the journal: if the process dies, `resume` goes on."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._thread: threading.Thread | None = None
        self._ended: ApplyResult | Exception | None = None

    @property
    def busy(self) -> bool:
        """Whether this process is applying."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def ended(self) -> ApplyResult | Exception | None:
        """What came of the last apply of this process: a result, or the error that stopped it; None before its end."""
        return None if self.busy else self._ended

    def start(self, plan: Plan, url: str) -> None:
        """Begin to apply, as `pro apply` does; returns at once."""
        self._begin(lambda: applying.apply_plan(plan, url, self.store, config.load()))

    def resume(self) -> None:
        """Take up an interrupted run; returns at once."""
        self._begin(lambda: applying.resume_run(self.store, config.load()))

    def stop(self) -> None:
        """Ask for no further migration; those in flight are let end."""
        applying.stop_run(self.store)

    def status(self) -> RunStatus | None:
        """How the newest run stands, whoever drives it; None if nothing was ever applied."""
        return applying.status_of(self.store) if (self.store / JOURNAL).exists() else None

    def _begin(self, work: Callable[[], ApplyResult]) -> None:
        if self.busy:
            raise RefusedError("an apply is under way already")
        self._ended = None

        def carry_out() -> None:
            try:
                self._ended = work()
            except Exception as error:  # kept for the page, which says it
                self._ended = error

        self._thread = threading.Thread(target=carry_out, name="apply", daemon=True)
        self._thread.start()


def tips(store: Path, *, active: bool) -> list[Tip]:
    """Tips of the store, the most severe first."""
    if not (store / TIPS).exists():
        return []
    with TipBook(store / TIPS) as book:
        return book.tips(active=active)


def tip_history(store: Path, number: int) -> list[dict[str, str]]:
    """What became of a tip, oldest first."""
    with TipBook(store / TIPS) as book:
        return book.history(number)


def dismissed(store: Path, tip: Tip) -> list[Tip]:
    """Tips that show the same plan and that somebody said no to."""
    if not tip.plan_id:
        return []
    with TipBook(store / TIPS) as book:
        return book.views(tip.plan_id, TipState.DISMISSED)


def approve(store: Path, tip: Tip, who: str) -> None:
    """Approve exactly the plan the person has seen. TipRefusedError says why not."""
    with TipBook(store / TIPS) as book:
        book.approve(tip.id, who, SystemClock().now(), plan_id=tip.plan_id)


def dismiss(store: Path, tip: Tip, who: str, reason: str) -> None:
    """Say no to a tip, with a reason. TipRefusedError says why not."""
    with TipBook(store / TIPS) as book:
        book.dismiss(tip.id, who, SystemClock().now(), reason)
