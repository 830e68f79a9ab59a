"""docs/cli.md says what the commands say."""

from __future__ import annotations

from pathlib import Path

from weightaudit.cli.page import page

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m weightaudit.cli.page > docs/cli.md"
