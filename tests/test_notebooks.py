"""Notebooks run from top to bottom, and are kept without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tools.strip_notebooks import stripped

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.name)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=200, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = [c for c in book.cells if c.cell_type == "code"]
    assert all(c.execution_count for c in code)
    assert [o for c in code for o in c.outputs if o.output_type == "error" or o.get("name") == "stderr"] == []
    assert any("image/svg+xml" in o.get("data", {}) for c in code for o in c.outputs)


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.name)
def test_it_is_kept_without_outputs(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text == stripped(text), "run `make fix`"


def test_stripping_takes_out_what_a_run_leaves() -> None:
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=3, metadata={"tags": ["x"]})
    cell.outputs = [nbformat.v4.new_output("stream", text="/home/ann/secret")]
    book = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": {"name": "ann", "display_name": "Ann"}})
    clean = stripped(nbformat.writes(book))
    assert "1 + 1" in clean
    assert "ann" not in clean.casefold()
    assert stripped(clean) == clean


def test_there_is_a_walk() -> None:
    assert [p.name for p in BOOKS] == ["walk.ipynb"]
