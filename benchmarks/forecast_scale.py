"""How forecasting grows with the fleet: a Parquet store of 7 days, 5-minute samples, 4 counters, forecast 24 h ahead.

    python -m benchmarks.forecast_scale [--vms 250 1000 4000] [--work DIR] [--keep]

For every size a store is written (not counted), then read and forecast in a process of its own: CPU and wall seconds, and its peak memory.
Training is apart: `taught` holds no lessons.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from pro.telemetry.partitions import path_of, write
from pro.telemetry.samples import samples_schema
from pro.telemetry.store import Store

COUNTERS = ("cpu_pct", "disk_bps", "memory_available_mib", "net_bps")
DAYS, PER_DAY, FIRST = 7, 288, date(2026, 3, 2)


def fill(root: Path, vms: int) -> None:
    """A store of made-up loads: office hours of random height, and noise."""
    rng = np.random.default_rng(0)
    height = rng.gamma(1.0, 20.0, size=(vms, 1))
    at = np.arange(PER_DAY)
    office = 0.4 + 0.6 * ((at > 96) & (at < 216))
    schema = samples_schema()
    names = pa.array([f"vm{i:06d}" for i in range(vms)])
    rows = vms * PER_DAY
    for day in range(DAYS):
        start = datetime.combine(FIRST + timedelta(days=day), datetime.min.time(), UTC)
        stamp = int(start.timestamp() * 1e6) + np.tile(at, vms) * 300_000_000
        tables = []
        for k, counter in enumerate(COUNTERS):
            value = np.clip(height * office * rng.lognormal(0, 0.3, size=(vms, PER_DAY)), 0, 100) * (1, 1e4, 10, 1e4)[k]
            columns = {
                "time": pa.array(stamp).cast(pa.timestamp("us", "UTC")),
                "entity": pa.DictionaryArray.from_arrays(np.repeat(np.arange(vms, dtype=np.int32), PER_DAY), names),
                "counter": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([counter])),
                "value": pa.array(value.ravel()),
                "part": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([""])),
                "span_s": pa.array(np.zeros(rows), pa.int32()),
            }
            tables.append(pa.table([columns[f.name].cast(f.type) for f in schema], schema=schema))
        write(
            path_of(root, FIRST + timedelta(days=day)),
            pa.concat_tables(tables).unify_dictionaries(),
            [k * rows for k in range(len(COUNTERS))],
        )


def measure(root: Path) -> dict[str, float]:
    """Read every counter, forecast all of them, and say three quantiles of each; in this process."""
    from pro.forecast.joint import forecast
    from pro.forecast.taught import Taught

    begun, wall = time.process_time(), time.monotonic()
    store = Store(root)
    grids = {c: store.grid(c, days=DAYS) for c in COUNTERS}
    read = time.process_time() - begun
    nothing = Taught(grids["cpu_pct"].cutoff, DAYS, 1800, {})
    found = forecast(grids, horizon_s=86_400, scenarios=24, seed=1, taught=nothing)
    forecast_s = time.process_time() - begun
    for scenarios in found.values():
        for q in (0.5, 0.9, 0.95):
            scenarios.quantile(q)
    return {
        "series": sum(len(s.entities) for s in found.values()),
        "read_cpu_s": round(read, 1),
        "forecast_cpu_s": round(forecast_s, 1),
        "cpu_s": round(time.process_time() - begun, 1),
        "wall_s": round(time.monotonic() - wall, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--vms", type=int, nargs="+", default=[250, 1000, 4000])
    options.add_argument("--work", type=Path)
    options.add_argument("--keep", action="store_true")
    options.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.measure is not None:
        print(json.dumps(measure(given.measure)))
        return
    for vms in given.vms:
        root = Path(tempfile.mkdtemp(dir=given.work, prefix="pro-scale-"))
        try:
            fill(root, vms)
            words = [sys.executable, "-m", "benchmarks.forecast_scale", "--measure", str(root)]
            print(
                vms,
                "VMs:",
                subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip(),
                flush=True,
            )
        finally:
            if not given.keep:
                shutil.rmtree(root)


if __name__ == "__main__":
    main()
