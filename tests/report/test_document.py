"""Pages that share a plotly.js: only that one file may run beside the page's own script."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from tests.support import factory
from tests.support.browser import needs_chromium, opened
from weightaudit.errors import OutputError
from weightaudit.report import document, html
from weightaudit.report.document import plotly_code, share_plotly
from weightaudit.report.layout import PLOTLY


def policy(page: str) -> str:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found
    return found[1]


def nonce(page: str) -> str:
    found = re.search(r"script-src 'nonce-([^']*)'", policy(page))
    assert found
    return found[1]


def test_a_page_without_plotly_inside() -> None:
    alone, sharing = html.page(factory.bert()), html.page(factory.bert(), f"../{PLOTLY}")
    assert plotly_code() in alone
    assert len(sharing) < len(alone) - 0.99 * len(plotly_code())
    assert "nonce" not in policy(alone)
    assert f'<script src="../plotly.js" nonce="{nonce(sharing)}"></script>' in sharing
    assert sharing.count("nonce=") == 1
    assert policy(sharing).split("; ")[1].count(" ") == 2  # the nonce, and the hash of the page's script
    assert "is complete in itself" in alone
    assert "plotly.js of its batch" in sharing


def test_the_nonce_follows_from_everything_on_the_page() -> None:
    """So that no name can hold it."""
    page = html.page(factory.bert(), "../plotly.js")
    assert html.page(factory.bert(), "../plotly.js") == page
    reports = (factory.bert(2), factory.clean(), factory.hostile(), factory.one_layer())
    assert len({nonce(html.page(report, "../plotly.js")) for report in reports}) == len(reports)
    assert nonce(html.page(factory.bert(), "../../plotly.js")) != nonce(page)


def test_plotly_is_written_once(tmp_path: Path) -> None:
    share_plotly(tmp_path)
    written = (tmp_path / PLOTLY).stat()
    assert (tmp_path / PLOTLY).read_text("utf-8") == plotly_code()
    share_plotly(tmp_path)
    assert (tmp_path / PLOTLY).stat().st_ino == written.st_ino
    code = (tmp_path / PLOTLY).read_bytes()
    for other in (b"cut", code[:-1] + b"x"):
        (tmp_path / PLOTLY).write_bytes(other)
        share_plotly(tmp_path)
        assert (tmp_path / PLOTLY).read_bytes() == code
    with pytest.raises(OutputError, match="there is no directory"):
        share_plotly(tmp_path / "none")


def sharing(folder: Path, plotly: str) -> Path:
    """A page that shares such a plotly.js, with a script beside it that no page asked for."""
    (folder / "model").mkdir()
    page = folder / "model" / "report.html"
    factory.one_layer().to_html(page, plotly=plotly)
    evil = "<script src='../evil.js'></script>"
    (folder / "evil.js").write_text("document.title = 'pwned'")
    page.write_text(page.read_text("utf-8").replace("<main>", "<main>" + evil), encoding="utf-8")
    return page


@pytest.mark.slow
@pytest.mark.browser
@needs_chromium
def test_a_sharing_page_draws(tmp_path: Path) -> None:
    """As a batch's own page does in each run, in `tests/batches/test_index`."""
    share_plotly(tmp_path)
    dom, console = opened(sharing(tmp_path, "../plotly.js"))
    assert len(re.findall(r'class="[^"]*js-plotly-plot', dom)) == 3
    assert "pwned</title>" not in dom
    assert len(console) == 1
    assert "Content Security Policy" in console[0]


@pytest.mark.browser
@needs_chromium
def test_a_sharing_page_says_when_it_cannot_draw_and_runs_nothing_else(tmp_path: Path) -> None:
    dom, console = opened(sharing(tmp_path, "../gone.js"))
    assert dom.count('<p class="empty">Not drawn: plotly.js is not where') == 3
    assert 'data-ready="true"' in dom
    assert re.search(r">1–(\d+) of \1<", dom)
    assert "pwned</title>" not in dom
    assert len([line for line in console if "evil.js" in line and "Content Security Policy" in line]) == 1
    assert all("gone.js" in line or "evil.js" in line for line in console)


def test_no_script_hands_a_list_to_min_or_max() -> None:
    """`Math.min(...all)` throws from some 100,000 arguments on, and a page may have more rows."""
    assets = files("weightaudit.report").joinpath("assets").iterdir()
    scripts = {path.name: path.read_text("utf-8") for path in assets if path.name.endswith(".js")}
    assert len(scripts) > 10
    said = {name: re.sub(r"//.*|^ *\*.*", "", script, flags=re.MULTILINE) for name, script in scripts.items()}
    assert [name for name, script in said.items() if re.search(r"Math\.(min|max)\(\.\.\.", script)] == []


def test_scripts_come_without_comments_and_otherwise_as_they_are() -> None:
    names = sorted(path.name for path in (Path(document.__file__).parent / "assets").glob("*.js"))
    assert len(names) > 20
    for name in names:
        kept, at = str(document._script(name)).splitlines(), 0
        for line in str(document.asset(name)).splitlines():
            if at < len(kept) and line == kept[at]:
                at += 1
            else:
                assert line.strip().startswith(("//", "/*", "*")), (name, line)
        assert at == len(kept)
