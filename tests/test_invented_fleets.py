"""Figures in benchmarks/RESULTS.md hang on invented fleets: the same seed makes the same fleet, to the byte."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest

from benchmarks.fleets import failover_fleet, scale_fleet


def digest(made: Any) -> str:
    """Of everything in it but `left_alone` and `steady`: these come with a look at counters, and no figure hangs on them."""
    found = hashlib.sha256()

    def feed(part: Any) -> None:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype} {part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        elif is_dataclass(part):
            feed(
                {
                    field.name: getattr(part, field.name)
                    for field in fields(part)
                    if field.name not in ("left_alone", "steady")
                }
            )
        elif isinstance(part, dict):
            feed(list(part.items()))
        elif isinstance(part, tuple | list):
            found.update(str(len(part)).encode())
            for one in part:
                feed(one)
        else:
            found.update(repr(part).encode())

    feed(made)
    return found.hexdigest()[:16]


@pytest.mark.parametrize(
    ("made", "known"),
    [(lambda: failover_fleet(40, 800, 80, 1), "b9cb9543e4dd99fc"), (lambda: scale_fleet(40, 1), "7784c8c084702108")],
    ids=["failover", "scale"],
)
def test_the_same_seed_makes_the_same_fleet(made: Any, known: str) -> None:
    assert digest(made()) == known, "the figures in RESULTS.md were made on another fleet: measure again, or go back"
