"""When changes are allowed: times of day on certain days, in the time zone of the people concerned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, ClassVar
from zoneinfo import ZoneInfo

from pro.remediation.gates import Permit

if TYPE_CHECKING:
    from pro.backends.base import World
    from pro.planning.plan import Plan

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class ChangeWindow:
    """Opens at `starts` on each of `days` (0 = Monday) and closes at the next `ends`, which may be the day after.

    Equal times mean 24 hours. Both are wall times in `zone`. Where the clocks go back and a time comes twice, the first is
    meant; where they go forward over it, the window moves by the gap. So a window may last an hour more or less once a
    year, as people expect, and is never open twice in one night.
    """

    zone: str
    starts: time
    ends: time
    days: frozenset[int] = frozenset(range(7))
    name: ClassVar[str] = "change window"

    def permits(self, plan: Plan, world: World, now: datetime) -> Permit:
        """Open now, and for as long as the plan is expected to take."""
        local = now.astimezone(ZoneInfo(self.zone))
        closes = self.closes(now)
        if closes is None:
            return Permit(False, f"{local:%a %H:%M} is outside the change window {self}")
        lasts = plan_seconds(plan)
        if now + timedelta(seconds=lasts) > closes:
            return Permit(False, f"the plan takes {lasts / 60:.0f} minutes, the change window {self} closes before")
        return Permit(True, f"inside the change window {self}")

    def closes(self, now: datetime) -> datetime | None:
        """When the window that is open at `now` closes (UTC); None while it is shut."""
        today = now.astimezone(ZoneInfo(self.zone)).date()
        for day in (today - timedelta(days=1), today):
            opens, closes = self._of(day)
            if day.weekday() in self.days and opens <= now < closes:
                return closes
        return None

    def _of(self, day: date) -> tuple[datetime, datetime]:
        zone = ZoneInfo(self.zone)
        last = day if self.starts < self.ends else day + timedelta(days=1)
        opens = datetime.combine(day, self.starts, zone).astimezone(UTC)
        return opens, datetime.combine(last, self.ends, zone).astimezone(UTC)

    def __str__(self) -> str:
        days = "daily" if len(self.days) == 7 else ",".join(DAYS[d] for d in sorted(self.days))
        return f"{days} {self.starts:%H:%M}-{self.ends:%H:%M} {self.zone}"


def plan_seconds(plan: Plan) -> float:
    """How long a plan takes: its waves one after the other, each as long as its longest migration."""
    return sum(max((m.seconds for m in wave.migrations), default=0.0) for wave in plan.waves)
