"""A Together with weights (a licence) while VMs move: what the scope items that hold any member weigh, whoever arrives first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pro.core.text import plain

if TYPE_CHECKING:
    from collections import Counter

    from pro.placement.language import Together


@dataclass
class Tally:
    """The state of one row. `members`: how many count at each scope item, those under way at both ends;
    `most`: what the items that hold any may weigh. Where that would be passed, a VM crosses `alone`: it is at either end."""

    row: Together
    members: Counter[int]
    weigh: list[int]
    most: int
    crossing: int = 0
    alone: bool = False

    def weight(self, source: int, host: int, *, left: bool) -> int:
        """What the items weigh once a member has come from `source` to `host`, before or after it has `left`."""
        members = self.members.copy()
        members[int(self.row.scope[host])] += 1
        members[int(self.row.scope[source])] -= left
        return sum(self.weigh[item + 1] for item, n in members.items() if n > 0)

    def refusal(self, source: int, host: int) -> str:
        """Why a member may not set out, in words; "" if it may."""
        if self.row.scope[source] == self.row.scope[host] or self._room(source, host):
            return ""
        if self.crossing:
            return f"another member of {plain(self.row.label)} is on its way"
        weight = self.weight(source, host, left=True)
        return f"{plain(self.row.label)} would come to {weight:,} of {self.most:,}" if weight > self.most else ""

    def depart(self, source: int, host: int) -> None:
        """A member sets out."""
        if self.row.scope[source] != self.row.scope[host]:
            self.alone = not self._room(source, host)
            self.crossing += 1
        self.members[int(self.row.scope[host])] += 1

    def arrive(self, source: int, host: int) -> None:
        """A member that was under way counts at `source` alone, until it is settled."""
        self.members[int(self.row.scope[host])] -= 1
        if self.row.scope[source] != self.row.scope[host]:
            self.crossing, self.alone = self.crossing - 1, False

    def _room(self, source: int, host: int) -> bool:
        return not self.alone and self.weight(source, host, left=False) <= self.most
