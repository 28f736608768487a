"""The documentation is true: its code runs, its links lead somewhere, its tables are those of the code."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```python run\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def page_name(path: Path) -> str:
    return str(path.relative_to(DOCS))


@pytest.mark.parametrize("page", [p for p in PAGES if BLOCK.search(p.read_text("utf-8"))], ids=page_name)
def test_code_on_the_page_runs(page: Path) -> None:
    text = page.read_text("utf-8")
    module = ModuleType("docs_page")
    sys.modules[module.__name__] = module
    try:
        for block in BLOCK.finditer(text):
            line = text[: block.start(1)].count("\n")
            code = compile("\n" * line + block[1], str(page), "exec")
            exec(code, module.__dict__)
    finally:
        del sys.modules[module.__name__]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [
        t for t in LINK.findall(re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)) if "://" not in t
    ]
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    assert [p.name for p in DOCS.glob("*.md") if p.name != "README.md" and f"({p.name})" not in index] == []


def test_the_data_dictionary_is_fresh() -> None:
    spec = importlib.util.spec_from_file_location("data_dictionary", DOCS / "data_dictionary.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text("utf-8") == module.render(), "stale: run `python docs/data_dictionary.py`"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = {re.split(r"[><=\[ ]", d)[0] for d in project["project"]["dependencies"]}
    reasons = (DOCS / "decisions" / "0001-dependencies.md").read_text("utf-8")
    assert needed == set(re.findall(r"^\| `([\w-]+)` \|", reasons, re.MULTILINE))


def test_every_command_is_described() -> None:
    from typer.main import get_command

    from pro.cli.root import app

    def names(command: object, prefix: str) -> list[str]:
        inner = getattr(command, "commands", None)
        return [prefix] if inner is None else [n for k, c in inner.items() for n in names(c, f"{prefix} {k}")]

    commands = names(get_command(app), "pro")
    assert len(commands) > 10
    text = (DOCS / "commands.md").read_text("utf-8")
    assert [c for c in commands if f"`{c}" not in text] == []


def test_terms_of_the_glossary_stand_in_order_and_once() -> None:
    terms = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", (DOCS / "glossary.md").read_text("utf-8"), re.MULTILINE)[1:]
    assert terms == sorted(set(terms), key=str.casefold)
