"""One small store for all tests of the dashboard, and settings that keep the walk short."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.app.stores import make_store
from tests.conftest import HOSTILE_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = {"PRO__PLACEMENT__SECONDS": "0.5", "PRO__FORECAST__SCENARIOS": "8", "PRO__FORECAST__HISTORY_DAYS": "3"}


@pytest.fixture(scope="module", autouse=True)
def short_walk() -> Iterator[dict[str, str]]:
    """Environment in which a recommendation takes seconds; for these tests only."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in SHORT.items():
            patch.setenv(key, value)
        yield SHORT


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose VMs and hosts bear hostile names. To be read only; `copied` for tests that write."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in SHORT.items():
            patch.setenv(key, value)
        return make_store(tmp_path_factory.mktemp("dashboard"), HOSTILE_NAMES)


@pytest.fixture(scope="module")
def copied(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `store` that the tests of one file may write to."""
    return Path(shutil.copytree(store, tmp_path_factory.mktemp("copy") / "store"))
