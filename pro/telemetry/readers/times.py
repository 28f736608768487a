"""Instants as counter files write them -> microseconds since 1970, UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pro.core.errors import InputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_US = 631_152_000_000_000
"""1990-01-01: nothing measured by a performance counter is older."""
LATEST_US = 4_102_444_800_000_000
"""2100-01-01."""

_SLASHED = re.compile(
    r"(\d{1,2})/(\d{1,2})/(\d{4})[ ,]+(\d{1,2}):(\d{2})(?::(\d{2})(\.\d+)?)?(?:\s*([AaPp])\.?[Mm]\.?)?"
)
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})[ ,]+(\d{1,2}):(\d{2})(?::(\d{2})(\.\d+)?)?")
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime; exact."""
    return (moment - EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def iso(text: str) -> int:
    """`2013-08-12 00:05:02.123`, with or without offset; without one it is UTC.

    Raises
    ------
    ValueError
        Not such an instant.
    """
    moment = datetime.fromisoformat(text.strip())
    return to_us(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _build(year: str, month: str, day: str, rest: tuple[str | None, ...]) -> int:
    hour, minute, second, fraction = int(rest[0] or 0), int(rest[1] or 0), int(rest[2] or 0), rest[3]
    half = (rest[4] or "").lower() if len(rest) > 4 else ""
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("hour outside 1..12")
        hour = hour % 12 + (12 if half == "p" else 0)
    micro = int((fraction or ".0")[1:7].ljust(6, "0"))
    return to_us(datetime(int(year), int(month), int(day), hour, minute, second, micro, tzinfo=UTC))


def month_first(text: str) -> int:
    """`08/12/2013 00:05:02.123` or `8/12/2013, 12:05:02.123 AM`, month first."""
    match = _SLASHED.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a month/day/year instant")
    month, day, year, *rest = match.groups()
    return _build(year, month, day, tuple(rest))


def day_first(text: str) -> int:
    """`12/08/2013 00:05:02` or `12.08.2013 00:05:02`, day first."""
    match = _SLASHED.fullmatch(text.strip()) or _DOTTED.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a day/month/year instant")
    day, month, year, *rest = match.groups()
    return _build(year, month, day, tuple(rest))


def order_of(texts: list[str], where: object, *, american: bool) -> str:
    """Which way of writing `texts` follow: `iso`, `month_first` or `day_first`.

    Raises
    ------
    InputError
        Dates with slashes that can be read both ways; guessing would misplace samples by months.
    """
    slashed = [match for text in texts if (match := _SLASHED.fullmatch(text.strip()))]
    if not slashed:
        dotted = any(_DOTTED.fullmatch(text.strip()) for text in texts)
        return "day_first" if dotted else "iso"
    if american or any(int(match[2]) > 12 for match in slashed):
        return "month_first"
    if any(int(match[1]) > 12 for match in slashed):
        return "day_first"
    raise InputError(
        "dates can be read both as month/day and as day/month",
        got=slashed[0].group(0),
        expected="ISO dates such as 2013-08-12 00:05:02",
        where=where,
    )
