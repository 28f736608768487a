"""What a backtest comes to, in words: one sentence, and remarks on what the sentence leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.core.text import counted
from pro.replay.past import STEP_S

if TYPE_CHECKING:
    from pro.replay.backtest import Backtest, Row
    from pro.replay.measure import Account

STEADY = 0.01
"""A policy that undoes more than this share of its migrations is not recommended."""

PERCENT = 0.01


def verdict(found: Backtest) -> str:
    """One sentence: what to do, and what it would have been good for."""
    doubt = found.known.clause()
    if found.nothing.account.hot_minutes == 0:
        over = f"over {found.threshold:.0%}"
        said = f"no host was seen {over}" if doubt else f"no host was {over}: there was nothing to gain"
    elif found.best.runner.spec.kind == "nothing":
        said = _stay(found)
    else:
        said = _move(found)
    return f"{_span((found.past.last - found.past.first) * STEP_S)} {said}{f'; but {doubt}' if doubt else ''}."


def remarks(found: Backtest) -> tuple[str, ...]:
    """What people should know of policies that the verdict does not name."""
    said = [
        f"{r.name} is left out, although it would have cost {r.cost:,.1f} ({r.account.area:,.1f} per cent x hours and "
        f"{counted(r.account.migrations, 'migration')}) instead of {found.best.name}'s {found.best.cost:,.1f}: {_unsteady(r.account)}"
        for r in left_out(found)
    ]
    if peaks := [f"{r.name} {r.account.peak:.0%}" for r in found.rows if _peaks_higher(r.account, found)]:
        said.append(
            f"the worst peak of a host, {found.nothing.account.peak:.0%} if nothing is done, is higher under {', '.join(peaks)}"
        )
    return tuple(said)


def left_out(found: Backtest) -> list[Row]:
    """Policies that would be cheaper than the best, but undo too much; the cheapest first."""
    return sorted((r for r in found.rows if not r.steady and r.cost < found.best.cost), key=lambda r: (r.cost, r.name))


def _stay(found: Backtest) -> str:
    """Why doing nothing is best."""
    nothing = found.nothing.account
    said = f"hosts were over {found.threshold:.0%} for {nothing.hot_minutes:,} minutes, and "
    if not any(r.account.migrations for r in found.rows):
        alone = found.past.fleet.n_hosts == 1
        return said + ("with one host only there is nowhere to move to" if alone else "no policy moved anything")
    if unsteady := left_out(found):
        a = unsteady[0].account
        return said + (
            f"no policy that can be recommended would have been worth its migrations: {unsteady[0].name} would have {_cut(a, nothing)} with "
            f"{counted(a.migrations, 'migration')}, but it undid {a.undone:,} of them within a day, where {STEADY:.0%} is allowed"
        )
    return said + "no policy would have been worth its migrations"


def _move(found: Backtest) -> str:
    """What the best policy would have done, beside the best rule of another kind."""
    nothing, best, unsteady = found.nothing.account, found.best, left_out(found)
    a = best.account
    said = (
        f"{best.name} would have {_cut(a, nothing, f' host-minutes over {found.threshold:.0%}')} "
        f"with {counted(a.migrations, 'migration')}, {_undone(a)}"
    )
    if _peaks_higher(a, found):
        said += f", but with a worst peak of {a.peak:.0%} instead of {nothing.peak:.0%}"
    classic = [r for r in found.rows if r.runner.spec.kind not in ("nothing", best.runner.spec.kind)]
    if classic:
        other = min(classic, key=lambda r: (r.cost, r.name))
        o = other.account
        said += f"; the best rule of another kind, {other.name}, "
        if not o.migrations:
            said += "would have moved nothing"
        else:
            said += f"to {o.hot_minutes:,} with {o.migrations:,}, {_undone(o)}"
        if _peaks_higher(o, found):
            said += f", with a worst peak of {o.peak:.0%}"
            said += "" if _peaks_higher(a, found) else f" instead of {nothing.peak:.0%}"
        if other in unsteady:
            return f"{said}, too many to be recommended"
    if unsteady:
        said += f"; {unsteady[0].name} would have cost less, but {_unsteady(unsteady[0].account)}"
    return said


def _peaks_higher(a: Account, found: Backtest) -> bool:
    """Whether a host is fuller at the worst than it would have been, as far as whole per cent show it, and hot then."""
    return a.peak > max(found.nothing.account.peak, found.threshold) + PERCENT


def _cut(a: Account, nothing: Account, what: str = "") -> str:
    """What became of doing nothing's hot minutes. A policy may be best with more of them, if hosts are over by less."""
    share = f"({a.hot_minutes / nothing.hot_minutes:.0%})"
    if a.hot_minutes <= nothing.hot_minutes:
        return f"cut {nothing.hot_minutes:,}{what} to {a.hot_minutes:,} {share}"
    heat = f"with {a.area / nothing.area:.0%} of the per cent x hours" if nothing.area else "over by less"
    return f"turned {nothing.hot_minutes:,}{what} into {a.hot_minutes:,} {share}, though {heat},"


def _span(seconds: float) -> str:
    """When, of the time that was replayed: "In these 6 hours", "On this day", "In these 3.5 days"."""
    if seconds < 86_400:
        return "In this hour" if seconds == 3600 else f"In these {seconds / 3600:.3g} hours"
    return "On this day" if seconds == 86_400 else f"In these {seconds / 86_400:.3g} days"


def _undone(a: Account) -> str:
    if a.migrations == 1:
        return f"{'' if a.undone else 'not '}undone within a day"
    return "none of them undone within a day" if a.undone == 0 else f"{a.undone:,} of them undone within a day"


def _unsteady(a: Account) -> str:
    return (
        f"it undid {a.undone:,} of its {counted(a.migrations, 'migration')} within a day, where {STEADY:.0%} is allowed"
    )
