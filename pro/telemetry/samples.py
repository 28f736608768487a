"""Samples: what every reader produces and the store keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pro.core.table import field as column

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa


def samples_schema() -> pa.Schema:
    """Schema of `Samples`. No row means not known, never zero."""
    import pyarrow as pa

    return pa.schema(
        [
            column("time", pa.timestamp("us", tz="UTC"), "UTC", "end of the interval the value speaks for"),
            column(
                "entity",
                pa.dictionary(pa.int32(), pa.string()),
                "",
                "who the value belongs to: a computer's DNS name in "
                "lower case, or `computer/instance` for a VM counted on its host",
            ),
            column(
                "counter", pa.dictionary(pa.int32(), pa.string()), "", "canonical counter, see pro.core.units.COUNTERS"
            ),
            column(
                "part",
                pa.dictionary(pa.int32(), pa.string()),
                "",
                "which piece of the entity: `group:name` of one adapter, disk or processor; empty when the value is for "
                "the whole. Grids add or average the pieces, see pro.telemetry.grid",
            ),
            column("value", pa.float64(), "the counter's", "the sample, or the average over `span_s`"),
            column("span_s", pa.int32(), "s", "length of the interval averaged over; 0 for a raw sample"),
        ]
    )


@dataclass(frozen=True)
class Rejected:
    """One thing that could not be read. It goes to quarantine; nothing is dropped in silence."""

    file: str
    line: int
    """1-based line in the (decompressed) file; 0 when it is about the whole file."""
    reason: str
    text: str


@dataclass
class ReadReport:
    """Filled by a reader while it streams."""

    rows: int = 0
    """Data rows (long formats) or filled cells (wide formats) seen."""
    ignored: int = 0
    """Well-formed samples of counters PRO does not use."""
    rejected: list[Rejected] = field(default_factory=list)
    rejected_count: int = 0
    """May exceed `len(rejected)`: at most 10,000 rejected rows are kept with their text per file."""
    warnings: list[str] = field(default_factory=list)
    hypervisors: set[str] = field(default_factory=set)
    """Entities that own Hyper-V counters: on these, `cpu_pct` is the root partition alone."""

    def reject(self, what: Rejected) -> None:
        """Count `what`, and keep it while there is room."""
        self.rejected_count += 1
        if len(self.rejected) < 10_000:
            self.rejected.append(what)


class Reader(Protocol):
    """One format of counter file. Reading the same file twice yields the same rows."""

    name: str
    describe: str
    """The format in one line, for people."""

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether a file beginning with `head` (decompressed, byte order mark cut off, up to 64 KiB) is of this format."""
        ...

    def read(self, path: Path, report: ReadReport) -> Iterator[pa.Table]:
        """Stream tables of `samples_schema()`; what cannot be read goes to `report` with file, line and reason."""
        ...
