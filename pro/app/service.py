"""What the pages ask of the library: thin calls, no Streamlit, no figures of its own."""

from __future__ import annotations

import io
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pro.core.clock import SystemClock
from pro.core.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pro.backends import World
    from pro.fleet import Fleet
    from pro.planning.plan import Plan
    from pro.remediation.result import ApplyResult, RunStatus
    from pro.reports.report import Report

JOURNAL, TIPS, SIMULATOR = "journal.sqlite", "tips.sqlite", "simulator.json"
GOALS = ("balance", "consolidate", "repair")


@dataclass(frozen=True)
class Options:
    """What a person may turn: `horizon_s` seconds ahead, `threshold` 0..1, `goal`, at most `max_moves` migrations."""

    horizon_s: int = 86400
    threshold: float = 0.85
    goal: str = "balance"
    max_moves: int = 12


def stamp(store: Path) -> str:
    """Changes whenever the store's samples or inventory do, so that what was computed before is not shown after."""
    files = [*store.glob("samples/*/*.parquet"), *store.glob("inventory/*/*")]
    return f"{len(files)}-{max((f.stat().st_mtime_ns for f in files), default=0)}"


def is_store(folder: Path) -> bool:
    """Whether `folder` holds samples and an inventory."""
    return any(folder.glob("samples/date=*")) and any(folder.glob("inventory/*"))


def newest(store: Path) -> datetime | None:
    """The newest sample's instant."""
    from pro.telemetry.store import Store

    return Store(store).newest()


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
    """The simulator that belongs to a store; a minute there lasts a second here, so that people can watch."""
    return f"simulated:{store / SIMULATOR}?speed=60"


def world(fleet: Fleet) -> World:
    """What a simulator starts from: the fleet as the inventory knows it."""
    from pro.backends import HostSeen, VmSeen, VmState, World

    memory = fleet.capacity[:, fleet.resources.index("memory")]
    hosts = {h: HostSeen(h, bool(fleet.accepting[i]), int(memory[i])) for i, h in enumerate(fleet.hosts)}
    vms = {v: VmSeen(v, (fleet.hosts[fleet.host_of[i]],), VmState.RUNNING, int(fleet.memory_mib[i])) for i, v in enumerate(fleet.vms)}
    return World(fleet.at.isoformat() if fleet.at else "", hosts, vms)


class Hands:
    """Applies plans in the background of this process. All truth is in the journal: if the process dies, `resume` goes on."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
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

    def start(self, plan: Plan, url: str, world: World) -> None:
        """Begin to apply; returns at once. `world` seeds a simulator that does not exist yet."""
        self._begin(lambda: _apply(plan, url, world, self.journal))

    def resume(self, url: str) -> None:
        """Take up an interrupted run; returns at once."""
        self._begin(lambda: _resume(url, self.journal))

    def stop(self) -> None:
        """Ask for no further migration; those in flight are let end."""
        from pro.remediation import executor

        executor.request_stop(self.journal, clock=SystemClock())

    def status(self) -> RunStatus | None:
        """How the newest run stands, whoever drives it."""
        from pro.remediation import executor

        return executor.status(self.journal)

    def _begin(self, work: Callable[[], ApplyResult]) -> None:
        if self.busy:
            raise RefusedError("an apply is under way already")
        self._ended = None

        def carry_out() -> None:
            try:
                self._ended = work()
            except Exception as error:  # shown on the page by whoever asks how it ended
                self._ended = error

        self._thread = threading.Thread(target=carry_out, name="apply", daemon=True)
        self._thread.start()


def _apply(plan: Plan, url: str, world: World, journal: Path) -> ApplyResult:
    from pro.backends import open_backend
    from pro.remediation import executor

    clock = SystemClock()
    return executor.apply(plan, open_backend(url, world=world, clock=clock), journal, clock=clock)


def _resume(url: str, journal: Path) -> ApplyResult:
    from pro.backends import open_backend
    from pro.remediation import executor

    clock = SystemClock()
    return executor.resume(open_backend(url, clock=clock), journal, clock=clock)
