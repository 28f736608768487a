"""Dying at every point, simulated: how many schedules, how many broken laws, which mutants of the protocol are caught.

    python benchmarks/crashes.py [--plans 12] [--double 1500]

Every crash point of so many plans, then so many schedules with two to four crashes. A broken law is printed with its seed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.remediation.mutants import MUTANTS
from tests.remediation.schedules import BrokenLawError, run
from tests.remediation.test_crashes import case, schedules


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="crash an apply at every point, in simulated time")
    parser.add_argument("--plans", type=int, default=12)
    parser.add_argument("--double", type=int, default=1500)
    options = parser.parse_args()
    begun, rng, broken = time.monotonic(), random.Random(0), 0
    single = [(seed, [point]) for seed in range(options.plans) for point in range(1, run(case(seed)).points[0] + 1)]
    double = [
        (i, [rng.randint(1, 140), *(rng.randint(1, 60) for _ in range(rng.randint(1, 3)))])
        for i in range(options.double)
    ]
    for seed, crashes in [*single, *double]:
        try:
            run(case(seed), crashes)
        except BrokenLawError as error:
            broken += 1
            print(f"seed {seed}, crashes at {crashes}: {error}")
    print(f"{'every crash point of':32}{options.plans:6} plans: {len(single)} schedules")
    print(f"{'two to four crashes':32}{len(double):6} schedules")
    print(f"{'laws broken':32}{broken:6}")
    print(f"{'seconds':32}{time.monotonic() - begun:6.0f}")
    for mutant in MUTANTS:
        print(f"{mutant.__name__.removeprefix('ExecutorOf'):32}{first_caught(mutant)}")
    return 1 if broken else 0


def first_caught(mutant: type) -> str:
    """After how many schedules a mutant breaks a law, and which."""
    for n, (crashes, hurt) in enumerate(islice(schedules(mutant), 1000), start=1):
        try:
            run(hurt, crashes)
        except BrokenLawError as error:
            return f"caught after {n:4} schedules: {error}"
    return "NOT CAUGHT"


if __name__ == "__main__":
    sys.exit(main())
