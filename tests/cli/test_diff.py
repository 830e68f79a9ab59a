"""`weightaudit diff`: what is asked for is passed on, outputs are checked before a byte is read, the exit code is that
of the findings, and the summary says which models, what was found and what became of each role.
"""

from __future__ import annotations

import csv
import inspect
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.cli.disks import refusing
from tests.support.covering import some_of
from tests.support.running import CommandLine
from weightaudit.cli.diff_summary import diff_text
from weightaudit.cli.terminal import TerminalStyle
from weightaudit.config import NOT_OF_A_DIFFERENCE, AuditConfig
from weightaudit.errors import MappingError, OutputError
from weightaudit.records import Change, DiffResult, DiffSummary, Finding, Kind, ModelIdentity, Place, RankFacts

Asked = list[tuple[tuple[Any, ...], dict[str, Any]]]
BASE, DERIVED = ModelIdentity("org/base", "0" * 40, "hub", ()), ModelIdentity("tuned", "", "tuned", ())


def change(role: str, layer: int | None, kind: Kind, relative: float, rank: int | None = None) -> Change:
    name = f"h.{layer}.{role or 'bias'}"
    shape = (8, 8) if role else (8,)
    ranks = RankFacts(rank, 1.0, (1.0,), 0.1, 0.3) if rank else None
    place = Place("", layer, None, role) if role else Place()
    return Change(place, (name,), (name,), shape, shape, "float32", "float32", kind, None, relative, ranks=ranks)


def result(**more: Any) -> DiffResult:
    changes = (
        *(change("Q", layer, "low rank", 0.01 * (1 + layer), 8) for layer in range(3)),
        *(change("M1", layer, "unchanged", 0.0) for layer in range(2)),
        change("M1", 2, "dense", 0.5),
        change("", 1, "unchanged", 0.0),
    )
    summary = DiffSummary(6, 1, {"low rank": 3, "unchanged": 2, "dense": 1}, {"unchanged": 1}, 0.1, 0.5, False)
    plain = DiffResult(BASE, DERIVED, "gpt2", changes, (), summary, {}, {"weightaudit": "1"})
    return replace(plain, **more)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the command asks for, which is answered at once."""
    return answering(monkeypatch, result)


def answering(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], DiffResult]) -> Asked:
    asked: Asked = []

    def diff_models(*words: Any, **options: Any) -> DiffResult:
        asked.append((words, options))
        return answer()

    monkeypatch.setitem(sys.modules, "weightaudit.pairs.diff", cast(Any, SimpleNamespace(diff_models=diff_models)))
    return asked


def test_what_is_asked_is_passed_on(weightaudit: CommandLine, asked: Asked) -> None:
    words = ("--roles", "Q", "--tol", "0.1", "--memory", "2GB", "--offline", "--directions")
    parents = ("--parents", "P", "--parents", "org/q@v1")
    assert weightaudit("diff", "org/base@v1", "tuned", *words, *parents, "--quiet").code == 0
    ((base, derived, config), options) = asked[0]
    assert (base, derived) == ("org/base@v1", "tuned")
    assert config == AuditConfig(roles=("Q",), tol=0.1, memory=2 * 10**9, offline=True)
    expected = {"parents": ["P", "org/q@v1"], "adapter": None, "directions": True, "intruders": False}
    assert options == {**expected, "progress": False}
    assert weightaudit("diff", "a", "b", "--adapter", "c", "--intruders").code == 0
    assert asked[1][1] == {**expected, "parents": [], "adapter": "c", "directions": False, "intruders": True} | {
        "progress": True
    }


@pytest.mark.parametrize("option", ["--spectrum", "--base=x", "--min-coverage=1", "--baseline=x", "--revision=v1"])
def test_options_of_one_model_are_none_of_two(option: str, weightaudit: CommandLine, asked: Asked) -> None:
    done = weightaudit("diff", "a", "b", option)
    assert (done.code, "No such option" in done.stderr, asked) == (2, True, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a",), "Missing argument 'derived'"),
        (("a", "b", "--adapter", "c", "--parents", "d"), "--adapter: it is asked beside --parents"),
        (("a", "b", "--out", "r.txt"), "'.txt' is no report format"),
        (("a", "b", "--csv", "nowhere/r.csv"), "there is no directory"),
        (("a", "b", "--csv", "r.csv", "--out", "r.csv"), "named for two outputs"),
        (("a", "b", "--ignore", "no-such-rule"), "there is no such rule here"),
        (("a", "b", "--ignore", "untrained"), "lists those of scan and those of diff"),
        (("a", "b", "--severity", "diff-lora=bad"), "Write for example diff-not-merged=error"),
        (("a", "b", "--ignore", "diff-lora:tensor="), "for example diff-lora:POOLER"),
        (("a", "b", "--format", "html"), "'html' is not one of"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_wrong_usage_is_told_before_a_byte_is_read(
    words: tuple[str, ...], said: str, weightaudit: CommandLine, asked: Asked, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    done = weightaudit("diff", *words)
    assert (done.code, said in " ".join(done.stderr.split()), asked) == (2, True, []), done.stderr


def test_rules_that_may_be_ignored_are_those_of_a_difference(weightaudit: CommandLine, asked: Asked) -> None:
    assert weightaudit("diff", "a", "b", "--ignore", "diff-identical", "--severity", "diff-unrelated=info").code == 0
    assert weightaudit("diff", "a", "b", "--ignore", "untrained").code == 2
    assert weightaudit("scan", "a", "--ignore", "diff-identical").code == 2


@pytest.mark.parametrize("part", ["base", "derived", "parent", "adapter"])
@pytest.mark.parametrize("output", ["model.safetensors", "config.json", "new_config.json"])
def test_no_output_replaces_a_file_of_any_of_the_models(
    part: str, output: str, weightaudit: CommandLine, asked: Asked, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    folder = tmp_path / part
    shutil.copytree(tiny_checkpoints["gpt2"], folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    models = {"base": "a", "derived": "b", part: str(folder)}
    words = [models["base"], models["derived"]]
    words += ["--parents", models["parent"]] if "parent" in models else []
    words += ["--adapter", models["adapter"]] if "adapter" in models else []
    done = weightaudit("diff", *words, "--json", folder / output)
    assert (done.code, asked) == (2, [])
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_the_revision_is_no_part_of_a_model_on_disk(
    weightaudit: CommandLine, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Hub model's files lie in the cache, whatever its revision."""
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (tmp_path / "outside.csv").write_text("weights")
    (snapshot / "model.safetensors").symlink_to(tmp_path / "outside.csv")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    done = weightaudit("diff", "org/name@v1", "b", "--csv", tmp_path / "outside.csv")
    assert (done.code, asked) == (2, [])
    assert (tmp_path / "outside.csv").read_text() == "weights"


