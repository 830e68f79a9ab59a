"""docs/findings.md says what the rules say."""

from __future__ import annotations

from pathlib import Path

from weightaudit.merging.findings_page import page

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


def test_the_page_is_generated_from_the_rules() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m weightaudit.merging.findings_page > docs/findings.md"
