"""Figures for papers: what they show, that names do no harm in them, and the same bytes every time."""

from __future__ import annotations

import math
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.spectra import of_roles
from tests.support import factory
from tests.support.pictures import draw_coarsely
from tests.support.running import CommandLine
from weightaudit.errors import OutputError, UsageError
from weightaudit.records import LayerRow
from weightaudit.report import figures
from weightaudit.report.drawing_library import MARKERS
from weightaudit.report.figures import _DASHES, DPI, SPANNED, LayerSeries, _columns, check_figures, layer_series
from weightaudit.report.style import LINES, role_styles

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ("frobenius-norm", "stable-rank", "heat-map")


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_coarsely(monkeypatch)


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures of pixels besides."""
    monkeypatch.setattr(figures, "KINDS", ("svg",))


def texts(path: Path) -> list[str]:
    """The texts of an SVG, which may hold nothing that acts."""
    root = ET.parse(path).getroot()
    kinds = {element.tag.removeprefix(SVG) for element in root.iter() if element.tag.startswith(SVG)}
    assert kinds <= {
        "svg",
        "g",
        "path",
        "text",
        "tspan",
        "defs",
        "use",
        "clipPath",
        "rect",
        "style",
        "image",
        "metadata",
    }
    for element in root.iter():
        assert not [key for key in element.attrib if key.lower().startswith("on")]
        links = [value for key, value in element.attrib.items() if key.endswith("href")]
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    return ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawings of a model of two stacks, one of each kind."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(figures, "KINDS", ("svg",))
        patched.setattr(figures, "LINES", LINES[1:])
        draw_coarsely(patched)
        return of_roles(factory.seq2seq(2), "Q", "XQ", "M1").to_figures(tmp_path_factory.mktemp("stacks"))[0].parent


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every figure of every kind, with few pixels."""
    with pytest.MonkeyPatch.context() as patched:
        draw_coarsely(patched)
        return factory.bert(layers=2).to_figures(tmp_path_factory.mktemp("whole") / "new" / "figures")


def test_one_file_a_figure_and_kind(whole: list[Path]) -> None:
    check_figures_of(whole, DPI // 8)


@pytest.mark.slow
def test_figures_have_as_many_pixels_as_they_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "DPI", DPI)
    check_figures_of(factory.bert(layers=4).to_figures(tmp_path), DPI)


