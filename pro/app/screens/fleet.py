"""Fleet: how full every host will be, which rules are broken, and what happens if a host fails."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pro.app import charts, components, session
from pro.core.text import plain
from pro.reports import answers, readiness, tables, views, words

report = session.report()
colours = session.palette()

components.heading("Fleet", report)
st.subheader(components.md(words.headline(report), 400), anchor=False)
components.figures(report)

components.section(
    "Expected CPU use",
    f"Dots mark slots above {100 * report.threshold:.0f} % in at least 1, 3 or 5 of 10 futures: the larger, the likelier.",
)
left, right = st.columns([3, 1])
futures = ("If nothing is done", "With the plan")
future = left.segmented_control(
    "Future", futures, default=futures[0], required=True, label_visibility="collapsed", key="future"
)
clusters = sorted({views.cluster_of(report.fleet, h) for h in range(report.fleet.n_hosts)} - {""})
cluster = right.selectbox(
    "Cluster", [None, *clusters], format_func=lambda c: c or "All clusters", label_visibility="collapsed", key="cluster"
)
components.chart(
    charts.heat_map(report, planned=future == futures[1], cluster=cluster, palette=colours),
    alt="Expected CPU use of every host over the horizon. The table below gives each host's peak.",
)
if cluster is None and report.fleet.n_hosts > charts.MAX_HOSTS:
    st.caption(
        f"The {charts.MAX_HOSTS} hosts that matter most of {report.fleet.n_hosts}; choose a cluster to see others."
    )

components.section("Hosts")
shown = ["host", "cluster", "state", "vms_before", "vms_after"]
shown += [f"{r}_peak_{when}" for r in report.fleet.resources for when in ("before", "after")]
shown += ["hot_minutes_before", "hot_minutes_after"]
components.table(tables.hosts(report), alt="Hosts: VMs and expected peaks before and after the plan", columns=shown)

components.section("Rules broken")
broken = [("still broken", v) for v in report.placement.violations] + [
    ("repaired by the plan", v) for v in report.repaired
]
broken += [("preference not kept", v) for v in report.placement.unkept]
if broken:
    rows = [{"State": state, "Rule": v.rule, "What is wrong": v.text} for state, v in broken]
    components.frame(pd.DataFrame(rows), alt="Rules that are broken today")
else:
    st.text("Every rule holds.")

if standby := words.failover(report):
    components.section("If a host fails", "Whether every highly available VM would find another place, by every rule.")
    st.text(plain(standby, 1000))
    lost = answers.failures(report)
    if lost.rows:
        components.table(lost, alt="Hosts that may not fail, and how many VMs would be left down")

components.section("Data")
st.text(plain(readiness.sentence(report), 400))
for name, why, _ in readiness.held(report).rows[:10]:
    st.text(f"{plain(str(name))} is left alone: {plain(str(why), 300)}")
st.page_link("screens/data.py", label="Counter by counter, host by host")
