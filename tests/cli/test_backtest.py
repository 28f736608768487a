"""`pro backtest`: figures, files, and errors that say what is wrong."""

from __future__ import annotations

import json
import re
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
    (home / "n.toml").write_text("name = 'Nothing'\nkind = 'mmt'", encoding="utf-8")
    assert "two policies of one name" in pro("backtest", "--store", store, "--policy", "n.toml").err
    for words, said, code in (
        (("--from", "soon"), "--from", 2),
        (("--to", "later"), "--to", 2),
        (("--every", "1m"), "--every", 2),
        (("--every", "7m"), "multiple of 300 s", 2),
        (("--from", at, "--to", at), "nothing to replay", 1),
        (("--policy", "absent.toml"), "absent.toml", 1),
    ):
        ran = pro("backtest", "--store", store, *words)
        assert ran.code == code, words
        assert said in ran.err, words


def test_a_store_with_too_little_says_what_it_holds(pro: Pro, home: Path, store: Path, small: Estate) -> None:
    first, last = small.now - timedelta(days=3), small.now + timedelta(hours=23)
    held = rf"samples from {first:%Y-%m-%d} \d\d:\d\d to {last:%Y-%m-%d} \d\d:\d\d UTC"
    early = pro("backtest", "--store", store, "--from", "2001-01-01", "--to", "2001-01-02T06:00Z")
    assert early.code == 1
    assert re.search(
        rf"no samples to replay, got '2001-01-02 06:00 UTC', expected later: the store holds {held}", early.err
    )
    short = pro("backtest", "--store", store, "--to", (small.now - timedelta(days=1)).isoformat())
    assert short.code == 1
    assert re.search(
        rf"without --from, 3 days are history only, and the store holds {held}, expected --from", short.err
    )
    empty = pro("backtest", "--store", "nowhere")
    assert empty.code == 1
    assert "expected `pro ingest` first" in empty.err


def test_after_ctrl_c_it_is_said_whether_it_begins_anew_or_goes_on(
    pro: Pro, home: Path, store: Path, small: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "old.toml").write_text("kind = 'pro2008'\n", encoding="utf-8")
    monkeypatch.setattr("pro.actions.backtesting.write_files", interrupted)
    words = ("backtest", "--store", store, "--from", small.now.isoformat(), "--to",
             (small.now + timedelta(hours=2)).isoformat(), "--policy", "old.toml")  # fmt: skip
    late = pro(*words, "-o", "late")
    assert late.code == 130
    assert "it goes on where it was last kept, at 100%" in late.err
    monkeypatch.setattr("pro.replay.backtest.look", interrupted)
    early = pro(*words, "-o", "early")
    assert early.code == 130
    assert "interrupted before anything was kept; run again, it begins anew" in early.err
    assert pro(*words).err.endswith("interrupted\n")


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_a_span_it_begins_after_three_days(pro: Pro, home: Path, store: Path) -> None:
    (home / "old.toml").write_text("kind = 'pro2008'\n", encoding="utf-8")
    document = pro("backtest", "--store", store, "--policy", "old.toml", "--every", "2h", "--json").json("backtest/1")
    span = datetime.fromisoformat(document["to"]) - datetime.fromisoformat(document["from"])
    assert timedelta(hours=23) < span < timedelta(hours=25)


def test_another_result_replaces_the_earlier_one_with_its_tables_and_says_so(
    pro: Pro, home: Path, store: Path, small: Estate
) -> None:
    (home / "one.toml").write_text("name = 'a b'\nkind = 'pro2008'\n", encoding="utf-8")
    (home / "two.toml").write_text("name = 'a-b'\nkind = 'mmt'\n", encoding="utf-8")
    words = ("backtest", "--store", store, "--from", small.now.isoformat(), "--to",
             (small.now + timedelta(hours=2)).isoformat(), "-o", "again")  # fmt: skip
    out = home / "again"
    both = pro(*words, "--policy", "one.toml", "--policy", "two.toml")
    assert both.code == 0, both.err
    assert "replaced" not in both.err
    kinds = ("trajectory", "probabilities", "use")
    named = {f"{kind}-{name}.parquet" for kind in kinds for name in ("nothing", "a%20b", "a-b")}
    assert {p.name for p in out.glob("*.parquet")} == named
    (out / "use-mine.parquet").write_bytes(b"not of a backtest")
    same = pro(*words, "--policy", "one.toml", "--policy", "two.toml")
    assert "replaced" not in same.err
    other = pro(*words, "--policy", "two.toml")
    assert "the earlier result in again is replaced" in other.err
    assert "under nothing, a b, a-b" in other.err
    left = {p.name for p in out.glob("*.parquet")}
    assert left == {n for n in named if "%" not in n} | {"use-mine.parquet"}
    assert (out / "use-mine.parquet").read_bytes() == b"not of a backtest"
