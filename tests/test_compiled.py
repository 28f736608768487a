"""Compiled functions that do not count who holds an array must not be given new ones: these would never be freed."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

from numba import types

import pro

ROOT = Path(pro.__path__[0])
KERNELS = {path.stem: path for path in sorted(ROOT.rglob("*kernels.py"))}


def _module(stem: str) -> str:
    return ".".join(("pro", *KERNELS[stem].relative_to(ROOT).with_suffix("").parts))


def _compiled(stem: str) -> dict[str, tuple[str, str, set[str]]]:
    """By name: the decorator, the name of what it returns, and who is called."""
    found = {}
    for node in ast.parse(KERNELS[stem].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            how = node.decorator_list[0]
            assert isinstance(how, ast.Call), f"{stem}.{node.name}: compiled without a signature"
            signature = how.args[0]
            assert isinstance(signature, ast.Call), f"{stem}.{node.name}: {ast.unparse(signature)} is no signature"
            calls = {c.func.id for c in ast.walk(node) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)}
            found[node.name] = ast.unparse(how.func), ast.unparse(signature.func), calls
    return found


def test_who_is_given_a_new_array_counts_who_holds_it() -> None:
    functions = {stem: _compiled(stem) for stem in KERNELS}
    makers = {
        name
        for stem, compiled in functions.items()
        for name, (_, returns, _) in compiled.items()
        if isinstance(getattr(importlib.import_module(_module(stem)), returns, None), types.Array)
    }
    given = {
        (f"{stem}.{name}", how)
        for stem, compiled in functions.items()
        for name, (how, _, calls) in compiled.items()
        if calls & makers
    }
    assert makers >= {"cost_now", "_least_after"}
    assert {name for name, _ in given} >= {"kernels.search", "wide_kernels._empty", "pattern_kernels.tight"}
    assert not [(name, how) for name, how in sorted(given) if how not in ("making", "making_entry")]


def test_what_a_function_is_given_keeps_its_name_to_itself() -> None:
    """A kernel of two hundred lines once took the name of what it was given for something else. Counters that go on are the exception."""
    assigned = set()
    for source in KERNELS.values():
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
                assigned |= {(node.name, arg.arg) for arg in node.args.args if arg.arg in stored}
    assert assigned == {("anneal", "best_cost"), ("price", "all_looks"), ("tight", "looks")}
