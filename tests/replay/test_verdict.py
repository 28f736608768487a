"""The verdict: what is said of a backtest is what its figures say, and nothing that they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pro.config import Config
from pro.replay.backtest import Backtest, Row
from pro.replay.loop import runners
from pro.replay.measure import Account
from pro.replay.policies import Kind, PolicySpec
from tests.replay.pasts import DAY, past_of, steady

QUIET: dict[str, Any] = {
    "hot_minutes": 0, "area": 0.0, "hot_minutes_vms": 0, "area_vms": 0.0, "peak": 0.9, "contention_minutes": 0, "migrations": 0,
    "migrations_per_day": 0.0, "gib": 0.0, "blackout_s": 0.0, "undone": 0, "moves_per_vm_week": 0.0, "hosts_on": 2.0,
    "energy_kwh": 1.0, "known": 1.0,
}  # fmt: skip
HOT = {"hot_minutes": 900, "area": 130.0, "peak": 0.99}


def told(*rows: tuple[str, Kind, dict[str, Any]], hosts: int = 2) -> Backtest:
    """A day's backtest with these rows (name, kind, figures), the one of doing nothing first."""
    past = past_of(steady([0.2] * hosts, days=3.0), range(hosts), hosts=hosts)
    specs = [PolicySpec(name=name, kind=kind) for name, kind, _ in rows]
    crew = runners(past, specs, Config())
    made = tuple(Row(r, Account(**{**QUIET, **figures})) for r, (_, _, figures) in zip(crew, rows, strict=True))
    assert past.last - past.first == DAY - 1
    return Backtest(past, 900.0, 0.85, 96, made)


def verdict(found: Backtest) -> str:
    said = found.to_json()["verdict"]
    assert said.endswith(".")
    assert said.count(". ") == 0, "one sentence"
    return str(said).removeprefix("In these 23.9 hours ")


NOTHING: tuple[str, Kind, dict[str, Any]] = ("nothing", "nothing", HOT)


def test_where_no_host_was_hot_there_was_nothing_to_gain() -> None:
    found = told(("nothing", "nothing", {}), ("mine", "ours", {"migrations": 2}))
    assert verdict(found) == "no host was over 85%: there was nothing to gain."


def test_the_cheapest_policy_is_named_beside_the_best_of_another_kind() -> None:
    found = told(
        NOTHING,
        ("mine", "ours", {"hot_minutes": 45, "area": 3.0, "migrations": 5}),
        ("rule", "mmt", {"hot_minutes": 90, "area": 9.0, "migrations": 20, "undone": 7}),
    )
    assert verdict(found) == (
        "mine would have cut 900 host-minutes over 85% to 45 (5%) with 5 migrations, none of them undone within a day; "
        "the best rule of another kind, rule, to 90 with 20, 7 of them undone within a day."
    )
    assert found.warnings == ()


def test_a_rule_that_moved_nothing_cut_nothing_and_one_migration_is_not_several() -> None:
    found = told(
        NOTHING,
        ("mine", "ours", {"hot_minutes": 45, "area": 3.0, "migrations": 1}),
        ("rule", "mmt", HOT),
    )
    assert verdict(found) == (
        "mine would have cut 900 host-minutes over 85% to 45 (5%) with 1 migration, not undone within a day; "
        "the best rule of another kind, rule, would have moved nothing."
    )


def test_nothing_is_best_where_migrations_cost_more_than_they_gain() -> None:
    found = told(NOTHING, ("mine", "ours", {"hot_minutes": 800, "area": 120.0, "migrations": 30}))
    assert verdict(found) == (
        "hosts were over 85% for 900 minutes, and no policy would have been worth its migrations."
    )


def test_a_policy_that_is_left_out_for_undoing_too_much_is_named_with_what_it_would_have_saved() -> None:
    found = told(NOTHING, ("mmt", "mmt", {"hot_minutes": 220, "area": 20.75, "migrations": 47, "undone": 4}))
    assert found.best.name == "nothing"
    assert verdict(found) == (
        "hosts were over 85% for 900 minutes, and no policy that can be recommended would have been worth its migrations: mmt would have "
        "cut 900 to 220 (24%) with 47 migrations, but it undid 4 of them within a day, where 1% is allowed."
    )
    (remark,) = found.warnings
    assert remark == (
        "mmt is left out, although it would have cost 67.8 (20.8 per cent x hours and 47 migrations) instead of nothing's 130.0: "
        "it undid 4 of its 47 migrations within a day, where 1% is allowed"
    )


