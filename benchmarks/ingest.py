"""How fast counters are taken in: rows per CPU-second, of the ingest itself and of the whole process.

    python -m benchmarks.ingest FILE_OR_FOLDER [--runs N]

Every run is a process of its own with a store of its own; the second ingest of the same source must add nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("source", type=Path)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        print(json.dumps(once(given.source)))
        return
    rows = []
    for _ in range(given.runs):
        command = [sys.executable, "-m", "benchmarks.ingest", str(given.source), "--child"]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    for key in rows[0]:
        values = sorted(r[key] for r in rows)
        print(f"{key:42} min {values[0]:>14,.2f}  median {values[len(values) // 2]:>14,.2f}  max {values[-1]:>14,.2f}")


def once(source: Path) -> dict[str, float]:
    """One ingest, and the same again."""
    from pro.telemetry.store import Store

    with tempfile.TemporaryDirectory() as folder:
        begun = _cpu()
        first = Store(Path(folder)).ingest([source])
        took = _cpu() - begun
        whole = _cpu()
        again = Store(Path(folder)).ingest([source])
        return {
            "rows read": first.read, "kept": first.kept, "duplicate": first.duplicate, "quarantined": first.quarantined,
            "kept by the second ingest": again.kept, "CPU-s of ingest": took, "M rows per CPU-s of ingest": first.read / took / 1e6,
            "M rows per CPU-s of the whole process": first.read / whole / 1e6, "MiB at most": _peak(),
        }  # fmt: skip


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
