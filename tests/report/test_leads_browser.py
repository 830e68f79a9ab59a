"""The page of a deep, damaged model in a browser: from what is drawn, or written in its address, to the matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import weightaudit
from tests.support.browser import asked, needs_chromium
from tests.support.damaged import EXPLODED, LAYERS, NAN, RANDOM, ZERO, damaged_model

pytestmark = [pytest.mark.browser, needs_chromium]
HIGH = 900
"""Of a window in which a page's first drawing is above the fold."""

LOOK = """
const look = () => ({
  hash: location.hash,
  opened: [...document.querySelectorAll("#layers .detail strong")].map((node) => node.textContent),
  command: document.querySelector("#layers .detail .command")?.textContent,
  status: document.querySelector("#layers .pager [role=status]").textContent,
  filter: document.querySelector("#layers input").value,
});
const moved = () => new Promise((end) => {
  addEventListener("hashchange", () => setTimeout(end), { once: true });  // after the page's own listener
  setTimeout(end, 50);
});
const go = async (hash) => { location.hash = hash; await moved(); return look(); };
"""
DRAWN = """
for (const node of document.querySelectorAll("#plots .plot")) {
  node.scrollIntoView({ behavior: "instant" });
  for (let i = 0; i < 1000 && !node._fullLayout; i++) await moved();
}
"""
MARKS = """
const plot = (name) => document.getElementById(`plot-${name}-0`).data;
for (const name of ["frobenius", "stable-rank", "heat"])
  answer[name] = Object.fromEntries(plot(name).map((trace) => [trace.name ?? "", trace.x]));
answer.hover = plot("frobenius").find((trace) => trace.name === "M1").hovertext[{EXPLODED}];
answer.words = plot("stable-rank").find((trace) => trace.text).text;
""".replace("{EXPLODED}", str(EXPLODED))
FILTERED = """
const type = (text) => {
  const words = document.querySelector("#layers input");
  words.value = text;
  words.dispatchEvent(new Event("input"));
  return look();
};
const steps = history.length;
answer.typed = type("layer 3 M1");
answer.steps = history.length - steps;
answer.none = type("layer 3 layer>4");
answer.wrong = type("stble>4");
answer.empty = type("");
answer.given = await go("#filter=layer+{RANDOM}+stable_rank%3E20");
answer.rule = await go("#rule=untrained");
answer.roled = await go("#filter=3-4&role=M2");
answer.place = await go("#layer-5-o");
answer.unknown = await go("#layer-999-O");
answer.beyond = await go("#m-99999");
answer.odd = await go("#filter=%E0%A4%A&role=nothing");
""".replace("{RANDOM}", str(RANDOM))
TEXT = """
answer.after = await go("#filter=" + encodeURIComponent("<img/src=x/onerror=document.title='pwned'>"));
answer.images = document.querySelectorAll("img").length;
answer.title = document.title;
"""
SCALED = """
const every = (selector) => [...document.querySelectorAll(selector)];
const look = () => ({
  axis: document.getElementById("plot-frobenius-0").layout.yaxis.type,
  other: document.getElementById("plot-stable-rank-0").layout.yaxis.type,
  cards: [...new Set(every('.drawn[data-figure="frobenius"] .scaled')
    .filter((one) => one.offsetHeight).map((one) => one.dataset.scale))],
  pressed: every('[data-scale-of="frobenius"] [aria-pressed="true"]').map((one) => one.textContent),
  words: document.querySelector("#summary .hint").innerText,
});
answer.before = look();
document.querySelector('.switches [data-scale-of="frobenius"] [data-scale="linear"]').click();
answer.linear = look();
document.querySelector('#plots [data-scale-of="frobenius"] [data-scale="log"]').click();
answer.again = look();
"""
CLICKED = """
const plot = document.getElementById("plot-heat-0");
plot.scrollIntoView({ behavior: "instant" });
const layout = plot._fullLayout;
const area = plot.querySelector(".nsewdrag");
const box = area.getBoundingClientRect();
const [clientX, clientY] = [box.left + layout.xaxis.d2p(30), box.top + layout.yaxis.d2p("K")];
const at = { bubbles: true, view: window, clientX, clientY };
area.dispatchEvent(new MouseEvent("mousemove", at));
await moved();
answer.leads = plot.classList.contains("leads");
area.dispatchEvent(new MouseEvent("mousedown", at));
document.dispatchEvent(new MouseEvent("mouseup", at));
for (let i = 0; i < 100 && !location.hash; i++) await moved();
answer.after = look();
"""
LED = """
const seen = [];
const click = async (name, pick) => {
  const plot = document.getElementById(`plot-${name}-0`);
  plot.emit("plotly_click", { points: [{ customdata: pick(plot.data) }] });
  await moved();
  seen.push(look());
};
const trace = (data, name) => data.find((one) => one.name === name);
await click("stable-rank", (data) => trace(data, "K").customdata[12]);
await click("frobenius", (data) => trace(data, "NaN or ∞, all zero").customdata[0]);
await click("heat", (data) => data[0].customdata[1][7]);
const cards = [...document.querySelectorAll(".profile")];
const drawing = cards.find((one) => one.querySelector(".role").textContent === "O").querySelector(
  ".scaled:not(.off) svg");
const { left, width, top } = drawing.getBoundingClientRect();
const clientX = left + width * (0.03 + (0.94 * {ZERO}) / {LAST});
drawing.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX, clientY: top + 5 }));
await moved();
seen.push(look());
answer.seen = seen;
""".replace("{ZERO}", str(ZERO)).replace("{LAST}", str(LAYERS - 1))
SAVED = """
const saved = [];
let blob;
URL.createObjectURL = (given) => { blob = given; return "data:,"; };
HTMLAnchorElement.prototype.click = function () { saved.push(this.download); };
const buttons = [...document.querySelectorAll("figure .save")];
answer.labels = buttons.map((one) => one.getAttribute("aria-label"));
buttons[0].click();
for (let i = 0; i < 200 && !saved.length; i++) await new Promise((end) => setTimeout(end, 25));
answer.saved = saved;
answer.type = blob.type;
answer.svg = await blob.text();
"""
NAVIGATED = """
const nav = document.querySelector("nav");
const drawing = document.querySelector(".drawn").getBoundingClientRect();
answer.fold = drawing.bottom <= innerHeight;
document.getElementById("table").scrollIntoView({ behavior: "instant" });
await new Promise((end) => setTimeout(end, 100));
answer.top = Math.round(nav.getBoundingClientRect().top);
answer.title = document.querySelector("#table h2").getBoundingClientRect().top >= nav.offsetHeight;
answer.current = [...nav.querySelectorAll("[aria-current]")].map((one) => one.textContent);
"""
WORST = """
let copied = "";
navigator.clipboard.writeText = async (text) => { copied = text; };
const copy = async (what) => {
  document.querySelector(`#layers .detail .${what} ~ .copy`).click();
  await moved();
  const said = ["copy", "hidden"].map((one) => `#layers .detail .${what} ~ .${one}`);
  return [copied, ...said.map((one) => document.querySelector(one).textContent)];
};
const [worst] = document.querySelectorAll(".worst a");
answer.says = worst.closest("li").textContent;
worst.click();
await moved();
answer.after = look();
answer.command = await copy("command");
answer.tensor = await copy("tensor");
navigator.clipboard.writeText = async () => { throw new Error("not allowed"); };
document.execCommand = () => false;
answer.selected = [...(await copy("command")).slice(1), getSelection().toString()];
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    report = weightaudit.scan(damaged_model(folder / "llama-40"))
    report.write(folder / "page.html")
    return folder / "page.html"


Answers = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def answers(page: Path) -> Answers:
    """What each of the scripts answers, one after the other in one window, each at the address without a place: first
    where the page's top is in sight, then where every chart has been drawn.
    """
    scripts = {
        "navigated": NAVIGATED,
        "worst": WORST,
        "marks": DRAWN + MARKS,
        "filtered": FILTERED,
        "text": TEXT,
        "scaled": SCALED,
        "clicked": CLICKED,
        "led": LED,
        "saved": SAVED,
    }
    each = (f"{{ const answer = (all.{name} = {{}});\n{one}\nawait go(''); }}" for name, one in scripts.items())
    return asked(page, f"{LOOK}\nconst all = answer;\n" + "\n".join(each), height=HIGH)


def test_the_worst_layer_its_matrix_and_its_command_in_two_clicks(answers: Answers) -> None:
    answer = answers["worst"]
    assert answer["says"] == f"error layer {EXPLODED} · M1: Weights of a size that no trained weight has"
    after = answer["after"]
    assert (after["hash"], after["opened"]) == (f"#layer-{EXPLODED}-M1", [f"layer {EXPLODED} · M1"])
    assert f"--roles M1 --layers {EXPLODED} " in after["command"]
    assert answer["command"] == [after["command"], "Copied", "The command was copied"]
    assert answer["tensor"] == [f"model.layers.{EXPLODED}.mlp.up_proj.weight", "Copied", "The tensor's name was copied"]
    assert answer["selected"] == ["Press Ctrl+C", "The command is selected: press Ctrl+C", after["command"]]


def test_charts_mark_what_was_found_and_what_has_no_number(answers: Answers) -> None:
    answer = answers["marks"]
    for name, drawn in (("frobenius", [EXPLODED]), ("stable-rank", [EXPLODED])):
        marks = answer[name]
        assert marks["finding: error"] == drawn
        assert set(marks["finding: warning"]) == {RANDOM}
        assert marks["NaN or ∞, all zero"] == [NAN, ZERO]
    heat = answer["heat"]
    assert (heat["NaN or ∞"], heat["all zero"], heat["finding: error"]) == ([NAN], [ZERO], [EXPLODED])
    assert "<b>error</b>: Weights of a size that no trained weight has" in answer["hover"]
    assert [word.strip() for word in answer["words"]] == ["NaN or ∞", "all zero"]
    assert "random 64 × 64: 16.0" in answer["stable-rank"]


def test_points_cells_and_cards_lead_to_their_matrices(answers: Answers) -> None:
    answer = answers["led"]
    hashes = [one["hash"] for one in answer["seen"]]
    assert hashes == ["#layer-12-K", f"#layer-{NAN}-M2", "#layer-7-K", f"#layer-{ZERO}-O"]
    assert f"layer {ZERO} · O" in answer["seen"][-1]["opened"]


def test_a_click_on_a_drawn_point_is_one_on_its_matrix(answers: Answers) -> None:
    """By the mouse, through what plotly makes of it."""
    answer = answers["clicked"]
    assert answer["leads"]
    assert answer["after"]["hash"] == "#layer-30-K"


def test_the_filter_is_in_the_address_and_the_address_in_the_filter(answers: Answers) -> None:
    answer = answers["filtered"]
    assert (answer["typed"]["hash"], answer["typed"]["status"]) == (
        "#filter=layer+3+M1",
        "1–1 of 1 with layer 3, role M1",
    )
    assert answer["steps"] == 0
    assert answer["none"]["status"].startswith("No row matches layer 3, layer > 4. What can be typed: layer 3 ·")
    assert answer["wrong"]["status"].startswith("No column is called stble; the nearest are ")
    assert answer["empty"]["hash"] == ""
    assert answer["given"]["filter"] == f"layer {RANDOM} stable_rank>20"
    assert answer["given"]["status"] == f"1–4 of 4 with layer {RANDOM}, stable_rank > 20"
    assert answer["rule"]["status"] == "1–8 of 8"
    assert answer["roled"]["status"] == "1–2 of 2 with layer 3-4"
    assert "layer 5 · O" in answer["place"]["opened"]
    assert answer["unknown"]["opened"] == answer["place"]["opened"]
    assert answer["unknown"]["status"] == "There is no layer 999 O in this report"
    assert answer["beyond"]["status"] == "There is no row 99999 in this report"
    assert answer["odd"]["status"].startswith("No row matches")


def test_the_page_opens_where_its_address_says(page: Path) -> None:
    answer = asked(page, LOOK + "answer.seen = look();", place=f"#filter=layer+{RANDOM}&role=M1")
    assert (answer["seen"]["filter"], answer["seen"]["status"]) == (f"layer {RANDOM}", f"1–1 of 1 with layer {RANDOM}")


@pytest.mark.slow
def test_the_page_opens_at_the_matrix_that_its_address_says(page: Path) -> None:
    answer = asked(page, LOOK + "answer.seen = look();", place=f"#layer-{ZERO}-O")
    assert answer["seen"]["opened"] == [f"layer {ZERO} · O"]


def test_a_scale_is_chosen_once_for_cards_and_chart(answers: Answers) -> None:
    answer = answers["scaled"]
    before, linear = answer["before"], answer["linear"]
    assert (before["axis"], before["cards"], before["pressed"]) == ("log", ["log"], ["Logarithmic"] * 2)
    assert (linear["axis"], linear["cards"], linear["pressed"]) == ("linear", ["linear"], ["Linear"] * 2)
    assert "Frobenius norms on a logarithmic scale" in before["words"]
    assert "Frobenius norms from zero" in linear["words"]
    assert linear["other"] == before["other"] == "log"
    assert answer["again"] == before


def test_a_chart_is_saved_as_svg(answers: Answers) -> None:
    answer = answers["saved"]
    titles = ("Frobenius norm by layer", "Stable rank by layer", "Role by layer")
    assert answer["labels"] == [f"Save as SVG: {title}" for title in titles]
    assert answer["saved"] == ["llama-40-frobenius-0.svg"]
    assert answer["type"] == "image/svg+xml"
    assert answer["svg"].startswith("<svg ")
    assert ">finding: error</text>" in answer["svg"]


def test_navigation_stays_in_sight_and_a_drawing_is_above_the_fold(answers: Answers) -> None:
    answer = answers["navigated"]
    assert (answer["fold"], answer["top"], answer["title"]) == (True, 0, True)
    assert answer["current"] == ["Every matrix"]


def test_what_an_address_says_stays_text(answers: Answers) -> None:
    answer = answers["text"]
    assert answer["images"] == 0
    assert "pwned" not in answer["title"]
    assert "<img/src" in answer["after"]["filter"]