def test_one_that_undoes_too_much_is_not_mourned_where_it_would_have_been_no_gain() -> None:
    found = told(NOTHING, ("mmt", "mmt", {"hot_minutes": 220, "area": 90.0, "migrations": 47, "undone": 4}))
    assert verdict(found).endswith("no policy would have been worth its migrations.")
    assert found.warnings == ()


@pytest.mark.parametrize("kind", ["mmt", "ours"])
def test_a_cheaper_one_that_is_left_out_is_named_beside_the_best(kind: str) -> None:
    found = told(
        NOTHING,
        ("mine", "ours", {"hot_minutes": 90, "area": 20.0, "migrations": 40}),
        ("other", kind, {"hot_minutes": 45, "area": 5.0, "migrations": 20, "undone": 2}),
    )
    assert found.best.name == "mine"
    said = verdict(found)
    if kind == "mmt":
        assert said.endswith("other, to 45 with 20, 2 of them undone within a day, too many to be recommended.")
    else:
        assert said.endswith(
            "; other would have cost less, but it undid 2 of its 20 migrations within a day, where 1% is allowed."
        )
    assert [w.split(",")[0] for w in found.warnings] == ["other is left out"]


@pytest.mark.parametrize(
    ("hosts", "why"), [(1, "with one host only there is nowhere to move to"), (2, "no policy moved anything")]
)
def test_where_nothing_was_moved_no_migration_is_judged(hosts: int, why: str) -> None:
    found = told(NOTHING, ("mine", "ours", HOT), ("rule", "mmt", HOT), hosts=hosts)
    assert verdict(found) == f"hosts were over 85% for 900 minutes, and {why}."


def test_a_policy_may_be_best_with_more_hot_minutes_and_less_heat() -> None:
    found = told(NOTHING, ("mine", "ours", {"hot_minutes": 1200, "area": 13.0, "migrations": 3}))
    assert (
        "turned 900 host-minutes over 85% into 1,200 (133%), though with 10% of the per cent x hours, with 3"
        in verdict(found)
    )


def test_a_worst_peak_that_is_higher_than_without_migrations_is_said() -> None:
    """Of the policy that is named best, of the one beside it, and of all others in a remark."""
    other = ("rule", "mmt", {"hot_minutes": 90, "area": 9.0, "migrations": 6, "peak": 1.16})
    found = told(NOTHING, ("mine", "ours", {"hot_minutes": 45, "area": 3.0, "migrations": 5, "peak": 1.12}), other)
    assert verdict(found) == (
        "mine would have cut 900 host-minutes over 85% to 45 (5%) with 5 migrations, none of them undone within a day, but with a worst "
        "peak of 112% instead of 99%; the best rule of another kind, rule, to 90 with 6, none of them undone within a day, with a worst "
        "peak of 116%."
    )
    assert found.warnings == ("the worst peak of a host, 99% if nothing is done, is higher under mine 112%, rule 116%",)
    found = told(NOTHING, ("mine", "ours", {"hot_minutes": 45, "area": 3.0, "migrations": 5, "peak": 0.995}), other)
    assert verdict(found).endswith("within a day, with a worst peak of 116% instead of 99%.")
    assert found.warnings == ("the worst peak of a host, 99% if nothing is done, is higher under rule 116%",)


def test_a_higher_peak_of_hosts_that_are_not_hot_is_not_worth_a_word() -> None:
    cool = {"hot_minutes": 0, "area": 0.0, "peak": 0.3}
    assert told(("nothing", "nothing", cool), ("mine", "ours", {**cool, "peak": 0.8, "migrations": 1})).warnings == ()


def test_the_verdict_of_a_real_backtest_is_one_of_these() -> None:
    """One host, hot for hours: whatever is asked, nothing can be moved."""
    from pro.replay.backtest import backtest

    share = steady([0.3, 0.3])
    share[:, 2 * DAY + 100 : 2 * DAY + 160] = 0.98
    past = past_of(np.clip(share, 0, 1), [0, 0])
    found = backtest(past, [PolicySpec(name="rule", kind="mmt")], Config(), every_s=900.0)
    assert verdict(found).endswith("minutes, and with one host only there is nowhere to move to.")
