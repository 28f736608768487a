"""What is known of the data, what migrations are good for, and which hosts may fail: as sentences and tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pro.fleet.readiness import STATES, Readiness
from pro.placement.failover.report import Failure, Stranded
from pro.placement.failover.report import Report as Failover
from pro.planning.show import show
from pro.reports import answers, html, readiness
from tests.conftest import HOSTILE_NAMES
from tests.reports.fixtures import NOW, make_report

if TYPE_CHECKING:
    from pro.reports.report import Report

GAIN = {
    "vm": "vm-1", "vm_name": "<b>SQL</b>", "text": "without <b>SQL</b>: breaks DC-apart, heat cpu +4.2 % x hours",
    "worse": [{"goal": "heat cpu", "amount": 4.2, "unit": "% x hours"}, {"goal": "heat disk", "amount": 0.8, "unit": "% x hours"},
              {"goal": "balance", "amount": 9.0, "unit": "%"}],
    "refusals": [{"rule": "DC-apart", "amount": 1, "text": "two controllers share a host"}],
}  # fmt: skip


def answered() -> Report:
    report = make_report(HOSTILE_NAMES)
    plan = replace(
        report.plan, answers={"gains": [GAIN], "fewer": {"text": "Not proven that fewer would not do."}, "remedies": []}
    )
    return replace(report, plan=plan)


def test_every_counter_is_counted_once() -> None:
    report = make_report()
    assert report.readiness is not None
    rows = readiness.counters(report).rows
    assert sum(int(str(n)) for row in rows for n in row[2 : 2 + len(STATES)]) == len(report.readiness.rows)
    everything, lacking = readiness.coverage(report, False).rows, readiness.coverage(report, True).rows
    assert len(everything) == len(report.readiness.rows)
    assert set(lacking) == {row for row in everything if row[3] != "ok"}
    assert [row[3] for row in everything] == sorted((str(r[3]) for r in everything), key=STATES.index, reverse=True)


def test_the_sentence_says_what_is_missing_and_whom_that_leaves_alone() -> None:
    report = make_report()
    said = readiness.sentence(report).replace("\u00a0", " ")
    assert said == "Of 48 counters of hosts and VMs, 3 sparse, 4 stale; 1 host of 8 is left alone for want of data."
    assert len(readiness.held(report).rows) == 1
    assert report.readiness is not None
    fine = replace(report, readiness=Readiness(NOW, tuple(r for r in report.readiness.rows if r.state == "ok"), {}))
    assert readiness.sentence(fine).replace("\u00a0", " ").endswith("are known and fresh; every host is acted on.")
    assert readiness.left_alone(fine) == ""
    assert "20\u00a0% of its cap" in readiness.sentence(replace(report, readiness=None))


def test_when_it_will_be_enough_is_said() -> None:
    report = make_report()
    assert report.readiness is not None
    later = NOW + timedelta(hours=5)
    rows = tuple(replace(r, enough_from=later) if r.state == "sparse" else r for r in report.readiness.rows)
    coming = replace(report, readiness=replace(report.readiness, rows=rows))
    assert "enough from 2013-08-18 05:00" in readiness.sentence(coming)
    said = {str(row[3]): str(row[7]) for row in readiness.coverage(coming, False).rows}
    assert said["ok"] == "now"
    assert said["sparse"].startswith("2013-08-18 05:00")
    assert said["stale"] == "nothing comes in"


def test_a_migration_is_worth_the_heat_it_takes_away_and_the_rules_it_keeps() -> None:
    (row,) = answers.gains(answered()).rows
    assert row[:3] == ("<b>SQL</b>", 5.0, "DC-apart (two controllers share a host)")
    page = html.render(answered())
    assert "&lt;b&gt;SQL" in page
    assert "<b>SQL" not in page
    assert "Not proven that fewer would not do." in page


def test_what_was_not_looked_into_is_told_in_the_report_and_on_a_terminal() -> None:
    report = make_report()
    said = {
        "remedies": [{"text": "To keep it cool: relax pinned."}],
        "more_remedies": "Not looked into: 1 hot spot more.",
    }
    report = replace(report, plan=replace(report.plan, answers=said))
    assert "Not looked into: 1 hot spot more." in html.render(report)
    assert "  Not looked into: 1 hot spot more." in show(report.plan)


def test_failures_before_and_after_stand_side_by_side() -> None:
    report = make_report(HOSTILE_NAMES)
    first, second = report.fleet.hosts[:2]
    stranded = (Stranded(report.fleet.vms[0], (), "", ()),)
    today = Failover(1, 8, 8, 8, (Failure((first,), "c", 3, 3, 10, stranded), Failure((second,), "c", 1, 0, 10)))
    planned = Failover(1, 8, 8, 8, (Failure((first,), "c", 2, 2, 10, stranded),))
    found = replace(report, failover=(today, planned))
    rows = answers.failures(found).rows
    assert [(r[2], r[3], r[4]) for r in rows] == [(3, 2, "yes"), (1, 0, "no")]
    assert "no other host of its cluster takes restarts" in str(rows[0][5])
    page = html.render(found)
    assert "If a host fails" in page
    assert "no other host of its cluster takes restarts" in page
    assert answers.failures(replace(report, failover=None)).rows == ()
