"""Pieces every page uses. `md` is the only way a name may enter text; tables go through `table` alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pro.actions.explaining import changed
from pro.core import text
from pro.reports import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamlit.delta_generator import DeltaGenerator

    from pro.reports.report import Report
    from pro.reports.tables import Table

FITS = 9
"""Letters that a tile shows without cutting them off, four beside each other in a window 1,300 wide."""

MOST_LETTERS = 600
TABLE_PX, LONG_PX = 830, 180
"""Of a table in a window 1,300 wide; text from which a column is given a width of its own, and no less than that."""
PADDING_PX, ONE_LINE_PX, LINE_PX = 20, 35, 19
"""Of a table's cells."""
BREAKS_PX = 65
"""Streamlit breaks text into lines only in rows higher than 4rem."""
_NARROW, _WIDE = frozenset(" .,:;'!|()-ijlt"), frozenset("%mwMW@")


def md(name: str, limit: int = 64) -> str:
    """`name` for a markdown surface: nothing in it formats, links or fetches."""
    return text.markdown(name, limit)


def heading(title: str, report: Report) -> None:
    """The page's one h1, what it speaks of, and the sentence that matters."""
    st.title(md(title), anchor=False)
    st.caption(
        f"As of {words.instant(report.now)}, looking {words.horizon(report.horizon_s)} ahead \u00b7 "
        f"{words.count(report.fleet.n_hosts, 'host')}, {words.count(report.fleet.n_vms, 'VM')}"
    )


def figures(report: Report) -> None:
    """The four figures of the headline, before and after."""
    from pro.reports.views import hot_hosts, rules_broken

    moves = report.plan.migrations
    heat = [words.heat(h.area) for h in (report.before, report.after)]
    tiles = (
        ("Hot hosts", hot_hosts(report.hotspots), hot_hosts(report.hotspots_after), None),
        (
            f"Minutes above {100 * report.threshold:.0f} %",
            words.minutes(report.before.hot_minutes),
            words.minutes(report.after.hot_minutes),
            f"heat {change(*heat)}",
        ),
        ("Rules broken", *rules_broken(report), None),
    )
    columns = st.columns(4)
    for column, (label, before, after, note) in zip(columns, tiles, strict=False):
        tile(column, label, *change_and_note(before, after, note or ""))
    cost = (
        f"{words.size(sum(m.mib for m in moves))} sent, {words.span(words.plan_seconds(report))}"
        if moves
        else "nothing to move"
    )
    tile(columns[3], "Migrations", str(len(moves)), cost)


def tile(column: DeltaGenerator, label: str, shown: str, note: str) -> None:
    """One of four figures beside each other."""
    column.metric(label, shown, delta=note or None, delta_color="off", delta_arrow="off", border=True, height="stretch")


def change(before: object, after: object) -> str:
    """A figure that may differ."""
    return f"{after}" if before == after else f"{before} \u2192 {after}"


def change_and_note(before: object, after: object, note: str) -> tuple[str, str]:
    """A figure that may differ and the note below it, for a tile: where both figures do not fit beside each other, the first is the note."""
    both = change(before, after)
    return (both, note) if len(both) <= FITS or before == after else (f"{after}", f"instead of {before}")


def section(title: str, note: str = "") -> None:
    """A part of a page."""
    st.header(md(title), anchor=False)
    if note:
        st.caption(note)


def table(rows: Table, *, alt: str, columns: Sequence[str] | None = None) -> None:
    """A table of `reports.tables`, some of its columns, with units and formats."""
    data = pd.DataFrame(
        [dict(zip((c.name for c in rows.columns), row, strict=True)) for row in rows.rows],
        columns=[c.name for c in rows.columns],
    )[list(columns or (c.name for c in rows.columns))]
    config: dict[str, Any] = {}
    for c in (c for c in rows.columns if c.name in data):
        if c.kind == "percent":
            config[c.name] = st.column_config.NumberColumn(c.title, format="percent")
            data[c.name] = data[c.name].astype(float).round(2)
        elif c.kind == "instant":
            data[c.name] = pd.to_datetime(data[c.name], utc=True)
            config[c.name] = st.column_config.DatetimeColumn(c.title, format="D MMM HH:mm", timezone="UTC")
        elif c.kind in ("whole", "number"):
            config[c.name] = st.column_config.NumberColumn(
                c.title, format="%.1f" if c.kind == "number" else "localized"
            )
        else:
            config[c.name] = st.column_config.TextColumn(c.title)
    frame(data, alt=alt, config=config)


