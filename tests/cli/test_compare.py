"""`weightaudit compare`: reports and models side by side."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.models import build
from tests.support.running import CommandLine, Outcome

LITTLE = ("--layers", "0", "--roles", "Q")


def lines(out: Path) -> list[dict[str, str]]:
    with (out / "differences.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_report_and_a_model(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    assert weightaudit("scan", tiny_checkpoints["gpt2"], "--json", tmp_path / "gpt2.json").code == 0
    out = tmp_path / "new" / "out"
    done = weightaudit("compare", tmp_path / "gpt2.json", tiny_checkpoints["gptj"], "--out", out, "--threads", "1")
    assert done.code == 0
    assert done.stdout == ""
    assert f"wrote {out / 'index.html'} and {out / 'differences.csv'}" in done.stderr
    scanned = out / "2-gptj"
    assert {path.name for path in scanned.iterdir()} == {"layers.parquet", "report.html"}
    assert 'src="../plotly.js"' in (scanned / "report.html").read_text("utf-8")
    found = lines(out)
    assert {line["match"] for line in found} == {"both", "only a", "only b"}
    for match, number in (("both", "have a partner"), ("only b", "have none;"), ("only a", "of the first have none")):
        assert (
            f"{sum(line['match'] == match for line in found)} {'matrices ' * (match == 'both')}{number}" in done.stderr
        )
    page = (out / "index.html").read_text("utf-8")
    assert "2-gptj/report.html" in page
    again = weightaudit("compare", tmp_path / "gpt2.json", scanned, "--out", tmp_path, "--quiet")
    assert (again.code, again.stdout, again.stderr) == (0, "", "")
    assert lines(tmp_path) == found


@pytest.mark.slow  # test_listings.py has the same model twice and options of a scan
def test_scan_options_and_the_same_model_twice(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    model = tiny_checkpoints["bert"]
    assert weightaudit("compare", model, model, "--out", tmp_path, "--roles", "Q,K", "--layers", "1").code == 0
    found = lines(tmp_path)
    assert [(line["layer"], line["role"], line["match"]) for line in found] == [("1", "Q", "both"), ("1", "K", "both")]
    assert {line["model_b"] for line in found} == {"bert (2)"}
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"1-bert", "2-bert"}


def test_reports_are_read_before_anything_is_scanned(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    (tmp_path / "bad.json").write_text(json.dumps({"schema": 1, "model": "m"}))
    done = weightaudit("compare", tiny_checkpoints["gpt2"], tmp_path / "bad.json", "--out", tmp_path / "out")
    assert done.code == 2
    assert "it is not the whole report of one model" in done.stderr
    assert not (tmp_path / "out").exists()


def test_wrong_usage(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    model = tiny_checkpoints["gpt2"]
    done = weightaudit("compare", model, "--out", tmp_path)
    assert (done.code, "needs two" in done.stderr) == (2, True)
    (tmp_path / "batch.json").write_text("{}")
    done = weightaudit("compare", model, model, "--out", tmp_path)
    assert (done.code, "it is a batch's directory" in done.stderr) == (2, True)
    (tmp_path / "file").write_text("")
    done = weightaudit("compare", model, model, "--out", tmp_path / "file")
    assert (done.code, "file exists" in done.stderr) == (2, True)


@pytest.mark.parametrize(("name", "called"), [("no/such@v1", "no/such"), ("./nowhere", "nowhere")])
def test_a_model_that_cannot_be_had_ends_it(name: str, called: str, weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("compare", name, name, "--out", tmp_path, "--offline")
    assert done.code == 3
    assert called in done.stderr
    assert not (tmp_path / "index.html").exists()


def changed(base: Path, folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    shutil.copytree(base, folder)
    tensors = load_file(base / "model.safetensors")
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    return folder


def relative(before: torch.Tensor, after: torch.Tensor) -> float:
    return float((after.double() - before.double()).norm() / before.double().norm())


UP = "transformer.h.1.mlp.c_fc.weight"
NORM = "transformer.ln_f.weight"


def permuted(tensors: dict[str, torch.Tensor]) -> None:
    tensors[UP] = tensors[UP].roll(1, dims=1)  # (in, out): the outputs in another order


def negated(tensors: dict[str, torch.Tensor]) -> None:
    tensors[UP] = -tensors[UP]


def scaled_norm(tensors: dict[str, torch.Tensor]) -> None:
    tensors[NORM] = 3 * tensors[NORM]


def test_the_same_weights_are_identical(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    base = tiny_checkpoints["gpt2"]
    same = changed(base, tmp_path / "same", lambda tensors: None)
    done = weightaudit("compare", base, same, "--out", tmp_path / "out", "--fail-on-difference")
    assert done.code == 0, done.stderr
    vectors = sum(tensor.ndim == 1 for tensor in load_file(base / "model.safetensors").values())
    said = f"weights are identical: 14 matrices and {vectors} vectors"
    assert f"same: {said}" in done.stderr
    assert said in (tmp_path / "out" / "index.html").read_text("utf-8")
    found = {(line["layer"], line["role"]): (line["identical"], line["relative"]) for line in lines(tmp_path / "out")}
    assert found.pop(("0", "QKV")) == found.pop(("1", "QKV")) == ("", "")  # they repeat Q, K and V
    assert set(found.values()) == {("true", "0")}


@pytest.mark.parametrize("change", [permuted, pytest.param(negated, marks=pytest.mark.slow)])
def test_matrices_of_equal_norms_differ_and_by_how_much(
    change: Callable[[dict[str, torch.Tensor]], None],
    weightaudit: CommandLine,
    tmp_path: Path,
    tiny_checkpoints: dict[str, Path],
) -> None:
    """Norms alone cannot tell these from the same."""
    base = tiny_checkpoints["gpt2"]
    other = changed(base, tmp_path / "other", change)
    done = weightaudit("compare", base, other, "--out", tmp_path / "out", "--fail-on-difference")
    assert (done.code, "1 model not identical to the first: exit code 1 (--fail-on-difference)" in done.stderr) == (
        1,
        True,
    )
    before, after = (load_file(model / "model.safetensors")[UP] for model in (base, other))
    (line,) = [line for line in lines(tmp_path / "out") if line["identical"] == "false"]
    assert (line["layer"], line["role"], line["stable_rank_intervals_apart"]) == ("1", "M1", "false")
    assert abs(float(line["frobenius_norm_difference"])) < 1e-12
    assert float(line["relative"]) == pytest.approx(relative(before, after), rel=1e-8)
    assert "other: weights differ in 1 of 14 matrices and 0 of" in done.stderr
    assert f", at most {relative(before, after):.3g}\n" in done.stderr
    part = ("--layers", "1", "--roles", "M1")
    assert weightaudit("compare", base, other, *part, "--out", tmp_path / "out").code == 0


def test_vectors_count(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    base = tiny_checkpoints["gpt2"]
    other = changed(base, tmp_path / "other", scaled_norm)
    done = weightaudit("compare", base, base, other, "--out", tmp_path / "out", "--fail-on-difference")
    assert done.code == 1
    assert "weights are identical" in done.stderr
    assert "other: weights differ in 0 of 14 matrices and 1 of" in done.stderr
    assert "relative difference 0, at most 2\n" in done.stderr
    assert {line["identical"] for line in lines(tmp_path / "out")} == {"true", ""}


def test_a_part_says_nothing_of_vectors(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    base = tiny_checkpoints["gpt2"]
    done = weightaudit("compare", base, base, "--out", tmp_path / "out", "--roles", "Q,K")
    assert "weights are identical: 4 matrices\n" in done.stderr


@pytest.mark.parametrize("kind", ["json", pytest.param("parquet", marks=pytest.mark.slow)])
def test_reports_show_differences_and_no_identity(
    kind: str, weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    base = tiny_checkpoints["gpt2"]
    models = {
        "base": base,
        "negated": changed(base, tmp_path / "negated", negated),
        "grown": changed(base, tmp_path / "grown", lambda tensors: tensors.update({UP: 1.001 * tensors[UP]})),
    }
    for name, model in models.items():
        assert weightaudit("scan", model, "--out", tmp_path / f"{name}.{kind}").code == 0

    def compared(second: str | Path) -> Outcome:
        out = tmp_path / "out"
        return weightaudit("compare", tmp_path / f"base.{kind}", second, "--out", out, "--fail-on-difference")

    unknown = compared(tmp_path / f"negated.{kind}")
    assert (unknown.code, {line["identical"] for line in lines(tmp_path / "out")}) == (1, {""})
    assert "weights cannot be told to be identical: a report has norms and no entries." in unknown.stderr
    for differing in (tmp_path / f"grown.{kind}", models["grown"]):  # a report beside a model is all that is known
        done = compared(differing)
        assert done.code == 1
        assert "weights differ in 1 of 16 matrices; vectors are not known from reports" in done.stderr
        assert [line["role"] for line in lines(tmp_path / "out") if line["identical"] == "false"] == ["M1"]
        assert {line["relative"] for line in lines(tmp_path / "out")} == {""}


def test_models_of_other_architectures_are_compared_by_their_norms(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    build("gpt2", n_embd=48, n_layer=1).save_pretrained(tmp_path / "wide")
    words = ("compare", tiny_checkpoints["gpt2"], tmp_path / "wide", *LITTLE, "--out", tmp_path / "out")
    done = weightaudit(*words)
    assert done.code == 0, done.stderr
    assert "wide: weights cannot be told to be identical: base " in done.stderr
    assert "it is another model: layer 0 Q is 48 × 48 here and 24 × 24 there" in done.stderr
    assert weightaudit(*words, "--fail-on-difference").code == 1


def test_rules_of_a_scan_may_be_judged_otherwise(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    base = tiny_checkpoints["gpt2"]
    done = weightaudit(
        "compare", base, base, *LITTLE, "--out", tmp_path, "--ignore", "untrained", "--severity", "duplicate=off"
    )
    assert done.code == 0, done.stderr
