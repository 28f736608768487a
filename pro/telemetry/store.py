"""The sample store: Parquet, one partition a day, safe to kill, the same whatever the order of arrival.

Layout under the root: `samples/date=YYYY-MM-DD/samples.parquet` and `quarantine/*.parquet`. A partition is replaced as a
whole (written beside, synced, renamed), so a kill leaves the old one or the new one. Two values for one (time, entity,
counter, part, span) are a conflict, and the larger wins: a rule that needs no knowledge of who came first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.core.errors import InputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from pro.telemetry.grid import Grid
    from pro.telemetry.gridding import Wanted
    from pro.telemetry.ingest import IngestReport
    from pro.telemetry.partitions import Coverage
    from pro.telemetry.readers.options import ReadOptions

LOCK_WAIT_S = 10.0


class Store:
    """Samples under one directory. Reading needs no lock; one ingest runs at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def ingest(
        self,
        sources: Sequence[Path],
        progress: Callable[[str, float], None] | None = None,
        options: ReadOptions | None = None,
    ) -> IngestReport:
        """Take in every file of `sources` (a directory: all files in it) and say what became of every row.

        Parameters
        ----------
        progress
            Called with the file and the share of all bytes done, 0..1.
        options
            What the files do not say about themselves.

        Raises
        ------
        InputError
            A source is absent, or a file named itself is of no known format. Nothing has been stored then.
        RefusedError
            Another ingest holds the store for more than `LOCK_WAIT_S` seconds.
        """
        from filelock import FileLock, Timeout

        from pro.telemetry import ingest

        chosen = ingest.choose(sources, options)
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.root / ".ingest.lock", timeout=LOCK_WAIT_S):
                return ingest.run(self.root, chosen, progress)
        except Timeout:
            raise RefusedError(f"another ingest is at work in {self.root}") from None

    def newest(self, until: datetime | None = None) -> datetime | None:
        """Instant of the newest sample (at or before `until`); None for an empty store."""
        from pro.telemetry import partitions

        return partitions.newest(self.root, until)

    def samples(
        self,
        counter: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        entities: Iterable[str] | None = None,
    ) -> pa.Table:
        """Stored samples of one counter with `since` < time <= `until`, as they came, parts and all; sorted by (entity, part, span, time)."""
        from pro.telemetry import partitions

        return partitions.samples(self.root, (counter,), since, until, None if entities is None else set(entities))

    def grid(
        self,
        counter: str,
        until: datetime | None = None,
        days: float = 8.0,
        step_s: int = 300,
        about: Wanted | None = None,
    ) -> Grid:
        """The last `days` of one counter on a regular grid that ends at the last multiple of `step_s` not after `until`.

        Parameters
        ----------
        until
            Nothing later is read. None: the newest sample of any counter.
        about
            Names of entities -> which of them are wanted; None: all.

        Raises
        ------
        InputError
            The store is empty, or `counter` is unknown.
        """
        from pro.core.units import COUNTERS
        from pro.telemetry.gridding import Window, gridded

        if counter not in COUNTERS:
            raise InputError("unknown counter", got=counter, expected=f"one of {', '.join(COUNTERS)}")
        until = until or self.newest()
        if until is None:
            raise InputError("the store holds no samples", expected="`pro ingest` first", where=self.root)
        window = Window.ending(until, days, step_s)
        return gridded(self.root, COUNTERS[counter], window, until, about)

    def counters(self, since: datetime, until: datetime) -> set[str]:
        """Which counters have samples on the days from `since` on, none later than `until`."""
        from pro.telemetry import partitions

        return partitions.present(self.root, since, until)

    def coverage(self, until: datetime | None = None, days: float = 8.0) -> list[Coverage]:
        """One row per (counter, entity): first and newest sample, and the share of the grid of 300 s that is known."""
        from pro.telemetry import partitions

        return partitions.coverage(self, until, days)
