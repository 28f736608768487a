"""Raw names -> series, once per distinct combination, and arrays -> tables of `samples_schema()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.core.units import COUNTERS
from pro.telemetry.arrow import coded, column
from pro.telemetry.readers.catalogue import find, is_hypervisor
from pro.telemetry.samples import samples_schema

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from pro.telemetry.samples import ReadReport

IGNORED, NAMELESS = -1, -2


class SeriesBook:
    """Every (computer, object, counter, instance) seen in one file, with what it means.

    `series(...)` gives a small integer for each distinct combination; `IGNORED` for counters PRO does not use and
    `NAMELESS` for rows that do not say which computer they are about.
    """

    def __init__(self, report: ReadReport) -> None:
        self._report = report
        self._ids: dict[tuple[str, str, str, str], int] = {}
        self._entities: dict[str, int] = {}
        self._counters: dict[str, int] = {}
        self._parts: dict[str, int] = {}
        self._rows: list[tuple[int, int, int, int, float, float, float]] = []
        self._columns: tuple[NDArray[np.float64], ...] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def series(self, path: str, object: str, counter: str, instance: str) -> int:
        """The series of a raw combination of names."""
        names = (path, object, counter, instance)
        number = self._ids.get(names)
        if number is None:
            number = self._ids[names] = self._new(*names)
        return number

    def _new(self, path: str, object_name: str, counter: str, instance: str) -> int:
        computer = path.strip().casefold()
        if computer in ("", "null"):
            return NAMELESS
        if is_hypervisor(object_name):
            self._report.hypervisors.add(computer)
        meaning = find(object_name, counter, "" if instance.strip().casefold() == "null" else instance)
        if meaning is None:
            return IGNORED
        entity = computer if meaning.vm is None else f"{computer}/{meaning.vm.strip().casefold()}"
        canonical = COUNTERS[meaning.name]
        self._rows.append(
            (
                self._entities.setdefault(entity, len(self._entities)),
                self._counters.setdefault(meaning.name, len(self._counters)),
                self._counters.setdefault(meaning.name + "_max", len(self._counters)),
                self._parts.setdefault(meaning.part, len(self._parts)),
                meaning.factor,
                canonical.low,
                canonical.high,
            )
        )
        self._columns = None
        return len(self._rows) - 1

    def column(self, index: int) -> NDArray[np.float64]:
        """One attribute of all series: 0 entity, 1 counter, 2 its `_max`, 3 part, 4 factor, 5 low, 6 high."""
        if self._columns is None:
            table = np.array(self._rows, dtype=np.float64).reshape(-1, 7)
            self._columns = tuple(np.ascontiguousarray(table[:, k]) for k in range(7))
        return self._columns[index]

    def factor(self, series: int) -> float:
        return self._rows[series][4]

    def bounds(self, series: int) -> tuple[float, float]:
        return self._rows[series][5], self._rows[series][6]

    def canonical(self, series: int) -> str:
        return list(self._counters)[self._rows[series][1]]

    def table(
        self,
        time_us: NDArray[np.int64],
        series: NDArray[np.int32],
        value: NDArray[np.float64],
        span_s: int,
        *,
        maximum: bool = False,
    ) -> pa.Table:
        """Samples as a table; `maximum` stores them under the counter's `_max` companion."""
        import pyarrow as pa

        def named(index: int, names: dict[str, int]) -> pa.DictionaryArray:
            return coded(self.column(index).astype(np.int32)[series], list(names))

        schema = samples_schema()
        return pa.Table.from_arrays(
            [
                column(time_us, schema.field("time").type),
                named(0, self._entities),
                named(2 if maximum else 1, self._counters),
                named(3, self._parts),
                column(value),
                column(np.full(len(value), span_s, dtype=np.int32)),
            ],
            schema=schema,
        )
