"""The dashboard as one server, for an installed package: `streamlit run` on this file."""

from __future__ import annotations

import streamlit as st

from pro.app import SCRIPT
from pro.app.headers import SECURITY

app = st.App(SCRIPT, middleware=SECURITY)
