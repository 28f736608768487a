"""When `pro watch` trains anew."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pro.actions.training import due
from pro.config import load
from pro.forecast.taught import save
from pro.telemetry.partitions import FILE

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 20, tzinfo=UTC)


def with_days(root: Path, days: int) -> Path:
    for k in range(days):
        folder = root / "samples" / f"date={(NOW - timedelta(days=k)).date().isoformat()}"
        folder.mkdir(parents=True)
        (folder / FILE).touch()
    return root


def test_models_are_due_when_there_are_days_enough_and_none_or_only_old_ones(home: Path) -> None:
    config = load(None)
    assert not due(with_days(home / "short", 5), config, NOW)
    root = with_days(home / "long", 8)
    assert due(root, config, NOW)
    for age, expected in ((6, False), (8, True)):
        page = {"schema": "models/1", "until": (NOW - timedelta(days=age)).isoformat(), "forecast": [], "heat": []}
        save(root / "models", page, {})
        assert due(root, config, NOW) is expected
        assert json.loads((root / "models" / "models.json").read_text())["sha256"]
    off = config.model_copy(update={"forecast": config.forecast.model_copy(update={"retrain_days": 0.0})})
    assert not due(root, off, NOW)
