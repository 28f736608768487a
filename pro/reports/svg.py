"""The few shapes our pictures are made of. Text and attribute values are always escaped; colours are CSS classes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from pro.core import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


def el(name: str, *children: Markup | str, **attributes: object) -> Markup:
    """One element. Strings among `children` become text; `class_` is the class, `_` in names stands for `-`."""
    spelled = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(c) for c in children)
    return Markup(f"<{name}{spelled}>{inner}</{name}>") if children else Markup(f"<{name}{spelled}/>")


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def picture(width: float, height: float, alt: str, *children: Markup | str, least: int = 0) -> Markup:
    """The outermost element: scales to its frame, but never below `least` CSS pixels (the frame scrolls instead)."""
    style = f"min-width:{least}px" if least else None
    return el("svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=alt, style=style)


def label(x: float, y: float, words: str, kind: str = "", anchor: str = "start", limit: int = 64) -> Markup:
    """A line of text; names are cut to `limit` characters and carry the rest in a tooltip."""
    shown = text.plain(words, limit)
    tip = [el("title", text.plain(words, 220))] if len(words) > limit else []
    return el("text", shown, *tip, x=x, y=y, class_=kind or None, text_anchor=None if anchor == "start" else anchor)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def box(
    x: float, y: float, width: float, height: float, kind: str, *, tip: str = "", round_: float | None = None
) -> Markup:
    """A rectangle with an optional tooltip."""
    inside = [el("title", text.plain(tip, 220))] if tip else []
    return el("rect", *inside, x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), rx=round_, class_=kind)


def path(points: Iterable[tuple[float, float]], kind: str, *, closed: bool = False) -> Markup:
    """A polyline, or a polygon when `closed`."""
    d = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return el("path", d=f"M{d}{'Z' if closed else ''}", class_=kind)


def cells(runs: Sequence[tuple[float, float, float, float]], kind: str) -> Markup:
    """Many rectangles (x, y, width, height) of one kind as a single path."""
    d = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for x, y, w, h in runs)
    return el("path", d=d, class_=kind)


def hours(start: datetime, seconds: float, room: int) -> list[tuple[float, str]]:
    """(seconds after `start`, label) of full hours, at most `room` of them; midnights are named by their day."""
    step = next((h for h in (1, 2, 3, 4, 6, 12, 24, 48, 96, 168) if seconds / 3600 / h <= room), 336)
    first = start.replace(minute=0, second=0, microsecond=0)
    first -= timedelta(hours=first.hour % step if step < 24 else first.hour)
    ticks = []
    at = first
    while (offset := (at - start).total_seconds()) <= seconds:
        if offset >= 0:
            ticks.append((offset, f"{at:%d %b}" if at.hour == 0 else f"{at:%H:%M}"))
        at += timedelta(hours=step)
    return ticks


def seconds_ticks(total: float, room: int) -> list[tuple[float, str]]:
    """(seconds, label) for an axis of durations, at most `room` steps."""
    choices = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
    step = next((s for s in choices if total / s <= room), 604800)
    unit, name = (1, "s") if step < 60 else (60, "min") if step < 3600 else (3600, "h")
    return [(float(s), f"{s // unit} {name}" if s else "0") for s in range(0, int(total) + 1, step)]
