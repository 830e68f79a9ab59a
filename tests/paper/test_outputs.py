"""An experiment's files: what they hold, that they are whole, and when a run can be skipped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support import toy_experiment as toy
from tests.support.browser import DOCUMENT, NARROW, TALL, asked, needs_chromium
from weightaudit.audit.progress import Silent
from weightaudit.errors import OutputError
from weightaudit.paper import outputs
from weightaudit.paper.chart_layout import COLOURS
from weightaudit.paper.readme import write_readme

NAMES = {"config.json", "points.csv", "toy.html", "toy.png", "verdict.json"}


def written(directory: Path, config: toy.ToyConfig | None = None) -> dict[str, Any]:
    config = config or toy.ToyConfig()
    return outputs.write("toy", "Toys <1>", toy.run(config, Silent()), config, directory)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of all files. Read only."""
    directory = tmp_path_factory.mktemp("whole")
    written(directory)
    return directory


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(whole, tmp_path / "copied")


@pytest.fixture
def chartless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures, which take longest, where they are not looked at."""
    monkeypatch.setattr(toy, "charts", tuple)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files by other settings, without charts. Read only."""
    directory = tmp_path_factory.mktemp("other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy, "charts", tuple)
        written(directory, toy.ToyConfig(seed=1))
    return directory


@pytest.mark.usefixtures("chartless")
def test_every_file_is_there_and_says_what_it_should(tmp_path: Path) -> None:
    returned = written(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == NAMES
    assert (tmp_path / "points.csv").read_text() == (
        "lambda,value,draw\n0,0.333333333,0\n0.0001,,1\n0.001,2,2\n0.01,1e-20,3\n"
    )
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict == returned
    assert verdict["claims"][0] == {
        "id": "one",
        "text": "A <b>holds</b> | here",
        "source": "Lemma 1",
        "numbers": {"mean": 1 / 3, "list": [1, None]},
        "tolerance": "≤ 1",
        "outcome": "true",
        "why": "0.3.",
    }
    assert verdict["settings"]["widths"] == [10, 10]
    assert verdict["notes"] == ["mind_the gap"]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["settings"]["epochs"] == {
        "value": 5000,
        "origin": "stated",
        "unit": "",
        "about": "passes over the data",
    }
    assert config["versions"] == verdict["versions"]
    assert set(config["versions"]) >= {"weightaudit", "python", "torch"}
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("chartless")
def test_links_where_files_belong_are_replaced_and_not_followed(tmp_path: Path) -> None:
    directory, kept = tmp_path / "toy", tmp_path / "kept"
    directory.mkdir()
    kept.mkdir()
    for name in NAMES:
        (kept / name).write_text("mine")
        (directory / name).symlink_to(kept / name)
    (tmp_path / "README.md").symlink_to(kept / "config.json")
    written(directory)
    write_readme([], tmp_path, "weightaudit paper all")
    for path in (*(directory / name for name in NAMES), tmp_path / "README.md"):
        assert path.is_file()
        assert not path.is_symlink()
    assert {path.read_text() for path in kept.iterdir()} == {"mine"}


def test_a_result_without_charts_has_its_files_too(tmp_path: Path) -> None:
    outputs.write("toy", "", replace(toy.run(toy.ToyConfig(), Silent()), charts=()), toy.ToyConfig(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == NAMES


@pytest.mark.parametrize("charts", [toy.plain_charts, pytest.param(toy.charts, marks=pytest.mark.slow)])
def test_the_same_result_gives_the_same_bytes(charts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "charts", charts)
    for directory in ("once", "again"):
        (tmp_path / directory).mkdir()
        written(tmp_path / directory)
    for name in NAMES:
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.usefixtures("chartless")
def test_single_precision_survives_the_csv(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    result = replace(toy.run(toy.ToyConfig(), Silent()), points=pd.DataFrame({"x": values}))
    outputs.write("toy", "", result, toy.ToyConfig(), tmp_path)
    assert (pd.read_csv(tmp_path / "points.csv")["x"].to_numpy(np.float32) == values).all()


@pytest.mark.usefixtures("chartless")
def test_finished_by_the_same_settings_and_versions_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy.ToyConfig()
    assert outputs.finished("toy", config, tmp_path) is None
    verdict = written(tmp_path)
    assert outputs.finished("toy", config, tmp_path) == verdict
    assert outputs.finished("toy", replace(config, lambdas=(0.0,)), tmp_path) is None
    monkeypatch.setattr("weightaudit.version.__version__", "99")
    assert outputs.finished("toy", config, tmp_path) is None


@pytest.mark.parametrize("name", sorted(NAMES))
def test_not_finished_where_a_file_is_missing(name: str, copied: Path) -> None:
    assert outputs.finished("toy", toy.ToyConfig(), copied) is not None
    (copied / name).unlink()
    assert outputs.finished("toy", toy.ToyConfig(), copied) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff"])
def test_not_finished_where_the_verdict_cannot_be_read(text: str, copied: Path) -> None:
    (copied / "verdict.json").write_text(text, "utf-8", "surrogateescape")
    assert outputs.finished("toy", toy.ToyConfig(), copied) is None


@pytest.mark.usefixtures("chartless")
def test_what_lacked_something_is_not_finished(tmp_path: Path) -> None:
    config = toy.ToyConfig(data_dir="half")
    assert written(tmp_path, config)["lacking"] == ["half"]
    assert outputs.finished("toy", config, tmp_path) is None


def test_an_interrupted_rewrite_leaves_no_verdict(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs, "write_page", interrupted)
    with pytest.raises(KeyboardInterrupt):
        written(copied, toy.ToyConfig(seed=1))
    assert not (copied / "verdict.json").exists()
    assert outputs.finished("toy", toy.ToyConfig(), copied) is None
    assert outputs.finished("toy", toy.ToyConfig(seed=1), copied) is None


@pytest.mark.usefixtures("chartless")
@pytest.mark.parametrize("name", sorted(NAMES))
def test_one_file_that_cannot_be_written_leaves_the_others(name: str, copied: Path, other: Path) -> None:
    (copied / name).unlink()
    (copied / name).mkdir()
    config = toy.ToyConfig(seed=1)
    with pytest.raises(OutputError, match=f"{name}: it is a directory"):
        written(copied, config)
    assert outputs.finished("toy", config, copied) is None
    (copied / name).rmdir()
    if name != "verdict.json":
        assert json.loads((copied / "verdict.json").read_text())["lacking"] == [name]
    assert json.loads((other / "verdict.json").read_text())["lacking"] == []
    for one in NAMES - {name, "verdict.json"}:
        assert (copied / one).read_bytes() == (other / one).read_bytes()


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        outputs.prepare(tmp_path / "file")
    with pytest.raises(OutputError, match="file"):
        outputs.prepare(tmp_path / "file" / "toy")


def test_the_page_needs_nothing_and_runs_nothing_foreign(whole: Path) -> None:
    text = (whole / "toy.html").read_text("utf-8")
    own = text.partition("<script type=")[0]  # plotly.js, which follows, holds addresses that it never asks here
    assert "default-src 'none'" in own
    assert "http" not in own.replace('http-equiv="Content', "")
    assert "<b>" not in own
    assert "&lt;b&gt;holds" in own
    assert "Hollow: &lt;collapsed&gt;." in own
    assert "<i>" not in text.partition('id="data">')[2].partition("</script>")[0]


CLAIM = """
        const claims = document.querySelector("#claims table");
        answer.heads = claims.querySelector("thead").offsetHeight > 0;
        answer.fits = claims.scrollWidth <= claims.parentElement.clientWidth;
        answer.claim = claims.querySelector("tbody tr").innerText.split(/\\s*[\\t\\n]\\s*/);
        claims.querySelector("details").open = true;
        answer.numbers = claims.querySelector(".numbers").innerText.split("\\n");
    """


CELLS = ["true", "A <b>holds</b> | here", "Numbers", "0.3.", "≤ 1", "Lemma 1"]
NUMBERS = ["mean", "0.33333", "list", "[1, —]"]


@pytest.fixture(scope="module")
def shown(whole: Path) -> dict[str, Any]:
    """What a wide window that shows every chart of the page says."""
    return asked(
        whole / "toy.html",
        DOCUMENT
        + """
        const plots = [...document.querySelectorAll(".plot")];
        const buttons = [...document.querySelectorAll(".modebar-btn")];
        answer.buttons = [...new Set(buttons.map((node) => node.dataset.title.toLowerCase()))].sort();
        answer.logos = document.querySelectorAll(".modebar-btn--logo, .plotlyjsicon").length;
        answer.x = plots.map((plot) => [...plot.querySelectorAll(".xtick text")].map((node) => node.textContent));
        answer.colours = plots[0].data.map((trace) => trace.line.color ?? trace.fillcolor);
        dispatchEvent(new Event("beforeprint"));
        answer.paper = plots.map((plot) => plot.querySelector(".main-svg").clientWidth);
        """
        + CLAIM,
        height=TALL,
    )


@pytest.mark.browser
@needs_chromium
def test_a_claim_is_read_on_a_telephone(whole: Path) -> None:
    """On a narrow screen each cell lies under its column's name."""
    narrow = asked(whole / "toy.html", CLAIM, width=NARROW)
    assert (narrow["heads"], narrow["fits"]) == (False, True)
    named = list(zip(("Outcome", "Claim", "", "Why", "Judged by", "Source"), CELLS, strict=True))
    assert narrow["claim"] == [text for pair in named for text in pair if text]
    assert narrow["numbers"] == NUMBERS


@pytest.mark.browser
@needs_chromium
def test_a_claim_is_read_beside_its_numbers(shown: dict[str, Any]) -> None:
    """They lie in a closed fold, one a line."""
    assert (shown["heads"], shown["claim"], shown["numbers"]) == (True, CELLS, NUMBERS)


@pytest.mark.browser
@needs_chromium
def test_the_page_draws_without_a_complaint(shown: dict[str, Any]) -> None:
    dom = shown["document"]
    assert dom.count('class="main-svg"') >= len(toy.charts())
    assert dom.count('class="trace scatter') == 4  # three series and a band
    assert "</script><b>λ</b> $a$ and $b".replace("<", "&lt;").replace(">", "&gt;") in dom
    assert 'data-ready="true"' in dom


@pytest.mark.browser
@needs_chromium
def test_the_page_is_drawn_as_every_other(shown: dict[str, Any]) -> None:
    """No button that sends a chart anywhere, ticks that were chosen, and the colours of the theme."""
    answer = shown
    assert answer["buttons"] == ["download plot as a png", "pan", "reset axes", "zoom", "zoom in", "zoom out"]
    assert answer["logos"] == 0
    assert answer["x"] == [["0", "10\u200b−4\u200b", "0.001", "0.01"], ["1", "2", "3"]]
    assert set(answer["colours"]) <= set(COLOURS)
    assert answer["paper"] == [650, 650]
