"""What a file may not say about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """Answers to questions some formats leave open.

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
