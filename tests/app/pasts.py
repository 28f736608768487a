"""A finished backtest made by hand: two hosts, three VMs, two hours; under "careful" one VM leaves the hot host."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pro.actions.backtests import RESULT, table_of
from pro.replay.tables import probabilities_schema, trajectory_schema, use_schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BEGAN, STEPS = datetime(2013, 8, 15, tzinfo=UTC), 24
HOSTS, VMS = ("h-1", "h-2"), ("a", "b", "c")
MOVED_AT = 12
"""Step from which VM b stands on the second host."""


def policy(name: str, minutes: int, migrations: int) -> dict[str, Any]:
    """A row of the document."""
    return {
        "name": name, "kind": "nothing" if name == "nothing" else "ours", "parameters": {}, "hot_minutes": minutes, "area": minutes / 10,
        "hot_minutes_vms": minutes, "area_vms": minutes / 10, "peak": 0.95, "contention_minutes": 0, "migrations": migrations,
        "migrations_per_day": 12.0 * migrations, "gib": 4.0 * migrations, "blackout_s": 0.2 * migrations, "undone": 0,
        "moves_per_vm_week": 1.0, "hosts_on": 2.0, "energy_kwh": 1.5, "known": 1.0, "hot_minutes_of_nothing": minutes / 120,
        "area_of_nothing": minutes / 120, "forecasts": migrations, "refused": 0, "said": {"no heat is near": 8},
    }  # fmt: skip


def document() -> dict[str, Any]:
    """ "backtest/1"."""
    return {
        "schema": "backtest/1", "from": BEGAN.isoformat(), "to": (BEGAN + timedelta(hours=2)).isoformat(), "every_s": 900.0,
        "threshold": 0.85, "looks": 8, "hosts": 2, "vms": 3, "power_model": {"idle_w": 100.0, "busy_w": 250.0, "empty_w": 0.0},
        "policies": [policy("nothing", 120, 0), policy("careful", 60, 1)], "best": "careful",
        "verdict": "In these 2 hours careful would have cut 120 host-minutes over 85% to 60 (50%) with 1 migration.", "warnings": [],
    }  # fmt: skip


def write_past(folder: Path, names: Sequence[str] = ("HV01", "HV02")) -> Path:
    """All files of it in `folder`; hosts are called `names`."""
    folder.mkdir(parents=True)
    (folder / RESULT).write_text(json.dumps(document()), encoding="utf-8")
    (folder / "backtest.html").write_text("<!doctype html><title>x</title>", encoding="utf-8")
    for name in ("nothing", "careful"):
        moved = [name == "careful" and t >= MOVED_AT for t in range(STEPS)]
        ends = [BEGAN + timedelta(seconds=300 * (t + 1)) for t in range(STEPS)]
        stands = [HOSTS[int(vm == "b" and moved[t])] for t in range(STEPS) for vm in VMS]
        use = [u for t in range(STEPS) for u in ((0.5, 0.4) if moved[t] else (0.9, 0.1))]
        hours = [BEGAN, BEGAN + timedelta(hours=1)]
        _write(
            folder,
            "trajectory",
            name,
            trajectory_schema(),
            [t for t in range(STEPS) for _ in VMS],
            list(VMS) * STEPS,
            stands,
        )
        _write(
            folder,
            "use",
            name,
            use_schema(),
            [e for e in ends for _ in HOSTS],
            list(HOSTS) * STEPS,
            list(names) * STEPS,
            use,
        )
        chances = [0.9, 0.0, 0.2 if name == "careful" else 0.9, 0.05]
        _write(folder, "probabilities", name, probabilities_schema(), [h for h in hours for _ in HOSTS], list(HOSTS) * 2, chances)  # fmt: skip
    return folder


def _write(folder: Path, kind: str, name: str, schema: pa.Schema, *columns: list[Any]) -> None:
    arrays = [
        pa.array(c).dictionary_encode() if pa.types.is_dictionary(f.type) else pa.array(c, f.type)
        for c, f in zip(columns, schema, strict=True)
    ]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), table_of(folder, kind, name))
