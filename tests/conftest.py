"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.small import Estate

settings.register_profile("dev", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

HOSTILE_NAMES = (
    "*",
    "=cmd|'/c calc'!A1",
    "![](http://127.0.0.1:9/x)",
    "'; Remove-VM -Force",
    "O\u2019Brien\u2019s; Stop-Computer",
    "two\nlines",
    "x" * 200,
    "<script>alert(1)</script>",
    "../../etc/passwd",
    '"; DROP TABLE samples; --',
)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the real data sets are not on this machine (expected beside the repository, in ../shared)")
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    """The files of a small invented estate, made once."""
    from tests.small import write_small

    return write_small(tmp_path_factory.mktemp("estate"))
