"""Dying at any point of an apply and resuming comes to the same end; and the laws that say so can tell."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from pro.backends.faults import Fault
from tests.remediation.estate import plan, random_case, world
from tests.remediation.mutants import MUTANTS
from tests.remediation.schedules import BrokenLawError, Case, explore, run, some_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pro.remediation.executor import Executor


def case(seed: int, executor: type[Executor] | None = None, *, must_finish: bool | None = None) -> Case:
    """Case number `seed`: late requests, failing migrations, waves that do not fit at once, or plain bad luck, in turn."""
    tight, failing, late = seed % 4 == 2, seed % 4 == 1, seed % 4 == 0
    seen, what = random_case(seed, vms=15 if tight else 8, fits=not tight)
    vms = [m.vm for m in what.migrations]
    faults = (
        tuple(Fault("delay", vm=vm, seconds=6.0) for vm in vms) if late else some_faults(seed, vms, failing=failing)
    )
    finishes = not (failing or tight) if must_finish is None else must_finish
    made = Case(seen, what, faults, blind=seed % 2 == 0, seed=seed, must_finish=finishes)
    if executor is not None:
        made.executor = executor
    return made


@pytest.mark.parametrize("seed", range(5))
def test_a_crash_at_every_single_point_comes_to_the_same_end(seed: int) -> None:
    tried = explore(case(seed), every=1 if seed in (1, 3) else 3)
    assert tried > 10


def test_crashes_during_resume_too_come_to_the_same_end() -> None:
    tried = 0
    for seed in range(20):
        rng = random.Random(seed)
        for _ in range(10):
            run(case(seed), [rng.randint(1, 120)] + [rng.randint(1, 50) for _ in range(rng.randint(1, 3))])
            tried += 1
    assert tried == 200


def test_whatever_goes_wrong_is_left_in_order() -> None:
    for seed in range(60, 160):
        outcome = run(case(seed))
        assert outcome.result.exit_code in (0, 5)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.__name__.removeprefix("ExecutorOf"))
def test_every_mutant_of_the_protocol_is_caught(mutant: type[Executor]) -> None:
    with pytest.raises(BrokenLawError):
        run_all(islice(schedules(mutant), 1000))


def run_all(chosen: Iterable[tuple[list[int], Case]]) -> None:
    """Run one schedule after the other."""
    for crashes, hurt in chosen:
        run(hurt, crashes)


def schedules(mutant: type[Executor]) -> Iterator[tuple[list[int], Case]]:
    """Cases in turn: without a crash, then with one at every fifth point or so."""
    for seed in range(40):
        yield [], case(seed, mutant, must_finish=False)
    for start in range(0, 20, 3):
        for seed in range(12):
            for point in range(1 + start, 160, 20):
                yield [point], case(seed, mutant, must_finish=False)


def test_a_wave_that_does_not_fit_at_once_is_taken_one_by_one() -> None:
    stands = {"a0": "h0", "b0": "h1", "b1": "h1", "b2": "h1", "b3": "h1"}
    seen = world(stands, hosts=3, vm_mib=2048)
    what = plan(seen, [("a0", "h0", "h1"), ("b0", "h1", "h2")])
    outcome = run(Case(seen, what))
    assert outcome.result.exit_code == 0
    assert [row["vm"] for row in outcome.simulation.history] == ["b0", "a0"]
