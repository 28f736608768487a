"""The machine reassignment benchmark says what the challenge says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.roadef import compile_model, read_assignment, read_model

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]

# Two resources (the second transient), three machines in two neighbourhoods and locations, two services of which the second
# depends on the first, three processes, one balance.
MODEL = """2 0 10 1 20
3
0 0 30 40 16 20 0 1 4
0 1 30 40 16 20 1 0 2
1 1 30 40 16 20 4 2 0
2
2 0
1 1 0
3
0 12 10 7
0 8 10 8
1 9 20 9
1
0 1 2
10
1 10 100
"""


def write(folder: Path, model: str = MODEL, home: str = "0 1 0") -> tuple[Path, Path]:
    files = folder / "model.txt", folder / "home.txt"
    for path, text in zip(files, (model, home), strict=True):
        path.write_text(text, "ascii")
    return files


def test_the_cost_of_a_tiny_model_is_that_worked_out_by_hand(tmp_path: Path) -> None:
    model_file, home_file = write(tmp_path)
    model = read_model(model_file)
    problem = compile_model(model, read_assignment(home_file, model))
    # At home: load 10 x (21 - 16) + 20 x (30 - 20); free is (9, 10), (22, 30), (30, 40), short of twice the first by 8, 14, 20.
    assert problem.costs(problem.home) == (10 * 5 + 20 * 10 + 10 * (8 + 14 + 20),)
    # The third process moves to the second machine: free is (18, 30), (13, 10), (30, 40).
    moved = np.array([0, 1, 1])
    assert problem.costs(moved) == (10 * 1 + 20 * 10 + 10 * (6 + 16 + 20) + 9 + 10 + 100,)
    assert problem.feasible(moved)


@pytest.mark.parametrize(
    ("machines", "why"),
    [([0, 0, 0], "conflict and spread"), ([0, 1, 2], "dependency"), ([2, 1, 1], "spread")],
)
def test_what_the_challenge_forbids_is_infeasible(tmp_path: Path, machines: list[int], why: str) -> None:
    model_file, home_file = write(tmp_path)
    model = read_model(model_file)
    assert not compile_model(model, read_assignment(home_file, model)).feasible(np.array(machines)), why


@pytest.mark.parametrize(
    ("model", "home"), [(MODEL + " 1", "0 1 0"), (MODEL[:-9], "0 1 0"), (MODEL, "0 1"), (MODEL, "0 1 3")]
)
def test_a_file_of_the_wrong_length_is_refused(tmp_path: Path, model: str, home: str) -> None:
    model_file, home_file = write(tmp_path, model, home)
    with pytest.raises(ValueError):
        read_assignment(home_file, read_model(model_file))


@pytest.mark.parametrize("name", ["a1_1", "a1_2"])
def test_on_public_instances_the_independent_checker_agrees(shared: Path, tmp_path: Path, name: str) -> None:
    files = [shared / "data" / "roadef" / f"{kind}_{name}.txt.gz" for kind in ("model", "assignment")]
    out = tmp_path / "answer.txt"
    command = [sys.executable, "-m", "benchmarks.roadef", *map(str, files), "--steps", "25", "-o", str(out)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
    checker = _load(shared / "check" / "roadef.py")
    model = checker.load_model(str(files[0]))
    home, answer = (checker.load_assignment(str(p), model) for p in (files[1], out))
    assert not any(checker.violations(model, home, answer).values())
    assert int(said[3]) == checker.cost(model, home, answer)["total"]
    assert int(said[1]) == checker.cost(model, home, home)["total"] > int(said[3])


def _load(path: Path) -> ModuleType | Any:
    spec = importlib.util.spec_from_file_location("roadef_checker", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
