"""Plan: what to move, when and why; what it brings; approve it and watch it being carried out."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pro.app import charts, components, progress, service, session
from pro.core.text import plain
from pro.placement.placement import for_people
from pro.reports import answers, readiness, tables, words

report = session.report()
colours = session.palette()
plan = report.plan

components.heading("Plan", report)
st.subheader(components.md(words.headline(report), 400), anchor=False)
components.figures(report)

if plan.migrations:
    components.section(
        "Migrations",
        "Those of one wave run side by side; the mark at the end of a bar is the blackout, when the VM is paused.",
    )
    components.chart(charts.timeline(report, colours), alt="Migrations over time; the table below says the same")
    shown = ["wave", "vm", "source", "destination", "memory_mib", "seconds", "blackout_s", "reason"]
    if any(m.kind != "live" or m.stopover for m in plan.migrations):
        shown.insert(4, "kind")
    components.table(tables.migrations(report), alt="Migrations in order", columns=shown)
if plan.blocked:
    components.section("Blocked")
    blocked = [{"VM": report.vm_label.get(b.vm, b.vm), "Because": b.reason} for b in plan.blocked]
    components.frame(pd.DataFrame(blocked), alt="VMs that should move and cannot")

if report.plan.answers.get("gains"):
    components.section(
        "What each migration is good for", "What gets worse if it alone is left out, all others carried out."
    )
    good = answers.gains(report)
    components.table(good, alt="What would be lost without each migration", columns=["vm", "heat", "rules", "all"])
    st.text(plain(report.plan.answers["fewer"]["text"], 600))
if remedies := report.plan.answers.get("remedies"):
    components.section("What the plan leaves, and what stands in the way")
    for remedy in remedies[:50]:
        st.text(plain(remedy["text"], 600))
    if more := report.plan.answers.get("more_remedies"):
        st.text(plain(more, 600))
if alone := readiness.left_alone(report):
    st.text(f"\u26a0 {alone}: see the page Data.")

progress.panel(report)

components.section("Before and after", "Expected peak of every host. The dashed line is where a host counts as hot.")
for column, resource in zip(st.columns(2), report.fleet.resources[:2], strict=True):
    with column:
        st.markdown(f"**{words.RESOURCE_TITLES[resource]}**")
        components.chart(
            charts.peaks(report, resource, colours), alt=f"Expected {resource} peak of every host before and after"
        )

components.section(
    "Why?", "What each host would mean for a VM: where it is put, where it stands today, what refuses it elsewhere."
)
others = report.fleet.vms if report.question is not None else ()
known = list(dict.fromkeys([*(m.vm for m in plan.migrations), *(b.vm for b in plan.blocked), *plan.explain, *others]))
if known:
    vm = st.selectbox("VM", known, format_func=lambda v: report.vm_label.get(v, v), key="why")
    for m in plan.migrations:
        if m.vm == vm:
            st.text(plain(m.reason, 400))
    for b in plan.blocked:
        if b.vm == vm:
            st.text(plain(f"Blocked: {b.reason}", 400))
    components.options(service.why(report, vm), plan.answers.get("units", {}))
else:
    st.text("No VM has to move.")

components.section("Rank of goals", "No later goal is served at the cost of an earlier one.")
rows = [
    {"Goal": name, "Today": words.figure(before), "After": words.figure(after), "Unit": unit}
    for t in report.placement.tiers
    for name, before, after, unit in for_people(t.to_json())
]
components.frame(
    pd.DataFrame(rows, columns=["Goal", "Today", "After", "Unit"]), alt="Cost of each goal before and after"
)

components.section("Take along")
for column, (name, (content, kind)) in zip(st.columns(5), session.downloads(plan.id, report).items(), strict=True):
    column.download_button(name, content, file_name=name, mime=kind, on_click="ignore", width="stretch")
