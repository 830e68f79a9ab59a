"""The page that a batch leaves: every model on it, and every link leads to a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.batches.checkpoints import corrupt
from tests.support.browser import needs_chromium, opened
from tests.support.page import Reader
from weightaudit.batches import BatchResult, merge

Batch = Callable[..., BatchResult]


def said(out: Path) -> dict[str, list[object]]:
    models: dict[str, list[object]] = json.loads(Reader((out / "index.html").read_text("utf-8")).scripts[0])["models"]
    return models


def test_every_model_is_on_the_page(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    bad = corrupt(few[0], tmp_path / "bad model")
    result = batch([*few[:2], f'"{bad}"', tmp_path / "none"])
    out = tmp_path / "out"
    models = said(out)
    assert models["name"] == [few[0].name, few[1].name, "bad model", "none"]
    assert models["failed"] == [0, 0, 1, 1]
    assert models["reason"] == ["", "", result.failed["bad model"], result.failed["none"]]
    links = [str(link) for link in (*models["link"], *models["log"]) if link]
    assert len(links) == 2 + 4
    assert all((out / unquote(link)).is_file() for link in links)
    page = Reader((out / "index.html").read_text("utf-8"))
    beside = [
        str(a["href"]) for tag, a in page.tags if tag == "a" and str(a.get("href")).endswith((".csv", ".parquet"))
    ]
    assert [a["src"] for tag, a in page.tags if tag == "script" and "src" in a] == ["plotly.js"]
    assert [path.parent for path in out.rglob("plotly.js")] == [out]
    assert {path for path in beside if (out / path).is_file()} == {"./all.csv", "./all.parquet", "./summary.csv"}


def test_the_page_is_the_same_after_another_run_and_a_merge(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    parts = [tmp_path / "1" / "out", tmp_path / "2" / "out"]
    for i, part in enumerate(parts, 1):
        part.parent.mkdir()
        batch(few[:2], part, shard=(i, 2))
    whole, merged = tmp_path / "3" / "out", tmp_path / "4" / "out"
    for path in (whole, merged):
        path.parent.mkdir()
    batch(few[:2], whole)
    page = (whole / "index.html").read_bytes()
    merge(parts, merged)
    assert (merged / "index.html").read_bytes() == page
    (whole / "index.html").unlink()
    batch(few[:2], whole)
    assert (whole / "index.html").read_bytes() == page


@pytest.mark.browser
@needs_chromium
# That of the batch is drawn in `tests/report/test_comparison_browser.py`, too, with a plotly.js beside it.
@pytest.mark.parametrize("index", [pytest.param(True, marks=pytest.mark.slow), False])
def test_pages_of_a_batch_draw_with_one_plotly(index: bool, batch: Batch, few: list[Path], tmp_path: Path) -> None:
    batch([few[0], tmp_path / "none"])
    out = tmp_path / "out"
    assert [path.parent for path in out.rglob("plotly.js")] == [out]
    page, plots = (out / "index.html", 1) if index else (out / few[0].name / "report.html", 3)
    dom, console = opened(page)
    assert console == []
    assert 'data-ready="true"' in dom
    assert len(re.findall(r'class="[^"]*js-plotly-plot', dom)) >= plots
