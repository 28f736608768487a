"""One ingest: files -> readers -> merge into daily partitions -> report."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pro.core.errors import InputError
from pro.core.table import field as column
from pro.core.text import counted, plain
from pro.telemetry import partitions
from pro.telemetry.arrow import column as as_column
from pro.telemetry.arrow import strings
from pro.telemetry.merge import Merger
from pro.telemetry.samples import ReadReport, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from pro.telemetry.readers.options import ReadOptions
    from pro.telemetry.samples import Reader

MOST_REASONS = 5
"""So many reasons why rows of a file could not be read are told; the quarantine has all."""


@dataclass(frozen=True)
class FileReport:
    """What became of one file. `read` = stored or duplicate + `ignored` + `quarantined`."""

    file: str
    format: str
    read: int
    ignored: int
    quarantined: int
    warnings: tuple[str, ...] = ()


@dataclass
class IngestReport:
    """What became of every row: read = kept + duplicate + ignored + quarantined."""

    read: int = 0
    kept: int = 0
    """Samples the store did not have before."""
    duplicate: int = 0
    """Samples it had, or that came twice."""
    ignored: int = 0
    """Samples of counters PRO does not use."""
    quarantined: int = 0
    """Rows that could not be read; see the store's `quarantine` folder for file, line, reason and text."""
    conflicts: int = 0
    """Duplicates whose values differed; the larger one is kept."""
    files: list[FileReport] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Files of a directory that are no counter files."""
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {"schema": "ingest/1", **asdict(self)}


def quarantine_schema() -> pa.Schema:
    """Schema of the quarantine: what could not be read."""
    import pyarrow as pa

    return pa.schema(
        [
            column("file", pa.string(), "", "file as it was named"),
            column("line", pa.int64(), "", "1-based line in the decompressed file; 0: the file as a whole"),
            column("reason", pa.string(), "", "why it could not be read"),
            column("text", pa.string(), "", "the record as it stands in the file, at most 2,000 characters"),
        ]
    )


def run(root: Path, chosen: Chosen, progress: Callable[[str, float], None] | None) -> IngestReport:
    """See `Store.ingest`; the caller holds the lock."""
    report = IngestReport(skipped=list(chosen.skipped))
    total = sum(max(path.stat().st_size, 1) for path, _ in chosen.files)
    done = 0
    merger = Merger(root)
    hypervisors: set[str] = set()
    for path, reader in chosen.files:
        if progress is not None:
            progress(str(path), done / total)
        detail = ReadReport()
        try:
            for table in reader.read(path, detail):
                merger.add(table)
        except InputError as error:
            if len(chosen.files) == 1:
                raise
            # readers raise before they yield: nothing of this file has been taken in
            detail = ReadReport(rows=1)
            detail.reject(Rejected(str(path), 0, str(error), ""))
        hypervisors |= detail.hypervisors
        quarantine(root, path, detail.rejected)
        _account(report, path, reader, detail)
        done += max(path.stat().st_size, 1)
    merger.flush()
    tally = merger.tally
    report.kept, report.duplicate, report.conflicts = tally.kept, tally.duplicate, tally.conflicts
    _warn_hypervisors(report, hypervisors, merger)
    if progress is not None:
        progress("", 1.0)
    return report


@dataclass(frozen=True)
class Chosen:
    """Files with their readers, and those of a directory that are no counter files."""

    files: tuple[tuple[Path, Reader], ...]
    skipped: tuple[str, ...]


def choose(sources: Sequence[Path], options: ReadOptions | None) -> Chosen:
    """What to read of `sources`, with which reader. A foreign file that is named itself is an InputError; nothing is written."""
    from pro.telemetry.readers.detect import detect, expand

    files: list[tuple[Path, Reader]] = []
    skipped: list[str] = []
    problem: InputError | None = None
    for path, named in expand(sources):
        try:
            files.append((path, detect(path, options)))
        except InputError as error:
            if named:
                raise
            problem = problem or error
            skipped.append(str(path))
    if not files:
        raise problem or InputError("no files to ingest", got=[str(source) for source in sources])
    return Chosen(tuple(files), tuple(skipped))


def _reasons(detail: ReadReport) -> list[str]:
    """Why rows of one file could not be read, the commonest reasons first, and where to look for each; or that none is of use."""
    first: dict[str, int] = {}
    for row in detail.rejected:
        first.setdefault(row.reason, row.line)
    common = Counter(row.reason for row in detail.rejected).most_common(MOST_REASONS)
    of = f" of the first {len(detail.rejected):,}" if len(detail.rejected) < detail.rejected_count else ""
    unused = ["none of its values is of a counter that PRO uses"] if 0 < detail.rows == detail.ignored else []
    return unused + [
        f"{counted(n, 'row')}{of} not understood, the first in line {first[why]:,}: {plain(why, 200)}"
        for why, n in common
    ]


def _account(report: IngestReport, path: Path, reader: Reader, detail: ReadReport) -> None:
    report.read += detail.rows
    report.ignored += detail.ignored
    report.quarantined += detail.rejected_count
    report.warnings += [f"{path}: {warning}" for warning in [*detail.warnings, *_reasons(detail)]]
    report.files.append(
        FileReport(str(path), reader.name, detail.rows, detail.ignored, detail.rejected_count, tuple(detail.warnings))
    )


def _warn_hypervisors(report: IngestReport, hypervisors: set[str], merger: Merger) -> None:
    blind = sorted(host for host in hypervisors if ("host_cpu_pct", host) not in merger.known)
    if blind:
        more = f" and {len(blind) - 5} more" if len(blind) > 5 else ""
        report.warnings.append(
            f"{len(blind)} Hyper-V host(s) without 'Hyper-V Hypervisor Logical Processor(_Total)\\% Total Run Time': "
            f"{', '.join(blind[:5])}{more}. Their 'Processor' counter sees the root partition only, not the guests"
        )
    if report.conflicts:
        report.warnings.append(f"{report.conflicts} samples came twice with different values; the larger one is kept")


def quarantine(root: Path, path: Path, rejected: Sequence[Rejected]) -> None:
    """Keep what could not be read. The same rejects of the same file replace themselves."""
    if not rejected:
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = as_column(np.array([row.line for row in rejected], dtype=np.int64))
    texts = [strings([getattr(row, name) for row in rejected]) for name in ("file", "reason", "text")]
    table = pa.Table.from_arrays([texts[0], lines, *texts[1:]], schema=quarantine_schema())
    digest = hashlib.sha256(repr(rejected).encode("utf-8", "backslashreplace")).hexdigest()[:24]
    partitions.replace(
        root / "quarantine" / f"{digest}.parquet", lambda target: pq.write_table(table, target, compression="zstd")
    )
