"""The page in a real browser: it draws, it sorts and filters, and no name in it can run or call out."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from functools import cache
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.report import spectra
from tests.report.drawn import drawn_kinds
from tests.support import factory
from tests.support.browser import DOCUMENT, SHORT, TALL, asked, needs_chromium, opened
from weightaudit import ScanReport
from weightaudit.report import plotly_js
from weightaudit.report.html.method import matrix_command

pytestmark = [pytest.mark.browser, needs_chromium]
BUTTONS = {"download plot as a png", "zoom", "pan", "zoom in", "zoom out", "reset axes"}


def written(report: ScanReport, folder: Path) -> Path:
    report.write(folder / "page.html")
    return folder / "page.html"


def received(server: socket.socket) -> bytes:
    """What came in. A bare connection is no request: Chromium makes one for a frame before it reads the policy."""
    heard = b""
    while True:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            return heard
        with connection:
            connection.settimeout(1)
            heard += connection.recv(1000)


Drawn = Callable[[str], tuple[str, dict[str, Any]]]
PAGES: dict[str, Callable[[], ScanReport]] = {
    **factory.ALL,
    "seq2seq": lambda: factory.seq2seq(2),  # each number in a heat map takes long
    "hostile, spectra": lambda: spectra.asked(factory.hostile()),
    "all_nan": lambda: spectra.asked(factory.all_nan()),
}
PRINTED_FIRST = ("seq2seq", "all_nan")
"""What is printed twice before any plot has been in sight; all others are seen, printed and seen again."""
DOWNLOAD = """
let parts;
const RealBlob = Blob;
window.Blob = function (given, options) { parts = given; return new RealBlob(given, options); };
HTMLAnchorElement.prototype.click = function () { answer.file = this.download; };
document.getElementById("download").click();
answer.csv = parts.join("");
"""
LOOK = """
const plots = [...document.querySelectorAll(".plot")];
const drawn = () => [...document.querySelectorAll(".main-svg:first-child")];
const widths = () => drawn().map((node) => node.clientWidth);
const look = () => [typeof Plotly, document.querySelectorAll(".js-plotly-plot .main-svg:first-child").length];
answer.scripts = document.scripts.length;
answer.far = document.querySelector("figure")?.getBoundingClientRect().top / innerHeight > 1.5;
answer.looks = [look()];
answer.screen = widths();
dispatchEvent(new Event("beforeprint"));
answer.looks.push(look());
answer.paper = widths();
dispatchEvent(new Event(seen ? "afterprint" : "beforeprint"));
answer.looks.push(look());
answer.again = widths();
{DOCUMENT}
answer.heights = plots.map((node) => [node.id, String(node.offsetHeight)]);
answer.images = plots.map((node) => node.querySelector("svg[role=img]").getAttribute("aria-label"));
answer.wide = document.documentElement.scrollWidth - innerWidth;
""".replace("{DOCUMENT}", DOCUMENT)
ASK = """
answer.version = Plotly.version;
answer.kinds = Object.keys(Plotly.PlotSchema.get().traces);
answer.drawn = [...document.querySelectorAll(".js-plotly-plot")].flatMap((node) =>
  node._fullData.map((trace) => trace.type));
