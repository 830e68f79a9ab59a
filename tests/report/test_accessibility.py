"""Every kind of page, asked by axe-core: nothing that it knows of is amiss, in light and dark and on a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.page_kinds import KINDS
from tests.support.axe import needs_axe, violations
from tests.support.browser import NARROW, SHORT, TALL, WIDE, needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium, needs_axe]

CASES = {
    "everything": (WIDE, SHORT, 1),
    "comparison": (NARROW, SHORT, 1),
    "diff": (NARROW, SHORT, 1),
    "merge": (WIDE, SHORT, 1),
    "pairs": (WIDE, SHORT, 1),
    "paper": (NARROW, 100, 1),
}
"""Pages on which all parts of the others are, with a window for each and how many of what is alike on it: axe takes a
hundredth of a second of a processor for each word. Plots that are drawn are looked at by slow tests: of the paper's
page, whose charts come early, less is in sight than would have them drawn.
"""


@pytest.mark.parametrize(("kind", "width", "height", "few"), [(kind, *how) for kind, how in CASES.items()])
def test_axe_finds_nothing_in_light_and_dark(kind: str, width: int, height: int, few: int, tmp_path: Path) -> None:
    assert violations(KINDS[kind](tmp_path), width=width, height=height, then_dark=True, few=few) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(kind: str, tmp_path: Path) -> None:
    page = KINDS[kind](tmp_path)
    assert violations(page, height=TALL) == []
    assert violations(page, height=TALL, dark=True, only=("color-contrast",)) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["damaged", "comparison", "diff", "full_spectrum", "pairs", "paper"])
def test_axe_finds_nothing_on_a_telephone(kind: str, tmp_path: Path) -> None:
    assert violations(KINDS[kind](tmp_path), width=NARROW, height=TALL) == []


def test_axe_finds_what_is_amiss(tmp_path: Path) -> None:
    """So that the silence of the other tests says something."""
    page = KINDS["pairs"](tmp_path)
    text = page.read_text("utf-8")
    page.write_text(text.replace("--ink:#191d22", "--ink:#cccccc").replace('lang="en"', ""), encoding="utf-8")
    assert {found.partition(" ")[0] for found in violations(page, few=1)} >= {"color-contrast", "html-has-lang"}
