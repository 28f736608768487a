"""What people and files call a thing -> its row. Names repeat and change case; ids do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pro.core.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNKNOWN, AMBIGUOUS = -1, -2


class Names:
    """Finds rows by id, name or DNS name.

    The first of these that knows a text decides: exact id, exact name, then id, name and DNS name without regard to
    case. A text that two rows share at that point is AMBIGUOUS; `find` never guesses.
    """

    def __init__(self, ids: Sequence[str], names: Sequence[str], fqdns: Sequence[str]) -> None:
        self._tiers = [
            (False, _index(ids)),
            (False, _index(names)),
            (True, _index(t.casefold() for t in ids)),
            (True, _index(t.casefold() for t in names)),
            (True, _index(t.casefold() for t in fqdns)),
        ]

    def find(self, text: str) -> int:
        """Row of `text`, or UNKNOWN or AMBIGUOUS."""
        folded = text.casefold()
        for fold, index in self._tiers:
            row = index.get(folded if fold else text)
            if row is not None:
                return row
        return UNKNOWN

    def find_all(self, texts: Iterable[str]) -> list[int]:
        """`find` for each of `texts`; a text seen before costs nothing."""
        seen: dict[str, int] = {}
        return [seen[t] if t in seen else seen.setdefault(t, self.find(t)) for t in texts]


def _index(keys: Iterable[str]) -> dict[str, int]:
    index: dict[str, int] = {}
    for row, key in enumerate(keys):
        if key:
            index[key] = AMBIGUOUS if key in index else row
    return index


def quoted(name: str, ident: str = "") -> str:
    """A name for a message: harmless on a terminal, in quotes, with the id beside it where that differs."""
    shown = f'"{plain(name)}"'
    return shown if ident in ("", name) else f"{shown} (id {plain(ident)})"
