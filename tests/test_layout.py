"""Tests do not lean on one another: what several of them use lies in modules that hold no test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
IMPORT = re.compile(r"^[ \t]*(?:from\s+\.|(?:from|import)\b.*\btests\b)[^\n(#]*(?:\([^)]*\))?", re.MULTILINE)
"""A statement that may import of the tests; within a text it is none."""


def statements(inside: ast.AST) -> Iterator[ast.AST]:
    """Every statement below, at whatever depth; what is within an expression is none."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for node in getattr(inside, name, ()):
            yield node
            yield from statements(node)


def imported(source: str, path: Path) -> Iterator[str]:
    """The modules of tests that the ``source`` of the file at ``path`` imports, each by its full name."""
    for node in statements(ast.parse(source)):
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


def suspect(source: str, path: Path) -> bool:
    """Whether one of its statements, each read by itself, imports what may not be: parsing whole files takes long."""
    for one in IMPORT.finditer(source):
        try:
            if any(why_not(path, name) for name in imported(one.group().strip(), path)):
                return True
        except (SyntaxError, AssertionError):
            return True
    return False


def wrong(source: str, path: Path) -> list[tuple[str, str]]:
    """What the ``source`` of the file at ``path`` imports that it may not, and why."""
    found = imported(source, path) if suspect(source, path) else ()
    return [(name, why) for name in found if (why := why_not(path, name))]


def test_only_support_and_neighbours_are_imported() -> None:
    """A file takes from its own folder, from one around it, and from `tests.support`; never from a test or conftest."""
    files = sorted(TESTS.rglob("*.py"))
    assert len(files) > 200
    assert not [path for path in (TESTS / "support").rglob("*.py") if re.match("test_|conftest", path.name)]
    assert [(path, *one) for path in files for one in wrong(path.read_text(encoding="utf-8"), path)] == []


ASKING = TESTS / "cli" / "test_scan.py"
SOURCE = """\
import tests.cli.test_help
from tests.cli import test_help
from tests.cli.test_help import x
from tests.conftest import x
def late() -> None:
    try:
        from tests.batches import pools
    except OSError:
        pass
from tests.support import models
from tests.cli import disks
"""
OF_SEVERAL_LINES = """\
from tests.support import (
    models,
    factory,
)
from tests.cli import (  # here
    disks,
    test_help,
)
"""


def test_what_may_not_be_imported_is_noticed() -> None:
    reasons = [*["is a file of tests"] * 3, "is pytest's to import", "belongs to another folder"]
    assert [why_not(ASKING, name) for name in imported(SOURCE, ASKING)] == [*reasons, None, None]
    assert [why for _, why in wrong(SOURCE, ASKING)] == reasons
    with pytest.raises(AssertionError, match="a relative import"):
        wrong("from . import test_help", ASKING)


@pytest.mark.parametrize(
    "source", [*SOURCE.splitlines()[:4], OF_SEVERAL_LINES, f"def late() -> None:\n    {SOURCE[:26]}"]
)
def test_one_statement_that_may_not_be_is_noticed(source: str) -> None:
    assert len(wrong(source, ASKING)) == 1


def test_what_only_looks_wrong_is_none() -> None:
    assert wrong(OF_SEVERAL_LINES.replace("test_help", "x"), ASKING) == []
    assert wrong(f"x = {SOURCE!r}", ASKING) == wrong(f"x = ['''\n{SOURCE}''']", ASKING) == []
