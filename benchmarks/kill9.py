"""kill -9 at random moments: does resume find the truth?

    python benchmarks/kill9.py --moments 200 [--seed 1] [--keep FOLDER]

Until so many processes have been killed while they were at work: a new estate on disk, a process that applies a plan to it,
SIGKILL after a random time (in a quarter of the cases again during resume), resume, look, apply once more. Prints what must
be 0.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.remediation.killing import Count, count, has_begun, kill_after, prepare, recover


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="kill -9 an apply at random moments")
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep the estates in this folder")
    options = parser.parse_args()
    root = options.keep or Path(tempfile.mkdtemp(prefix="kill9-"))
    rng, counted, begun = random.Random(options.seed), Count(), time.monotonic()
    stages = {"before the run was journalled": 0, "during the run": 0}
    n = 0
    while counted.kills < options.moments:
        n += 1
        folder = root / str(n)
        faults = rng.choice(((), ("lost_ack,attempt=1",), ("delay,attempt=1,seconds=1",), ("slow,attempt=1",)))
        prepare(folder, seed=rng.randrange(10**6), speed=20.0, faults=faults)
        if kill_after(folder, "apply", rng.uniform(0.0, 1.4)):
            counted.kills += 1
            stages["during the run" if has_begun(folder) else "before the run was journalled"] += 1
        if has_begun(folder) and rng.random() < 0.25:
            counted.kills += kill_after(folder, "resume", rng.uniform(0.0, 0.8))
        recover(folder)
        count(folder, counted)
        if options.keep is None:
            shutil.rmtree(folder)
        print(f"\r{counted.kills}/{options.moments}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{'estates':32}{n:6}")
    for name, value in {**vars(counted), **stages}.items():
        print(f"{name.replace('_', ' '):32}{value:6}")
    print(f"{'seconds':32}{time.monotonic() - begun:6.0f}")
    return 1 if counted.harm else 0


if __name__ == "__main__":
    sys.exit(main())
