"""Names that are commands of a CI service: whatever command shows them, no line of either stream is one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.support.covering import in_turn, some_of
from tests.support.pictures import draw_coarsely, draw_few
from tests.support.running import CommandLine, Outcome

WORD = "::error::x"
NAMES = (
    " ".join([WORD] * 30),  # wherever it is wrapped
    f"a\n{WORD}",
    f"a\r{WORD}",
    f"\x85{WORD}",
    "##[error]x ##vso[task.complete]x",
    "section_start:1:x\r\x1b[0Ka\x1b[2J\u202e",
)
TENSORS = (NAMES[0], NAMES[4], f"a\u2028{WORD}\u202e")
"""Of safetensors files, which may hold no control characters."""
ANNOTATION = re.compile(r"::(error|warning|notice) title=[^:,]*(,file=[^:,]*)?::[^:]")

pytestmark = pytest.mark.skipif("\\" in str(Path("a/b")), reason="Windows has no such file names")


@pytest.fixture
def hostile(tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> Path:
    """A BERT in a directory, and with tensors, of such names; each of them has an entry that is no number."""
    folder = Path(shutil.copytree(tiny_checkpoints["bert"], tmp_path / f"{WORD} ##[error]\n{WORD}"))
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    for name in TENSORS:
        tensors[name] = torch.full((4, 4), torch.nan)
        tensors[f"layers.0.{name}.q_proj.weight"] = torch.full((4, 4), torch.nan)
        tensors[f"bert.encoder.layer.0.attention.self.query.{name}"] = torch.zeros(4)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    (folder / f"{WORD}\n{WORD}.bin").write_bytes(b"x")
    return folder


def check(done: Outcome, annotations: int = 0, *, traceback: bool = False) -> None:
    """No unasked traceback and no bug, and as many commands as were meant."""
    commands = 0
    for text in (done.stdout, done.stderr):
        assert all(c.isprintable() or c in "\n\t" for c in text), [c for c in text if not c.isprintable()]
        assert not re.search(r"##[^\s#]", text)
        for line in text.split("\n"):
            if line.lstrip().startswith("::"):
                commands += 1
                assert ANNOTATION.match(line), line
    assert commands == annotations
    assert ("Traceback" in done.stderr) == traceback
    assert "This is a bug" not in done.stderr


@pytest.mark.parametrize("drawn", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_scan(
    drawn: bool, weightaudit: CommandLine, hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_coarsely(monkeypatch)
    draw_few(monkeypatch)
    out = tmp_path / f"{WORD}\n{WORD}.json"
    figures = ("--figures", tmp_path / f"{WORD}\n{WORD}") if drawn else ()
    done = weightaudit("scan", hostile, "--json", out, *figures, "--fail-on", "warning")
    check(done)
    assert done.code == 1
    assert len(done.stderr.splitlines()) == 2 + drawn  # each of its messages is one line
    for kind in ("json", "sarif"):
        shown = weightaudit("scan", hostile, "--format", kind)
        check(shown)
        if kind == "json":
            assert json.loads(shown.stdout) == json.loads(out.read_text("utf-8"))
        else:
            assert json.loads(shown.stdout)["runs"]
    findings = json.loads(out.read_text("utf-8"))["findings"]
    assert len(findings) < 10
    check(weightaudit("scan", hostile, "--format", "github"), annotations=len(findings))


def test_archs_and_rules(weightaudit: CommandLine, hostile: Path) -> None:
    done = weightaudit("archs", "--check", hostile)
    check(done)
    assert "error" in done.stdout
    for word in NAMES:
        check(weightaudit("archs", word))
        check(weightaudit("rules", word))


def test_compare(weightaudit: CommandLine, hostile: Path, tmp_path: Path) -> None:
    done = weightaudit("compare", hostile, hostile, "--out", tmp_path / f"{WORD}\n{WORD}")
    check(done)
    assert done.code == 0


def test_batch(weightaudit: CommandLine, hostile: Path, tmp_path: Path) -> None:
    models, out = tmp_path / "list.txt", tmp_path / f"{WORD}\n{WORD}"
    lone = tmp_path / WORD
    lone.mkdir()
    (lone / "model.safetensors").write_bytes(b"x")
    link = tmp_path / f"{WORD} ##[x]"
    link.symlink_to(hostile)
    models.write_text(f'{lone}\n"{link}"\n{tmp_path}/none/{WORD}\n')
    done = weightaudit("batch", models, "--out", out, "--workers", "0")
    check(done)
    assert done.code == 1
    assert len(done.stderr.splitlines()) == 4
    again = weightaudit("batch", models, "--out", out, "--workers", "0", "--quiet", "--fail-on", "info")
    check(again)
    check(weightaudit("batch", "--merge", out, "--out", tmp_path / f"m{WORD}"))
    # A directory that a stranger made: reasons and titles are whatever he likes.
    for path in out.glob("*/outcome.json"):
        outcome = json.loads(path.read_text("utf-8"))
        if outcome["status"] == "failed":
            path.write_text(json.dumps({**outcome, "reason": f"a\n{WORD}\x1b[2J ##[x]"}))
    told = weightaudit("batch", models, "--out", out, "--workers", "0")
    check(told)
    models.write_text(f"{WORD} roles={WORD}\n{WORD}\x85\n##[x] {WORD}=1\n")
    check(weightaudit("batch", models, "--out", out, "--workers", "0"))


def test_paper(weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightaudit.paper.png.DPI", 14)  # nobody looks at it
    out = tmp_path / f"{WORD}\n{WORD}"
    done = weightaudit(
        "paper", "table1", "--offline", "--bert", " ".join([WORD] * 20), "--phi-2", NAMES[1], "--out", out
    )
    check(done)
    assert "error" in done.stdout
    check(weightaudit("paper", WORD, "--out", out))


def shards(folder: Path, name: str) -> None:
    index = {"metadata": {}, "weight_map": {"a": name, name: "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def config(folder: Path, name: str) -> None:
    known = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**known, "model_type": name, "architectures": [name]}))


def sizes(folder: Path, name: str) -> None:
    known = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**known, "hidden_size": name, "num_hidden_layers": name}))


def broken(folder: Path, name: str) -> None:
    (folder / "model.safetensors").write_bytes(name.encode() * 9)


@pytest.mark.parametrize(
    ("spoil", "name"), in_turn([shards, config, sizes, broken], [NAMES[1], NAMES[5], NAMES[4], WORD])
)
def test_models_that_cannot_be_read(
    weightaudit: CommandLine, hostile: Path, spoil: Callable[[Path, str], None], name: str
) -> None:
    spoil(hostile, name)
    check(weightaudit("archs", "--check", hostile))
    done = weightaudit("scan", hostile, "--debug")
    check(done, traceback=done.code == 3)


OPTIONS = ("--roles", "--layers", "--method", "--device", "--ignore", "--memory", "--seed", "--format", "--fail-on")


@pytest.mark.parametrize("name", some_of(NAMES, NAMES[1], NAMES[5]))
def test_words_of_the_command_line(weightaudit: CommandLine, name: str, tiny_checkpoints: dict[str, Path]) -> None:
    for option in OPTIONS:
        done = weightaudit("scan", tiny_checkpoints["bert"], f"{option}={name}")
        check(done)
        assert done.code == 2, option
        assert len(done.stderr.splitlines()) == 1, option
    for words in ([name], ["scan", "x", name], [f"--{name}"], ["scan", f"--{name}"], ["scan", f"./{name}"]):
        done = weightaudit(*words)
        check(done)
        assert len(done.stderr.splitlines()) == 1, words
    check(weightaudit("scan", "a/b", "--offline", "--revision", name))
    check(weightaudit("scan", name, "--offline"))
