"""The sentence at the top, and figures as people say them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pro.reports import words
from tests.reports.fixtures import make_report


def spoken(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_headline_says_what_is_wrong_what_to_do_and_what_improves() -> None:
    report = make_report()
    assert spoken(words.headline(report)) == (
        "2 hosts are expected to run above 85 % for 315 minutes in the next 24 h and 2 rules are broken; "
        "3 migrations (83 GiB, 9 min) bring that to 142 and repair 1 rule."
    )


def test_one_host_and_one_migration_are_one() -> None:
    report = make_report(moves=((12, 0),))
    report = replace(report, hotspots=report.hotspots[:1], placement=replace(report.placement, violations=()))
    said = spoken(words.headline(report))
    assert said.startswith("1 host is expected to run above 85 %")
    assert "1 rule is broken; 1 migration (23 GiB, 4 min) brings that to" in said
    assert said.endswith("and repairs 1 rule.")


def test_a_quiet_fleet_is_left_alone() -> None:
    report = make_report(moves=())
    calm = replace(
        report, hotspots=(), hotspots_after=(), repaired=(), placement=replace(report.placement, violations=())
    )
    assert spoken(words.headline(calm)) == "No host is expected to stay above 85 % in the next 24 h; nothing to do."


def test_a_hot_fleet_without_a_way_out_says_so() -> None:
    said = spoken(words.headline(make_report(moves=())))
    assert said.endswith("no migration was found that would pay.")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.35, "0.3 s"),
        (42, "42 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
        (172800, "2 d"),
        (180000, "2 d 2 h"),
    ],
)
def test_spans(seconds: float, said: str) -> None:
    assert spoken(words.span(seconds)) == said


@pytest.mark.parametrize(
    ("mib", "said"), [(512, "512 MiB"), (4096, "4.0 GiB"), (20480, "20 GiB"), (20 * 1024 * 1024, "20.0 TiB")]
)
def test_sizes(mib: float, said: str) -> None:
    assert spoken(words.size(mib)) == said


@pytest.mark.parametrize(("number", "said"), [(0, "0"), (0.2, "less than 1"), (0.6, "1"), (1371.4, "1,371")])
def test_minutes_never_hide_what_is_there(number: float, said: str) -> None:
    assert words.minutes(number) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(3600, "1 h"), (86400, "24 h"), (172800, "48 h"), (604800, "7 d"), (270000, "75 h")]
)
def test_horizons(seconds: int, said: str) -> None:
    assert spoken(words.horizon(seconds)) == said


def test_milder_heat_is_not_told_as_more_of_it() -> None:
    report = make_report()
    milder = replace(report, after=replace(report.after, hot_minutes=report.before.hot_minutes + 20))
    assert milder.after.area < milder.before.area
    said = spoken(words.headline(milder))
    assert (
        f"take the heat above that from {spoken(words.heat(milder.before.area))} to {spoken(words.heat(milder.after.area))}"
        in said
    )
    assert "bring that to" not in said
