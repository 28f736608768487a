"""What was learned from a store, kept as plain arrays beside it: which machines a learned model serves, taught on what, and how it scored.

One .npz without pickle per training, and a JSON page that says what is in it. Forecasting with it needs no scikit-learn. A
model speaks only for entities on which it won on held-back days, and lost on none; everybody else is forecast without it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pro.core.errors import InputError
from pro.core.files import write_atomically
from pro.forecast.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SCHEMA = "models/1"
FORM = 4
"""Of both files: those of another form are as good as none, until models are trained anew."""
PAGE, ARRAYS = "models.json", "models.npz"
DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading files may raise that are not what `save` writes: anything may stand in them."""


@dataclass(frozen=True)
class Lesson:
    """A learned model of one counter.

    `entities` it serves, sorted; `plain`, `learned`: mean CRPS of both models over these on the held-back days; `candidates` how many were tried.
    """

    counter: str
    trees: Trees
    per_day: int
    slots: int
    entities: tuple[str, ...]
    candidates: int
    plain: float
    learned: float


@dataclass(frozen=True)
class Taught:
    """All lessons of one training. `until`: nothing later was seen; `days` of counters were looked at."""

    until: datetime
    days: float
    slot_s: int
    lessons: Mapping[str, Lesson]

    def lesson(self, counter: str, slots: int, slot_s: int) -> Lesson | None:
        """What was learned for paths of `slots` steps of `slot_s` seconds; None for any other shape."""
        found = self.lessons.get(counter)
        return found if found is not None and slot_s == self.slot_s and found.slots == slots else None

    def to_json(self) -> dict[str, Any]:
        """What was learned from what, and how it scored."""
        return {
            "schema": SCHEMA,
            "until": self.until.isoformat(),
            "days": self.days,
            "slot_s": self.slot_s,
            "forecast": [
                {"counter": c, "candidates": x.candidates, "entities": list(x.entities), "slots": x.slots,
                 "per_day": x.per_day, "crps_plain": x.plain, "crps_learned": x.learned}
                for c, x in sorted(self.lessons.items())
            ],
        }  # fmt: skip


def arrays_of(taught: Taught) -> dict[str, Any]:
    """Plain arrays for an .npz file."""
    out: dict[str, Any] = {}
    for counter, lesson in taught.lessons.items():
        out |= lesson.trees.arrays(f"forecast.{counter}.")
    return out


def taught_from(page: Mapping[str, Any], arrays: Mapping[str, Any]) -> Taught:
    """Back from `to_json` and `arrays_of`. Raises something of `DAMAGE` for anything else."""
    lessons = {}
    for row in page["forecast"]:
        counter = str(row["counter"])
        lessons[counter] = Lesson(
            counter, Trees.read(arrays, f"forecast.{counter}."), int(row["per_day"]), int(row["slots"]),
            tuple(str(e) for e in row["entities"]), int(row["candidates"]), float(row["crps_plain"]),
            float(row["crps_learned"]),
        )  # fmt: skip
    until = datetime.fromisoformat(page["until"])
    if until.tzinfo is None:
        raise ValueError("until has no offset from UTC")
    return Taught(until, float(page["days"]), int(page["slot_s"]), lessons)


@contextmanager
def refusing(file: Path) -> Iterator[None]:
    """Whatever is raised for damage becomes an InputError that says which file it is, and what to do."""
    try:
        yield
    except DAMAGE as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise damaged(file, f"cannot be read ({why})") from None


def damaged(file: Path, what: str) -> InputError:
    """Models that are there and no good."""
    return InputError(
        f"what was learned {what} and is not used", expected="what `pro train` wrote: run `pro train`", where=file
    )


def save(folder: Path, page: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Write both files, the page last, with a digest over both; returns the page as it was written."""
    import io

    buffer = io.BytesIO()
    np.savez_compressed(buffer, form=FORM, **arrays)
    data = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ARRAYS, data)
    document = {**page, "sha256": digest(page, data)}
    write_atomically(folder / PAGE, (json.dumps(document, indent=1) + "\n").encode())
    return document


def digest(page: Mapping[str, Any], data: bytes) -> str:
    """Over what `page` says but its own digest, however it is laid out, and over the arrays. It tells damage and edits; it is no signature."""
    said = {key: value for key, value in page.items() if key != "sha256"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode() + b"\n" + data).hexdigest()


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The page and the arrays; None where nothing was ever trained, or an older PRO trained.

    Raises InputError for files that are not what `save` writes.
    """
    found = _kept(folder)
    return found[:2] if found is not None and found[2] == FORM else None


def outdated(folder: Path) -> bool:
    """Whether what lies there is whole, and of an older PRO: `read` finds none. Raises as `read` does."""
    found = _kept(folder)
    return found is not None and found[2] != FORM


def _kept(folder: Path) -> tuple[dict[str, Any], dict[str, Any], int] | None:
    """The page, the arrays, and what form they are of; None where nothing was ever trained."""
    import io

    page_file, arrays_file = folder / PAGE, folder / ARRAYS
    there = page_file.exists(), arrays_file.exists()
    if not any(there):
        return None
    if not all(there):
        raise damaged(arrays_file if there[0] else page_file, "is not whole (this file is missing)")
    with refusing(page_file):
        page = json.loads(page_file.read_bytes())
        if page["schema"] != SCHEMA:
            raise ValueError(f"schema {page['schema']!r}")
        told = page["sha256"]
    with refusing(arrays_file):
        data = arrays_file.read_bytes()
        if told == _digest_before_form_3(data):
            return page, {}, 1
        if told != digest(page, data):
            raise damaged(
                page_file, f"was changed after it was written, here or in {ARRAYS}, or its training was cut short,"
            )
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            kept = {name: found[name] for name in found.files}
            return page, kept, int(kept.pop("form"))


def _digest_before_form_3(data: bytes) -> str:
    """It knew only the arrays, so a changed page went unseen."""
    return hashlib.sha256(data).hexdigest()
