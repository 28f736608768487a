"""The headers let Streamlit's own page run, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import streamlit

from pro.app.headers import SecurityHeaders, policy

SHELL = Path(streamlit.__file__).with_name("static") / "index.html"


def answer_of(kind: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": f"{kind}.response.start" if kind == "http" else "websocket.accept", "headers": [(b"a", b"b")]}
        )

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    asyncio.run(SecurityHeaders(app)({"type": kind}, receive, send))
    return sent


def test_every_answer_carries_the_policy_and_keeps_its_own_headers() -> None:
    (message,) = answer_of("http")
    headers = dict(message["headers"])
    assert headers[b"a"] == b"b"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"img-src 'self' data: blob:" in headers[b"content-security-policy"]


def test_websockets_are_passed_on_untouched() -> None:
    assert answer_of("websocket") == [{"type": "websocket.accept", "headers": [(b"a", b"b")]}]


def test_inline_scripts_of_the_shell_are_allowed_by_hash_and_no_others() -> None:
    shell = SHELL.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", shell, re.DOTALL)
    assert scripts, "Streamlit's page has changed: look at what it runs inline"
    (allowed,) = [part for part in policy(shell).split("; ") if part.startswith("script-src")]
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in allowed
    assert "unsafe" not in allowed


def test_no_foreign_origin_is_named() -> None:
    assert "http" not in policy(SHELL.read_text(encoding="utf-8"))
    assert "*" not in policy(SHELL.read_text(encoding="utf-8"))
