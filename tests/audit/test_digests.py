"""Digests are taken once for each matrix, of what is measured, by the thread that reads wherever that is no waste."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from safetensors.torch import load_file, save_file

import weightaudit as wa
from weightaudit.arrays import Array, as_array
from weightaudit.audit import digests
from weightaudit.spectral import digest
from weightaudit.spectral.operators import dense


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, str]]:
    """(whether the reading thread took it, the digest) of all that a scan takes."""
    found: list[tuple[bool, str]] = []

    def watched(blocks: list[Array]) -> str:
        found.append((threading.current_thread().name.startswith("weightaudit-read"), digest(blocks)))
        return found[-1][1]

    monkeypatch.setattr(digests, "digest", watched)
    monkeypatch.setattr(dense, "digest_of", None)
    return found


@pytest.mark.parametrize("method", ["krylov", "exact"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_each_matrix_has_its_own_and_the_stack_only_where_it_needs_a_start(
    tiny_checkpoints: dict[str, Path], taken: list[tuple[bool, str]], family: str, method: Literal["krylov", "exact"]
) -> None:
    rows = wa.scan(tiny_checkpoints[family], method=method).rows
    expected = {matrix.key: digest(matrix.blocks()) for matrix in wa.matrices(tiny_checkpoints[family])}
    shown = {row.matrix.key: row.digest for row in rows}
    stacks = {key for key in expected if key.endswith("QKV")}
    assert len(stacks) == 2
    assert shown == expected | dict.fromkeys(stacks, "")
    unseen = stacks if method == "exact" else set()
    assert Counter(taken) == Counter((True, expected[key]) for key in expected.keys() - unseen)


def test_heads_that_cutting_copies_are_hashed_when_they_are_measured(
    tmp_path: Path, tiny_checkpoints: dict[str, Path], taken: list[tuple[bool, str]]
) -> None:
    """GPT-NeoX packs Q, K and V head by head."""
    import transformers

    config = transformers.GPTNeoXConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=40, vocab_size=56
    )
    transformers.GPTNeoXForCausalLM(config).save_pretrained(tmp_path)
    rows = {row.matrix.role: row.digest for row in wa.scan(tmp_path, method="krylov").rows}
    ahead = {found: early for early, found in taken}
    assert {role: ahead[found] for role, found in rows.items() if found} == {
        role: role not in {"Q", "K", "V"} for role in rows if role != "QKV"
    }


@pytest.mark.parametrize("equal", [True, False])
def test_a_tied_copy_is_hashed_only_where_it_is_measured(
    tmp_path: Path, tiny_checkpoints: dict[str, Path], taken: list[tuple[bool, str]], equal: bool
) -> None:
    directory = tmp_path / "gpt2"
    shutil.copytree(tiny_checkpoints["gpt2"], directory)
    tensors = load_file(directory / "model.safetensors")
    head = tensors["transformer.wte.weight"].clone()
    head[0, 0] += not equal
    save_file({**tensors, "lm_head.weight": head}, directory / "model.safetensors")
    rows = wa.scan(directory, method="krylov").rows
    assert len(taken) == len(rows)
    assert [found for early, found in taken if not early] == ([] if equal else [digest([as_array(head)])])
