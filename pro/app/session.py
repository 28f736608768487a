"""Streamlit's caches and state, and nothing else: what a visitor has chosen, and what was computed for it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pro.app import charts, service
from pro.core.errors import ProError

if TYPE_CHECKING:
    from pro.actions.backtests import Finished, Grid
    from pro.reports.report import Report

HOURS = (6, 12, 24, 48, 168)


@dataclass(frozen=True)
class Settings:
    """What the sidebar says. `now` None: the newest sample."""

    store: str
    now: datetime | None
    options: service.Options


def settings() -> Settings:
    """Draw the sidebar and return what it says; nothing is computed until the button is pressed."""
    if "chosen" not in st.session_state:
        st.session_state["chosen"] = Settings(_store_argument(), None, service.Options())
    current: Settings = st.session_state["chosen"]
    with st.sidebar.form("settings", border=False):
        store = st.text_input("Store", value=current.store, placeholder="folder with the samples", key="store")
        now = st.datetime_input(
            "Now (UTC)",
            value=current.now,
            min_value=datetime(2000, 1, 1),
            max_value=datetime(2100, 1, 1),
            format="YYYY-MM-DD",
            step=900,
            key="now",
            help="Nothing later is ever read. Empty: the newest sample.",
        )
        hours = st.select_slider(
            "Look ahead", HOURS, value=current.options.horizon_s // 3600, format_func=_hours, key="hours"
        )
        threshold = st.slider(
            "Hot above", 50, 100, round(100 * current.options.threshold), 1, format="%d %%", key="threshold"
        )
        goal = st.selectbox("Goal", service.GOALS, index=service.GOALS.index(current.options.goal), key="goal")
        moves = st.number_input(
            "At most migrations", 0, 1000, current.options.max_moves, key="moves", placeholder="automatic"
        )
        if st.form_submit_button("Recommend", type="primary", width="stretch"):
            aware = now.replace(tzinfo=UTC) if now is not None else None
            options = service.Options(hours * 3600, threshold / 100, goal, moves)
            st.session_state["chosen"] = Settings(store.strip(), aware, options)
    chosen: Settings = st.session_state["chosen"]
    return chosen


def _hours(hours: int) -> str:
    return f"{hours} h" if hours <= 48 else f"{hours // 24} d"


def _store_argument() -> str:
    """`--store DIR` after `--` on the command line, else the environment's PRO_STORE, else nothing."""
    arguments = sys.argv[1:]
    for i, word in enumerate(arguments):
        if word == "--store" and i + 1 < len(arguments):
            return arguments[i + 1]
        if word.startswith("--store="):
            return word.partition("=")[2]
    return os.environ.get("PRO_STORE", "")


def store() -> Path:
    """The store that was chosen."""
    chosen: Settings = st.session_state["chosen"]
    return Path(chosen.store)


def store_given() -> bool:
    """Whether anybody said which."""
    chosen: Settings = st.session_state["chosen"]
    return bool(chosen.store)


def uses(found: Finished) -> dict[str, Grid]:
    """Use of hosts under every policy for which it was kept."""
    grids: dict[str, Grid] = _uses(str(found.folder), found.changed, found)
    return grids


@st.cache_data(max_entries=4, show_spinner="Reading the tables of the backtest")
def _uses(folder: str, changed: int, _found: Finished) -> dict[str, Grid]:
    from pro.actions.backtests import use_of

    return {name: grid for name in _found.policies if (grid := use_of(_found, name)) is not None}


def report() -> Report:
    """The recommendation for what was chosen; on an error meant for people, says it and ends the page."""
    from pro.app import components

    chosen: Settings = st.session_state["chosen"]
    folder = Path(chosen.store)
    if not chosen.store or not service.is_store(folder):
        components.no_store(chosen.store)
        st.stop()
    try:
        found: Report = _report(chosen, service.stamp(folder))
    except ProError as error:
        components.problem(error)
        st.stop()
    return found


@st.cache_resource(max_entries=4, show_spinner="Forecasting and looking for the fewest migrations")
def _report(chosen: Settings, stamp: str) -> Report:
    """`stamp` is part of the key only: new samples, new answer."""
    return service.recommend(Path(chosen.store), chosen.now, chosen.options)


@st.cache_data(max_entries=4, show_spinner="Writing files")
def downloads(plan_id: str, _report: Report) -> dict[str, tuple[bytes, str]]:
    """The files a person may take along, made once per plan."""
    return service.downloads(_report)


def palette() -> charts.Palette:
    """Colours for the visitor's scheme."""
    return charts.DARK if st.context.theme.type == "dark" else charts.LIGHT


@st.cache_resource
def _hands(folder: Path) -> service.Hands:
    return service.Hands(folder)


def hands() -> service.Hands:
    """The one pair of hands of this server for the chosen store, whoever visits."""
    shared: service.Hands = _hands(store())
    return shared
