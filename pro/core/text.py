"""Text for people. Names come from outside and are hostile: every surface escapes them with one of these, and no other way."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&@/=^\"'])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def plain(text: str, limit: int = 64) -> str:
    """`text` for a terminal or a chart label: control and direction characters become a visible dot, long names are cut."""
    shown = _CONTROL.sub("\u00b7", text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "\u2026"


def lines(text: str) -> str:
    """Finished text of several lines for a terminal: nothing in it steers the terminal, and only line breaks break lines."""
    return "\n".join(_CONTROL.sub("\u00b7", line) for line in text.split("\n"))


def minute(instant: str) -> str:
    """An ISO 8601 instant as people read it: "2026-03-01 00:00 UTC"; text that is none stays what it is."""
    try:
        at = datetime.fromisoformat(instant)
    except ValueError:
        return instant
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at.tzinfo else f"{at:%Y-%m-%d %H:%M}"


def span(time: timedelta) -> str:
    """ "90 minutes", "30 hours", "7 days"."""
    minutes = time.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{time.days:,} days"


def counted(number: int, one: str, many: str = "") -> str:
    """2, "host" -> "2 hosts"; 1 -> "1 host"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first names, and how many more there are: "a, b and 3 more"."""
    told = ", ".join(plain(name) for name in names[:most])
    more = len(names) - most
    return f"{told} and {more:,} more" if more > 0 else told


def markdown(text: str, limit: int = 64) -> str:
    """`text` for Streamlit's markdown surfaces: nothing in it formats, links, or fetches."""
    return _MARKDOWN.sub(r"\\\1", plain(text, limit))


def cell(text: str) -> str:
    """`text` for a CSV that a spreadsheet may open: a leading formula character is defused with an apostrophe.

    OWASP ASVS 1.2.10. Undone by `uncell`.
    """
    return "'" + text if text.startswith((*_FORMULA, "'")) else text


def uncell(text: str) -> str:
    """The inverse of `cell`."""
    return text[1:] if text.startswith("'") and text[1:].startswith((*_FORMULA, "'")) else text