for (const group of document.querySelectorAll("details")) group.open = true;
const lines = document.getElementById("plot-frobenius-0");
Plotly.Fx.hover(lines, [{ curveNumber: 0, pointNumber: 0 }]);
answer.elements = document.querySelectorAll("img, body svg[onload], body b img").length;
answer.handlers = [...document.querySelectorAll("*")].filter((e) => e.hasAttribute("onerror")).length;
answer.hover = lines.querySelector(".hoverlayer").textContent;
answer.legend = lines.querySelector(".legend").textContent;
answer.table = [...document.querySelectorAll("#layers td.c-tensors")].map((e) => e.textContent);
const heat = document.getElementById("plot-heat-0");
const before = heat.data[0].z[0][0];
const [rank, share, norm] = document.querySelectorAll("#heat-choice button");
norm.click();
answer.z = [before, heat.data[0].z[0][0]];
answer.pressed = [rank, share, norm].map((button) => button.getAttribute("aria-pressed"));
answer.colours = Object.fromEntries(lines.data.map((trace) => [trace.name, trace.line?.color ?? ""]));
answer.chip = getComputedStyle(document.querySelector("#roles .role"), "::before").backgroundColor;
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """A report's page and all that is asked of it: how it lies on the screen, on paper, and there or on the screen
    again, then what its plots, its buttons and its table say. Opened once for all tests.
    """

    @cache
    def drawn_once(name: str) -> tuple[str, dict[str, Any]]:
        page = written(PAGES[name](), tmp_path_factory.mktemp("page"))
        seen = name not in PRINTED_FIRST
        answer = asked(
            page,
            f"const seen = {json.dumps(seen)};\n{LOOK}\nif (drawn().length) {{ {ASK} {DOWNLOAD} }}",
            height=TALL if seen else SHORT,
        )
        return page.read_text("utf-8"), answer

    return drawn_once


@pytest.mark.parametrize(
    ("name", "plots", "heats"),
    [
        ("hostile, spectra", 7, 1),
        ("all_nan", 0, 0),
        pytest.param("seq2seq", 6, 2, marks=pytest.mark.slow),
        pytest.param("bert", 3, 1, marks=pytest.mark.slow),
        pytest.param("hostile", 3, 1, marks=pytest.mark.slow),
        pytest.param("embeddings_only", 0, 0, marks=pytest.mark.slow),
    ],
)
def test_page_draws_without_a_complaint(name: str, plots: int, heats: int, drawn: Drawn) -> None:
    dom = drawn(name)[1]["document"]
    assert 'data-ready="true"' in dom
    assert len(re.findall(r'class="[^"]*js-plotly-plot', dom)) == plots
    assert len(re.findall(r'<g class="hm"><image', dom)) == heats
    # A line a role and figure, one for each shape that random matrices are drawn of, and marks of findings.
    traces = {"bert": 14 + 3, "hostile": 4 + 1 + 3, "hostile, spectra": 4 + 1 + 3 + 8, "seq2seq": 32 + 4}.get(name, 0)
    assert len(re.findall(r'class="trace scatter', dom)) == traces
    assert dom.count(">No finite, positive number to draw") == (3 if name == "all_nan" else 0)
    buttons = re.findall(r'class="modebar-btn[^>]* data-title="([^"]*)"', dom)
    assert {button.lower() for button in buttons} == (BUTTONS if plots else set())
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title
    assert title[1].endswith("· weightaudit")


def test_a_page_runs_the_official_plotly_js(drawn: Drawn) -> None:
    _, answer = drawn("hostile, spectra")
    assert answer["version"] == plotly_js.VERSION
    assert drawn_kinds() <= set(answer["kinds"])
    assert set(answer["drawn"]) == {"scatter", "heatmap"}


def test_no_element_comes_from_a_name(drawn: Drawn) -> None:
    _, answer = drawn("hostile, spectra")
    assert (answer["elements"], answer["handlers"]) == (0, 0)
    assert "layer 0" in str(answer["hover"])
    assert factory.HOSTILE in str(answer["legend"])
    table = str(answer["table"])
    assert "bidi\\u202eevil" in json.dumps(answer["table"]).replace("\\\\", "\\")
    assert "\u202e" not in table
    assert "\x07" not in table


