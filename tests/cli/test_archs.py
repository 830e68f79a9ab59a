"""`weightaudit archs --check`: how a model would be read, from headers alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.support.running import CommandLine


def test_check_says_what_each_tensor_is(weightaudit: CommandLine, tiny_checkpoints: dict[str, Path]) -> None:
    done = weightaudit("archs", "--check", tiny_checkpoints["gpt2"])
    assert done.code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "model type gpt2, family gpt2"
    assert "transformer.h.1.attn.c_attn.weight  24×72  Q K V QKV (layer 1)" in lines
    assert "transformer.ln_f.weight  24  ignored: norm" in lines
    assert lines[-1].endswith("0 unmapped")


def test_check_reads_headers_alone(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    directory = tmp_path / "bert"
    shutil.copytree(tiny_checkpoints["bert"], directory)
    file = directory / "model.safetensors"
    stored = file.read_bytes()
    header = 8 + int.from_bytes(stored[:8], "little")
    file.write_bytes(stored[:header] + b"\xff" * (len(stored) - header))
    assert (
        weightaudit("archs", "--check", directory).stdout
        == weightaudit("archs", "--check", tiny_checkpoints["bert"]).stdout
    )


def test_check_says_that_roles_are_guessed(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    directory = tmp_path / "new"
    shutil.copytree(tiny_checkpoints["phi"], directory)
    config = directory / "config.json"
    config.write_text(config.read_text().replace('"model_type": "phi"', '"model_type": "somethingnew"'))
    first = weightaudit("archs", "--check", directory).stdout.splitlines()[0]
    assert first.startswith(
        "model type somethingnew, family structural guess, roles guessed by structure, nearest known: "
    )
    assert "phi" in first


def test_check_of_what_is_no_model(weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("archs", "--check", tmp_path)
    assert done.code == 3
    assert "Traceback" not in done.stderr


def test_check_says_what_contradicts_the_config(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    directory = tmp_path / "gpt2"
    shutil.copytree(tiny_checkpoints["gpt2"], directory)
    config = directory / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "n_layer": 1, "n_inner": 41}))
    done = weightaudit("archs", "--check", directory)
    assert done.code == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines() if ": " in line[:12]] == [
        "extra", "misshapen", "misshapen", "misshapen",
    ]  # fmt: skip
    assert "extra: Layer 1 is beyond the layers of the config (n_layer = 1, counted from 0); the checkpoint has " in (
        done.stdout
    )
    assert "misshapen: transformer.h.0.mlp.c_fc.weight: its shape is (24, 40), the config makes it (24, 41) (" in (
        done.stdout
    )
    assert "0 unmapped" not in done.stdout

    config.write_text(json.dumps({**json.loads(config.read_text()), "n_layer": 3, "n_inner": 40}))
    assert "missing: config.json has 3 layers; the checkpoint holds only layers 0-1." in (
        weightaudit("archs", "--check", directory).stdout
    )
