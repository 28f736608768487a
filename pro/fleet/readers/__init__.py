"""Inventory files -> tables of hosts and VMs, and rules; one format a file, detected by content.

In: files or folders. Out: `Found`: typed tables, rules as written, and every cell that could not be read, with its place.
Never: judges whether hosts, VMs and rules fit together (that is `find_problems`), stops at the first bad cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pro.fleet.fleet import RuleSpec


@dataclass
class Found:
    """Filled by readers. A row is a dict from column name to value; None: nothing was said."""

    hosts: list[dict[str, Any]] = field(default_factory=list)
    vms: list[dict[str, Any]] = field(default_factory=list)
    rules: list[RuleSpec] = field(default_factory=list)
    problems: list[InputError] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Names of the files read."""
    skipped: list[str] = field(default_factory=list)
    """Names of files in a given folder that are no inventory."""


class InventoryReader(Protocol):
    """One format of inventory file."""

    name: str

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether a file beginning with `head` (up to 64 KiB) is of this format."""
        ...

    def read(self, path: Path, found: Found) -> None:
        """Add what the file says to `found`; what cannot be read goes to `found.problems`."""
        ...


def readers() -> tuple[InventoryReader, ...]:
    """The catalogue, in the order in which formats are tried."""
    from pro.fleet.readers.csv import CsvReader
    from pro.fleet.readers.rules import RulesReader

    return (CsvReader(), RulesReader())


def read_sources(sources: Sequence[Path]) -> Found:
    """Read every inventory file among `sources`; of a folder, the files directly inside it.

    A file that was named and is no inventory is a problem; one that merely lies in a folder is skipped. Raises
    InputError when a source does not exist or nothing at all was found.
    """
    found, seen = Found(), set()
    catalogue = readers()
    for source in sources:
        if not source.exists():
            raise InputError("no such file or folder", got=str(source), where="inventory")
        inside = source.is_dir()
        files = sorted(p for p in source.iterdir() if p.is_file() and p.name[0] != ".") if inside else [source]
        for path in files:
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            _read_one(path, catalogue, found, named=not inside)
    if not found.files and not found.problems:
        raise InputError(
            "no inventory found",
            got=", ".join(str(s) for s in sources),
            expected="hosts.csv with vms.csv, and rules.json if there are rules",
        )
    return found


def _read_one(path: Path, catalogue: Sequence[InventoryReader], found: Found, *, named: bool) -> None:
    with path.open("rb") as file:
        head = file.read(65536)
    reader = next((r for r in catalogue if r.sniff(head, path)), None)
    if reader is not None:
        found.files.append(path.name)
        reader.read(path, found)
    elif named:
        formats = ", ".join(r.name for r in catalogue)
        found.problems.append(InputError("not an inventory file", expected=f"one of: {formats}", where=path.name))
    else:
        found.skipped.append(path.name)
