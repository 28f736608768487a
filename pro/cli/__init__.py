"""The command line: a thin skin on the library. Each command reads options, makes one library call, and prints.

`pro --help` imports none of the heavy libraries; commands import what they need when they run.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    from pro.cli.root import app

    app(prog_name="pro")
