"""The report's pictures as SVG files of their own: for a README, a notebook, a slide."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

from pro.core.text import counted
from pro.reports import pictures, views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pro.reports.report import Report

MARGIN, GAP, LEFT = 24.0, 30.0, 118.0
FONT = '11.5px -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'


def heat_maps(report: Report) -> str:
    """Expected CPU use of every host if nothing is done and, if there is a plan, with it."""
    hosts = views.hosts_to_draw(report, pictures.MAX_HOSTS)
    count = len(report.plan.migrations)
    futures = [(report.fleet.host_of, "Expected CPU use of every host if nothing is done")]
    if count:
        futures.append((report.host_of_after, f"The same with {counted(count, 'migration')}"))
    return document([pictures.heat_map(report, host_of, hosts, title) for host_of, title in futures], _legend(report))


def document(drawings: Sequence[str], legend: Sequence[Sequence[tuple[Xml.Element, str]]] = ()) -> str:
    """`drawings` of `pictures`, one below the other, then a row of marks with words for each row of `legend`, as an SVG document."""
    frame = Xml.Element("svg", {"xmlns": "http://www.w3.org/2000/svg"})
    Xml.SubElement(frame, "style").text = _style()
    Xml.SubElement(frame, "rect", {"width": "100%", "height": "100%", "rx": "6", "class": "paper"})
    y, widest = MARGIN, 0.0
    for drawing in drawings:
        element = Xml.fromstring(drawing)
        width, height = map(float, element.attrib["viewBox"].split()[2:])
        element.attrib.pop("style", None)
        element.attrib |= {"x": f"{MARGIN:g}", "y": f"{y:g}", "width": f"{width:g}", "height": f"{height:g}"}
        frame.append(element)
        y, widest = y + height + GAP, max(widest, width)
    y -= GAP
    for row in legend:
        y += 20
        step = (widest - LEFT) / max(len(row), 1)
        for number, (mark, words) in enumerate(row):
            x = MARGIN + LEFT + number * step
            mark.attrib |= {"x": f"{x:g}", "y": f"{y - float(mark.attrib['height']) / 2:g}"}
            text = Xml.Element("text", {"x": f"{x + 22:g}", "y": f"{y + 4:g}", "class": "axis"})
            text.text = words
            frame.extend([mark, text])
    frame.attrib["viewBox"] = f"0 0 {widest + 2 * MARGIN:g} {y + MARGIN:g}"
    return Xml.tostring(frame, encoding="unicode") + "\n"


def _legend(report: Report) -> list[list[tuple[Xml.Element, str]]]:
    """What the colours and the dots of a heat map mean."""

    def mark(width: float, height: float, kind: str) -> Xml.Element:
        return Xml.Element("rect", {"width": f"{width:g}", "height": f"{height:g}", "class": kind})

    colours = [
        (mark(16, 11, pictures.heat_kind(report, number)), words)
        for number, (_, words) in enumerate(pictures.classes(report.threshold))
    ]
    dots = [
        (
            mark(side, side, "risk"),
            f"over {report.threshold:.0%} in {share:.0%} of the futures or more".replace("%", " %"),
        )
        for share, side in zip(views.RISK, pictures.DOTS, strict=True)
    ]
    return [colours, dots]


def _style() -> str:
    """The report's colours, light and dark, and its rules for pictures."""
    css = (Path(__file__).parent / "templates" / "report.css").read_text("utf-8")
    rules = [
        line for line in css.splitlines() if re.match(r"(svg (text|\.)|\.(k0|hot0|grid|threshold|band|median)\b)", line)
    ]
    return "\n".join([css[: css.index("* {")], f"svg {{ font: {FONT}; }}", ".paper { fill: var(--paper); }", *rules])