def frame(data: pd.DataFrame, *, alt: str, config: Mapping[str, Any] | None = None) -> None:
    """A table; text cells are made visible characters only, and whole: what is long is broken into lines."""
    shown = data.map(lambda v: text.plain(v, MOST_LETTERS) if isinstance(v, str) else v)
    fitted, lines = fitting(shown, config or {})
    st.dataframe(
        shown, hide_index=True, column_config=fitted, alt=alt, height=_height(len(shown) * lines),
        row_height=None if lines == 1 else max(ONE_LINE_PX + (lines - 1) * LINE_PX, BREAKS_PX),
    )  # fmt: skip


def fitting(shown: pd.DataFrame, config: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """`config` with widths at which columns of long text fit beside each other, and how many lines the longest of their cells takes then.

    Without them a table cuts off what does not fit its width.
    """
    texts = {name: [v for v in shown[name] if isinstance(v, str)] for name in shown.columns}
    widths = {name: max(map(text_px, words), default=0.0) for name, words in texts.items()}
    long = {name: px for name, px in widths.items() if px > LONG_PX}
    heads = {name: text_px(str((config.get(name) or {}).get("label") or name)) for name in shown.columns}
    short = sum(max(px, heads[name]) + PADDING_PX for name, px in widths.items() if name not in long)
    widest = max((TABLE_PX - short) / max(len(long), 1), LONG_PX) - PADDING_PX
    fitted = dict(config)
    for name, px in long.items():
        fitted[name] = {**(config.get(name) or {}), "width": math.ceil(min(px, widest)) + PADDING_PX}
    return fitted, max((_lines(v, widest) for name in long for v in texts[name]), default=1)


def _lines(words: str, most: float) -> int:
    """How many lines text takes that are at most `most` pixels wide and end where words do."""
    lines, used = 1, 0.0
    for word in words.split(" "):
        px = text_px(word)
        if used and used + text_px(" ") + px > most:
            lines, used = lines + 1, 0.0
        used += (text_px(" ") if used else 0.0) + px
        while used > most:  # a word that is longer than a line
            lines, used = lines + 1, used - most
    return lines


def text_px(words: str) -> float:
    """About how wide text is in a table's font, rather too wide than too narrow."""
    return sum(map(_letter_px, words))


def _letter_px(c: str) -> float:
    if c in _NARROW:
        return 3.5
    if c in _WIDE:
        return 11.5
    return 8.5 if c.isupper() else 6.8 if c.isascii() else 14.0


def options(known: Mapping[str, Any], units: Mapping[str, Any]) -> None:
    """What a plan's explanation of one VM says of every host: the chosen one, today's, the allowed, the refused. `units`: of the plan's
    goals."""
    order = sorted(known.get("options", ()), key=lambda o: (not o["chosen"], not o["home"], bool(o["refusals"])))
    rows = [
        {
            "Host": o["host_name"],
            "": "chosen" if o["chosen"] else "today" if o["home"] else "",
            "Verdict": "refused" if o["refusals"] else "allowed",
            "What it would mean": "; ".join(r["text"] for r in o["refusals"])
            or ("" if o["chosen"] else changed(o, units)),
        }
        for o in order
    ]
    if rows:
        frame(pd.DataFrame(rows), alt="Every host for this VM")


def _height(lines: int) -> str:
    """Short tables are shown whole, long ones scroll."""
    return "content" if lines <= 40 else "auto"


def chart(drawing: Any, *, alt: str) -> None:
    """A chart over the full width."""
    st.altair_chart(drawing, width="stretch", alt=alt)


def no_store(folder: str) -> None:
    """What a newcomer sees instead of an exception."""
    st.title("No estate yet", anchor=False)
    if folder:
        st.text(f"There are no counters and no inventory in {text.plain(folder, 200)}.")
    st.markdown("Make the sample estate, with counters, inventory and rules, and see the whole walk on it:")
    st.code("pro demo", language="shell")
    st.markdown("Or bring your own counters (SCOM or PerfMon exports) and inventory (hosts.csv, vms.csv, rules.json):")
    st.code(
        "pro ingest counters.csv.gz --store my-estate\npro inventory import hosts.csv vms.csv rules.json --store my-estate",
        language="shell",
    )
    st.markdown("Then give the folder as *Store* on the left.")


def problem(error: Exception) -> None:
    """An error that is meant for people."""
    st.error("This could not be done.")
    st.text(text.plain(str(error).replace("\n", " \u00b7 "), 2000))
