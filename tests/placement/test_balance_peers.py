"""The balance benchmark never takes a peer's silence, failure or absence for an answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.balance import run
from benchmarks.peers import Pace, Peer, ask, peers

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def script(folder: Path, body: str) -> Peer:
    file = folder / "peer.py"
    file.write_text(body, "utf-8")
    return Peer("peer", (sys.executable, str(file)), 1.0)


def test_the_last_line_is_the_answer(tmp_path: Path) -> None:
    peer = script(tmp_path, """print("noise"); print('{"after": {"J": 1.5}, "cpu_s": 0.1}')""")
    assert ask(peer) == {"after": {"J": 1.5}, "cpu_s": 0.1}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("""print('{"status": "UNKNOWN", "cpu_s": 7}')""", "no answer in 7 CPU-s"),
        ("""import missing_solver""", "failed: ModuleNotFoundError"),
        ("""print("so be it")""", "its last line is not JSON: so be it"),
        ("""pass""", "it printed nothing"),
        ("""import os; os.kill(os.getpid(), 24)""", "ended by signal 24, at the latest after 7 CPU-s"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="limits of CPU seconds are those of POSIX")
def test_what_is_no_answer_is_said_in_words(tmp_path: Path, body: str, words: str) -> None:
    said = ask(script(tmp_path, body))
    assert isinstance(said, str)
    assert words in said


def test_who_is_not_run_says_why(tmp_path: Path) -> None:
    (tmp_path / "cpsat_bench.py").touch()
    small = {p.name: p.skipped for p in peers(tmp_path, "10/200/20", Pace(60), rebalancer=None, proxlb=tmp_path)}
    assert small["Rebalancer"] == "--rebalancer PYTHON was not given"
    assert small["proxlb-solver (memory only)"] == "no proxlb_solver_bench.py in --peers"
    assert small["CP-SAT (least maxima)"] == ""
    large = {p.name: p.skipped for p in peers(tmp_path, "300/6000/300", Pace(60), rebalancer=None, proxlb=None)}
    assert large["CP-SAT (least maxima)"] == "1,800,000 VM x host pairs, one Boolean each"


def test_wall_seconds_are_stretched_by_how_busy_the_core_is(tmp_path: Path) -> None:
    (tmp_path / "rebalancer_bench.py").touch()
    first = next(iter(peers(tmp_path, "10/200/20", Pace(60, 2.5), rebalancer=tmp_path, proxlb=None)))
    assert first.command[2:] == ("10", "200", "20", "150", "single")


def test_ours_is_judged_by_the_generator_s_own_measure(shared: Path) -> None:
    from benchmarks.balance import load

    file = shared / "check" / "peers" / "gen_balance.py"
    if not file.is_file():
        pytest.skip("the generator is not there")
    generator: ModuleType = load(file)
    run(generator, "10/200/20", 0.05, 1)  # loads the kernels
    row = run(generator, "10/200/20", 0.5, 1)
    capacity, size, home = generator.make(10, 200)
    assert row["J"] < generator.metrics(capacity, size, home, home)["J"]
    assert 0 < row["moves"] <= 20
