"""The dashboard's pages (Streamlit).

In: a store. Out: pages that show what the library computed and pass on what a person decided. Never: computes a figure,
decides anything, shows a name unescaped. Only `session` touches Streamlit's caches and state.
"""

from __future__ import annotations

from pathlib import Path

SCRIPT = Path(__file__).with_name("main.py")
"""The script Streamlit runs for every visitor."""
