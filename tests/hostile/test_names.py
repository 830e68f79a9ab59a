"""Names made to be believed: what steers a terminal, a page, a spreadsheet or a reader of JSON, in every place that a
model can put a name.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.hostile.attack import Attack, Outputs
from tests.hostile.texts import BIDI, EMOJI, ESCAPE, FORMULA, HTML, JS, LONG, QUOTES, WIDE
from tests.support import forge
from tests.support.browser import DOCUMENT, asked, needs_chromium

COMPONENTS = (HTML, JS, BIDI, FORMULA, QUOTES, WIDE, LONG, EMOJI, "+1", "-1", "@x")
PLACES = ("wte.weight", "wpe.weight", "token_type_embeddings.weight", "lm_head.weight")


def plain(component: str) -> str:
    # A dot would end the component.
    return component.replace(".", "_")


def hostile_tensors() -> dict[str, torch.Tensor]:
    """Every component in the middle of names that are analysed, and at the start of one that is not, or is."""
    stored: dict[str, torch.Tensor] = {}
    for i, component in enumerate(COMPONENTS):
        for j, projection in enumerate(forge.ROLES.values()):
            stored[f"layers.{len(stored)}.{plain(component)}.{projection}"] = torch.full((2 + i, 2 + j), 0.5)
        stored[f"{component}.unmapped.weight"] = torch.ones(2, 2)
    for component, place in zip((FORMULA, WIDE, "@x", "-1+1"), PLACES, strict=True):
        stored[f"{component}.{place}"] = torch.ones(3 + len(stored), 2)
    return stored


@pytest.fixture(scope="module")
def scanned() -> dict[str, Outputs]:
    """Filled by the first test that asks, as what it takes belongs to a test."""
    return {}


@pytest.fixture
def hostile(scanned: dict[str, Outputs], attack: Attack, model: Path) -> Outputs:
    """A scan of a model with such names of tensors, type and directory, for all tests here."""
    if not scanned:
        scanned["it"] = hostile_scan(attack, model)
    return scanned["it"]


def hostile_scan(attack: Attack, model: Path) -> Outputs:
    directory = model / (HTML.replace("/", "∕")[:120] + ESCAPE + BIDI + FORMULA.replace("/", "∕"))
    directory.mkdir()
    forge.write_model(directory, hostile_tensors())
    forge.write_config(directory, {"model_type": (HTML + ESCAPE)[:200]})
    return attack.scanned(directory)


def test_names_of_tensors_stay_data_in_csv_and_json(hostile: Outputs) -> None:
    names = set(hostile_tensors())
    assert {entry["tensor"] for entry in hostile.json["coverage"]} == names
    analysed = {name for name in names if "unmapped" not in name}
    assert {row["tensors"] for row in hostile.json["layers"]} == analysed
    # In the CSV a name that a spreadsheet would run has an apostrophe before it, and is the same but for that.
    told = [row["tensors"] for row in hostile.csv]
    assert sorted(name.replace("'", "") for name in told) == sorted(name.replace("'", "") for name in analysed)
    for row in hostile.csv:
        for cell in (row["model"], row["tensors"]):
            assert not re.search(r"(^|[;\"\r\n])[=+\-@\t\uff0b\uff0d\uff1d\uff20]", cell)
    starts = {name[0] for name in analysed}
    assert {"=", "@", "\uff1d"} <= starts  # or nothing was shown


def test_the_model_s_own_name_is_printable_wherever_it_is_told(hostile: Outputs) -> None:
    name = hostile.json["model"]
    assert name.isprintable()
    assert "\\x1b[2J" in name
    assert {row["model"].lstrip("'") for row in hostile.csv} == {name}
    assert "GUESSED" in hostile.stderr


class Page(HTMLParser):
    """The page's start tags and the text outside its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1] not in ("script", "style"):
            self.text += data


def test_the_page_has_no_element_of_a_name(hostile: Outputs) -> None:
    page = Page(hostile.page.read_text("utf-8"))
    assert page.tags.count("script") == 3
    assert page.tags.count("title") == 1
    assert "img" not in page.tags
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "onerror" in page.text
    steering = {c for c in page.text if not c.isprintable() and c != "\n"}
    assert steering == set()


