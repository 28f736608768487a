"""One format of counter file per module, and the catalogue of them all.

In: one file. Out: tables of `samples_schema()`, and a `ReadReport` of everything that did not become a sample. Never: decides
by file name, guesses an ambiguous date, drops a row in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.telemetry.readers.options import ReadOptions

if TYPE_CHECKING:
    from pro.telemetry.samples import Reader

__all__ = ["ReadOptions", "readers"]


def readers(options: ReadOptions | None = None) -> tuple[Reader, ...]:
    """Every reader, in the order they are tried. A new format is one module and one line here."""
    from pro.telemetry.readers.pdh_csv import PdhCsv
    from pro.telemetry.readers.scom_csv import ScomCsv

    return (PdhCsv(options or ReadOptions()), ScomCsv())
