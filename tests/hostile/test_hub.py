"""A Hub whose models, listings and sizes are hostile: what a file on a disk cannot say."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.attack import Attack
from tests.hostile.texts import BIDI, ESCAPE, HTML
from tests.support import forge
from tests.support.covering import in_turn, some_of
from tests.support.hub import SHA, Answer, Hub, Request, faults, folder_files, pointed_at, serve
from tests.support.hub.answers import as_json
from tests.support.impatience import shorten_pauses
from tests.support.safetensors_files import entry, packed
from tests.support.torch_files import Applied, archive, tensor, torch_zip

CONFIG = json.dumps({"model_type": forge.UNKNOWN}).encode()
NAME = forge.LAYER + forge.ROLES["Q"]
ID = "org/evil"
Fault = Callable[[Request, Answer], "Answer | None"]
Served = Callable[..., Any]


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """``with serving({name: bytes}) as hub``: a model org/evil of these files. Nothing outside its home is written."""
    shorten_pauses(monkeypatch)
    home = tmp_path / "home" / "of" / "the" / "cache"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    top = tmp_path / "home"
    kept = set(top.rglob("*"))

    @contextmanager
    def start(files: dict[str, bytes | Path]) -> Iterator[Hub]:
        with serve({ID: files}) as hub, pointed_at(hub.url, home):
            yield hub

    yield start
    assert all(path.is_relative_to(home) for path in set(top.rglob("*")) - kept)


@pytest.fixture
def honest(model: Path) -> dict[str, bytes | Path]:
    return dict(folder_files(forge.write_model(model)))


HEADERS: dict[str, tuple[bytes, str]] = {
    "offsets beyond the file": (packed({NAME: entry(shape=[2, 3], end=24)}, bytes(23)), "cut short"),
    "overlap": (packed({NAME: entry(end=4), "b": entry(end=4)}, bytes(4)), "overlaps"),
    "a header of 101 MB": (packed(b"{", bytes(99), length=101_000_000), "over the format's limit"),
    "a header longer than the file": (packed(b"{", bytes(99), length=99_000_000), "cut short"),
    "a pickle": (b"\x80\x04K\x01.", "Python pickle"),
    "nothing": (b"", "empty"),
}


@pytest.mark.parametrize("what", some_of(HEADERS, "offsets beyond the file", "a header of 101 MB", "a pickle"))
def test_lying_headers(what: str, attack: Attack, serving: Served) -> None:
    content, says = HEADERS[what]
    with serving({"config.json": CONFIG, "model.safetensors": content}) as hub:
        attack.refused(ID, f"{ID}/model.safetensors", says)
        assert hub.sent("cdn") < 1000


@pytest.mark.parametrize("download", [False, True])
def test_a_pickle_on_the_hub_is_not_executed(download: bool, attack: Attack, serving: Served, tmp_path: Path) -> None:
    canary = tmp_path / "home" / "canary"
    content = torch_zip({NAME: tensor(), "z": Applied(os.system, f"touch '{canary}'")})
    with serving({"config.json": CONFIG, "pytorch_model.bin": content, "modeling_evil.py": b"raise SystemExit"}):
        words = ("--download",) * download
        attack.refused(ID, "pytorch_model.bin", "contains code", "Nothing of it was executed", words=words)
    assert not canary.exists()


@pytest.mark.parametrize("record", some_of(["data.pkl", "data/9"], "data/9"))
def test_a_bomb_on_the_hub_is_not_fetched(record: str, attack: Attack, serving: Served) -> None:
    bomb = archive({"data.pkl": b".", "version": b"3\n", record: bytes(5_000_000)}, compression=zipfile.ZIP_DEFLATED)
    with serving({"config.json": CONFIG, "pytorch_model.bin": bomb}) as hub:
        attack.refused(ID, "pytorch_model.bin", "is compressed")
        assert hub.sent("cdn") < 2000


OUTSIDE = [
    "../model.safetensors",
    "/model.safetensors",
    "/etc/model.safetensors",
    "sub/model.safetensors",
    "a/../model.safetensors",
]
STEERING = [
    "..\\model.safetensors",
    "C:model.safetensors",
    ESCAPE + ".safetensors",
    BIDI + ".safetensors",
    "a\nb.safetensors",
]
WAYS: list[tuple[str, ...]] = [(), ("--download",)]
"""Streamed, and downloaded."""
BESIDE = [("C:model.safetensors", ("--download",))]
"""A path that is one on some systems; downloaded, so that it would be written."""


@pytest.mark.parametrize(("name", "words"), in_turn(OUTSIDE, WAYS), ids=ascii)
def test_files_outside_the_top_level_are_no_files_of_the_model(
    name: str, words: tuple[str, ...], attack: Attack, serving: Served, honest: dict[str, bytes | Path]
) -> None:
    weights = honest.pop("model.safetensors")
    with serving({**honest, name: weights}):
        attack.refused(ID, "no weights found", words=words)


@pytest.mark.parametrize(("name", "words"), in_turn(STEERING, WAYS), ids=ascii)
def test_names_that_lead_elsewhere_or_steer(
    name: str, words: tuple[str, ...], attack: Attack, serving: Served, honest: dict[str, bytes | Path]
) -> None:
    weights = honest.pop("model.safetensors")
    with serving({**honest, name: weights}):
        attack.refused(ID, "not a plain file name", words=words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param(name, words, marks=[pytest.mark.slow] * ((name, words) not in BESIDE))
        for name in STEERING
        for words in WAYS
    ],
    ids=ascii,
)
def test_such_names_beside_good_weights_harm_nothing(
    name: str, words: tuple[str, ...], attack: Attack, serving: Served, honest: dict[str, bytes | Path]
) -> None:
    with serving({**honest, name: honest["model.safetensors"]}):
        assert len(attack.scanned(ID, words=words).csv) == 3


def test_markup_in_names_of_files(attack: Attack, serving: Served, honest: dict[str, bytes | Path]) -> None:
    weights = honest.pop("model.safetensors")
    name = HTML.replace("/", "") + ".safetensors"
    with serving({**honest, name: weights, HTML.replace("/", "") + ".bin": b"x"}):
        outputs = attack.scanned(ID)
    assert outputs.json["source"]["files"][0]["name"] == name
    assert "<img" not in outputs.page.read_text("utf-8").split("<script", 1)[0]


@pytest.mark.parametrize(
    ("name", "words"),
    in_turn(["../x.safetensors", "/x.safetensors", "..\\x.safetensors", "https://evil/x.safetensors"], WAYS),
    ids=ascii,
)
def test_an_index_that_leads_elsewhere(
    name: str, words: tuple[str, ...], attack: Attack, serving: Served, model: Path
) -> None:
    weight_map = forge.write_shards(model)
    forge.write_index(model, {**weight_map, NAME: name})
    with serving({**folder_files(model), name: b""}) as hub:
        attack.refused(ID, "model.safetensors.index.json", "not a plain file name", words=words)
        assert not hub.asked("cdn")


def instead(change: Callable[[dict[str, Any]], Any]) -> Fault:
    """What the Hub says of the model, changed."""

    def fault(request: Request, answer: Answer) -> Answer | None:
        if request.server != "hub" or not request.path.startswith("/api/models/"):
            return None
        said = {"id": ID, "sha": SHA, "siblings": [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}]}
        return as_json(change(said))

    return fault


LISTINGS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a commit that is a path": (lambda said: {**said, "sha": "../../../etc"}, "is not the Hub"),
    "a commit with an escape": (lambda said: {**said, "sha": ESCAPE}, "is not the Hub"),
    "a commit that is a number": (lambda said: {**said, "sha": 7}, "is not the Hub"),
    "an id that is a path": (lambda said: {**said, "id": "../../etc"}, "is not the Hub"),
    "an id with a query": (lambda said: {**said, "id": "org/evil?x="}, "is not the Hub"),
    "an id elsewhere": (lambda said: {**said, "id": "//evil.example/x"}, "is not the Hub"),
    "no object": (lambda said: [said], "is not the Hub"),
    "files that are no list": (lambda said: {**said, "siblings": {"a": 1}}, "is not the Hub"),
    "files that are no files": (lambda said: {**said, "siblings": [1, None, {"rfilename": 7}, []]}, "no weights found"),
    "no files": (lambda said: {**said, "siblings": None}, "no weights found"),
    "files that are not there": (
        lambda said: {**said, "siblings": [{"rfilename": "config.json"}, {"rfilename": "pytorch_model.bin"}]},
        "pytorch_model.bin",
    ),
}


@pytest.mark.parametrize(
    "what",
    some_of(
        LISTINGS,
        *("a commit that is a path", "a commit that is a number", "an id elsewhere", "no object"),
        *("files that are no files", "files that are not there"),
    ),
)
def test_a_hub_whose_listing_lies(what: str, attack: Attack, serving: Served, honest: dict[str, bytes | Path]) -> None:
    change, says = LISTINGS[what]
    with serving(honest) as hub:
        hub.faults.append(instead(change))
        attack.refused(ID, says)


@pytest.mark.parametrize(
    ("size", "suffix"),
    [
        *some_of(
            product(
                ["0", "100", "1000000", str(2**62), "9" * 4000, "-1", "0x40", "1e3", "٣"],
                [".safetensors", "config.json"],
            ),
            *[("0", ".safetensors"), ("1000000", "config.json"), ("9" * 4000, ".safetensors"), ("٣", "config.json")],
        ),
        ("", ".safetensors"),
        ("", "config.json"),
    ],
    ids=ascii,
)
def test_a_hub_that_lies_about_a_size(
    size: str, suffix: str, attack: Attack, serving: Served, honest: dict[str, bytes | Path]
) -> None:
    with serving(honest) as hub:
        hub.faults.append(
            faults.alter(
                {"X-Linked-Size": size}, where=faults.Where(server="hub", method="HEAD", suffix=suffix), times=None
            )
        )
        done = attack.run("scan", ID, "--max-wait", "5")
    # Without it a small file has the length that its answer has.
    assert done.code == (0 if (size, suffix) == ("", "config.json") else 3)
    assert "This is a bug" not in done.stderr
    assert all(line.isprintable() for line in done.stderr.split("\n"))