def test_policy_stops_what_an_escape_might_miss(tmp_path: Path) -> None:
    page = written(factory.embeddings_only(), tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        injected = (
            f"<script>document.title = 'pwned'</script><img src=x onerror=\"document.title='pwned'\">"
            f"<img src='{address}'><iframe src='{address}'></iframe><link rel=stylesheet href='{address}'>"
        )
        page.write_text(page.read_text("utf-8").replace("<main>", "<main>" + injected), encoding="utf-8")
        dom, console = opened(page)
        assert received(server) == b""
    assert "pwned</title>" not in dom
    assert 'data-ready="true"' in dom
    assert any("Content Security Policy" in line for line in console)


def check_download(answer: dict[str, Any], report: ScanReport, folder: Path) -> None:
    report.to_csv(folder / "layers.csv")
    assert str(answer["csv"]).encode() == (folder / "layers.csv").read_bytes()
    assert re.fullmatch(r"[\w.-]+\.csv", str(answer["file"]))


@pytest.mark.parametrize(
    "name", ["hostile, spectra", *(pytest.param(name, marks=pytest.mark.slow) for name in ("seq2seq", "bert"))]
)
def test_download_is_the_csv(name: str, drawn: Drawn, tmp_path: Path) -> None:
    check_download(drawn(name)[1], PAGES[name](), tmp_path)


def test_table_sorts_filters_and_pages(tmp_path: Path) -> None:
    report = factory.mixture(2, 64)
    answer = asked(
        written(report, tmp_path),
        """
        const body = document.querySelector("#layers tbody");
        const first = (name) => body.querySelector(`tr td:nth-child(${1 + names.indexOf(name)})`).textContent;
        const heads = [...document.querySelectorAll("#layers th")];
        const names = heads.map((head) => head.dataset.column);
        const head = heads[names.indexOf("stable_rank")];
        const status = () => document.querySelector("#layers .pager [role=status]").textContent;
        const set = (node, value, event) => { node.value = value; node.dispatchEvent(new Event(event)); };
        answer.names = names;
        answer.lines = [body.rows.length, status()];
        const every = document.querySelector("#layers .tools button[aria-pressed]");
        answer.label = every.textContent;
        every.click();
        answer.pressed = every.getAttribute("aria-pressed");
        answer.drawn = body.rows.length;
        answer.start = status();
        head.querySelector("button").click();
        answer.sorts = [head.getAttribute("aria-sort"), first("stable_rank")];
        head.querySelector("button").click();
        answer.sorts.push(head.getAttribute("aria-sort"), first("stable_rank"));
        [...document.querySelectorAll("#layers .pager button")].pop().click();
        answer.second = status();
        const words = document.querySelector("#layers input");
        set(words, "experts.63. gate", "input");
        answer.found = status();
        set(words, "layer 1 stable_rank>9", "input");
        const roles = document.querySelector("#layers select");
        set(roles, [...roles.options].find((option) => option.text === "K").value, "change");
        answer.layer = [[...body.rows].map((line) => line.cells[0].textContent), location.hash];
        set(roles, "", "change");
        set(words, "no such name", "input");
        answer.none = [status(), body.rows.length];
        set(words, "", "input");
        const role = document.querySelector("#layers select");
        set(role, [...role.options].find((option) => option.text === "K").value, "change");
        answer.role = status();
        for (const group of document.querySelectorAll("details[data-status]")) group.open = true;
        """,
    )
    shown = "layer expert role rows cols frobenius_norm spectral_norm spectral_norm_upper stable_rank_lower stable_rank"
    rest = "inverse_stable_rank norm_ratio max_abs zeros nonfinite converged method passes dtype parameters tensors"
    assert answer["names"] == f"{shown} {rest}".split()
    assert answer["lines"] == [14, "1–14 of 14 lines, 392 matrices"]
    assert (answer["label"], answer["pressed"]) == ("Every expert", "true")
    assert (answer["drawn"], answer["start"]) == (100, "1–100 of 392")
    ranks = [row.spectrum.stable_rank for row in report.rows]
    down, highest, up, lowest = answer["sorts"]
    assert (down, up) == ("descending", "ascending")
    assert float(highest) == pytest.approx(max(ranks), rel=1e-5)
    assert float(lowest) == pytest.approx(min(ranks), rel=1e-5)
    assert answer["second"] == "101–200 of 392"
    assert answer["found"] == "1–2 of 2 with “experts.63.” in a name, role GATE"
    assert answer["none"][1] == 0
    assert str(answer["none"][0]).startswith(
        "No row matches “no” in a name, “such” in a name, “name” in a name. What can"
    )
    assert answer["layer"] == [["1"], "#filter=layer+1+stable_rank%3E9&role=K&experts=each"]
    assert answer["role"] == "1–2 of 2"


@pytest.mark.parametrize(
    ("name", "lines", "chip"),
    [
        ("hostile, spectra", ["Q", escape(factory.HOSTILE, quote=False), "finding: error"], 1),
        pytest.param("seq2seq", ["Q", "K", "V", "O", "M1", "M2"], 0, marks=pytest.mark.slow),
    ],
)
def test_heat_map_switches_and_colours_follow_the_role(name: str, lines: list[str], chip: int, drawn: Drawn) -> None:
    """Of the lines' roles that of the first ``chip``."""
    _, answer = drawn(name)
    first = next(row.spectrum for row in PAGES[name]().rows if row.matrix.role == "Q")
    before, after = answer["z"]
    assert 10**before == pytest.approx(first.stable_rank)
    assert 10**after == pytest.approx(first.frobenius_norm)
    assert answer["pressed"] == ["false", "false", "true"]
    colours: dict[str, str] = answer["colours"]
    assert list(colours) == lines
    red, green, blue = (int(colours[lines[chip]][i : i + 2], 16) for i in (1, 3, 5))
    assert answer["chip"] == f"rgb({red}, {green}, {blue})"


def test_an_address_opens_the_table_at_its_row(tmp_path: Path) -> None:
    """Whatever was filtered, in a group or not, on whichever page; by a link, or again by the same one."""
    report = factory.judged_mixture(2, 64)
    row = next(
        i for i, r in enumerate(report.rows) if (r.matrix.layer, r.matrix.expert, r.matrix.role) == (1, 37, "M2")
    )
    answer = asked(
        written(report, tmp_path),
        f"""
        const words = document.querySelector("#layers input");
        const look = () => [
          document.querySelector("#layers tr.marked td.c-expert")?.textContent,
          document.activeElement.className,
          document.activeElement.getAttribute("aria-expanded"),
          words.value,
        ];
        words.value = "no such name";
        words.dispatchEvent(new Event("input"));
        location.hash = "#m-{row}";
        dispatchEvent(new HashChangeEvent("hashchange"));
        answer.row = look();
        const box = document.querySelector("#layers tr.marked").getBoundingClientRect();
        answer.seen = box.top >= 0 && box.bottom <= innerHeight;
        answer.detail = document.querySelector("#layers tr.opened").innerText;
        answer.links = [...document.querySelectorAll("#layers tr.opened a")].map((a) => a.getAttribute("href"));
        document.activeElement.click();
        answer.closed = document.querySelectorAll("#layers tr.opened").length;
        const link = document.createElement("a");
        link.href = "#m-{row}";
        document.body.append(link);
        link.click();
        answer.again = look();
        location.hash = "#rule=untrained";
        dispatchEvent(new HashChangeEvent("hashchange"));
        answer.rule = document.querySelector("#layers .pager [role=status]").textContent;
        location.hash = "#m-999999";
        dispatchEvent(new HashChangeEvent("hashchange"));
        """
        + DOWNLOAD,
    )
    check_download(answer, report, tmp_path)
    there = ["37", "opener", "true", ""]
    assert (answer["row"], answer["again"], answer["closed"], answer["seen"]) == (there, there, 0, True)
    measured, detail = report.rows[row], str(answer["detail"])
    assert measured.digest in detail
    assert measured.matrix.tensors[0] in detail
    assert "A matrix that looks untrained: Its stable rank is" in detail
    assert f"{matrix_command(report, 'M2', 1)}\n" in detail
    low, high = (float(end) for end in re.findall(r"Stable rank\s+([\d.]+) to ([\d.]+)", detail)[0])
    assert low <= measured.spectrum.stable_rank_lower <= measured.spectrum.stable_rank <= high
    assert answer["links"] == ["#finding-0", "#layer-1-expert-37-M2", "#findings"]
    # Both layers' M2, of which one is still open.
    assert answer["rule"] == f"1–{2 + 64} of {2 + 64} lines, {2 * 64} matrices"


def test_experts_are_one_line_that_opens(tmp_path: Path) -> None:
    report = factory.mixture(2, 8)
    answer = asked(
        written(report, tmp_path),
        """
        const told = (cell) => [cell.className.split(" ")[0], cell.textContent];
        const cells = (line) => Object.fromEntries([...line.cells].map(told));
        const lines = () => [...document.querySelectorAll("#layers tbody tr")];
        const of = (role) => lines().find((line) => line.className === "group" && cells(line)["c-role"] === role);
        answer.group = cells(of("GATE"));
        of("GATE").querySelector("button").click();
        answer.focus = document.activeElement.textContent;
        answer.open = lines().filter((line) => line.className === "member").map((line) => cells(line)["c-expert"]);
        const words = document.querySelector("#layers input");
        words.value = "experts.3.";
        words.dispatchEvent(new Event("input"));
        answer.narrowed = [cells(of("GATE"))["c-expert"], lines().length];
        answer.waiting = [typeof Plotly, document.querySelectorAll(".plot").length];
        """,
    )
    ranks = [row.spectrum.stable_rank for row in report.rows if (row.matrix.layer, row.matrix.role) == (0, "GATE")]
    group: dict[str, str] = answer["group"]
    assert group["c-expert"] == "8 experts"
    assert group["c-tensors"] == "model.layers.0.mlp.experts.….gate.weight"
    middle, low, high = (float(end) for end in re.findall(r"[\d.]+", group["c-stable_rank"]))
    assert middle == pytest.approx(median(ranks), rel=1e-3)
    assert min(ranks) * 0.999 < low <= min(ranks) < max(ranks) <= high < max(ranks) * 1.001
    assert answer["open"] == [str(i) for i in range(8)]
    assert answer["focus"] == "GATE"
    assert answer["narrowed"] == ["1 of 8 experts", 7]  # six groups, one open with one expert
    assert answer["waiting"] == ["undefined", 3]  # for plots that are far from what is in sight


@pytest.mark.parametrize(
    "name",
    [
        "hostile, spectra",
        "all_nan",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("seq2seq", "bert", "judged", "mixture")),
    ],
)
def test_nothing_moves_when_the_plots_come(name: str, drawn: Drawn) -> None:
    """The room they take is kept from the first, so that no shift is left to see."""
    page, answer = drawn(name)
    hosts = re.findall(r'id="(plot-[\w-]+)" class="plot" style="height:(\d+)px"', page)
    assert [tuple(one) for one in answer["heights"] if one[0].startswith("plot-")] == hosts
    assert all(re.search(r"from [\d.]+ to [\d.]+", label) for label in answer["images"][: len(hosts)])
    assert int(str(answer["wide"])) <= 0


@pytest.mark.slow
def test_plots_wait_until_they_are_near_or_printed(drawn: Drawn) -> None:
    """Starting plotly.js takes longer than all the rest: what is at the top can be read before."""
    _, answer = drawn("seq2seq")
    assert answer["far"]
    assert answer["looks"] == [["undefined", 0], ["object", 6], ["object", 6]]
    assert answer["paper"] == [310] * 6
    assert answer["scripts"] == 3  # data, plotly.js as text, the page's


@pytest.mark.parametrize(
    ("name", "widths"), [("hostile, spectra", {650, 310}), pytest.param("bert", {650}, marks=pytest.mark.slow)]
)
def test_plots_fit_the_paper_and_the_screen_again(name: str, widths: set[int], drawn: Drawn) -> None:
    _, answer = drawn(name)
    paper: list[int] = answer["paper"]
    assert len(paper) >= 3
    assert set(paper) == widths  # two of the spectra lie side by side
    assert answer["screen"] == answer["again"]
    assert widths.isdisjoint(answer["screen"])
