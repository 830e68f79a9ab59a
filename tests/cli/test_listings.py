"""archs, rules and compare with --format json: one strict document on stdout, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import CommandLine
from weightaudit.architecture import families
from weightaudit.audit.rules import RULES
from weightaudit.merging.rules import RULES as OF_A_MERGE
from weightaudit.pairs.rules import RULES as OF_A_DIFFERENCE

LITTLE = ("--layers", "0", "--roles", "Q")


def data(weightaudit: CommandLine, *words: object) -> Any:
    """What the command prints, which must be strict JSON."""
    done = weightaudit(*words, "--format", "json")
    assert (done.code, done.stderr) == (0, "")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(done.stdout, parse_constant=refuse)


def test_rules(weightaudit: CommandLine) -> None:
    said = data(weightaudit, "rules")["rules"]
    every = [*RULES, *OF_A_DIFFERENCE, *OF_A_MERGE]
    assert [one["id"] for one in said] == [rule.id for rule in every]
    assert [one["threshold"] for one in said] == [rule.threshold for rule in every]
    assert [one["of"] for one in said] == [
        *["scan"] * len(RULES),
        *["diff"] * len(OF_A_DIFFERENCE),
        *["merge-check"] * len(OF_A_MERGE),
    ]
    (alone,) = data(weightaudit, "rules", "Dead-Rows")["rules"]
    assert alone == next(one for one in said if one["id"] == "dead-rows")
    assert {"severity", "title", "measures", "source", "advice", "suppressed_by"} <= alone.keys()


def test_families(weightaudit: CommandLine) -> None:
    said = data(weightaudit, "archs")["families"]
    assert [(one["name"], tuple(one["model_types"])) for one in said] == [(f.name, f.model_types) for f in families()]
    alone = data(weightaudit, "archs", "gpt2")
    assert alone == next(one for one in said if one["name"] == "gpt2")
    assert alone["packings"] == ["contiguous"]
    assert {"roles", "matrices", "ignored", "dimensions"} <= alone.keys()


def test_how_a_model_would_be_read(weightaudit: CommandLine, tiny_checkpoints: dict[str, Path]) -> None:
    words = ("archs", "--check", tiny_checkpoints["bert"])
    said = data(weightaudit, *words)
    assert (said["model_type"], said["family"], said["guessed"]) == ("bert", "bert", False)
    text = weightaudit(*words).stdout
    assert all(f"{one['name']}  " in text for one in said["tensors"])
    query = next(one for one in said["tensors"] if one["name"].endswith("layer.0.attention.self.query.weight"))
    assert (query["status"], query["roles"], query["places"]) == ("analysed", ["Q", "QKV"], ["layer 0"])
    assert sum(said["counts"].values()) == len(said["tensors"])


@pytest.mark.parametrize("quiet", [(), pytest.param(("--quiet",), marks=pytest.mark.slow)])
def test_a_comparison(
    weightaudit: CommandLine, tiny_checkpoints: dict[str, Path], tmp_path: Path, quiet: tuple[str, ...]
) -> None:
    models = (tiny_checkpoints["gpt2"], tiny_checkpoints["gptj"], tiny_checkpoints["gpt2"])
    done = weightaudit("compare", *models, *LITTLE, "--out", tmp_path, "--format", "json", "--threads", "1", *quiet)
    assert (done.code, "wrote " in done.stderr) == (0, not quiet)
    said = json.loads(done.stdout)
    names = [one["name"] for one in said["models"]]
    assert names == ["gpt2", "gptj", "gpt2 (2)"]
    assert [one["family"] for one in said["models"]] == ["gpt2", "gptj", "gpt2"]
    other, same = said["beside_the_first"]
    assert (other["name"], other["identical"]) == ("gptj", False)
    assert (same["name"], same["identical"]) == ("gpt2 (2)", True)
    assert same["matrices"]["differ"] == 0 < same["matrices"]["of"]
    assert same["relative_difference"] == 0
    assert (tmp_path / "index.html", tmp_path / "differences.csv") == (Path(said["page"]), Path(said["differences"]))


def test_choices_are_shown(weightaudit: CommandLine) -> None:
    for command in ("archs", "rules", "compare"):
        assert "text|json" in weightaudit(command, "--help").stdout
    wrong = weightaudit("rules", "--format", "yaml")
    assert (wrong.code, wrong.stdout) == (2, "")
    assert "'yaml' is not one of 'text', 'json'" in wrong.stderr


def test_a_rule_that_is_none(weightaudit: CommandLine) -> None:
    done = weightaudit("rules", "dead-rosw", "--format", "json")
    assert (done.code, done.stdout) == (2, "")
    assert "Did you mean dead-rows?" in done.stderr
