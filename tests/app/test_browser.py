"""A real browser opens every page and the report: no exception, no console error, no request to anybody else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pro.actions.backtests import RESULT
from pro.app import service
from pro.remediation.tips import TipBook
from pro.reports import html
from tests.app.pasts import write_past
from tests.conftest import HOSTILE_NAMES
from tests.reports.fixtures import NOW, make_report

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(
    (p for p in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")) if p.exists()),
    None,
)
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PROBES = ("/_stcore/health", "/_stcore/host-config")
"""Opened under a page's own address, Streamlit first looks for its server below that address and does not find it."""


@dataclass
class Watched:
    """A page, and what it did that it should not have."""

    page: Any
    home: str
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    scripts_run: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("dialog", lambda d: (self.scripts_run.append(d.message), d.dismiss()))
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type == "error" and not (message.location or {}).get("url", "").endswith(PROBES):
            self.errors.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("data:", "blob:")) and urlsplit(request.url)[:2] != urlsplit(self.home)[:2]:
            self.outside.append(request.url)

    def settle(self) -> None:
        """Wait until the script has run; the WebSocket stays open, so the network never idles."""
        self.page.get_by_role("heading", level=1).wait_for(timeout=120_000)
        self.page.wait_for_function("!document.querySelector('[data-testid=\"stStatusWidget\"]')", timeout=120_000)
        self.page.wait_for_timeout(800)

    def blameless(self) -> None:
        """Nothing of the kind happened."""
        assert self.page.locator('[data-testid="stException"]').count() == 0
        assert (self.errors, self.outside, self.scripts_run) == ([], [], [])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield started
        started.close()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture(scope="module")
def server(copied: Path, short_walk: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    report = make_report(HOSTILE_NAMES)
    with TipBook(copied / service.TIPS) as book:
        book.raise_or_refresh(report.hotspots, report.plan, NOW, names={**report.host_label, **report.vm_label})
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.port",
        str(port),
        "--",
        "--store",
        str(copied),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **short_walk}
        )
        try:
            yield wait_until_up(f"http://127.0.0.1:{port}/", process, log)
        finally:
            process.terminate()
            process.wait(20)


def wait_until_up(home: str, process: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(240):
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-2000:]
        try:
            with urllib.request.urlopen(home + "_stcore/health", timeout=2):
                return home
        except OSError:
            time.sleep(0.25)
    raise AssertionError(log.read_text(encoding="utf-8", errors="replace")[-2000:])


def test_every_page_opens_by_its_link(browser: Any, server: str) -> None:
    watched = Watched(browser.new_page(viewport={"width": 1400, "height": 1000}), server)
    watched.page.goto(server, wait_until="domcontentloaded")
    watched.settle()
    for link, title in (
        ("Hot hosts", "Hot hosts"),
        ("Plan", "Plan"),
        ("Tips", "Tips"),
        ("Backtest", "Backtest"),
        ("Data", "Data"),
        ("Fleet", "Fleet"),
    ):
        watched.page.get_by_role("link", name=link, exact=True).click()
        watched.page.get_by_role("heading", level=1, name=title).wait_for(timeout=60_000)
        watched.settle()
        for chart in watched.page.locator('[data-testid="stVegaLiteChart"]').all():
            chart.scroll_into_view_if_needed()
            place = chart.bounding_box()
            assert place is not None
            for share in (0.3, 0.5, 0.7):
                watched.page.mouse.move(place["x"] + place["width"] * share, place["y"] + place["height"] * 0.3)
                watched.page.wait_for_timeout(60)
        watched.blameless()
    watched.page.close()


@pytest.mark.parametrize("page", ["hot", "plan", "tips", "backtest", "data"])
def test_every_page_opens_by_its_address_in_the_dark_on_a_phone(browser: Any, server: str, page: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    watched = Watched(context.new_page(), server)
    watched.page.goto(server + page, wait_until="domcontentloaded")
    watched.settle()
    watched.blameless()
    assert watched.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


def test_large_figures_of_a_backtest_are_not_cut_off(browser: Any, server: str, copied: Path) -> None:
    past = write_past(copied / "backtests" / "large")
    document = json.loads((past / RESULT).read_text("utf-8"))
    for row, minutes in zip(document["policies"], (9_065_000, 1_230_000), strict=True):
        row |= {"hot_minutes": minutes, "contention_minutes": minutes}
    (past / RESULT).write_text(json.dumps(document), encoding="utf-8")
    watched = Watched(browser.new_page(viewport={"width": 1300, "height": 1000}), server)
    watched.page.goto(server + "backtest", wait_until="domcontentloaded")
    watched.settle()
    shown = watched.page.locator('[data-testid="stMetric"]')
    large = shown.filter(has_text="1,230,000").first
    large.wait_for(timeout=60_000)
    assert "instead of 9,065,000" in large.inner_text()
    cut = """tile => [tile, ...tile.querySelectorAll("*")].some(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)"""
    assert not any(tile.evaluate(cut) for tile in shown.all())
    watched.blameless()
    watched.page.close()


def test_a_plan_is_approved_and_applied_before_ones_eyes(browser: Any, server: str) -> None:
    watched = Watched(browser.new_page(viewport={"width": 1400, "height": 1000}), server)
    page = watched.page
    page.goto(server, wait_until="domcontentloaded")
    watched.settle()
    page.get_by_role("link", name="Plan", exact=True).click()
    page.get_by_role("heading", level=1, name="Plan").wait_for(timeout=60_000)
    page.get_by_text("I approve plan").click()
    page.get_by_role("button", name="Apply on the simulator").click()
    page.get_by_text("migrations over").wait_for(timeout=30_000)
    page.get_by_text("Run 1 ended: done").wait_for(timeout=120_000)
    watched.settle()
    watched.blameless()
    page.close()


def test_the_report_opens_by_double_click(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.render(make_report(HOSTILE_NAMES)), encoding="utf-8")
    for scheme, width in (("light", 1200), ("dark", 390)):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=True
        )
        watched = Watched(context.new_page(), path.as_uri())
        watched.page.goto(path.as_uri())
        assert watched.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert watched.page.locator("svg[role=img]").count() >= 5
        watched.blameless()
        context.close()
