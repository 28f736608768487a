"""Backtest: had these policies run over the past, what would have happened?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from pro.actions.backtests import chances_of, find_backtests, packed, read_backtest
from pro.app import charts, components, past_charts, session
from pro.core.errors import ProError
from pro.core.text import plain
from pro.reports import words
from pro.reports.tables import policies

st.title("Backtest", anchor=False)
known = find_backtests(session.store()) if session.store_given() else []
given = st.text_input(
    "Folder of a backtest",
    key="backtest",
    placeholder="the newest one found" if known else "what pro backtest was given after -o",
)
if given.strip():
    folder = Path(given.strip())
elif known:
    folder = st.selectbox(
        "Found beside this store", known, format_func=lambda p: plain(p.name, 60), key="backtest-found"
    )
else:
    st.markdown(
        "No backtest yet. It replays your own past under several policies, and says what each would have been good for:"
    )
    st.code("pro backtest --store DIR --every 15m -o DIR/backtests/first", language="shell")
    st.markdown("It is found here when it has ended. A folder anywhere else can be given above.")
    st.stop()

try:
    found = read_backtest(folder)
    grids = session.uses(found)
except ProError as error:
    components.problem(error)
    st.stop()

said = found.document
colours, over = session.palette(), said["threshold"]
rows = said["policies"]
nothing, best = rows[0], next(p for p in rows if p["name"] == said["best"])
st.caption(
    f"{said['from'][:16].replace('T', ' ')} to {said['to'][:16].replace('T', ' ')} UTC, a look every {words.span(said['every_s'])} \u00b7 "
    f"{words.count(said['hosts'], 'host')}, {words.count(said['vms'], 'VM')}"
)
st.subheader(components.md(said["verdict"], 1000), anchor=False)
tiles = (
    (f"Minutes above {100 * over:.0f} %", words.minutes(nothing["hot_minutes"]), words.minutes(best["hot_minutes"]), "of all hosts"),
    ("Worst peak, %", f"{100 * nothing['peak']:.0f}", f"{100 * best['peak']:.0f}", "of a host"),
    ("Contention, VM-min", words.minutes(nothing["contention_minutes"]), words.minutes(best["contention_minutes"]), "on overbooked hosts"),
    ("Migrations", "0", f"{best['migrations']:,}", f"{best['migrations_per_day']:.1f} a day, {best['undone']:,} undone"),
)  # fmt: skip
for column, (label, before, after, note) in zip(st.columns(4), tiles, strict=True):
    shown = (after, note) if label == "Migrations" else components.change_and_note(before, after, note)
    components.tile(column, label, *shown)
st.caption(
    components.md(
        f"Doing nothing, and {best['name']}, the cheapest: heat over the threshold, plus a price for every migration. Minutes are those of all hosts.",
        300,
    )
)

components.section(
    "Policies side by side",
    "Each was replayed over the same past on its own copy of the estate. Hot minutes of all hosts, and per cent x hours above the threshold, also as shares "
    "of doing nothing; undone: went back to a host left within a day; contention: VM-minutes on overbooked hosts; kWh by a model.",
)
components.table(policies(said), alt="Every policy: how hot hosts were, and what it cost")

components.section("Over time", "How many hosts are hot at once. A tick below a row: migrations that end there.")
if grids:
    components.chart(
        past_charts.strips(grids, over, colours),
        alt="Hot hosts over time under every policy; the table above gives the sums",
    )
else:
    st.text("How full hosts were was not kept by this backtest. Run it again with the same -o to see it.")

components.section("Host by host")
names = list(found.policies)
chosen = st.selectbox("Policy", names, index=names.index(said["best"]), key="policy")
if chosen in grids:
    st.markdown("**Use of processors under this policy**")
    components.chart(
        past_charts.use_map(grids[chosen], over, colours),
        alt="Use of every host over time; the highest of each stretch",
    )
    if len(grids[chosen].hosts) > charts.MAX_HOSTS:
        st.caption(f"The {charts.MAX_HOSTS} hottest hosts of {len(grids[chosen].hosts)}.")
try:
    chances = chances_of(found, chosen)
except ProError as error:
    components.problem(error)
    st.stop()
st.markdown(f"**How likely it was to run above {100 * over:.0f} % within the hour after**")
if chances is None:
    st.text("This policy kept no forecasts.")
else:
    components.chart(
        past_charts.chance_map(chances, colours), alt="Probability of every host to run hot, as forecast then"
    )
    st.caption("As forecast at the first look of each hour, from what was measured by then.")

with st.expander("What the policies said at their looks"):
    looks = [
        {"Policy": p["name"], "Forecasts": p["forecasts"], "Migrations refused": p["refused"],
         "Looks, by what was said": "; ".join(f"{why}: {n:,}" for why, n in p["said"].items())}
        for p in rows
    ]  # fmt: skip
    components.frame(pd.DataFrame(looks), alt="How often each policy said what")
for warning in said["warnings"]:
    st.text(f"\u26a0 {plain(warning, 400)}")

components.section("Take along")
left, middle, right, _ = st.columns([1, 1, 1, 1])
for column, name, kind in ((left, "backtest.html", "text/html"), (middle, "backtest.json", "application/json")):
    if (folder / name).is_file():
        column.download_button(
            name, (folder / name).read_bytes(), file_name=name, mime=kind, on_click="ignore", width="stretch"
        )
right.download_button(
    "backtest.zip", lambda: packed(found.files()), file_name="backtest.zip", mime="application/zip", on_click="ignore",
    width="stretch", help="The page, the figures and all tables (Parquet).",
)  # fmt: skip
