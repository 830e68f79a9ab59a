"""docs/findings.md says what the rules say."""

from __future__ import annotations

from pathlib import Path

from weightaudit.audit.rules.page import page

PAGE = Path(__file__).parents[3] / "docs" / "findings.md"


def test_the_page_is_generated_from_the_rules() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m weightaudit.audit.rules.page > docs/findings.md"
