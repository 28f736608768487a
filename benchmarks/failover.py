"""How long does it take to know whether any host may fail? N+k of invented fleets with rules.

    python -m benchmarks.failover [--hosts 1000] [--vms 25000] [--rules 2000] [--seed 1] [--k 1] [--growth] [--record]

`--growth`: fleets of 100, 300, 1,000 and 4,000 hosts with 25 VMs and 2 rules a host. CPU seconds: compiling the rules, checking, and
explaining failures, each apart; compiled kernels come from numba's cache. "vms left" counts VMs without a place over all failures.
"""

from __future__ import annotations

import resource
import time
from typing import Any

from benchmarks.fleets import RESERVE_MIB, failover_fleet
from benchmarks.tables import command_line, tell
from pro.placement.constraints import build
from pro.placement.failover.drill import Drill
from pro.placement.failover.report import headline
from pro.placement.failover.survey import report_of


def run(hosts: int, vms: int, rules: int, seed: int, k: int) -> dict[str, Any]:
    """One fleet."""
    fleet = failover_fleet(hosts, vms, rules, seed)
    begun = time.process_time()
    drill = Drill(fleet, build(fleet, memory_reserve_mib=RESERVE_MIB))
    compiled = time.process_time()
    drill.clusters_of(fleet.host_of, k)
    checked = time.process_time()
    report = report_of(drill, fleet.host_of, k)
    told = time.process_time()
    print(headline(report, fleet))
    return {
        "hosts": hosts, "VMs": fleet.n_vms, "rules": len(fleet.rules), "k": k, "sets": report.sets, "checked": report.checked,
        "cannot fail": sum(f.proven for f in report.failures),
        "unproven": sum(not f.proven for f in report.failures),
        "VMs left": sum(f.amount for f in report.failures), "compile CPU s": round(compiled - begun, 2),
        "check CPU s": round(checked - compiled, 2), "explain CPU s": round(told - checked, 2),
        "all CPU s": round(told - begun, 2), "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


def main() -> None:
    """Command line."""
    options = command_line(__doc__)
    for name, value in (("hosts", 1_000), ("vms", 25_000), ("rules", 2_000), ("seed", 1), ("k", 1)):
        options.add_argument(f"--{name}", type=int, default=value)
    options.add_argument("--growth", action="store_true")
    given = options.parse_args()
    run(20, 200, 20, 1, 1)  # loads the compiled kernels
    sizes = [(h, 25 * h, 2 * h) for h in (100, 300, 1_000, 4_000)]
    asked = sizes if given.growth else [(given.hosts, given.vms, given.rules)]
    rows = [run(hosts, vms, rules, given.seed, given.k) for hosts, vms, rules in asked]
    tell("N+k failover", f"one process, seed {given.seed}", rows, given.record)


if __name__ == "__main__":
    main()