@needs_chromium
@pytest.mark.browser
def test_the_page_runs_nothing_of_a_name(hostile: Outputs) -> None:
    dom = asked(hostile.page, DOCUMENT)["document"]
    assert 'data-ready="true"' in dom
    title = re.search(r"<title>([^<]*)</title>", dom)
    assert title
    assert title[1].endswith("· weightaudit")
    assert "<img" not in dom
    assert not any(c in dom for c in "\u202e\u2066\u200f\x1b\x07")


def test_a_progress_bar_shows_no_name_raw(attack: Attack, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, where the bar itself is made of escapes: those of the names are looked for."""
    directory = model / ("m" + ESCAPE + BIDI)
    directory.mkdir()
    forge.write_model(directory, {f"{BIDI}.layers.0.[red]{forge.ROLES['Q']}": torch.ones(3, 2)})
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    done = attack.run("scan", directory)
    assert done.code == 0
    assert "\\u202eevil" in done.stderr  # the bar was there, and its markup is no markup
    assert "[red]" in done.stderr
    for raw in ("\x1b[2J", "\x1b]0;", "\x07", "\u202e", "\u2066", "\r\nweightaudit"):
        assert raw not in done.stdout + done.stderr


NAMES = [HTML.replace("/", ""), BIDI]
MORE = ["-rf", FORMULA.replace("/", ""), "n" * 200, "~", "a b"]
"""Of which tensors' names, folders' or the addresses of `tests/source` have what matters in each run."""


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_names_of_weight_files(name: str, attack: Attack, model: Path) -> None:
    forge.write_model(model)
    (model / "model.safetensors").rename(model / f"{name}.safetensors")
    if name.isprintable():
        outputs = attack.scanned(model)
        assert outputs.json["source"]["files"][0]["name"] == f"{name}.safetensors"
        assert name in Page(outputs.page.read_text("utf-8")).text
    else:
        attack.refused(model, "not a plain file name")
    # Named by the user it is read, whatever it is called.
    outputs = attack.scanned(model / f"{name}.safetensors")
    assert len(outputs.csv) == 3


def test_names_of_other_files_beside_the_weights(attack: Attack, model: Path) -> None:
    forge.write_model(model)
    for name in (ESCAPE + ".bin", BIDI + ".gguf", BIDI + ".pt", "<img src=x onerror=alert(1)>.pt", "n" * 240 + ".bin"):
        (model / name).write_bytes(b"\x80")
    outputs = attack.scanned(model)
    assert "<img" not in outputs.page.read_text("utf-8").split("<script", 1)[0]
    (model / "model.safetensors").unlink()
    attack.refused(model, "several weight files", "\\x1b[2J", "\\u202e")


def test_a_directory_whose_name_is_no_text(attack: Attack, model: Path) -> None:
    directory = Path(str(model) + "/m\udcff\udc80")  # bytes that are no UTF-8, as Python spells them
    try:
        directory.mkdir()
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system has no such names")
    outputs = attack.scanned(forge.write_model(directory))
    assert outputs.json["model"] == "m\\udcff\\udc80"


def test_names_in_messages(attack: Attack, model: Path) -> None:
    """A tensor's name is told in errors of every room; here of the map, which knows its shape is wrong."""
    forge.write_model(model, {f"{BIDI}.layers.0.{HTML}": torch.ones(2, 2)})
    attack.refused(model, "\\u202eevil", "could be mapped")
    forge.write_config(model, {"model_type": "bert", "hidden_size": 5, "architectures": [ESCAPE]})
    attack.refused(model, "\\u202eevil")


def test_metadata_of_a_header_is_never_told(attack: Attack, model: Path) -> None:
    forge.write_config(model)
    save_file(forge.tensors(), model / "model.safetensors", metadata={HTML + ESCAPE: HTML + ESCAPE, "format": "pt"})
    outputs = attack.scanned(model)
    assert "pwned" not in json.dumps(outputs.json)
    assert "pwned" not in outputs.page.read_text("utf-8")
