"""Pictures as files of their own: well-formed, complete, and with nothing to fetch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

import pytest

from pro.reports import pictures
from pro.reports.standalone import document, heat_maps
from tests.conftest import HOSTILE_NAMES
from tests.reports.fixtures import make_report

if TYPE_CHECKING:
    from pro.reports.report import Report

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def report() -> Report:
    """A report whose names are hostile."""
    return make_report(HOSTILE_NAMES)


def test_every_class_that_is_used_has_a_colour(report: Report) -> None:
    for drawing in (heat_maps(report), document([pictures.timeline(report)])):
        root = Xml.fromstring(drawing)
        style = root.findtext(f"{SVG}style") or ""
        used = {k for e in root.iter() for k in e.get("class", "").split() if e.tag in (f"{SVG}rect", f"{SVG}path")}
        assert used
        assert [k for k in used if f".{k}" not in style] == []


def test_pictures_stand_below_each_other(report: Report) -> None:
    root = Xml.fromstring(heat_maps(report))
    inner = root.findall(f"{SVG}svg")
    assert len(inner) == 2
    first, second = inner
    assert float(first.attrib["y"]) + float(first.attrib["height"]) < float(second.attrib["y"])
    bottom = float(root.attrib["viewBox"].split()[3])
    assert max(float(e.attrib["y"]) for e in root.iter(f"{SVG}text") if "y" in e.attrib) < bottom


def test_nothing_is_fetched(report: Report) -> None:
    assert re.findall(r"(?:href|url\(|@import|src=)[^>]*", heat_maps(report)) == []
