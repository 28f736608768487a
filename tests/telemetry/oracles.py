"""Second opinions: the plainest code that could be right, for the reader and for the grid."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pro.core.units import COUNTERS
from pro.telemetry.readers.catalogue import GROUP_ORDER, find

if TYPE_CHECKING:
    from pathlib import Path

    from pro.telemetry.store import Store

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[int, str, str, str, int]
"""(time_us, entity, counter, part, span_s)"""


@dataclass
class Read:
    """What a file says."""

    samples: dict[Key, float] = field(default_factory=dict)
    rows: int = 0
    good: int = 0
    ignored: int = 0
    rejected: list[int] = field(default_factory=list)
    """Line numbers."""

    def put(self, key: Key, value: float) -> None:
        self.samples[key] = max(value, self.samples.get(key, -math.inf))


def read_scom(text: str) -> Read:
    """A SCOM file with a header of the standard names, well quoted, by the csv module."""
    out = Read()
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader)
    before = reader.line_num
    for cells in reader:
        line, before = before + 1, reader.line_num
        if not cells or (len(cells) == 1 and cells[0] and not cells[0].strip()):
            continue
        out.rows += 1
        row = dict(zip(header, cells, strict=False))
        verdict = "bad" if len(cells) != len(header) else _row(row, out)
        if verdict == "bad":
            out.rejected.append(line)
        elif verdict == "ignored":
            out.ignored += 1
        else:
            out.good += 1
    return out


def _row(row: dict[str, str], out: Read) -> str:
    path = row["Path"].strip().casefold()
    if path in ("", "null"):
        return "bad"
    instance = row.get("InstanceName", "")
    meaning = find(row["ObjectName"], row["CounterName"], "" if instance.strip().casefold() == "null" else instance)
    if meaning is None:
        return "ignored"
    entity = path if meaning.vm is None else f"{path}/{meaning.vm.strip().casefold()}"
    counter = COUNTERS[meaning.name]
    try:
        when = datetime.fromisoformat(row["DateTime"].strip())
    except ValueError:
        return "bad"
    when = when.replace(tzinfo=when.tzinfo or UTC)
    if not 1990 <= when.year < 2100:
        return "bad"
    time_us = (when - EPOCH) // timedelta(microseconds=1)
    value = _number(row.get("SampleValue", row.get("AverageValue", "")))
    if value is None or not counter.low <= value * meaning.factor <= counter.high:
        return "bad"
    value *= meaning.factor
    if "SampleValue" in row:
        out.put((time_us, entity, counter.name, meaning.part, 0), value)
        return "good"
    highest, count = _number(row["MaxValue"]), _number(row["SampleCount"])
    if highest is None or count is None or count < 1 or not value <= highest * meaning.factor <= counter.high:
        return "bad"
    end = time_us + 3_600_000_000
    out.put((end, entity, counter.name, meaning.part, 3600), value)
    out.put((end, entity, counter.name + "_max", meaning.part, 3600), highest * meaning.factor)
    return "good"


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text.strip(" \t"), re.ASCII) else None


def stored(store: Store) -> dict[Key, float]:
    """Everything a store holds."""
    out: dict[Key, float] = {}
    for name in COUNTERS:
        for counter in (name, name + "_max"):
            for row in store.samples(counter).to_pylist():
                time_us = (row["time"] - EPOCH) // timedelta(microseconds=1)
                key = (time_us, row["entity"], row["counter"], row["part"], row["span_s"])
                assert key not in out, f"stored twice: {key}"
                out[key] = row["value"]
    return out


def grid(samples: dict[Key, float], counter: str, until: datetime, count: int, step_s: int) -> dict[str, list[float]]:
    """The grid of one counter, point by point."""
    step = step_s * 1_000_000
    until_us = (until - EPOCH) // timedelta(microseconds=1)
    last = until_us // step * step
    points = [last - k * step for k in range(count)][::-1]
    series: dict[tuple[str, str], dict[tuple[int, int], float]] = defaultdict(dict)
    peaks: dict[tuple[str, str], dict[tuple[int, int], float]] = defaultdict(dict)
    for (time_us, entity, name, part, span), value in samples.items():
        if time_us <= until_us and name in (counter, counter + "_max"):
            (series if name == counter else peaks)[entity, part][time_us, span] = value
    lines = {who: _line(values, peaks[who], counter, points, step) for who, values in series.items()}
    out = {}
    for entity in sorted({entity for entity, _ in lines}):
        mine = {part: line for (name, part), line in lines.items() if name == entity}
        line = [_together(mine, k, counter) for k in range(count)]
        if not all(math.isnan(value) for value in line):
            out[entity] = line
    return out


def _line(
    values: dict[tuple[int, int], float],
    peaks: dict[tuple[int, int], float],
    counter: str,
    points: list[int],
    step: int,
) -> list[float]:
    carry = COUNTERS[counter].carry_s * 1_000_000
    out = []
    for point in points:
        raw = max((time for time, span in values if span == 0 and time <= point), default=None)
        if raw is not None and point - raw <= carry:
            out.append(values[raw, 0])
            continue
        covering = [(span, time) for time, span in values if span and time - span * 1_000_000 < point <= time]
        out.append(_inside(*min(covering), point, values, peaks, counter, step) if covering else math.nan)
    return out


def _inside(
    span: int,
    time: int,
    point: int,
    values: dict[tuple[int, int], float],
    peaks: dict[tuple[int, int], float],
    counter: str,
    step: int,
) -> float:
    """The value shown at `point` by the aggregate over (time - span, time]."""
    mean = values[time, span]
    peak = max(peaks.get((time, span), mean), mean)
    first = point
    while first - step > time - span * 1_000_000:
        first -= step
    number = (time - first) // step + 1
    tall = min(max(round(900_000_000 / step), 1), number)
    low = COUNTERS[counter].low
    high = min(peak, max((mean * number - low * (number - tall)) / tall, mean))
    rest = (mean * number - high * tall) / (number - tall) if number > tall else high
    offset = (point - first) // step
    lead = (number - tall) // 2
    return high if lead <= offset < lead + tall else rest


def _together(mine: dict[str, list[float]], k: int, counter: str) -> float:
    for group in GROUP_ORDER:
        known = [line[k] for part, line in mine.items() if part.partition(":")[0] == group and not math.isnan(line[k])]
        if known:
            return sum(known) / len(known) if COUNTERS[counter].unit == "%" else sum(known)
    return math.nan


def write(path: Path, text: str) -> Path:
    """`text` as a file, newlines as they are."""
    path.write_bytes(text.encode("utf-8"))
    return path
