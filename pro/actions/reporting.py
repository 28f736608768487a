"""Reports as files, by ending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from pro.config import Config
    from pro.reports.report import Report
    from pro.workflow import Recommendation, Tell

ENDINGS = (".html", ".xlsx", ".json", ".csv", "")
"""Of reports; without any: a folder."""


def with_record(found: Recommendation, config: Config, tell: Tell, origins: int = 3) -> Report:
    """The report of a recommendation, with the record of the forecasts it rests on."""
    from dataclasses import replace

    from pro.actions.looking import record_of

    counters = record_of(found.outlook, config, origins, tell) if found.outlook.scenarios else []
    rows = tuple({"counter": c["counter"], **row} for c in counters for row in c["rows"])
    return replace(found.report, accuracy=rows)


def check_ending(output: Path) -> None:
    """Raises InputError if no report is called so: better before the work than after."""
    if output.suffix.lower() not in ENDINGS:
        raise InputError(
            "no such kind of report",
            got=output.suffix,
            expected=".html, .xlsx, .json, or a folder for CSV",
            where=output,
        )


def write_report(report: Report, output: Path) -> list[Path]:
    """Write `report` as one HTML file, a workbook, JSON, or (a folder, or .csv) a folder of CSV files; returns what was written."""
    from pro.core.files import write_atomically
    from pro.reports import html, json, tables, xlsx

    check_ending(output)
    kind = output.suffix.lower()
    output.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".html":
        write_atomically(output, html.render(report).encode("utf-8"))
    elif kind == ".json":
        write_atomically(output, json.dumps(report).encode("utf-8"))
    elif kind == ".xlsx":
        xlsx.write(report, output)
    else:
        return tables.write_csv(report, output.with_suffix(""))
    return [output]


def start_dashboard(store: Path, port: int) -> int:
    """Run the dashboard until it ends; returns its exit code. Listens on the loopback address only.

    Where processes can, this one becomes the server, so that whoever ends it ends the server.
    """
    import os
    import subprocess
    import sys
    from pathlib import Path as File

    import pro

    package = File(pro.__file__).parent
    # Streamlit reads its settings beside the script: in a checkout they lie beside app.py, in a wheel beside serve.py.
    checkout = package.parent / ".streamlit" / "config.toml"
    entry = package.parent / "app.py" if checkout.is_file() else package / "app" / "serve.py"
    command = [
        sys.executable, "-m", "streamlit", "run", str(entry), "--server.address", "127.0.0.1", "--server.port", str(port),
        "--server.headless", "true", "--browser.gatherUsageStats", "false", "--client.showErrorDetails", "none",
    ]  # fmt: skip
    environment = {**os.environ, "PRO_STORE": str(store.resolve())}
    if sys.platform != "win32":
        os.execve(sys.executable, command, environment)
    return subprocess.run(command, env=environment, check=False).returncode
