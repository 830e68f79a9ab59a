"""docs/architectures.md says what the specs say."""

from __future__ import annotations

from pathlib import Path

from weightaudit.architecture.page import page

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m weightaudit.architecture.page > docs/architectures.md"
