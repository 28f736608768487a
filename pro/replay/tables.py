"""A policy's course as tables: where every VM stood, how full every host was, and how likely it was to run hot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.table import field
from pro.replay.course import stretches
from pro.replay.measure import shares
from pro.replay.past import STEP_S

if TYPE_CHECKING:
    import pyarrow as pa

    from pro.replay.backtest import Backtest, Row


def trajectory_schema() -> pa.Schema:
    """Columns of `trajectory-NAME.parquet`."""
    import pyarrow as pa

    names = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            field("step", pa.int32(), "5 min", f"instant `from` + (step + 1) * {STEP_S} s; the VM stands there then"),
            field("vm", names, "", "id of the VM"),
            field("host", names, "", "id of the host"),
        ]
    )


def probabilities_schema() -> pa.Schema:
    """Columns of `probabilities-NAME.parquet`."""
    import pyarrow as pa

    names = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            field("time", pa.timestamp("us", "UTC"), "", "instant of the forecast; nothing later was known"),
            field("host", names, "", "id of the host"),
            field(
                "probability", pa.float64(), "fraction",
                "that it is over the threshold for at least 15 minutes within the hour after, VMs standing as they do at `time`",
            ),
        ]
    )  # fmt: skip


def use_schema() -> pa.Schema:
    """Columns of `use-NAME.parquet`."""
    import pyarrow as pa

    names = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            field("time", pa.timestamp("us", "UTC"), "", f"end of the {STEP_S} s that are meant"),
            field("host", names, "", "id of the host"),
            field("name", names, "", "what people call it"),
            field("use", pa.float32(), "fraction", "of its processors; above 1 VMs did not get what they asked for"),
        ]
    )


def trajectory(found: Backtest, row: Row) -> pa.Table:
    """Every VM at every step of 5 minutes, ordered by step and VM."""
    fleet = found.past.fleet
    parts = stretches(found.past, row.runner.course.trail, found.past.last)
    host = np.concatenate([np.repeat(host_of[None, :], end - begin, axis=0) for begin, end, host_of in parts])
    steps = np.repeat(np.arange(host.shape[0], dtype=np.int32), fleet.n_vms)
    vms = np.tile(np.arange(fleet.n_vms), host.shape[0])
    return _table(trajectory_schema(), [steps, _names(vms, fleet.vms), _names(host.ravel(), fleet.hosts)])


def probabilities(found: Backtest, row: Row) -> pa.Table:
    """Every host at the first look of every hour, ordered by time and host."""
    chances, fleet = row.runner.chances, found.past.fleet
    times = np.repeat([np.datetime64(found.past.at(c).replace(tzinfo=None), "us") for c, _ in chances], fleet.n_hosts)
    hosts = np.tile(np.arange(fleet.n_hosts), len(chances))
    return _table(
        probabilities_schema(),
        [times, _names(hosts, fleet.hosts), np.array([p for _, share in chances for p in share], dtype=np.float64)],
    )


def use(found: Backtest, row: Row) -> pa.Table:
    """Every host at every step of 5 minutes, ordered by time and host."""
    past, fleet = found.past, found.past.fleet
    share = shares(past, row.runner.course.trail)
    ends = np.datetime64(past.at(past.first).replace(tzinfo=None), "us") + (
        np.arange(share.shape[1]) + 1
    ) * np.timedelta64(STEP_S, "s")
    hosts = np.tile(np.arange(fleet.n_hosts), share.shape[1])
    return _table(
        use_schema(),
        [
            np.repeat(ends, fleet.n_hosts),
            _names(hosts, fleet.hosts),
            _names(hosts, fleet.host_names),
            np.round(share.T.ravel(), 4),
        ],
    )


def _names(codes: Any, names: tuple[str, ...]) -> Any:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names, pa.string()))


def _table(schema: pa.Schema, columns: list[Any]) -> pa.Table:
    import pyarrow as pa

    arrays = [
        c.cast(f.type) if isinstance(c, pa.DictionaryArray) else pa.array(c).cast(f.type)
        for c, f in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
