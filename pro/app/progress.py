"""Approving a plan, and watching it being applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pro.app import components, service, session
from pro.core import text

if TYPE_CHECKING:
    from pro.remediation.result import RunStatus
    from pro.reports.report import Report

OVER = ("done", "skipped", "failed")


def panel(report: Report) -> None:
    """One of three: approve and apply; under way, with Stop; how the last run ended, and whatever there is to apply now."""
    hands = session.hands()
    status = hands.status()
    if hands.busy or (status is not None and status.driven):
        components.section("Being applied")
        _under_way()
        return
    if status is not None and status.interrupted:
        components.section("Interrupted")
        st.warning("A run was interrupted. Nothing new is applied before it has been taken up again.")
        _steps(status)
        if st.button("Resume", type="primary"):
            hands.resume()
            st.rerun()
        return
    if hands.ended is not None and getattr(hands.ended, "run", None) is None:
        components.section("Last apply")
        _outcome(hands.ended)
    elif status is not None:
        components.section("Last apply")
        _ended(status)
    if report.plan.migrations:
        components.section(
            "Approve and apply", "On the simulator of this store, ten times as fast as real. Nothing real is touched."
        )
        _approve(report, again=status is not None and status.plan_id == report.plan.id)


def _approve(report: Report, *, again: bool) -> None:
    """The approval binds to exactly this plan: its id is a hash of its content."""
    agreed = st.checkbox(
        f"I approve plan {report.plan.id[:12]}: {text.counted(len(report.plan.migrations), 'migration')}",
        key=f"approve-{report.plan.id}",
    )
    if st.button("Apply again" if again else "Apply on the simulator", type="primary", disabled=not agreed):
        session.hands().start(report.plan, service.simulator_url(session.store()))
        st.rerun()


@st.fragment(run_every=1.0)
def _under_way() -> None:
    """Looks once a second; when the run has ended, draws the whole page anew."""
    hands = session.hands()
    status = hands.status()
    if not hands.busy and not (status is not None and status.driven):
        st.rerun()
    if status is None or not status.driven:
        st.progress(0.0, "Starting")
        return
    over = sum(s.state.value in OVER for s in status.steps)
    flying = len(status.in_flight)
    st.progress(over / max(len(status.steps), 1), f"{over} of {len(status.steps)} migrations over, {flying} in flight")
    if st.button(
        "Stop", disabled=status.stop_asked, help="No further migration is started; those in flight are let end."
    ):
        hands.stop()
    if status.stop_asked:
        st.caption("Stopping: waiting for what is in flight.")
    _steps(status)


def _ended(status: RunStatus) -> None:
    done = sum(s.state.value == "done" for s in status.steps)
    words = f"Run {status.run} ended: {status.state.value.replace('_', ' ')}, {done} of {len(status.steps)} migrations done."
    (st.success if status.state.value == "done" else st.warning)(words)
    with st.expander("Steps"):
        _steps(status)


def _outcome(ended: object) -> None:
    """What an apply came to that left no run behind: refused, nothing to do, or an error."""
    if isinstance(ended, Exception):
        components.problem(ended)
        return
    state, reasons = getattr(ended, "state", ""), getattr(ended, "reasons", ())
    if state == "refused":
        st.warning("Refused.")
    else:
        st.info("Nothing to do: every VM already stands where the plan puts it.")
    for reason in reasons:
        st.text(text.plain(reason, 400))


def _steps(status: RunStatus) -> None:
    rows = [
        {
            "Wave": s.wave + 1,
            "VM": s.vm_name or s.vm,
            "From": s.source,
            "To": s.destination,
            "State": s.state.value.replace("_", " "),
            "Took, s": s.seconds,
            "Blackout, s": s.blackout_s,
            "Note": s.reason,
        }
        for s in status.steps
    ]
    config = {name: st.column_config.NumberColumn(name, format="%.1f") for name in ("Took, s", "Blackout, s")}
    components.frame(pd.DataFrame(rows), alt="Steps of the run and how each stands", config=config)
