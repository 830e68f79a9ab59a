"""Digests are taken once for each matrix, of what is measured; by the thread that reads while others are busy."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.covering import in_turn
from weightaudit.architecture import map_model
from weightaudit.arrays import Array, as_array
from weightaudit.audit import digests, measuring, reading
from weightaudit.audit.digests import Digests
from weightaudit.audit.groups import ReadGroup
from weightaudit.audit.held import Held, Stored
from weightaudit.audit.pieces import cut
from weightaudit.checkpoint import Checkpoint, open_checkpoint
from weightaudit.records import Spectrum
from weightaudit.spectral import digest, measure
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


@pytest.mark.parametrize(("family", "method"), in_turn(["bert", "gpt2"], ["krylov", "exact"]))
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
    assert Counter(found for _, found in taken) == Counter(expected[key] for key in expected.keys() - unseen)


def test_the_thread_that_reads_takes_them_while_the_others_are_busy(
    tiny_checkpoints: dict[str, Path], taken: list[tuple[bool, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read while the first matrix is measured has its digest before it is measured itself."""

    def slow(*arguments: Any, **options: Any) -> Spectrum:
        for _ in range(1000):
            if any(early for early, _ in taken):
                break
            time.sleep(0.01)
        return measure(*arguments, **options)

    monkeypatch.setattr(measuring, "measure", slow)
    monkeypatch.setattr(reading, "LEAD", 0)
    wa.scan(tiny_checkpoints["bert"], threads=1)
    assert any(early for early, _ in taken)


def _group(checkpoint: Checkpoint, role: str) -> Held:
    """The matrices of that role and all that they are cut from, read."""
    found = map_model(checkpoint.config, checkpoint.tensors)
    matrices = tuple(matrix for matrix in found.matrices if matrix.role in role.split(","))
    tensors = {name: checkpoint.tensors[name] for matrix in matrices for name in matrix.tensors}
    group = ReadGroup(tuple(tensors.values()), matrices)
    return Held(group, Stored({name: checkpoint.read(name) for name in tensors}), lambda: None)


def test_heads_that_cutting_copies_are_hashed_when_they_are_measured(
    tmp_path: Path, taken: list[tuple[bool, str]]
) -> None:
    """GPT-NeoX packs Q, K and V head by head."""
    import transformers

    config = transformers.GPTNeoXConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=40, vocab_size=56
    )
    transformers.GPTNeoXForCausalLM(config).save_pretrained(tmp_path)
    with open_checkpoint(tmp_path) as checkpoint:
        held = _group(checkpoint, "Q,O")
    found = Digests(held.group.matrices, later=())
    found.take(held.group, held.own.arrays)
    assert len(taken) == 1
    for matrix in held.group.matrices:
        assert found.of(matrix, cut(matrix, held.own.arrays)) == digest(cut(matrix, held.own.arrays))
    assert len(taken) == 2


def test_what_may_be_a_copy_is_hashed_when_it_is_measured(
    tiny_checkpoints: dict[str, Path], taken: list[tuple[bool, str]]
) -> None:
    with open_checkpoint(tiny_checkpoints["gpt2"]) as checkpoint:
        held = _group(checkpoint, "EMBED")
    Digests(held.group.matrices, later={held.group.tensors[0].name}).take(held.group, held.own.arrays)
    assert taken == []


@pytest.mark.parametrize("equal", [False, pytest.param(True, marks=pytest.mark.slow)])
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
    assert (digest([as_array(head)]) in [row.digest for row in rows if row.matrix.role == "HEAD"]) == (not equal)
