"""Data: what is known of every host and VM, when it will be enough, and which hosts are left alone until then."""

from __future__ import annotations

import streamlit as st

from pro.app import components, service, session
from pro.core.text import plain
from pro.fleet.memory import sentence
from pro.reports import readiness

report = session.report()

components.heading("Data", report)
st.subheader(components.md(readiness.sentence(report), 400), anchor=False)
if report.readiness is None:
    st.markdown("Take counters in, from SCOM or PerfMon exports:")
    st.code("pro ingest counters.csv.gz --store DIR", language="shell")
else:
    components.section(
        "Hosts that are left alone",
        "Nothing is moved to or from them, not even to repair a rule, unless a plan only repairs rules or empties a host on request.",
    )
    held = readiness.held(report)
    if held.rows:
        components.table(held, alt="Hosts that are not acted on, and why", columns=["host", "why"])
    else:
        st.text("None: enough is known of every host.")

    components.section("Counters", readiness.MEANING)
    components.table(readiness.counters(report), alt="How many hosts and VMs have each counter, and how fresh it is")

    st.text(plain(sentence(report.fleet, report.readiness.memory), 2000))

    components.section("Hosts and VMs")
    lacking = st.toggle("Only what is sparse, stale or absent", value=True, key="lacking")
    rows = readiness.coverage(report, lacking)
    if rows.rows:
        shown = ["name", "kind", "counter", "state", "known", "gap", "newest", "enough_from"]
        components.table(rows, alt="Share of the history that is known, worst first", columns=shown)
    else:
        st.text("Nothing is sparse, stale or absent.")

components.section("Learning")
st.text(service.learned(session.store(), report.now, report.threshold))
if report.warnings:
    components.section("Warnings")
    for warning in report.warnings[:100]:
        st.text(f"\u26a0 {plain(warning, 400)}")
    if len(report.warnings) > 100:
        st.caption(f"{len(report.warnings) - 100} more.")
