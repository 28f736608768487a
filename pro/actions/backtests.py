"""Finished backtests, found again and made ready to draw."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pro.core.arrays import Floats, Ints


RESULT, PAGE = "backtest.json", "backtest.html"
BUCKETS = 288
"""Columns of a picture at most; more instants are put together, and the worst of them is drawn."""


@dataclass(frozen=True)
class Finished:
    """A backtest that ended, and the folder that holds it. `document` is "backtest/1"."""

    folder: Path
    document: Mapping[str, Any]

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the policies, that of doing nothing first."""
        return tuple(p["name"] for p in self.document["policies"])

    @property
    def changed(self) -> int:
        """When it was written, in ns."""
        return (self.folder / RESULT).stat().st_mtime_ns

    def tables(self) -> list[Path]:
        """The tables that it left."""
        tables = [table_of(self.folder, kind, name) for name in self.policies for kind in KINDS]
        return [p for p in tables if p.is_file()]

    def files(self) -> list[Path]:
        """All that the backtest left for people and programs."""
        return [*(p for p in (self.folder / RESULT, self.folder / PAGE) if p.is_file()), *self.tables()]


KINDS = ("trajectory", "probabilities", "use")


@dataclass(frozen=True)
class Grid:
    """Values of hosts over time: `values` (H, B) for hosts (ids) and stretches of time from `edges[b]` to `edges[b + 1]` (B + 1,).

    `names` are what people call the hosts, `moves` (B,) how many migrations ended in each stretch.
    """

    hosts: tuple[str, ...]
    names: tuple[str, ...]
    edges: tuple[datetime, ...]
    values: Floats
    moves: Ints


def table_of(folder: Path, kind: str, policy: str) -> Path:
    """File of a policy's table: one for every name, and none leaves the folder."""
    return folder / f"{kind}-{quote(policy, safe='+', errors='surrogatepass')}.parquet"


def find_backtests(store: Path) -> list[Path]:
    """Folders with a finished backtest in the store or beside it, the newest first."""
    found = {p.resolve(): p for place in (store, store / "backtests", store.parent) for p in place.glob(f"*/{RESULT}")}
    return [p.parent for p in sorted(found.values(), key=lambda p: p.stat().st_mtime_ns, reverse=True)]


def read_backtest(folder: Path) -> Finished:
    """The backtest in `folder`. Raises InputError if there is none, or what is there is something else."""
    path = folder / RESULT
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            "no finished backtest here", expected="the folder of `pro backtest -o`", where=folder
        ) from None
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=path) from None
    if not isinstance(document, dict) or document.get("schema") != "backtest/1":
        raise InputError("not a backtest", got=str(document)[:80], expected='schema "backtest/1"', where=path)
    rows = document.get("policies")
    if not rows:
        raise InputError("a backtest without policies", where=path)
    if not all(isinstance(p, dict) and isinstance(p.get("name"), str) for p in rows):
        raise InputError("a policy without a name", where=path)
    return Finished(folder, document)


def use_of(found: Finished, policy: str) -> Grid | None:
    """Measured use of every host (fraction of its capacity) under `policy`, the highest of each stretch; None if it was not kept."""
    path = table_of(found.folder, "use", policy)
    if not path.is_file():
        return None
    times, hosts, names, values = _wide(path, "use")
    starts = _edges(len(times))
    step = times[1] - times[0] if len(times) > 1 else np.timedelta64(300, "s")
    ends = [_instant(times[i] - step) for i in starts] + [_instant(times[-1])]
    moves = np.add.reduceat(_moves(found, policy, len(times)), starts)
    return Grid(hosts, names, tuple(ends), np.maximum.reduceat(values, starts, axis=1), moves)


def chances_of(found: Finished, policy: str) -> Grid | None:
    """How likely every host was to run hot within the hour after, under `policy`; the highest of each stretch. None without forecasts."""
    path = table_of(found.folder, "probabilities", policy)
    if not path.is_file():
        return None
    times, hosts, names, values = _wide(path, "probability")
    if not len(times):
        return None
    labels = _names(found)
    starts = _edges(len(times))
    ends = [_instant(times[i]) for i in starts] + [_instant(times[-1] + np.timedelta64(1, "h"))]
    shown = tuple(labels.get(h, n) for h, n in zip(hosts, names, strict=True))
    return Grid(hosts, shown, tuple(ends), np.maximum.reduceat(values, starts, axis=1), np.zeros(len(starts), np.int64))


def _names(found: Finished) -> dict[str, str]:
    """Id of a host -> what people call it, as far as the files know."""
    import pyarrow.parquet as pq

    path = next((p for n in found.policies if (p := table_of(found.folder, "use", n)).is_file()), None)
    if path is None:
        return {}
    first = pq.ParquetFile(path).read_row_group(0, columns=["host", "name"]).slice(0, int(found.document["hosts"]))
    return dict(zip(first["host"].to_pylist(), first["name"].to_pylist(), strict=True))


def _wide(path: Path, column: str) -> tuple[Any, tuple[str, ...], tuple[str, ...], Floats]:
    """Times (T,), hosts (H,) as ids and names, and values (H, T) of a table ordered by time and host."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        times = np.unique(table["time"].to_numpy())
        count = table.num_rows // max(len(times), 1)
        values = table[column].to_numpy().astype(np.float64).reshape(len(times), count).T
        hosts = tuple(map(str, table["host"][:count].to_pylist()))
        names = tuple(map(str, table["name"][:count].to_pylist())) if "name" in table.column_names else hosts
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise InputError(
            f"the table cannot be read ({error})", expected="as `pro backtest -o` wrote it", where=path
        ) from None
    return times, hosts, names, values


def _moves(found: Finished, policy: str, columns: int) -> Ints:
    """(columns,) migrations that ended at every step; none where the trajectory was not kept."""
    import pyarrow.parquet as pq

    path, home = (table_of(found.folder, "trajectory", name) for name in (policy, found.policies[0]))
    if not path.is_file() or not home.is_file():
        return np.zeros(columns, np.int64)
    vms = int(found.document["vms"])
    stands = pq.read_table(path, columns=["host"])["host"].combine_chunks()
    codes = stands.indices.to_numpy().reshape(-1, vms)
    ids = np.array(stands.dictionary.to_pylist(), dtype=object)
    first = pq.read_table(home, columns=["host"])["host"].slice(0, vms).to_pylist()
    began = (ids[codes[0]] != np.array(first, dtype=object)).sum()
    counted = np.concatenate([[began], (np.diff(codes, axis=0) != 0).sum(axis=1)])
    out = np.zeros(columns, np.int64)
    out[: len(counted)] = counted[:columns]
    return out


def _edges(count: int) -> Ints:
    """Where each of at most `BUCKETS` stretches of `count` columns begins."""
    return np.unique(np.linspace(0, count, min(BUCKETS, count) + 1).astype(np.int64))[:-1]


def _instant(at: Any) -> datetime:
    from datetime import UTC

    stamp: datetime = at.astype("datetime64[us]").item()
    return stamp.replace(tzinfo=UTC)


def packed(files: Sequence[Path]) -> bytes:
    """`files` as one archive, without folders."""
    import io
    import zipfile

    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.name)
    return body.getvalue()
