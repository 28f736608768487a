"""What can go wrong on purpose in the simulator, and how it is written in a URL."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pro.core.errors import InputError

KINDS = {
    "fail": "the migration breaks off half way; the VM stays on its source",
    "refuse": "the call is refused",
    "error": "the call raises and nothing starts",
    "lost_ack": "the migration starts but the call raises",
    "delay": "the call raises, and the request takes effect `seconds` later",
    "hang": "the call blocks for `seconds` of the clock, then raises; nothing starts",
    "slow": "the migration takes `factor` times as long",
    "stuck": "the migration never ends by itself",
    "host_down": "`host` goes down `after` seconds",
    "moved": "another hand puts `vm` on host `to` `after` seconds",
}
_TIMED = {"host_down", "moved"}


@dataclass
class Fault:
    """One thing that goes wrong.

    `vm`: which VM ("" any). `attempt`: at which migration asked for, counted per VM from 1 (0: at every one).
    `seconds`, `after` are simulated seconds, `after` counted from the state's creation. `spent`: has struck (timed ones).
    """

    kind: str
    vm: str = ""
    attempt: int = 1
    seconds: float = 5.0
    factor: float = 4.0
    host: str = ""
    to: str = ""
    after: float | None = None
    spent: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError("unknown fault", got=self.kind, expected=", ".join(KINDS))
        if self.kind in _TIMED and self.after is None:
            raise InputError(f"fault {self.kind} needs after=SECONDS")
        if self.seconds < 0 or self.factor <= 0 or self.attempt < 0:
            raise InputError("a fault's seconds and attempt are not negative, its factor is positive", got=self)

    def strikes(self, vm: str, attempt: int) -> bool:
        """Whether this fault hits the `attempt`-th migration asked for of `vm`."""
        return self.kind not in _TIMED and self.vm in ("", vm) and self.attempt in (0, attempt)


def parse_fault(text: str, where: str) -> Fault:
    """A fault as written in a URL: `kind,key=value,...`, for example `fail,vm=7c1,attempt=2`."""
    kind, *pairs = text.split(",")
    types = {f.name: f.type for f in fields(Fault) if f.name not in ("kind", "spent")}
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in types:
            raise InputError("a fault is kind,key=value,...", got=pair, expected=", ".join(types), where=where)
        try:
            values[key] = value if types[key] == "str" else int(value) if types[key] == "int" else float(value)
        except ValueError:
            raise InputError(f"{key} must be a number", got=value, where=where) from None
    return Fault(kind, **values)
