"""Every error that PRO raises on purpose.

    ProError                      a message for people; the command line prints it and exits with `exit_code`
    ├── InputError                a file or a value from outside is not what it should be (exit 1)
    │   └── UsageError            a value of an option is none of its kind (exit 2)
    ├── FleetError                the inventory contradicts itself; carries *all* problems found (exit 1)
    ├── RefusedError              the world says no: stale plan, budget, window, lock, other balancer (exit 4)
    ├── RefereeError              an engine's answer failed the independent check: a bug in PRO (exit 1)
    └── BackendError              the system that moves VMs failed or cannot be reached (exit 1)

A refusal that is part of normal work (a gate that says no) is a value, not an exception; `RefusedError` is raised
at the outermost layer only. `ValueError` stays for wrong arguments in code.
"""

from __future__ import annotations

from pro.core.text import counted


class ProError(Exception):
    """Base of all errors that are meant for people."""

    exit_code = 1


class InputError(ProError):
    """Something read from outside is not what it should be.

    Parameters
    ----------
    what
        What is wrong, as a short clause.
    got, expected
        The offending value and what would have been right; both optional.
    where
        File, line, column or option where it was seen.
    """

    def __init__(self, what: str, *, got: object = None, expected: object = None, where: object = None) -> None:
        self.what, self.got, self.expected, self.where = what, got, expected, where
        parts = [what]
        if got is not None:
            parts.append(f"got {got!r}")
        if expected is not None:
            parts.append(f"expected {expected}")
        text = ", ".join(parts)
        super().__init__(f"{where}: {text}" if where is not None else text)


class UsageError(InputError):
    """A value of an option is none of its kind, whatever the world looks like: no instant, no duration, out of range, empty."""

    exit_code = 2


class FleetError(ProError):
    """The inventory contradicts itself. `problems` lists every contradiction found, not only the first."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = tuple(problems)
        head = f"{counted(len(self.problems), 'problem')} in the inventory"
        super().__init__("\n  - ".join([head + ":", *self.problems]))


class RefusedError(ProError):
    """The work was refused for a reason that lies in the world, not in the request."""

    exit_code = 4


class RefereeError(ProError):
    """An answer broke a rule it may not break. Always a bug in PRO; nothing was applied."""


class BackendError(ProError):
    """The system that moves VMs failed, refused, or could not be reached."""
