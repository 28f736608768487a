"""Hot hosts: which, when, how surely, because of which VMs, and what today's rules would have said."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pro.app import charts, components, session
from pro.reports import tables, words

report = session.report()
colours = session.palette()


def within_hours() -> None:
    """What trained classifiers say; nothing where there are none."""
    if not report.soon:
        return
    components.section("Within hours, by what was learned", words.soon(report))
    likely = tables.soon(report)
    if likely.rows:
        shown = [c.name for c in likely.columns if c.name != "host_id"]
        components.table(likely, columns=shown, alt="Hosts likely to run hot within hours")
    else:
        st.text(f"No host is found likelier than {words.percent(tables.LIKELY)} to run hot.")


def listed() -> None:
    """Every hotspot, measured memory last; nothing where there are none."""
    rows = [
        {
            "Host": names[s.host],
            "Resource": s.what,
            "Severity": s.severity,
            "When (UTC)": charts.hours_between(s.starts, s.ends),
            "Probability": round(s.probability, 2),
            "Expected peak": s.expected_peak,
            "Minutes hot": s.expected_hot_minutes,
        }
        for s in (*report.hotspots, *report.short)
    ]
    formats = {
        "Probability": st.column_config.ProgressColumn("Probability", min_value=0.0, max_value=1.0, format="percent"),
        "Expected peak": st.column_config.NumberColumn("Expected peak", format="percent"),
        "Minutes hot": st.column_config.NumberColumn("Minutes hot", format="%.0f"),
    }
    if rows:
        components.frame(
            pd.DataFrame(rows).round({"Expected peak": 2}), alt="Hosts expected to run hot, worst first", config=formats
        )
    if said := words.memory(report):
        st.caption(components.md(said, 600))


components.heading("Hot hosts", report)
names = charts.labels(report)
if not report.hotspots:
    st.subheader(components.md(words.headline(report), 400), anchor=False)
    listed()
    within_hours()
    st.stop()

spots = {f"{s.host}/{s.resource}": s for s in report.hotspots}
listed()
within_hours()

chosen = st.selectbox(
    "Host", list(spots), format_func=lambda key: f"{names[spots[key].host]}, {spots[key].resource}", key="hotspot"
)
spot = spots[chosen]
top = charts.ceiling(report, spot.host, spot.resource)
left, right = st.columns(2)
with left:
    components.section("If nothing is done", "Bands: 9 of 10 futures and half of them. Line: the median.")
    components.chart(
        charts.fan(report, spot.host, spot.resource, planned=False, ceiling=top, palette=colours),
        alt="Forecast of the host if nothing is done",
    )
with right:
    components.section("With the plan", f"{words.count(len(report.plan.migrations), 'migration')} in all.")
    components.chart(
        charts.fan(report, spot.host, spot.resource, planned=True, ceiling=top, palette=colours),
        alt="Forecast of the host with the plan",
    )

left, right = st.columns(2)
with left:
    components.section("Caused by", "Share of the use by VMs while the host is hot.")
    causes = pd.DataFrame(
        [{"VM": report.vm_label.get(c.vm, c.vm), "Share": round(c.share, 2)} for c in spot.vms if c.share >= 0.005]
    )
    shares = {"Share": st.column_config.ProgressColumn("Share", min_value=0.0, max_value=1.0, format="percent")}
    components.frame(causes, alt="VMs that cause the heat", config=shares)
with right:
    components.section(
        "What other rules say",
        "SCOM's consecutive samples and the one-hour average look back; the forecast looks ahead.",
    )
    if report.baselines is None:
        st.text("No host counters were at hand to compare with.")
    else:
        said = report.baselines
        hosts = sorted({*said.scom_rule, *said.hourly_average, *said.forecast})
        flags = [
            {
                "Host": names.get(h, h),
                "Forecast": "hot" if h in said.forecast else "no",
                "SCOM rule": "hot" if h in said.scom_rule else "no",
                "1 h average": "hot" if h in said.hourly_average else "no",
            }
            for h in hosts
        ]
        components.frame(
            pd.DataFrame(flags, columns=["Host", "Forecast", "SCOM rule", "1 h average"]),
            alt="Hosts flagged by each way of looking",
        )
