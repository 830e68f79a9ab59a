"""Every kind of page, asked by axe-core: nothing that it knows of is amiss, in light and dark and on a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.page_kinds import KINDS
from tests.support.axe import needs_axe, violations
from tests.support.browser import NARROW, needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium, needs_axe]

SLOW = {"clean", "mixture", "all_nan", "guessed", "spectrum", "quantised", "adapter", "diff_odd"}
"""Pages all of whose parts are on one of the others: axe takes seconds of a processor for each."""


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in KINDS])
def test_axe_finds_nothing(kind: str, tmp_path: Path) -> None:
    page = KINDS[kind](tmp_path)
    assert violations(page) == []
    assert violations(page, dark=True, only=("color-contrast",)) == []


@pytest.mark.parametrize(
    "kind",
    [
        *("damaged", "comparison", "diff"),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("full_spectrum", "pairs", "paper")),
    ],
)
def test_axe_finds_nothing_on_a_telephone(kind: str, tmp_path: Path) -> None:
    assert violations(KINDS[kind](tmp_path), width=NARROW) == []


def test_axe_finds_what_is_amiss(tmp_path: Path) -> None:
    """So that the silence of the other tests says something."""
    page = KINDS["pairs"](tmp_path)
    text = page.read_text("utf-8")
    page.write_text(text.replace("--ink:#191d22", "--ink:#cccccc").replace('lang="en"', ""), encoding="utf-8")
    assert {found.partition(" ")[0] for found in violations(page)} >= {"color-contrast", "html-has-lang"}
