"""A Limit while VMs move: a travelling VM counts at both ends, so any order of arrivals is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pro.placement.language import Limit, counted

if TYPE_CHECKING:
    from pro.core.arrays import Ints


class Load:
    """How much stands in each scope item of `row`, and how much may: the limit, or today's level where that is higher.

    `physical`: the limit itself, whatever stands there today. A rule that is broken may stay so; memory that is not there
    cannot be given to one more VM.

    Limits of one dimension, which is nearly all of them, are kept in plain integers: they are asked about very often.
    """

    def __init__(self, row: Limit, home: Ints, *, physical: bool = False) -> None:
        self.row = row
        self.scope: list[int] = row.scope.tolist()
        use = counted(row, home, home)
        upper = row.upper if physical else np.maximum(row.upper, use)
        self._flat = row.weight.shape[1] == 1
        self._weight = row.weight[:, 0].tolist() if self._flat else row.weight
        self._use = use[:, 0].tolist() if self._flat else use
        self._upper = upper[:, 0].tolist() if self._flat else upper

    def lack(self, i: int, source: int, host: int) -> int:
        """By how much member `i` of the row is too much at `host`; 0 if it fits, or counts there already from `source`.

        A VM that adds nothing to a full host does no harm there.
        """
        item = self.scope[host]
        if item < 0 or item == self.scope[source]:
            return 0
        over = self._use[item] + self._weight[i] - self._upper[item]
        if self._flat:
            return int(over) if over > 0 and self._weight[i] > 0 else 0
        return int(np.max(over, where=(over > 0) & (self._weight[i] > 0), initial=0))

    def weigh(self, i: int, stays: int, host: int, sign: int) -> None:
        """Add (or take away) member `i` at `host`, unless it counts there anyway because it `stays` in the same item."""
        item = self.scope[host]
        if item >= 0 and item != self.scope[stays]:
            self._use[item] += sign * self._weight[i]
