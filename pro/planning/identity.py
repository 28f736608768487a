"""Hashes that bind an approval to exactly one plan, and a plan to exactly one state of the world."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pro.planning.plan import Plan


_YOUNGER = ("answers", "policy", "asked")


def canonical(value: Any) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, ASCII. ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def contents(plan: Plan) -> dict[str, Any]:
    """`asdict(plan)`, without a copy of what is JSON already, which is most of it."""
    said = {field.name: getattr(plan, field.name) for field in fields(plan)}
    return {**said, "waves": [asdict(w) for w in plan.waves], "blocked": [asdict(b) for b in plan.blocked]}


def content_id(plan: Plan) -> str:
    """SHA-256 of everything the plan says, its id and `created_at` aside; fields younger than plan/1 count if they say something."""
    said = {name: value for name, value in contents(plan).items() if name not in ("id", "created_at")}
    return digest({name: value for name, value in said.items() if value or name not in _YOUNGER})
