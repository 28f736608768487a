"""Finished backtests: found, read, and shown; what is not one is said to be none."""

from __future__ import annotations

import io
import json
import os
import zipfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

import pro.app
from pro.actions.backtests import chances_of, find_backtests, packed, read_backtest, table_of, use_of
from pro.app.components import change_and_note
from pro.core.errors import InputError
from tests.app.pasts import BEGAN, MOVED_AT, STEPS, write_past
from tests.cli.conftest import validator
from tests.conftest import HOSTILE_NAMES


@pytest.fixture
def past(tmp_path: Path) -> Path:
    return write_past(tmp_path / "store" / "backtests" / "first", HOSTILE_NAMES[:2])


def visit(store: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("PRO_STORE", str(store))
    at = AppTest.from_file(str(pro.app.SCRIPT), default_timeout=60)
    at.run()
    return at.switch_page("screens/past.py").run()


def test_backtests_in_and_beside_a_store_are_found_newest_first(past: Path, tmp_path: Path) -> None:
    beside = write_past(tmp_path / "later")
    inside = write_past(tmp_path / "store" / "mine")
    (tmp_path / "store" / "backtests" / "unfinished").mkdir()
    for age, folder in enumerate((beside, past, inside)):
        os.utime(folder / "backtest.json", (1e9 - age, 1e9 - age))
    assert find_backtests(tmp_path / "store") == [beside, past, inside]


def test_what_is_read_is_what_was_written(past: Path) -> None:
    found = read_backtest(past)
    validator("backtest/1").validate(found.document)
    assert found.policies == ("nothing", "careful")
    stayed, moved = use_of(found, "nothing"), use_of(found, "careful")
    assert stayed is not None
    assert moved is not None
    assert moved.names == HOSTILE_NAMES[:2]
    assert moved.edges[0] == BEGAN
    assert moved.edges[-1] == BEGAN + timedelta(seconds=300 * STEPS)
    assert np.allclose(stayed.values, np.repeat([[0.9], [0.1]], STEPS, axis=1))
    assert np.allclose(moved.values[:, MOVED_AT:], np.repeat([[0.5], [0.4]], STEPS - MOVED_AT, axis=1))
    assert stayed.moves.sum() == 0
    assert moved.moves.tolist() == [int(t == MOVED_AT) for t in range(STEPS)]
    chances = chances_of(found, "careful")
    assert chances is not None
    assert chances.values.tolist() == [[0.9, 0.2], [0.0, 0.05]]
    assert chances.names == HOSTILE_NAMES[:2]


def test_long_pasts_are_drawn_by_their_worst(past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pro.actions.backtests.BUCKETS", 5)
    short = use_of(read_backtest(past), "careful")
    assert short is not None
    assert short.values.shape == (2, 5)
    assert short.values.max() == pytest.approx(0.9)
    assert short.moves.sum() == 1


def test_the_archive_holds_every_file(past: Path) -> None:
    found = read_backtest(past)
    with zipfile.ZipFile(io.BytesIO(packed(found.files()))) as archive:
        assert len(archive.namelist()) == 2 + 2 * 3
        assert json.loads(archive.read("backtest.json")) == found.document


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no finished backtest"), ("{", "not JSON"), ("[]", "not a backtest"), ('{"schema": "plan/1"}', "not a backtest"),
     ('{"schema": "backtest/1", "policies": []}', "without policies"), ('{"schema": "backtest/1", "policies": [{}]}', "without a name")],
)  # fmt: skip
def test_what_is_no_backtest_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "backtest.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_backtest(tmp_path)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_every_policy_has_tables_of_its_own_and_none_leaves_the_folder(one: str, two: str) -> None:
    folder = Path("out")
    assert table_of(folder, "use", one).parent == table_of(folder, "use", "../../etc/passwd").parent == folder
    assert (table_of(folder, "use", one) == table_of(folder, "use", two)) == (one == two)
    assert table_of(folder, "use", "a b") != table_of(folder, "use", "a-b")
    assert table_of(folder, "use", "ours-3").name == "use-ours-3.parquet"


def test_the_page_shows_verdict_policies_and_pictures(past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = visit(past.parents[1], monkeypatch)
    assert not at.exception
    assert "careful would have cut 120" in at.subheader[0].value
    table = at.dataframe[0].value
    assert list(table["name"]) == ["nothing", "careful"]
    assert list(table["hot_minutes"]) == [120, 60]
    assert len(at.get("vega_lite_chart")) == 3
    at.selectbox(key="policy").set_value("nothing").run()
    assert not at.exception
    for surface in (*at.markdown, *at.caption, *at.subheader):
        assert "![](" not in surface.value


def test_figures_that_do_not_fit_beside_each_other_are_shown_one_below_the_other() -> None:
    assert change_and_note("850", "12", "of all hosts") == ("850 \u2192 12", "of all hosts")
    assert change_and_note("1,065", "230", "of all hosts") == ("230", "instead of 1,065")
    assert change_and_note("1,065,000", "1,065,000", "of all hosts") == ("1,065,000", "of all hosts")


def test_a_folder_can_be_given_and_one_that_is_none_is_said(
    past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = visit(tmp_path / "elsewhere" / "store", monkeypatch)
    assert not at.exception
    assert any("pro backtest" in c.value for c in at.code)
    at.text_input(key="backtest").set_value(str(past)).run()
    assert at.subheader
    at.text_input(key="backtest").set_value(str(tmp_path)).run()
    assert not at.exception
    assert [e.value for e in at.error] == ["This could not be done."]


def test_without_the_tables_the_figures_are_shown_all_the_same(past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in past.glob("*.parquet"):
        path.unlink()
    at = visit(past.parents[1], monkeypatch)
    assert not at.exception
    assert any("was not kept" in t.value for t in at.text)
    table_of(past, "use", "careful").write_bytes(b"no table")
    broken = visit(past.parents[1], monkeypatch)
    assert not broken.exception
