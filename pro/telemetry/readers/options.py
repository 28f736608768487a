"""What a file may not say about itself."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pro.core.errors import InputError


@dataclass(frozen=True)
class ReadOptions:
    """Answers to questions some formats leave open. Raises InputError for a zone or an encoding that there is not, whether or not a
    file asks for it.

    Attributes
    ----------
    tz
        IANA time zone of local times whose offset from UTC the file does not state (PerfMon logs of non-English
        machines). None: UTC, with a warning.
    encoding
        Code page of files that are neither UTF-8 nor marked; None: a best guess, with a warning.
    """

    tz: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        try:
            _ = self.zone
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InputError("unknown time zone", got=self.tz, expected="an IANA name such as Europe/Berlin") from None
        try:
            "a".encode(self.encoding or "utf-8")
        except LookupError:
            raise InputError("unknown encoding", got=self.encoding, expected="a code page such as cp1251") from None

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone."""
        return None if self.tz is None else ZoneInfo(self.tz)

    @property
    def page(self) -> str | None:
        """The encoding, by the name Python has for it."""
        return None if self.encoding is None else codecs.lookup(self.encoding).name