@pytest.mark.parametrize(
    ("severity", "fail_on", "code"),
    [("error", "error", 1), ("warning", "error", 0), ("warning", "warning", 1), ("error", "never", 0)],
)
def test_the_exit_code_is_that_of_the_findings(
    severity: Any, fail_on: str, code: int, weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Finding("diff-unrelated", severity, "Another model's weights", detail="6 of 6 matrices are unrelated.")
    answering(monkeypatch, lambda: result(findings=(found,), notes=("One thing.",)))
    done = weightaudit("diff", "a", "b", "--fail-on", fail_on)
    assert done.code == code
    assert "diff-unrelated: 6 of 6 matrices are unrelated." in done.stdout
    assert "note: One thing." in done.stderr
    assert (f"exit code {code} (--fail-on)" in done.stderr) == bool(code)


def test_a_failure_is_one_message(weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> DiffResult:
        raise MappingError("base org/base", "it is another model: it has no layer 3 Q", "Name another")

    answering(monkeypatch, failing)
    done = weightaudit("diff", "a", "b")
    assert (done.code, done.stdout) == (3, "")
    assert done.stderr == "weightaudit: base org/base: it is another model: it has no layer 3 Q. Name another\n"


def test_the_summary() -> None:
    text = diff_text(result(notes=("One thing.",), parents=(ModelIdentity("org/" + "p" * 90, "1" * 40, "hub", ()),)))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert f"base    org/base @ {'0' * 40}" in lines
    assert "derived tuned" in lines
    assert any(line.startswith("parent  org/ppp") for line in lines)
    told = [" ".join(line.split()) for line in lines]
    assert told[:2] == [
        "verdict: unchecked (no rules were checked)",
        "4 of 6 matrices changed: 3 low rank 8 (Q) and 1 dense (M1). The vector is",
    ]
    assert {"Q 3 1 % – 3 % low rank 8", "M1 3 0 – 50 % 2 unchanged, 1 dense"} <= {*told}
    assert "layer 2 M1 50 % dense" in told
    assert "One thing." not in text


def test_the_summary_shows_no_more_than_the_terminal_can() -> None:
    evil = "\x1b[2J" + "e" * 300
    changes = tuple(replace(change("Q", 0, "dense", 0.5), place=Place("", None, None, evil)) for _ in range(1))
    text = diff_text(result(changes=changes, base=ModelIdentity(evil, evil, evil, ())), TerminalStyle("ascii"))
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    text.encode("ascii")


def test_the_function_has_the_options_of_two_models(asked: Asked, tmp_path: Path) -> None:
    shown = inspect.signature(wa.diff).parameters
    assert not shown.keys() & {*NOT_OF_A_DIFFERENCE} - {"base"}
    assert {"base", "derived", "parents", "roles", "device", "ignore", "token"} <= shown.keys()
    report = wa.diff(tmp_path / "a", "b", parents=[tmp_path / "p"], roles="Q,K", intruders=True)
    assert isinstance(report, wa.DiffReport)
    assert report.summary.kinds["low rank"] == 3
    wa.diff("a", "b", parents=tmp_path / "p")
    assert asked[1][1]["parents"] == [str(tmp_path / "p")]  # and not its letters
    ((base, derived, config), options) = asked[0]
    assert (base, derived, config.roles) == (str(tmp_path / "a"), "b", ("Q", "K"))
    assert (options["parents"], options["intruders"]) == ([str(tmp_path / "p")], True)
    with pytest.raises(TypeError, match=r"^diff\(\) got an unexpected keyword argument 'baseline'"):
        cast(Any, wa.diff)("a", "b", baseline="x")


@pytest.fixture
def tuned(tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> tuple[Path, Path]:
    """A model, and a copy of which one matrix is another."""
    base, other = tiny_checkpoints["gpt2"], tmp_path / "tuned"
    shutil.copytree(base, other)
    tensors = load_file(base / "model.safetensors")
    tensors["transformer.h.1.mlp.c_fc.weight"] += 0.1
    save_file(tensors, other / "model.safetensors")
    return base, other


def test_two_models(weightaudit: CommandLine, tmp_path: Path, tuned: tuple[Path, Path]) -> None:
    outputs = {kind: tmp_path / f"diff.{kind}" for kind in ("csv", "json", "parquet", "sarif", "md", "xml")}
    done = weightaudit("diff", *tuned, *(word for path in outputs.values() for word in ("--out", path)))
    assert done.code == 0, done.stderr
    assert [f"wrote {path}" in done.stderr for path in outputs.values()] == [True] * len(outputs)
    assert "1 of 14 matrices changed: low rank 1 (M1). All 18 vectors are unchanged." in " ".join(done.stdout.split())
    report = wa.diff(*tuned)
    frame = report.changes_frame
    assert list(frame.kind[frame.role == "M1"]) == ["unchanged", "low rank"]
    assert frame.relative.max() == report.summary.largest
    with outputs["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == list(frame.kind)
    said = json.loads(outputs["json"].read_text("utf-8"))
    assert [one["kind"] for one in said["changes"]] == list(frame.kind)
    for kind, format in (("json", "json"), ("sarif", "sarif"), ("md", "markdown"), ("xml", "junit")):
        shown = weightaudit("diff", *tuned, "--quiet", "--format", format).stdout
        assert shown == outputs[kind].read_text("utf-8"), kind


def test_annotations_of_a_workflow(weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Finding("diff-unrelated", "error", "Another model's weights", detail="All are.\n::error::x", advice="Look.")
    answering(monkeypatch, lambda: result(findings=(found,), notes=("::warning::note",)))
    done = weightaudit("diff", "a", "b", "--format", "github", "--quiet")
    commands = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith("::error title=diff-unrelated,file=")
    assert "4 of 6 matrices changed" in done.stdout


@pytest.mark.parametrize("kind", some_of(["csv", "json", "parquet", "sarif", "md", "xml"], "sarif"))
def test_a_report_beside_the_model_is_written_again_and_its_files_are_not(
    kind: str, weightaudit: CommandLine, tuned: tuple[Path, Path]
) -> None:
    base, other = tuned
    report = other / f"diff.{kind}"
    for _ in range(2):
        assert weightaudit("diff", base, other, "--roles", "M1", "--out", report, "--quiet").code == 0
    found = wa.diff(base, other, roles="M1")
    with pytest.raises(OutputError, match="file of the model"):
        found.write(other / "model.safetensors", ".json")
    with pytest.raises(OutputError, match="file of the model"):
        found.write(base / "config.json")


@pytest.mark.parametrize("kind", some_of(["json", "parquet"], "json"))
def test_it_is_no_report_of_one_model(
    kind: str, weightaudit: CommandLine, tmp_path: Path, tuned: tuple[Path, Path]
) -> None:
    report = tmp_path / f"diff.{kind}"
    wa.diff(*tuned, roles="M1").write(report)
    done = weightaudit("compare", report, tuned[0], "--out", tmp_path / "out")
    assert (done.code, "it is not the whole report of one model" in done.stderr) == (2, True)
    done = weightaudit("scan", tuned[0], "--baseline", report)
    assert (done.code, "baseline" in done.stderr) == (2, True)


def test_a_disk_that_is_full_leaves_the_other_outputs(weightaudit: CommandLine, tmp_path: Path, asked: Asked) -> None:
    words = ("diff", "a", "b", "--csv", tmp_path / "d.csv", "--json", tmp_path / "d.json")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "replace", refusing("d.csv"))
        done = weightaudit(*words)
    assert (done.code, done.stderr.count("d.csv: No space left")) == (2, 1)
    assert not (tmp_path / "d.csv").exists()
    assert json.loads((tmp_path / "d.json").read_text("utf-8"))["base"]["name"] == "org/base"
