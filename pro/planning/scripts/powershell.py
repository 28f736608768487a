"""PowerShell for people who want to see, or run, what a plan does: a constant script and one block of JSON.

VM and host names come from outside. They appear in the script in one place only, a single-quoted here-string, in which every
character but letters, digits, space and `._:-` is a JSON escape of pure ASCII: no quote, no `$`, no newline, no look-alike of a
quote (PowerShell takes U+2018 to U+201B for one) can come out of it. The script reads it with ConvertFrom-Json and passes ids
as parameters.
"""

from __future__ import annotations

import math
import re
from importlib import resources
from typing import TYPE_CHECKING

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pro.planning.plan import Migration, Plan

DIALECTS: Mapping[str, str] = {
    "scvmm": "System Center Virtual Machine Manager 2012 and later",
    "cluster": "Windows failover cluster",
    "hyperv": "Hyper-V hosts of no cluster, with shared storage or SMB",
}
"""The dialects there are, and what they talk to."""

BEGIN, END = "$json = @'\n", "\n'@\n"

_PARAMETERS = {
    "scvmm": "    [ValidateRange(1, 600)] [int] $PollSeconds = 5\n",
    "cluster": "    [ValidateRange(1, 600)] [int] $PollSeconds = 5,\n    [string] $Cluster = '.'\n",
    "hyperv": "    [ValidateRange(1, 600)] [int] $PollSeconds = 5\n",
}
_QUICK = ("cluster",)
_SAFE = re.compile(r"[^A-Za-z0-9 ._:-]")
_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

_PATIENCE, _GRACE_S = 4, 600


def script(plan: Plan, dialect: str, tip: str = "") -> str:
    """`plan` as a PowerShell script, ASCII, supporting -WhatIf and -Confirm.

    `tip`: the GUID of the PRO tip that caused the plan; anything that is no GUID is left out. Raises InputError for an
    unknown dialect, and for a quick migration in a dialect that has none.
    """
    if dialect not in DIALECTS:
        raise InputError("unknown script dialect", got=dialect, expected=" | ".join(DIALECTS))
    if dialect not in _QUICK and any(m.kind != "live" for m in plan.migrations):
        raise InputError(
            "the plan has quick migrations, which this dialect cannot ask for", got=dialect, expected="cluster"
        )
    head = _part("head") + f"[CmdletBinding(SupportsShouldProcess = $true)]\nparam(\n{_PARAMETERS[dialect]})\n\n"
    return head + BEGIN + data_block(plan, tip) + END + _part("frame") + _part(dialect) + _part("run")


def data_block(plan: Plan, tip: str = "") -> str:
    """The one block that differs from plan to plan: JSON without a character that PowerShell could mistake."""
    known = tip if _GUID.fullmatch(tip) else ""
    waves = ",\n".join(
        ' {"steps": [\n' + ",\n".join(_step(m) for m in wave.migrations) + "\n ]}" for wave in plan.waves
    )
    return f'{{"plan": {_text(plan.id)}, "tip": {_text(known)}, "waves": [\n{waves}\n]}}'


def _step(m: Migration) -> str:
    deadline = math.ceil(_PATIENCE * m.seconds) + _GRACE_S
    kind = "quick" if m.kind == "quick" else "live"
    return (
        f'  {{"vm": {_text(m.vm)}, "source": {_text(m.source)}, "destination": {_text(m.destination)}, '
        f'"kind": "{kind}", "deadline": {deadline}}}'
    )


def _text(text: str) -> str:
    """A JSON string that starts with `t:`, so that no reader takes it for a date."""
    return '"t:' + _SAFE.sub(lambda found: "".join(f"\\u{unit:04x}" for unit in _utf16(found.group())), text) + '"'


def _utf16(text: str) -> Iterable[int]:
    data = text.encode("utf-16-be", "surrogatepass")
    return (int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2))


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.ps1").read_text("ascii").replace("\r\n", "\n")
