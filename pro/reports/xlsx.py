"""A workbook in the spirit of RVTools: one sheet per question, filters on, header frozen. Nothing in it is a formula."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pro.core import text
from pro.placement.placement import for_people
from pro.reports import tables, words
from pro.reports.views import rules_broken

if TYPE_CHECKING:
    from pathlib import Path

    from pro.reports.report import Report

FORMATS = {"percent": "0 %", "whole": "#,##0", "number": "#,##0.0", "instant": "yyyy-mm-dd hh:mm", "text": "@"}
CELL_LIMIT = 32767
"""Characters an Excel cell holds."""


def write(report: Report, path: Path) -> None:
    """Write the workbook: Summary, then a sheet per table of `tables.build`."""
    import xlsxwriter

    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": True,
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": "PRO recommendation", "comments": f"as of {report.now:%Y-%m-%d %H:%M} UTC"})
        styles = {kind: book.add_format({"num_format": code, "valign": "top"}) for kind, code in FORMATS.items()}
        styles["head"] = book.add_format(
            {"bold": True, "bottom": 1, "text_wrap": True, "valign": "vcenter", "bg_color": "#EEF3F7"}
        )
        styles["title"] = book.add_format({"bold": True, "font_size": 14, "text_wrap": True, "valign": "top"})
        styles["soft"] = book.add_format({"font_color": "#56636F"})
        styles["wrap"] = book.add_format({"text_wrap": True, "valign": "top"})
        _summary(report, book.add_worksheet("Summary"), styles)
        for table in tables.build(report):
            _sheet(table, book.add_worksheet(table.name.capitalize()), styles)


def _summary(report: Report, sheet: Any, styles: dict[str, Any]) -> None:
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 2, 18)
    sheet.set_column(3, 3, 60)
    sheet.set_row(0, 60)
    sheet.merge_range(0, 0, 0, 3, "", styles["title"])
    sheet.write_string(0, 0, words.headline(report).replace("\u00a0", " "), styles["title"])
    sheet.write_string(
        1, 0, f"As of {report.now:%Y-%m-%d %H:%M} UTC, looking {report.horizon_s / 3600:g} h ahead", styles["soft"]
    )
    row = 3
    for column, head in enumerate(("", "Today", "After", "")):
        sheet.write_string(row, column, head, styles["head"])
    for name, before, after, unit in _figures(report):
        row += 1
        sheet.write_string(row, 0, name)
        sheet.write_number(row, 1, before, styles[_kind(before)])
        sheet.write_number(row, 2, after, styles[_kind(after)])
        sheet.write_string(row, 3, unit)
    row += 2
    for name, value in _facts(report):
        sheet.write_string(row, 0, name, styles["soft"])
        sheet.write_string(row, 1, value)
        row += 1
    row += 1
    for v in report.placement.violations:
        sheet.write_string(row, 0, "Rule still broken", styles["soft"])
        sheet.write_string(row, 1, text.plain(f"{v.rule}: {v.text}", 2000))
        row += 1
    for v in report.placement.unkept:
        sheet.write_string(row, 0, "Preference not kept", styles["soft"])
        sheet.write_string(row, 1, text.plain(f"{v.rule}: {v.text}", 2000))
        row += 1
    if standby := words.failover(report):
        sheet.write_string(row, 0, "Failover", styles["soft"])
        sheet.write_string(row, 1, text.plain(standby, 2000))
        row += 1
    for warning in report.warnings:
        sheet.write_string(row, 0, "Warning", styles["soft"])
        sheet.write_string(row, 1, text.plain(warning, 2000))
        row += 1
    sheet.fit_to_pages(1, 0)
    sheet.set_landscape()


def _kind(number: float) -> str:
    return "whole" if float(number).is_integer() else "number"


def _figures(report: Report) -> list[tuple[str, float, float, str]]:
    hot = f"above {100 * report.threshold:.0f} % of capacity"
    rows: list[tuple[str, float, float, str]] = [
        ("Hot hosts", len({s.host for s in report.hotspots}), len({s.host for s in report.hotspots_after}), hot),
        ("Expected minutes hot", report.before.hot_minutes, report.after.hot_minutes, "host-minutes, all hosts"),
        ("Rules broken", *rules_broken(report), "rules"),
    ]
    told = [line for t in report.placement.tiers for line in for_people(t.to_json())]
    rows += [(f"Goal: {name}", before, after, unit) for name, before, after, unit in told]
    return rows


def _facts(report: Report) -> list[tuple[str, str]]:
    moves = report.plan.migrations
    placement = report.placement
    bound = "none computed" if placement.bound is None else words.figure(placement.bound)
    minimal = {True: "proven", False: "no", None: "not proven"}[placement.minimal_moves]
    facts = [
        ("Migrations", str(len(moves))),
        ("Data on the wire", words.size(sum(m.mib for m in moves))),
        ("Time to carry out", words.span(words.plan_seconds(report))),
        ("Engine", f"{placement.engine}, seed {placement.seed}"),
        ("Bound", bound),
        ("Fewest migrations", minimal),
        ("Plan", report.plan.id),
    ]
    return [(name, value.replace("\u00a0", " ")) for name, value in facts]


def _sheet(table: tables.Table, sheet: Any, styles: dict[str, Any]) -> None:
    sheet.freeze_panes(1, 1)
    sheet.set_row(0, 30)
    sheet.autofilter(0, 0, max(len(table.rows), 1), len(table.columns) - 1)
    sheet.set_landscape()
    sheet.repeat_rows(0)
    sheet.fit_to_pages(1, 0)
    for c, column in enumerate(table.columns):
        sheet.write_string(0, c, column.title, styles["head"])
        longest = max((len(str(row[c])) for row in table.rows[:500] if isinstance(row[c], str)), default=0)
        sheet.set_column(c, c, _width(column, longest))
        for r, row in enumerate(table.rows, 1):
            _write(sheet, r, c, row[c], column.kind, styles)


def _width(column: tables.Column, longest: int) -> float:
    if column.kind == "instant":
        return 17
    return (
        min(max(len(column.title) * 0.75 + 4, longest * 1.05 + 2), 60)
        if column.kind == "text"
        else max(len(column.title) * 0.6 + 3, 9)
    )


def _write(sheet: Any, row: int, column: int, value: tables.Value, kind: str, styles: dict[str, Any]) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_string(row, column, "yes" if value else "no", styles["text"])
    elif kind == "instant":
        sheet.write_datetime(row, column, datetime.fromisoformat(str(value)).replace(tzinfo=None), styles["instant"])
    elif isinstance(value, str):
        sheet.write_string(row, column, text.plain(value, CELL_LIMIT), styles["text"])
    else:
        sheet.write_number(row, column, value, styles[kind])
