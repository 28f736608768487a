"""What holds for the repository as a whole: who may import whom, what no file may contain, what the package is made of."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock")
MODULES = {"pydantic-settings": "pydantic_settings", "scikit-learn": "sklearn"}
NEVER_IMPORTED = {"tzdata"}
"""Data that the standard library finds by itself."""


def pieces(*words: str) -> str:
    """A word that this file itself must not contain."""
    return "".join(words)


FORBIDDEN = [
    pieces("pypi", ".org"), pieces("python", "hosted"), pieces("npm", "js.org"), pieces("registry", ".npm"),
    pieces("debian", ".org"), pieces("conda", ".anaconda"), pieces("proxy.golang", ".org"), pieces("index-", "url"),
    pieces("/wo", "rk/"), pieces("/t", "mp/"), pieces("/ro", "ot/"), pieces("/Us", "ers/"), pieces("py", "env"),
    pieces("clau", "de"), pieces("anthro", "pic"), pieces("chat", "gpt"), pieces("sub", "agent"), pieces("C", "EO"),
]  # fmt: skip


def committed() -> list[Path]:
    """Files that git knows, or would take in."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this copy is no git repository")
    return [p for name in listed.stdout.decode().split("\0") if name and (p := ROOT / name).is_file()]


def imported(folder: str) -> set[str]:
    """Top-level modules that any file under `folder` imports."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {a.name.split(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found


def test_rooms_import_one_way() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_no_file_names_a_registry_a_machine_or_a_workplace() -> None:
    words = re.compile("|".join(map(re.escape, FORBIDDEN)))
    found = []
    for path in committed():
        if path.suffix in (".gz", ".png", ".xlsx", ".parquet"):
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if words.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_the_words_that_are_searched_for_would_be_found() -> None:
    words = re.compile("|".join(map(re.escape, FORBIDDEN)))
    assert all(words.search(f"see https://{word}here") for word in FORBIDDEN)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_has_its_hash_and_none_an_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    entries = re.findall(r"^([a-z0-9-]+==\S+)((?:.*\\\n)(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.M)
    assert len(entries) == len(re.findall(r"^[a-z0-9]", text, re.M)) > 30
    assert not re.search(r"http|index|find-links|trusted|@ ", text)


@pytest.mark.parametrize(("lock", "group"), [(LOCKS[0], "build"), (LOCKS[1], "dev")])
def test_a_lock_has_what_the_project_asks_for(lock: str, group: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    locked: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.M):
        locked.setdefault(name, []).append(Version(version))
    asked = [
        *PROJECT["project"]["dependencies"],
        *(d for d in PROJECT["dependency-groups"][group] if isinstance(d, str)),
    ]
    for wish in map(Requirement, asked):
        assert locked[wish.name.lower()], wish
        assert all(v in wish.specifier for v in locked[wish.name.lower()]), wish


def test_every_dependency_is_used_and_everything_used_is_a_dependency() -> None:
    asked = {Requirement(d).name for d in PROJECT["project"]["dependencies"]} - NEVER_IMPORTED
    used = imported("pro") - set(sys.stdlib_module_names) - {"pro"}
    assert {MODULES.get(name, name) for name in asked} == used


def test_the_wheel_holds_the_sample_and_every_file_of_the_package(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    here = {p for p in committed() if p.is_relative_to(ROOT / "pro")}
    assert {p.relative_to(ROOT).as_posix() for p in here} - inside == set()
    assert {f"pro/sample/{p.name}" for p in (ROOT / "data" / "sample").iterdir()} <= inside
    assert not [name for name in inside if name.startswith(("tests", "tools", "docs"))]
