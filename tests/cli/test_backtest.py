"""`pro backtest`: figures, files, and errors that say what is wrong."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from tests.small import fill

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Pro
    from tests.small import Estate

CHEAP = "kind = 'ours'\nscenarios = 4\nrounds = 0\nhistory_days = 2.0\nhorizon_h = 8.0\n"


@pytest.fixture(scope="module")
def store(small: Estate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("backtest") / "store", small)


def test_a_backtest_leaves_figures_pictures_and_tables(pro: Pro, home: Path, store: Path, small: Estate) -> None:
    (home / "mine.toml").write_text(CHEAP, encoding="utf-8")
    (home / "old.toml").write_text("name = '2008'\nkind = 'pro2008'\n", encoding="utf-8")
    words = ("backtest", "--store", store, "--from", small.now.isoformat(), "--to",
             (small.now + timedelta(hours=14)).isoformat(), "--every", "30m", "--policy", "mine.toml", "--policy",
             "old.toml")  # fmt: skip
    ran = pro(*words, "-o", "out", "--json")
    assert ran.code == 0, ran.err
    document = ran.json("backtest/1")
    assert [p["name"] for p in document["policies"]] == ["nothing", "mine", "2008"]
    assert document == json.loads((home / "out" / "backtest.json").read_text("utf-8"))
    assert document["looks"] == 28
    assert document["best"] in [p["name"] for p in document["policies"]]
    assert document["verdict"].count(".") >= 1
    page = (home / "out" / "backtest.html").read_text("utf-8")
    assert document["verdict"].split(" would")[0] in page
    assert "<script" not in page
    for policy in document["policies"]:
        stood = pq.read_table(home / "out" / f"trajectory-{policy['name']}.parquet")
        assert stood.column_names == ["step", "vm", "host"]
        assert stood.num_rows == 14 * 12 * document["vms"]
        chances = pq.read_table(home / "out" / f"probabilities-{policy['name']}.parquet")
        assert chances.column_names == ["time", "host", "probability"]
        assert chances.num_rows == 14 * document["hosts"]
        assert set(chances.column("probability").to_pylist()) <= {k / 48 for k in range(49)} | {
            round(k / 48, 4) for k in range(49)
        }
    again = pro(*words, "-o", "out", "--json")
    assert again.json("backtest/1") == document
    told = pro(*words, "-o", "out")
    assert document["verdict"] in told.out


def test_errors_say_what_got_expected_and_where(pro: Pro, home: Path, store: Path, small: Estate) -> None:
    at = small.now.isoformat()
    for text, said in (
        ("kind = 'ours'\nagressiveness = 3", "unknown parameter agressiveness"),
        ("kind = 'lucky'", "kind"),
        ("aggressiveness = 3", "kind"),
        ("kind = [", "cannot be read"),
        ("kind = 'ours'\nslot_minutes = 7", "slot_minutes: expected a multiple of 5 that divides a day"),
        ("kind = 'ours'\nname = '../../x'", "name"),
    ):
        (home / "bad.toml").write_text(text, encoding="utf-8")
        ran = pro("backtest", "--store", store, "--policy", "bad.toml")
        assert ran.code == 1, text
        assert said in ran.err, text
        assert "bad.toml" in ran.err, text
    (home / "a.toml").write_text("name = 'x'\nkind = 'mmt'", encoding="utf-8")
    (home / "b.toml").write_text("name = 'X'\nkind = 'mmt'", encoding="utf-8")
    assert (
        "two policies of one name" in pro("backtest", "--store", store, "--policy", "a.toml", "--policy", "b.toml").err
    )
    for words, said in (
        (("--from", "soon"), "--from"),
        (("--to", "later"), "--to"),
        (("--every", "1m"), "--every"),
        (("--every", "7m"), "multiple of 300 s"),
        (("--from", at, "--to", at), "nothing to replay"),
        (("--policy", "absent.toml"), "absent.toml"),
    ):
        ran = pro("backtest", "--store", store, *words)
        assert ran.code == 1, words
        assert said in ran.err, words


def test_without_a_span_it_begins_after_three_days(pro: Pro, home: Path, store: Path) -> None:
    (home / "old.toml").write_text("kind = 'pro2008'\n", encoding="utf-8")
    document = pro("backtest", "--store", store, "--policy", "old.toml", "--every", "2h", "--json").json("backtest/1")
    span = datetime.fromisoformat(document["to"]) - datetime.fromisoformat(document["from"])
    assert timedelta(hours=23) < span < timedelta(hours=25)
