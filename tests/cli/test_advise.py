"""`weightaudit advise`: of a model, or of a report of its scan."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.support.running import CommandLine


def test_all_advice_of_a_report_in_one_go(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    report = tmp_path / "report.json"
    words = ("scan", tiny_checkpoints["phi"], "--spectrum", "full", "--json", report, "--fail-on", "never")
    assert weightaudit(*words).code == 0
    files = {kind: tmp_path / f"{kind}.out" for kind in ("lora", "train", "mergekit", "compress")}
    outputs = [word for kind, path in files.items() for word in (f"--{kind}", path)]
    done = weightaudit("advise", report, *outputs, "--rank", "4", "--by", "entropy_effective_rank", "--share", "0.5")
    assert done.code == 0, done.stderr
    said = json.loads(files["lora"].read_text())
    assert (said["r"], said["lora_alpha"], len(said["target_modules"])) == (4, 4, 12)
    trained = yaml.safe_load(files["train"].read_text())["unfrozen_parameters"]
    assert len(trained) == 6
    assert yaml.safe_load(files["mergekit"].read_text())["parameters"]["weight"][-1] == {"value": 0}
    assert files["compress"].read_text().startswith("| matrix | shape | 90 % of the energy |")
    assert "note: The rank of a module is proportional to its entropy_effective_rank" in done.stderr


def test_a_model_is_scanned_for_it(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    done = weightaudit("advise", tiny_checkpoints["gpt2"], "--lora", "-", "--quiet", "--roles", "QKV")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["target_modules"] == ["h.0.attn.c_attn", "h.1.attn.c_attn"]
    table = tmp_path / "cuts.csv"
    assert weightaudit("advise", tiny_checkpoints["gpt2"], "--compress", table, "--quiet").code == 0
    assert ",unknown" in table.read_text().splitlines()[1]


def test_what_cannot_be_said_is_told(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    model = tiny_checkpoints["phi"]
    none = weightaudit("advise", model)
    assert (none.code, "Name --lora, --train, --mergekit or --compress" in none.stderr) == (2, True)
    lacking = weightaudit("advise", model, "--lora", "-", "--by", "alpha", "--quiet")
    assert (lacking.code, "the scan would not measure it. Add --spectrum full" in lacking.stderr) == (2, True)
    assert lacking.stdout == ""
    weights = weightaudit("advise", model, "--lora", model / "model.safetensors", "--quiet")
    assert weights.code == 2
    odd = tmp_path / "odd.json"
    odd.write_text("{}")
    assert "it is no report of weightaudit" in weightaudit("advise", odd, "--lora", "-").stderr


def test_nothing_is_scanned_in_vain(weightaudit: CommandLine, tmp_path: Path) -> None:
    """What makes no sense is told before the model, of which there is none here, is looked for."""
    nowhere = tmp_path / "nowhere"
    for words, says in (
        (("--lora", "-", "--min-rank", "9"), "ranks from 9 to 32 around 8"),
        (("--lora", "-", "--lora-alpha", "0"), "alpha 0: it is no positive number"),
        (("--train", "-", "--share", "2"), "share 2: it is no share"),
        (("--train", "-", "--by", "entropy_effective_rank"), "Add --spectrum"),
        (("--lora", tmp_path / "one", "--train", tmp_path / "one"), "two kinds of it go to one file"),
    ):
        done = weightaudit("advise", nowhere, *words)
        assert (done.code, says in done.stderr) == (2, True), done.stderr


def test_options_that_a_report_cannot_follow_are_refused(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    report = tmp_path / "report.json"
    assert weightaudit("scan", tiny_checkpoints["phi"], "--json", report, "--fail-on", "never").code == 0
    asked = weightaudit("advise", report, "--lora", "-", "--by", "alpha", "--spectrum", "full")
    assert (asked.code, "--spectrum of" in asked.stderr) == (2, True)
    assert "a report is read, and nothing is measured. Scan the model with it" in asked.stderr
    some = weightaudit("advise", report, "--compress", "-", "--roles", "Q")
    assert some.code == 0
    assert [line.split()[3] for line in some.stdout.splitlines()[2:]] == ["Q", "Q"]
    assert "the report has no such role" in weightaudit("advise", report, "--compress", "-", "--roles", "XQ").stderr
