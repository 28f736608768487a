"""The dashboard: `streamlit run app.py -- --store DIR`."""

from __future__ import annotations

import streamlit as st

from pro.app import SCRIPT
from pro.app.headers import SECURITY

app = st.App(SCRIPT, middleware=SECURITY)
