"""Numbers as somebody typed or wrote them: what is none, or too long a one, is told by its option in one line."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import CommandLine
from weightaudit.batches.plan import parse_shard
from weightaudit.errors import UsageError
from weightaudit.parse import parse_bytes

LONG = "1" * 5000
"""More digits than Python reads as a whole number."""
NEVER = (LONG, f"-{LONG}", f"{LONG}.5", f"1e{LONG}", "nan", "inf", "1e999", "x", "")
"""No option takes any of these, but --seed, --tol and --delta their own kind."""
SOME = (LONG, "nan", "1e999", "")
"""By default, where each is one of several."""
OPTIONS = ("memory", "seed", "tol", "layers")
"""Of each kind of number one."""
MORE_OPTIONS = ("delta", "max-wait", "threads")


def some_of(*values: str) -> list[Any]:
    return [value if value in (*SOME, "-1") else pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((option, value) for option in OPTIONS for value in NEVER),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in product(MORE_OPTIONS, NEVER)),
    ],
)
def test_options_of_a_scan(
    weightaudit: CommandLine, tiny_checkpoints: dict[str, Path], option: str, value: str
) -> None:
    done = weightaudit("scan", tiny_checkpoints["bert"], f"--{option}={value}", "--roles", "NONE")
    assert (done.code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr[:500]
    assert option in done.stderr.split(":", 2)[1] + done.stderr.split(":", 2)[2]
    assert len(done.stderr) < 1000
    assert "bug" not in done.stderr


@pytest.mark.parametrize("value", some_of(*NEVER))
def test_options_of_a_batch(weightaudit: CommandLine, tmp_path: Path, value: str) -> None:
    models = tmp_path / "list.txt"
    models.write_text("gpt2\n")
    words = ("batch", models, "--out", tmp_path / "out")
    for option in ("shard", "workers", "threads", "memory"):
        for typed in (value, f"1/{value}") if option == "shard" else (value,):
            done = weightaudit(*words, f"--{option}={typed}")
            assert (done.code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr[:500]
            assert option in done.stderr
            assert "bug" not in done.stderr
    for option in ("memory", "seed", "tol", "delta", "layers"):
        models.write_text(f"gpt2 {option}={value}\n")
        done = weightaudit(*words)
        assert (done.code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr[:500]
        assert "line 1" in done.stderr
        assert option in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", some_of(*NEVER, "1" * 400, "-1"))
def test_settings_of_an_experiment(weightaudit: CommandLine, tmp_path: Path, value: str) -> None:
    done = weightaudit("paper", "lemmas", f"--draws={value}", "--out", tmp_path / "out")
    assert (done.code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr[:500]
    assert "--draws" in done.stderr
    assert not (tmp_path / "out").exists()


def test_amounts_and_shards() -> None:
    for amount in ("1" * 31, LONG, "0." + "1" * 31):
        with pytest.raises(UsageError, match="no amount of memory"):
            parse_bytes(amount)
    assert parse_bytes("9" * 30) == int(float("9" * 30))
    for shard in (f"1/{LONG}", "1/1000000000", f"{LONG}/{LONG}", "١/٢"):
        with pytest.raises(UsageError, match="is not written i/n"):
            parse_shard(shard)


@pytest.mark.parametrize(
    "number", [*some_of(LONG, "1" * 4200, "1" * 400, "1e999", "-1"), "NaN", "0.5", *some_of("1e18")]
)
def test_numbers_in_a_config(
    weightaudit: CommandLine, tiny_checkpoints: dict[str, Path], tmp_path: Path, number: str
) -> None:
    model = Path(shutil.copytree(tiny_checkpoints["bert"], tmp_path / "bert"))
    known = json.loads((model / "config.json").read_text())
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size"):
        text = json.dumps({**known, name: "@"}).replace('"@"', number)
        (model / "config.json").write_text(text)
        done = weightaudit("archs", "--check", model)
        assert done.code in (0, 3), name
        assert done.stderr.count("\n") == (done.code == 3)
        assert "bug" not in done.stderr
