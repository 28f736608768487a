"""The script Streamlit runs for every visitor: settings on the left, pages by what people ask."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pro.app import session

HERE = Path(__file__).resolve().parent

st.set_page_config(page_title="PRO", page_icon=str(HERE / "icon.png"), layout="wide")
screens = HERE / "screens"
page = st.navigation(
    [
        st.Page(screens / "fleet.py", title="Fleet", default=True),
        st.Page(screens / "hot.py", title="Hot hosts", url_path="hot"),
        st.Page(screens / "plan.py", title="Plan", url_path="plan"),
        st.Page(screens / "tips.py", title="Tips", url_path="tips"),
        st.Page(screens / "past.py", title="Backtest", url_path="backtest"),
        st.Page(screens / "data.py", title="Data", url_path="data"),
    ]
)
session.settings()
page.run()
