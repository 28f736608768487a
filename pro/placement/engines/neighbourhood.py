"""CP-SAT on neighbourhoods: a few hosts at a time give each other their VMs anew, all others stay.

Large neighbourhood search (Shaw 1998), as team S38 of the ROADEF challenge did it. It goes on where single moves and exchanges are
stuck: often a VM can only go home if one that took its place makes room, and that one if a third does. So hosts of a neighbourhood
hang together: one of them holds a VM that has its home on another.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pro.placement.problem import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.core.arrays import Ints
    from pro.placement.engines.around import Around
    from pro.placement.problem import Problem


CROWD = 12.5
"""With so many VMs on a host, on the mean, four hosts at a time are solved in a fraction of a second."""
PACE = 60
"""So many hosts are looked at in a second."""
DEAR = 0.3
"""The share of neighbourhoods that begin at a host drawn by what its use costs, where any costs something; the others begin at the two of a VM that is
not at home."""
GROWN, SHRUNK = 1.05, 0.85
"""By what neighbourhoods grow when one was solved to the end, and shrink when it was not."""


@dataclass(frozen=True)
class Neighbourhoods:
    """Large neighbourhood search with CP-SAT. One step is one neighbourhood.

    `pairs` of a VM and a host that the first neighbourhood has, about; `linked`: the share of hosts that are chosen since they hold a VM
    of one that is chosen, or it holds one of theirs, the others are drawn; `effort`: deterministic seconds for each. `clock` is what
    `Stop.seconds` is measured on.
    """

    name: str = "CP-SAT on neighbourhoods"
    pairs: float = 150.0
    linked: float = 0.7
    effort: float = 0.05
    clock: Callable[[], float] = time.monotonic

    def fits(self, problem: Problem, seconds: float) -> bool:
        """Whether hosts hold few enough VMs, and `seconds` suffice for a look at most of them."""
        return int(problem.movable.sum()) <= CROWD * problem.hosts <= CROWD * PACE * seconds

    def improve(self, problem: Problem, start: Ints, stop: Stop, rng: np.random.Generator) -> Ints:
        """(V,) a placement at least as good as `start`."""
        from pro.placement.engines.around import Around
        from pro.placement.engines.exact import Effort, Exact

        until, done, pairs = self.clock() + stop.seconds, 0, self.pairs
        exact = Exact(effort=Effort(workers=1, linear=0, step=self.effort, capped=True))
        around = Around(problem, start)
        while (left := until - self.clock()) > 0 and done < stop.steps and problem.movable.any():
            cut = around.cut(self._hosts(around, pairs, rng))
            proof = exact.prove(cut.problem, cut.start, Stop(left, 1), int(rng.integers(1, 2**31 - 1)))
            around.put(cut.vms, cut.hosts[proof.host_of[: len(cut.vms)]])
            pairs *= GROWN if all(proof.optimal) else SHRUNK
            done += 1
        return around.host_of

    def _hosts(self, around: Around, pairs: float, rng: np.random.Generator) -> Ints:
        """(k,) hosts that hang together, at least two where there are two."""
        problem, host_of = around.problem, around.host_of
        away = np.flatnonzero(host_of != problem.home)
        links = np.stack([problem.home[away], host_of[away]])
        held = np.bincount(host_of[problem.movable], minlength=problem.hosts)
        chosen, cost = np.zeros(problem.hosts, bool), np.maximum(around.dear(), 0)
        if cost.any() and (not len(away) or rng.random() < DEAR):
            chosen[rng.choice(problem.hosts, p=cost / cost.sum())] = True
        else:
            chosen[links[:, rng.integers(len(away))] if len(away) else rng.integers(problem.hosts)] = True
        while not chosen.all() and (chosen.sum() < 2 or held[chosen].sum() * chosen.sum() < pairs):
            known = chosen[links]
            beside = links[::-1][known & ~known[::-1]]
            if len(beside) and rng.random() < self.linked:
                chosen[rng.choice(beside)] = True
            else:
                chosen[rng.choice(np.flatnonzero(~chosen))] = True
        return np.flatnonzero(chosen)
