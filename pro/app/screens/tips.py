"""Tips: what PRO says on its own, and what people decided about it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pro.app import components, service, session
from pro.core.errors import ProError
from pro.core.text import plain

store = session.store()

st.title("Tips", anchor=False)
st.caption(
    "A tip is a view of one plan and says what of it is for its trouble. Plans are carried out whole: approving one tip approves the "
    "plan, and with it every tip that shows it and that nobody dismissed."
)
everything = st.toggle("Show what is over, too", key="everything")
tips = service.tips(store, active=not everything) if service.is_store(store) else []
if not tips:
    st.markdown("No tip calls for anything. Tips are raised by the watch:")
    st.code("pro watch --store DIR --inbox DIR --backend URL --once", language="shell")
    st.stop()

rows = [
    {
        "No.": t.id,
        "State": t.state.value,
        "Severity": t.severity,
        "What": t.title,
        "Do": t.action,
        "Cost": t.cost,
        "Raised (UTC)": t.created[:16].replace("T", " "),
    }
    for t in tips
]
components.frame(pd.DataFrame(rows), alt="Tips, the most severe first")

number = st.selectbox(
    "Tip", [t.id for t in tips], format_func=lambda n: f"{n}: {next(t.title for t in tips if t.id == n)}", key="tip"
)
tip = next(t for t in tips if t.id == number)
components.section(tip.title)
facts = {
    "What is wrong": tip.problem,
    "What to do": tip.action,
    "What it costs": tip.cost,
    "If ignored": tip.ignored,
    "State": f"{tip.state.value}{f', {tip.reason}' if tip.reason else ''}{f' (by {tip.approver})' if tip.approver else ''}",
    "Plan": tip.plan_id[:12] or "none",
}
for title, words in facts.items():
    left, right = st.columns([1, 5])
    left.caption(title)
    right.text(plain(words, 600))

for no in service.dismissed(store, tip):
    st.text(
        f"Tip {no.id} of the same plan was dismissed: {plain(no.reason, 200)}. What it asks for is carried out with the plan."
    )

if tip.state.value in ("new", "approved", "auto"):
    with st.form("decide", clear_on_submit=False):
        who = st.text_input("Your name", key="who")
        reason = st.text_input("Reason, if you dismiss it", key="reason")
        left, right, _ = st.columns([1, 1, 4])
        yes = left.form_submit_button(
            "Approve", type="primary", width="stretch", disabled=not tip.plan_id or tip.state.value != "new"
        )
        no = right.form_submit_button("Dismiss", width="stretch")
    if yes or no:
        try:
            if yes:
                service.approve(store, tip, who)
            else:
                service.dismiss(store, tip, who, reason)
        except ProError as error:
            components.problem(error)
        else:
            st.rerun()

with st.expander("History"):
    changes = [
        {
            "At (UTC)": c["at"][:19].replace("T", " "),
            "From": c["before"],
            "To": c["after"],
            "By": c["who"],
            "Reason": c["reason"],
        }
        for c in service.tip_history(store, tip.id)
    ]
    components.frame(pd.DataFrame(changes), alt="What became of the tip")
