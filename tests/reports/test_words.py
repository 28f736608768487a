"""The sentence at the top, and figures as people say them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pro.planning.plan import Blocked
from pro.reports import views, words
from tests.reports.fixtures import make_report


def spoken(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_headline_says_what_is_wrong_what_to_do_and_what_improves() -> None:
    report = make_report()
    assert spoken(words.headline(report)) == (
        "2 hosts are expected to run hot in the next 24 h, with 315 minutes above 85 % over all hosts, and 2 rules are broken; "
        "3 migrations (83 GiB sent, 9 min) bring the minutes to 142 and repair 1 rule."
    )


def test_a_rule_that_is_broken_twice_is_one_rule() -> None:
    report = make_report()
    twice = replace(report, repaired=report.repaired * 2)
    assert words.headline(twice) == words.headline(report)
    assert views.rules_broken(twice) == views.rules_broken(report) == (2, 1)


def test_one_host_and_one_migration_are_one() -> None:
    report = make_report(moves=((12, 0),))
    report = replace(report, hotspots=report.hotspots[:1], placement=replace(report.placement, violations=()))
    said = spoken(words.headline(report))
    assert said.startswith("1 host is expected to run hot in the next 24 h, with ")
    assert "1 rule is broken; 1 migration (23 GiB sent, 4 min) brings the minutes to" in said
    assert said.endswith("and repairs 1 rule.")


def test_a_quiet_fleet_is_left_alone() -> None:
    report = make_report(moves=())
    calm = replace(
        report, hotspots=(), hotspots_after=(), repaired=(), placement=replace(report.placement, violations=())
    )
    assert spoken(words.headline(calm)) == "No host is expected to stay above 85 % in the next 24 h; nothing to do."


def test_nothing_is_promised_of_hosts_that_nobody_sees() -> None:
    report = make_report(moves=())
    calm = replace(
        report, hotspots=(), hotspots_after=(), repaired=(), placement=replace(report.placement, violations=())
    )
    assert calm.readiness is not None
    for unseen, begins in ((2, "No host of the 6 that are seen is expected"), (8, "No host is seen, and")):
        blind = dict.fromkeys(calm.fleet.hosts[:unseen])
        said = words.headline(replace(calm, readiness=replace(calm.readiness, blind=blind)))
        assert said.startswith(begins)


def test_a_hot_fleet_without_a_way_out_says_so() -> None:
    said = spoken(words.headline(make_report(moves=())))
    assert said.endswith("no migration was found that would pay.")


def test_migrations_that_would_help_and_find_no_way_are_counted() -> None:
    report = make_report(moves=())
    for stuck, said in ((1, "1 migration would help and has no way"), (2, "2 migrations would help and have no way")):
        plan = replace(report.plan, blocked=tuple(Blocked(f"v{i}", "memory is full in flight") for i in range(stuck)))
        assert said in spoken(words.headline(replace(report, plan=plan)))


def test_a_broken_rule_that_nothing_repairs_is_no_matter_of_price() -> None:
    cool = replace(make_report(moves=()), hotspots=(), hotspots_after=())
    assert spoken(words.headline(cool)) == "2 rules are broken; no migration was found that would repair that."


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
    was, will = (spoken(words.heat(h.area)) for h in (milder.before, milder.after))
    assert f"bring the heat above that from {was} to {will} over 335 minutes and repair 1 rule." in said
    assert "bring the minutes to" not in said
    same = replace(report, after=replace(report.after, hot_minutes=report.before.hot_minutes))
    assert f"from {was} to {will} over as many minutes and" in spoken(words.headline(same))


def test_heat_that_rises_while_the_minutes_fall_is_not_left_out() -> None:
    report = make_report()
    fewer = replace(report.before, hot_minutes=report.before.hot_minutes - 9.0, area=report.before.area + 1.0)
    was, will = spoken(words.heat(report.before.area)), spoken(words.heat(fewer.area))
    said = spoken(words.headline(replace(report, after=fewer)))
    assert f"bring the minutes to 306 while the heat above that rises from {was} to {will} and repair 1 rule." in said
    more = replace(fewer, hot_minutes=report.before.hot_minutes + 9.0)
    assert f"bring the minutes to 324 while the heat above that rises from {was} to {will}" in spoken(
        words.headline(replace(report, after=more))
    )


def test_measured_memory_is_never_promised_to_be_mended() -> None:
    report = make_report()
    said = words.memory(report).replace("\u00a0", " ")
    assert "1 host will run short of it by counters, 2 with the plan; the plan brings more to 2 hosts of these" in said
    assert "do not act on it" in said
    assert words.memory(replace(report, short_after=report.short)).count("as many with the plan.") == 1
    assert "No host" in words.memory(replace(report, short=()))
    assert words.memory(replace(report, short=(), short_after=())) == ""
