"""Other solvers on the balance workload, each a script in a process of its own, held to CPU seconds.

A peer's script is called as `python SCRIPT HOSTS VMS ...` and prints one JSON object as its last line, with `after` (what the
generator's `metrics` say of its answer) and `cpu_s`. Seconds are handed to each solver in the only unit it knows: wall seconds
to Rebalancer, stretched by how busy the core was a moment ago; deterministic time to CP-SAT. The kernel ends whoever uses more
than twice the CPU seconds it was given.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NO_MORE_PAIRS = 200_000
"""VM x host pairs that a model with a Boolean for each is tried on: it takes 1 GiB at this size, and finds nothing there."""


@dataclass(frozen=True)
class Peer:
    """A solver to run: `python` and the words after it, the CPU seconds it was given; or why it is not run."""

    name: str
    command: tuple[str, ...] = ()
    seconds: float = 0.0
    skipped: str = ""


@dataclass(frozen=True)
class Pace:
    """CPU seconds for each peer, and how many wall seconds one of them takes at the moment."""

    seconds: float
    slower: float = 1.0


def peers(folder: Path, sizes: str, pace: Pace, *, rebalancer: Path | None, proxlb: Path | None) -> Iterator[Peer]:
    """Who is asked at `sizes` ("hosts/VMs/moves")."""
    hosts, vms, moves = sizes.split("/")
    seconds, limit = pace.seconds, str(round(pace.seconds * pace.slower))
    for kind, name in (("single", "Rebalancer"), ("cold", "Rebalancer, coldest hosts only")):
        asked = ("rebalancer_bench.py", hosts, vms, moves, limit, kind)
        yield _peer(name, folder, rebalancer, asked, seconds, "--rebalancer PYTHON was not given")
    pairs = int(hosts) * int(vms)
    large = f"{pairs:,} VM x host pairs, one Boolean each" if pairs > NO_MORE_PAIRS else ""
    # Building and presolving the model comes on top, and a unit of deterministic time takes 1 to 2 CPU seconds.
    memory = ("proxlb_solver_bench.py", hosts, vms, str(round(seconds / 3)), "memory")
    yield _peer("proxlb-solver (memory only)", folder, proxlb, memory, seconds, "--proxlb PYTHON was not given", large)
    maxima = ("cpsat_bench.py", hosts, vms, moves, str(round(seconds / 3)), "1", "max")
    yield _peer("CP-SAT (least maxima)", folder, Path(sys.executable), maxima, seconds, "", large)


def _peer(
    name: str, folder: Path, python: Path | None, words: tuple[str, ...], seconds: float, absent: str, large: str = ""
) -> Peer:
    script = folder / words[0]
    if python is None or large:
        return Peer(name, skipped=large or absent)
    if not script.is_file():
        return Peer(name, skipped=f"no {words[0]} in --peers")
    return Peer(name, (str(python), str(script.resolve()), *words[1:]), seconds)


def ask(peer: Peer) -> dict[str, Any] | str:
    """What the peer's script said, or in words why it said nothing."""
    if peer.skipped:
        return f"not run: {peer.skipped}"
    done = subprocess.run(peer.command, capture_output=True, text=True, preexec_fn=_limit(_most(peer)))
    lines = done.stdout.strip().splitlines()
    if done.returncode < 0:
        return f"no answer: ended by signal {-done.returncode}, at the latest after {_most(peer)} CPU-s"
    if done.returncode or not lines:
        return "failed: " + (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
    try:
        said: dict[str, Any] = json.loads(lines[-1])
    except json.JSONDecodeError:
        return f"failed: its last line is not JSON: {lines[-1][:80]}"
    if said.get("status") == "UNKNOWN":
        return f"no answer in {said['cpu_s']:g} CPU-s"
    return said


def _most(peer: Peer) -> int:
    return int(2 * peer.seconds) + 5


def _limit(seconds: int) -> Callable[[], None]:
    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    return limit
