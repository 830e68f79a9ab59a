"""`weightaudit merge-check`: what is asked for is passed on, outputs are checked before a byte is read, and the exit
code is that of the findings.
"""

from __future__ import annotations

import inspect
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.merges import merge_check_result
from tests.support.running import CommandLine
from weightaudit.config import NOT_OF_A_MERGE, AuditConfig
from weightaudit.errors import MappingError, OutputError
from weightaudit.records import Finding, MergeCheckResult

Asked = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the command asks for, which is answered at once."""
    return answering(monkeypatch, merge_check_result)


def answering(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], MergeCheckResult]) -> Asked:
    asked: Asked = []

    def check_merge(*words: Any, **options: Any) -> MergeCheckResult:
        asked.append((words, options))
        return answer()

    monkeypatch.setitem(sys.modules, "weightaudit.merging.check", cast(Any, SimpleNamespace(check_merge=check_merge)))
    return asked


def test_what_is_asked_is_passed_on(weightaudit: CommandLine, asked: Asked) -> None:
    words = ("--roles", "Q", "--memory", "2GB", "--seed", "3", "--offline", "--base", "org/base@v1")
    assert weightaudit("merge-check", "a", "org/b@v1", *words, "--weights", "0.5, -1", "--quiet").code == 0
    ((models, config), options) = asked[0]
    assert models == ["a", "org/b@v1"]
    assert config == AuditConfig(roles=("Q",), memory=2 * 10**9, seed=3, offline=True)
    assert options == {"base": "org/base@v1", "merged": None, "weights": (0.5, -1.0), "progress": False}
    assert weightaudit("merge-check", "a", "b", "c", "--merged", "m").code == 0
    assert asked[1][1] == {"base": None, "merged": "m", "weights": None, "progress": True}
    assert weightaudit("merge-check", "a", "b", "c").code == 0
    assert asked[2][1]["weights"] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("option", ["--spectrum", "--tol=1", "--method=exact", "--baseline=x", "--device=cuda"])
def test_options_that_it_has_no_use_for_are_none(option: str, weightaudit: CommandLine, asked: Asked) -> None:
    done = weightaudit("merge-check", "a", "b", option)
    assert (done.code, "No such option" in done.stderr, asked) == (2, True, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a",), "1 model was named. Name 2 to 8"),
        (tuple("abcdefghi"), "9 models were named. Name 2 to 8"),
        (("a", "b", "--weights", "1"), "weights: 1 weight for 2 models"),
        (("a", "b", "--weights", "1,inf"), "weight inf: it is not a finite number"),
        (("a", "b", "--weights", "1,x"), "weight x: it is not a finite number"),
        (("a", "b", "--weights", "1,1", "--merged", "m"), "--weights: they are asked beside --merged"),
        (("a", "b", "--out", "r.txt"), "'.txt' is no report format"),
        (("a", "b", "--mergekit", "nowhere/m.yaml"), "there is no directory"),
        (("a", "b", "--csv", "r.csv", "--mergekit", "r.csv"), "named for two outputs"),
        (("a", "b", "--ignore", "untrained"), "there is no such rule here"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_wrong_usage_is_told_before_a_byte_is_read(
    words: tuple[str, ...], said: str, weightaudit: CommandLine, asked: Asked, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    done = weightaudit("merge-check", *words)
    assert (done.code, said in " ".join(done.stderr.split()), asked) == (2, True, []), done.stderr


@pytest.mark.parametrize("part", ["first", "second", "base", "merged"])
@pytest.mark.parametrize(("option", "output"), [("--json", "config.json"), ("--mergekit", "model.safetensors")])
def test_no_output_replaces_a_file_of_any_of_the_models(
    part: str,
    option: str,
    output: str,
    weightaudit: CommandLine,
    asked: Asked,
    tmp_path: Path,
    tiny_checkpoints: dict[str, Path],
) -> None:
    folder = tmp_path / part
    shutil.copytree(tiny_checkpoints["gpt2"], folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    models = {"first": "a", "second": "b", "base": "c", "merged": "m", part: str(folder)}
    words = [models["first"], models["second"], "--base", models["base"], "--merged", models["merged"]]
    done = weightaudit("merge-check", *words, option, folder / output)
    assert (done.code, asked) == (2, [])
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("severity", "fail_on", "code"),
    [("error", "error", 1), ("warning", "error", 0), ("warning", "warning", 1), ("error", "never", 0)],
)
def test_the_exit_code_is_that_of_the_findings(
    severity: Any, fail_on: str, code: int, weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Finding("merge-lopsided", severity, "One side suffers more", detail="b does, by far.")
    answering(monkeypatch, lambda: merge_check_result(findings=(found,), notes=("One thing.",)))
    done = weightaudit("merge-check", "a", "b", "--fail-on", fail_on)
    assert done.code == code
    assert "merge-lopsided: b does, by far." in done.stdout
    assert "note: One thing." in done.stderr


def test_a_failure_is_one_message(weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> MergeCheckResult:
        raise MappingError("model b", "it is another model: it has no layer 3 Q", "Name another")

    answering(monkeypatch, failing)
    done = weightaudit("merge-check", "a", "b")
    assert (done.code, done.stdout) == (3, "")
    assert done.stderr == "weightaudit: model b: it is another model: it has no layer 3 Q. Name another\n"


def test_the_function_has_the_options_of_a_merge(asked: Asked, tmp_path: Path) -> None:
    shown = inspect.signature(wa.merge_check).parameters
    assert not shown.keys() & {*NOT_OF_A_MERGE} - {"base"}
    assert {"models", "base", "weights", "merged", "roles", "seed", "ignore", "token"} <= shown.keys()
    report = wa.merge_check([tmp_path / "a", "b"], base=tmp_path / "c", weights=[1, 0.5], roles="Q,K")
    assert isinstance(report, wa.MergeReport)
    ((models, config), options) = asked[0]
    assert (models, config.roles) == ([str(tmp_path / "a"), "b"], ("Q", "K"))
    assert (options["base"], options["weights"]) == (str(tmp_path / "c"), (1.0, 0.5))


@pytest.fixture
def models(tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> tuple[Path, Path, Path]:
    """A model, and two copies in each of which a matrix is another."""
    base = tiny_checkpoints["gpt2"]
    for name, scale in (("math", 0.1), ("code", -0.2)):
        shutil.copytree(base, tmp_path / name)
        tensors = load_file(base / "model.safetensors")
        tensors["transformer.h.1.mlp.c_fc.weight"] += scale
        save_file(tensors, tmp_path / name / "model.safetensors")
    return base, tmp_path / "math", tmp_path / "code"


def test_two_models(weightaudit: CommandLine, tmp_path: Path, models: tuple[Path, Path, Path]) -> None:
    base, *tuned = models
    outputs = {kind: tmp_path / f"merge.{kind}" for kind in ("csv", "json", "parquet", "sarif", "md", "xml", "html")}
    words = [word for path in outputs.values() for word in ("--out", path)]
    done = weightaudit("merge-check", *tuned, "--base", base, *words, "--mergekit", tmp_path / "merge.yaml")
    assert done.code == 0, done.stderr
    assert [f"wrote {path}" in done.stderr for path in outputs.values()] == [True] * len(outputs)
    report = wa.merge_check(tuned, base=base)
    # Δ_code = −2 Δ_math, in one matrix: of math's own 1 − 2 is left, of code's 1 − 1/2.
    first, second = report.summary.standings
    assert first.retention == pytest.approx(-1.0, abs=1e-5)
    assert second.retention == pytest.approx(0.5, abs=1e-5)
    assert first.contamination == pytest.approx(0.0, abs=1e-3)
    assert (first.matrices, second.matrices) == (1, 1)
    said = json.loads(outputs["json"].read_text("utf-8"))
    assert said["trust"]
    for kind, format in (("json", "json"), ("sarif", "sarif"), ("md", "markdown"), ("xml", "junit")):
        shown = weightaudit("merge-check", *tuned, "--base", base, "--quiet", "--format", format).stdout
        assert shown == outputs[kind].read_text("utf-8"), kind
    recipe = yaml.safe_load((tmp_path / "merge.yaml").read_text("utf-8"))
    assert (recipe["merge_method"], recipe["base_model"]) == ("task_arithmetic", str(base))
    assert [one["model"] for one in recipe["models"]] == [str(path) for path in tuned]
    weights = [one["parameters"]["weight"] for one in recipe["models"]]
    assert weights == pytest.approx(report.summary.suggested, abs=1e-4)


def test_no_output_replaces_a_file_of_the_models_from_python(models: tuple[Path, Path, Path]) -> None:
    base, *tuned = models
    report = wa.merge_check(tuned, base=base)
    for folder in models:
        with pytest.raises(OutputError, match="file of the model"):
            report.write(folder / "model.safetensors", ".json")
        with pytest.raises(OutputError, match="file of the model"):
            report.to_mergekit(folder / "config.json")
