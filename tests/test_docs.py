"""The pages say what is true: links lead somewhere, and the columns they list are the columns written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from weightaudit.report.columns import NAMES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "reports").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    broken = [t for t in targets if "://" not in t and not (page.parent / t.split("#")[0]).exists()]
    assert broken == []


def test_columns_are_as_documented() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    listed = re.search(r"`(model, revision, .*?)`", text, re.DOTALL)
    assert listed
    assert re.split(r",\s+", listed[1]) == list(NAMES)
