"""Pages on paper: a title and a number on every sheet, heads wherever a table goes on, nothing dark, no chart cut."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.report.page_kinds import KINDS
from tests.support import factory
from tests.support.browser import asked, needs_chromium, printed
from weightaudit.report.document import plain_document
from weightaudit.report.hypertext import NOTHING
from weightaudit.text import printable

PDFTOTEXT = shutil.which("pdftotext")
pytestmark = [pytest.mark.browser, needs_chromium]
needs_pdftotext = pytest.mark.skipif(PDFTOTEXT is None, reason="no pdftotext (poppler-utils): no sheet was read")
SHEET, LYING = 703, 1032
"""CSS pixels that an A4 has between the margins, standing and lying down."""
WIDE_TABLES = ("comparison", "diff")
"""Pages whose long table is on sheets that lie."""


def sheets(page: Path) -> list[str]:
    """The text of each sheet."""
    pdf = page.with_suffix(".pdf")
    pdf.write_bytes(printed(page))
    done = subprocess.run([str(PDFTOTEXT), "-layout", pdf, "-"], capture_output=True, check=True, encoding="utf-8")
    return done.stdout.rstrip("\f").split("\f")


@needs_pdftotext
def test_every_sheet_says_what_it_is_of_and_what_its_columns_are(tmp_path: Path) -> None:
    factory.bert(24).to_html(tmp_path / "page.html")
    read = sheets(tmp_path / "page.html")
    assert len(read) > 6
    for number, sheet in enumerate(read, 1):
        lines = sheet.strip().splitlines()
        assert re.fullmatch(r"bert-base-uncased +weightaudit", lines[0])
        assert lines[-1].strip() == f"{number} / {len(read)}"
    rows = [sheet for sheet in read if len(re.findall(r"^ *\d+ +(?:Q|K|V|O|QKV|M1|M2) +\d", sheet, re.MULTILINE)) > 5]
    assert len(rows) > 2
    assert [len(re.findall("Largest", sheet)) for sheet in rows] == [1] * len(rows)


NAMES = ('"; } body { display: none } "', "</style><b>", "\\", "a\nb", "σ₁ ﬁ \U0001f600")


@pytest.mark.parametrize("name", [*NAMES, "".join(NAMES)])
def test_no_name_leaves_the_string_that_it_stands_in(name: str) -> None:
    page = plain_document(title=name, style=NOTHING, body=NOTHING)
    (rule,) = re.findall(r"@top-left \{ content: (.*?); \} @top-right", page)
    assert re.fullmatch(r'"(?:[A-Za-z0-9]|\\[0-9a-f]{6})*"', rule)


@needs_pdftotext
@pytest.mark.parametrize("name", ["".join(NAMES), *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES)])
def test_a_sheet_has_its_name_as_it_is(name: str, tmp_path: Path) -> None:
    page = plain_document(title=name, style=NOTHING, body=NOTHING)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    (sheet,) = sheets(tmp_path / "page.html")
    shown = " ".join([*printable(name).split(), "weightaudit"])
    assert re.fullmatch(re.escape(shown) + " 1 ?/ ?1", " ".join(sheet.split()))


SHEETS = ("two_stacks", "pairs")
MORE_SHEETS = ("damaged", "comparison", "mixture", "diff", "merge", "paper", "spectrum", "quantised")


@pytest.mark.parametrize("kind", [*SHEETS, *(pytest.param(kind, marks=pytest.mark.slow) for kind in MORE_SHEETS)])
def test_a_page_on_paper_is_light_and_no_wider_than_the_sheet(kind: str, tmp_path: Path) -> None:
    """Of who reads it in the dark."""
    answer = asked(
        KINDS[kind](tmp_path),
        """
        dispatchEvent(new Event("beforeprint"));
        const wide = [...document.querySelectorAll(".plot > *, .plot .main-svg, table, figure")];
        const cut = wide.filter((node) => node.getBoundingClientRect().right > innerWidth + 0.5);
        answer.cut = cut.map((node) => `${node.tagName} in ${node.closest("[id]").id}`);
        answer.drawn = ["", ".js-plotly-plot"].map((drawn) => document.querySelectorAll(`.plot${drawn}`).length);
        answer.ink = getComputedStyle(document.body).color;
        answer.words = [...document.querySelectorAll(".plot .xtick text")].map((node) => getComputedStyle(node).fill);
        """,
        width=LYING if kind in WIDE_TABLES else SHEET,
        dark=True,
        paper=True,
    )
    assert answer["cut"] == []
    plots, drawn = answer["drawn"]
    assert plots == drawn == {"two_stacks": 6, "pairs": 0}.get(kind, plots)
    assert {answer["ink"], *answer["words"]} == {"rgb(25, 29, 34)"}
