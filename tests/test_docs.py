"""The pages say what is true: links lead somewhere, commands exist, the columns they list are those written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from weightaudit.batches.shipped_lists import find_list
from weightaudit.cli import app
from weightaudit.records import Kind
from weightaudit.report.columns import NAMES
from weightaudit.report.diff.columns import CHANGES

ROOT = Path(__file__).parent.parent
PAGES = [path for folder in ("", "docs", "benchmarks") for path in sorted((ROOT / folder).glob("*.md"))]
PAGES += sorted((ROOT / "reports").rglob("*.md"))
GENERATED = ROOT / "docs" / "cli.md"


def lines_of_code(page: Path) -> Iterator[str]:
    """The lines of the page's blocks of code, without what follows a # or an &."""
    blocks: list[str] = re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    for line in "".join(blocks).splitlines():
        yield re.sub(r"\s(#|&|\|).*", "", line.strip())


def anchors(text: str) -> set[str]:
    """What a link to a page may name after #: its headings in small letters, blanks as hyphens, without other marks."""
    headings = re.findall(r"^#+ +(.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip()) for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    broken = [t for t in targets if "://" not in t and not (page.parent / t.split("#")[0]).exists()]
    broken += [
        target
        for target in targets
        if "#" in target
        and "://" not in target
        and (path := page.parent / (target.split("#")[0] or page.name)).exists()
        if path.suffix == ".md" and target.split("#")[1] not in anchors(path.read_text("utf-8"))
    ]
    assert broken == []


def test_columns_are_as_documented() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    listed = re.search(r"`(model, revision, .*?)`", text, re.DOTALL)
    assert listed
    assert re.split(r",\s+", listed[1]) == list(NAMES)


def test_columns_and_kinds_of_a_difference_are_as_documented() -> None:
    text = (ROOT / "docs" / "diff.md").read_text("utf-8")
    columns = text.partition("## Columns")[2].partition("\n## ")[0]
    assert [(name, said) for name, said in re.findall(r"^\| `(\w+)` \| (.*) \|$", columns, re.MULTILINE)] == [
        (column.name, column.meaning) for column in CHANGES
    ]
    kinds = text.partition("## Kinds of change")[2].partition("\n## ")[0]
    told = {kind for line in re.findall(r"^\| ([a-z, ]+) \|", kinds, re.MULTILINE) for kind in line.split(", ")} - {
        "kind"
    }
    assert told == {*get_args(Kind)}


@pytest.mark.parametrize("page", [page for page in PAGES if page != GENERATED], ids=lambda page: page.name)
def test_commands_are_as_documented(page: Path) -> None:
    for line in lines_of_code(page):
        if not line.startswith("weightaudit "):
            continue
        command: Any = typer.main.get_command(app)
        words = shlex.split(line)[1:]
        while words and hasattr(command, "list_commands") and not words[0].startswith("-"):
            _, command, words = command.resolve_command(None, words)
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        assert {word for word in words if word.startswith("-")} <= known, line
        for word in words:
            if word.startswith("@"):
                assert find_list(word).is_file(), line
            if word.startswith("model_lists/"):
                assert (ROOT / word).is_file(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_installed_by_a_name_that_is_not_published(page: Path) -> None:
    ours = re.compile(r"pip install [^&`\n]*?(?<![\w./-])(llm-)?weightaudit\b")
    assert [found[0] for found in ours.finditer(page.read_text("utf-8"))] == []


def test_make_has_the_targets_that_are_documented() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text("utf-8")
        called = {word for line in lines_of_code(page) for word in re.findall(r"^make ([a-z-]+)", line)}
        assert called | set(re.findall(r"`make ([a-z-]+)`", text)) <= targets, page
