"""Take outputs, counts and the editor's leavings out of notebooks; with `--check`, only say which have any."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def stripped(text: str) -> str:
    """The notebook's source alone. Cells are numbered in order, so that the same source is always the same bytes."""
    book = nbformat.reads(text, as_version=4)
    book.metadata = nbformat.from_dict({**KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(book.cells):
        cell.id, cell.metadata = f"c{number:02}", nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(book, indent=1) + "\n"


def main(arguments: list[str]) -> int:
    """Strip, or check; 1 if `--check` finds one that is not stripped."""
    dirty = [p for p in sorted(FOLDER.glob("*.ipynb")) if stripped(p.read_text("utf-8")) != p.read_text("utf-8")]
    for path in dirty:
        if "--check" in arguments:
            sys.stderr.write(f"{path.name} has outputs: run `make fix`\n")
        else:
            path.write_text(stripped(path.read_text("utf-8")), encoding="utf-8")
    return int("--check" in arguments and bool(dirty))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
