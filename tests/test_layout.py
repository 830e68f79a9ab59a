"""Tests do not lean on one another: what several of them use lies in modules that hold no test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
IMPORT = re.compile(r"^\s*(from\s+\.|(from|import)\b.*\btests\b)", re.MULTILINE)

SHARED = re.compile(r"\s*from tests\.support(\.\w+)* import\b")
"""What every file may import: `tests.support` has neither tests nor a conftest."""


def statements(inside: ast.AST) -> Iterator[ast.AST]:
    """Every statement below, at whatever depth; what is within an expression is none."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for node in getattr(inside, name, ()):
            yield node
            yield from statements(node)


def found_in(text: str) -> list[str]:
    """Lines that may import of the tests."""
    return [one.group().strip("\n") for one in IMPORT.finditer(text)]


def imported(path: Path) -> Iterator[str]:
    """The modules of tests that the file at ``path`` imports, each by its full name."""
    text = path.read_text(encoding="utf-8")
    if all(SHARED.match(line) for line in found_in(text)):  # most of what this takes is parsing
        return
    for node in statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("tests."))
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "tests"):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                module = TESTS.parent.joinpath(*name.split("."))
                yield name if module.is_dir() or module.with_suffix(".py").exists() else str(node.module)


def why_not(path: Path, name: str) -> str | None:
    """Why the file at ``path`` may not import ``name``; None where it may."""
    _, *folders, module = name.split(".")
    if module.startswith("test_"):
        return "is a file of tests"
    if module == "conftest":
        return "is pytest's to import"
    shared = module == "support" or folders[:1] == ["support"]
    return None if shared or path.is_relative_to(TESTS.joinpath(*folders)) else "belongs to another folder"


def test_only_support_and_neighbours_are_imported() -> None:
    """A file takes from its own folder, from one around it, and from `tests.support`; never from a test or conftest."""
    files = sorted(TESTS.rglob("*.py"))
    assert len(files) > 200
    assert not [path for path in (TESTS / "support").rglob("*.py") if re.match("test_|conftest", path.name)]
    wrong = [(path, name, why) for path in files for name in imported(path) if (why := why_not(path, name))]
    assert wrong == []


def test_what_may_not_be_imported_is_noticed(tmp_path: Path) -> None:
    asking = TESTS / "cli" / "test_scan.py"
    source = tmp_path / "source.py"
    source.write_text(
        "import tests.cli.test_help\nfrom tests.cli import test_help\nfrom tests.cli.test_help import x\n"
        "from tests.conftest import x\ndef late() -> None:\n    try:\n        from tests.batches import pools\n"
        "    except OSError:\n        pass\n"
        "from tests.support import models\nfrom tests.cli import disks\n"
    )
    assert [why_not(asking, name) for name in imported(source)] == [
        *["is a file of tests"] * 3,
        "is pytest's to import",
        "belongs to another folder",
        None,
        None,
    ]
