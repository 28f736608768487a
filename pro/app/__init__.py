"""The dashboard's pages (Streamlit).

In: a store. Out: pages that show what the library computed and pass on what a person decided. Never: computes a figure,
decides anything, shows a name unescaped. Only `session` touches Streamlit's caches and state.
"""

from __future__ import annotations

from pathlib import Path

SCRIPT = Path(__file__).with_name("main.py")
"""The script Streamlit runs for every visitor."""


def entry() -> Path:
    """What `streamlit run` is to be given: app.py of a checkout (its settings lie beside it), else the packaged server."""
    checkout = Path(__file__).resolve().parents[2] / "app.py"
    return (
        checkout
        if checkout.is_file() and (checkout.parent / ".streamlit").is_dir()
        else Path(__file__).with_name("serve.py")
    )
