"""JSON Schemas (draft 2020-12) of every document that commands print or write, and of those that people write; they are shipped with the package."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from pro.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

ROOMS = (("pro", "schemas"), ("pro.planning", "schemas"))


def names() -> tuple[str, ...]:
    """Documents that have a schema, such as `hotspots/1`."""
    return tuple(sorted(_files()))


def schema_of(name: str) -> dict[str, Any]:
    """The schema of `hotspots/1` (or `hotspots`: its newest version), with those it refers to under `$defs`.

    Raises InputError for a document that has none.
    """
    files = _files()
    key = name if name in files else max((n for n in files if n.partition("/")[0] == name), default=name)
    if key not in files:
        raise InputError("no such document", got=name, expected=", ".join(files))
    schema = _read(files[key])
    parts = {ref: _read(files[ref]) for ref in sorted(set(_referred(key, files)) - {key})}
    return {**schema, "$defs": parts} if parts else schema


def _files() -> dict[str, Traversable]:
    found = {}
    for package, folder in ROOMS:
        for file in resources.files(package).joinpath(folder).iterdir():
            if file.name.endswith(".json"):
                kind, _, version = file.name.removesuffix(".json").rpartition("-")
                found[f"{kind}/{version}"] = file
    return dict(sorted(found.items()))


def _read(file: Traversable) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema


def _referred(name: str, files: dict[str, Traversable]) -> Iterator[str]:
    """`name` and all documents its schema refers to, near and far."""
    yield name
    for ref in _refs(_read(files[name])):
        kind, _, version = ref.removesuffix(".json").rpartition("-")
        yield from _referred(f"{kind}/{version}", files)


def _refs(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if not part.get("$ref", "#").startswith("#"):
            yield part["$ref"]
        for value in part.values():
            yield from _refs(value)
    elif isinstance(part, list):
        for value in part:
            yield from _refs(value)