def check_figures_of(written: list[Path], dpi: int) -> None:
    from matplotlib.image import imread

    assert DPI == 600
    out = written[0].parent
    assert written == [out / f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")]
    assert sorted(out.iterdir()) == sorted(written)
    for name in NAMES:
        picture = imread(out / f"{name}.png")
        assert picture.shape[1] == pytest.approx(3.3 * dpi, abs=1)
        assert picture[..., :3].std() > 0.05  # something is drawn
        said = texts(out / f"{name}.svg")
        assert "bert-base-uncased" in said
        assert {"Q", "K", "V", "O", "QKV", "M1", "M2", "layer"} <= set(said)
        assert {"EMBED", "POOLER"}.isdisjoint(said)
    assert "Frobenius norm" in texts(out / "frobenius-norm.svg")
    assert "stable rank" in texts(out / "stable-rank.svg")


@pytest.mark.slow
@pytest.mark.usefixtures("drawings")
def test_letters_about_experts_are_large_enough(tmp_path: Path) -> None:
    factory.mixture(layers=2, experts=4).to_figures(tmp_path)
    check_letters(tmp_path, 3)


def test_letters_are_large_enough(stacks: Path, whole: list[Path]) -> None:
    check_letters(stacks, 4)
    check_letters(whole[0].parent, 3)


def check_letters(folder: Path, figures: int) -> None:
    paths = list(folder.glob("*.svg"))
    assert len(paths) == figures
    for path in paths:
        root = ET.parse(path).getroot()
        assert root.attrib["width"] == "237.6pt"
        styles = [element.attrib["style"] for element in root.iter(f"{SVG}text")]
        sizes = [float(size) for style in styles for size in re.findall(r"([\d.]+)px", style)]
        assert len(sizes) == len(styles)
        assert min(sizes) >= 7  # px are points here: the drawing is as many units wide as points
        assert root.attrib["viewBox"].split()[2] == "237.6"


def test_stacks_have_figures_of_their_own(stacks: Path) -> None:
    names = {path.stem for path in stacks.iterdir()}
    assert names == {f"{stack}-{name}" for stack in ("encoder", "decoder") for name in NAMES[1:]}
    assert "XQ" in texts(stacks / "decoder-stable-rank.svg")
    assert "XQ" not in texts(stacks / "encoder-stable-rank.svg")
    assert "org/seq2seq, decoder" in texts(stacks / "decoder-heat-map.svg")


@pytest.mark.parametrize("name", ["embeddings_only", "all_nan"])
def test_nothing_to_draw(name: str, tmp_path: Path) -> None:
    assert factory.ALL[name]().to_figures(tmp_path) == []


def test_experts_are_a_median_and_a_range() -> None:
    rows = [
        LayerRow(factory.matrix("M1", layer, (8, 8), "w", expert=expert), factory.spectrum(9.0, rank, width=0.25))
        for layer, ranks in ((0, (2.5, 3.0, 40.0)), (2, (5.0, 7.0)))
        for expert, rank in enumerate(ranks)
    ]
    rows.append(LayerRow(factory.matrix("M1", 3, (8, 8), "w"), factory.nan_spectrum()))
    (series,) = layer_series(rows, "stable_rank", "stable_rank_lower")
    assert series.layers == (0, 2, 3)
    assert series.values[:2] == (3.0, 6.0)
    assert series.low[:2] == (2.0, 4.0)
    assert series.high[:2] == (40.0, 7.0)
    assert all(math.isnan(ends[2]) for ends in (series.values, series.low, series.high))


@pytest.mark.usefixtures("drawings")
def test_a_layer_numbered_far_beyond_the_others_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may say any number: what is drawn goes by what is there."""
    monkeypatch.setattr(figures, "LINES", ())
    report = of_roles(factory.bert(layers=3), "Q")
    rows = tuple(
        replace(row, matrix=replace(row.matrix, layer=999_999_999)) if row.matrix.layer == 2 else row
        for row in report.rows
    )
    replace(report, rows=rows).to_figures(tmp_path)  # a column for each number would take 72 GB
    said = texts(tmp_path / "heat-map.svg")
    assert {"0", "1", "999999999", "layer, gaps left out"} <= set(said)


@pytest.mark.parametrize(
    ("layers", "columns"),
    [
        ((0, 1, 2), range(3)),
        ((0, SPANNED - 1), range(SPANNED)),
        ((7, 7 + SPANNED), [7, 7 + SPANNED]),
        (tuple(range(0, 2 * SPANNED, 2)), range(2 * SPANNED - 1)),
        (tuple(range(0, 9 * SPANNED, 3)), list(range(0, 9 * SPANNED, 3))),
        ((5,), range(5, 6)),
    ],
)
def test_columns_of_a_heat_map(layers: tuple[int, ...], columns: Sequence[int]) -> None:
    numbers = (1.0,) * len(layers)
    found = _columns(
        [LayerSeries("Q", layers[:1], numbers[:1], numbers[:1], numbers[:1]), LayerSeries("K", layers, *[numbers] * 3)]
    )
    assert found == columns


def test_every_style_of_the_page_can_be_drawn() -> None:
    styles = role_styles(["Q", "XQ", "GATE", *(f"OWN{i}" for i in range(15))]).values()
    assert {style.symbol.removesuffix("-open") for style in styles} <= MARKERS.keys()
    assert {style.dash for style in styles} <= _DASHES.keys()
    assert len(set(MARKERS.values())) == len(MARKERS)


@pytest.mark.usefixtures("drawings")
def test_hostile_names_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "LINES", [line for line in LINES if "stable" in line.column])
    factory.hostile().to_figures(tmp_path)
    said = texts(tmp_path / "stable-rank.svg")
    assert r"<img src=x onerror=d…itle='pwned'>\u202e" in said
    assert "<img sr…wned'>" in said


ODD_NAMES = (r"$\frac{1}{$", "_hidden", "模型", "a & b", "]]>", "\x00\x1b[2J", "\ud800")


def as_shown(name: str) -> str:
    return name if name.isprintable() else name.encode("unicode_escape").decode()


@pytest.mark.usefixtures("drawings")
def test_odd_names_of_roles_and_of_a_model_are_text(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "LINES", LINES[1:])
    report = factory.bert(layers=2)
    roles = dict(zip(("Q", "K", "V", "O", "QKV", "M1", "M2"), ODD_NAMES, strict=True))
    rows = tuple(
        replace(row, matrix=replace(row.matrix, role=roles[row.matrix.role]))
        for row in report.rows
        if row.matrix.role in roles
    )
    name = r"$\frac{1}{$_ a & b]]>"
    report = replace(report, rows=rows, identity=replace(report.identity, name=f"{name}\ud800"))
    report.to_figures(tmp_path)
    for file in NAMES[1:]:
        said = texts(tmp_path / f"{file}.svg")
        assert [said.count(as_shown(one)) for one in ODD_NAMES] == [1] * len(ODD_NAMES)
        assert said.count(name + r"\ud800") == 1
    assert not recwarn.list


@pytest.mark.slow
@pytest.mark.usefixtures("drawings")
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_text(tmp_path: Path, name: str, recwarn: pytest.WarningsRecorder) -> None:
    report = factory.bert(layers=2)
    rows = tuple(replace(row, matrix=replace(row.matrix, role=name)) for row in report.rows if row.matrix.role == "Q")
    report = replace(report, rows=rows, identity=replace(report.identity, name=name))
    report.to_figures(tmp_path)
    for file in NAMES:
        assert texts(tmp_path / f"{file}.svg").count(as_shown(name)) == 2
    assert not recwarn.list


@pytest.mark.parametrize("lines", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_same_bytes_whatever_the_settings(
    lines: int, whole: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib

    monkeypatch.setattr(figures, "LINES", LINES[len(LINES) - lines :])
    report = factory.bert(layers=2)
    first = [path.read_bytes() for path in whole if path.stem in NAMES[len(LINES) - lines :]]
    assert len(first) == 2 * (lines + 1)
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.grid": True, "text.parse_math": True}):
        before = dict(matplotlib.rcParams)
        second = [path.read_bytes() for path in report.to_figures(tmp_path / "b")]
        assert dict(matplotlib.rcParams) == before
    assert first == second
    assert not any(word in content for content in first for word in (b"Matplotlib", b"dc:date"))


def test_told_before_the_scan(
    weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_checkpoints: dict[str, Path]
) -> None:
    monkeypatch.setattr("weightaudit.api.scan", pytest.fail)
    (tmp_path / "file").write_text("")
    for bad in (tmp_path / "file", tmp_path / "file" / "in"):
        with pytest.raises(OutputError, match="file is no directory"):
            check_figures(bad)
        done = weightaudit("scan", tiny_checkpoints["gpt2"], "--figures", bad)
        assert (done.code, "is no directory" in done.stderr) == (2, True)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"matplotlib: it is not installed.*pip install matplotlib"):
        factory.bert(layers=1).to_figures(tmp_path / "out")
    done = weightaudit("scan", tiny_checkpoints["gpt2"], "--figures", tmp_path / "out")
    assert (done.code, "pip install matplotlib" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lines", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_scan_draws(
    lines: int,
    weightaudit: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_checkpoints: dict[str, Path],
) -> None:
    monkeypatch.setattr(figures, "LINES", LINES[len(LINES) - lines :])
    names = NAMES[len(LINES) - lines :]
    out = tmp_path / "figures"
    done = weightaudit("scan", tiny_checkpoints["gpt2"], "--figures", out, "--roles", "QKV,M1", "--fail-on", "never")
    assert (done.code, f"wrote {2 * len(names)} figures into {out}" in done.stderr) == (0, True)
    assert {path.name for path in out.iterdir()} == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
