"""Text cells -> typed values. Every refusal says what was there and what would have been right."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pro.fleet.columns import Kind

MISSING = frozenset({"", "null", "none", "nan", "n/a", "na", "-"})
"""How exports write "nothing" where a number, truth value or time should be. In a text column they are text."""

_TRUE = frozenset({"true", "yes", "y", "t", "1", "on", "enabled", "$true", "wahr", "ja", "vrai", "oui", "x"})
_FALSE = frozenset({"false", "no", "n", "f", "0", "off", "disabled", "$false", "falsch", "nein", "faux", "non"})
_LARGEST = 2**31


def _whole(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value != round(value) or abs(value) >= _LARGEST:
        raise InputError("not a whole number", got=text, expected="digits, under 2,147,483,648")
    return int(value)


def _real(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) >= _LARGEST:
        raise InputError("not a number", got=text, expected="digits with a decimal point, under 2,147,483,648")
    return value


def _truth(text: str) -> bool:
    word = text.casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise InputError("neither yes nor no", got=text, expected="true or false")


def _instant(text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise InputError("not a time", got=text, expected="ISO 8601, as 2013-08-19T00:00:00+00:00") from None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_PARSERS: dict[Kind, Callable[[str], object]] = {"int": _whole, "float": _real, "bool": _truth, "time": _instant}


def parse(text: str, kind: Kind) -> object | None:
    """The value of one cell; None when it holds nothing. Text passes unchanged, to the byte.

    A time without a zone is UTC. Raises InputError.
    """
    if kind == "text":
        return text
    text = text.strip()
    return None if text.casefold() in MISSING else _PARSERS[kind](text)
