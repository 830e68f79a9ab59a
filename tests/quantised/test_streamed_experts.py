"""Adapters of stacked experts that are streamed beside their base: the memory holds, and no byte comes twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import weightaudit as wa
from tests.support.hub import folder_files, pointed_at, serve
from weightaudit.arrays import Array
from weightaudit.audit.memory import Memory
from weightaudit.errors import UsageError
from weightaudit.source.readahead import ReadAhead

EXPERTS, HIDDEN, INNER, RANK = 6, 32, 96, 40
CONFIG = {
    "model_type": "mixtral",
    "architectures": ["MixtralForCausalLM"],
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_local_experts": EXPERTS,
    "vocab_size": 20,
}
ADAPTER = {
    "peft_type": "LORA",
    "r": RANK,
    "lora_alpha": 6,
    "target_modules": [],
    "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
}
SHARED = 2 * INNER * RANK * EXPERTS * 4
"""Bytes of the left factor of gate and up, which all experts of a layer have in common."""
MEMORY = 800_000


def write(folder: Path, tensors: dict[str, Array], name: str, config: str, said: object) -> Path:
    folder.mkdir()
    save_file(tensors, folder / name)
    (folder / config).write_text(json.dumps(said))
    return folder


def model_and_adapter(folder: Path) -> tuple[Path, Path]:
    """Experts of their own in the one, and changes of whole stacks in the other."""
    generator = np.random.default_rng(7)

    def normal(*shape: int) -> Array:
        return generator.standard_normal(shape, np.float32)

    base: dict[str, Array] = {}
    changes: dict[str, Array] = {}
    for expert in range(EXPERTS):
        own = f"model.layers.0.block_sparse_moe.experts.{expert}"
        base |= {f"{own}.w{i}.weight": normal(*((HIDDEN, INNER) if i == 2 else (INNER, HIDDEN))) for i in (1, 2, 3)}
    stack = "base_model.model.model.layers.0.mlp.experts"
    for infix, rows, cols in ((".base_layer", 2 * INNER, HIDDEN), ("", HIDDEN, INNER)):
        changes[f"{stack}{infix}.lora_A.weight"] = normal(EXPERTS * RANK, cols)
        changes[f"{stack}{infix}.lora_B.weight"] = normal(rows, RANK * EXPERTS)
    return (
        write(folder / "base", base, "model.safetensors", "config.json", CONFIG),
        write(folder / "adapter", changes, "adapter_model.safetensors", "adapter_config.json", ADAPTER),
    )


@dataclass
class Held:
    """Bytes that were held of weights at once, at most: in buffers, and in blocks that came or were asked for."""

    most: int = 0
    memories: set[Memory] = field(default_factory=set)
    aheads: set[ReadAhead] = field(default_factory=set)

    def count(self) -> None:
        now = sum(memory.held for memory in self.memories) + sum(ahead._held for ahead in self.aheads)
        self.most = max(self.most, now)


@contextmanager
def counted() -> Iterator[Held]:
    held, take, start = Held(), Memory.take, ReadAhead._start

    def taken(memory: Memory, nbytes: int) -> Array:
        held.memories.add(memory)
        buffer = take(memory, nbytes)
        held.count()
        return buffer

    def started(ahead: ReadAhead, *, needed: int) -> None:
        held.aheads.add(ahead)
        start(ahead, needed=needed)
        held.count()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Memory, "take", taken)
        patch.setattr(ReadAhead, "_start", started)
        yield held


def test_what_experts_share_counts_to_the_memory(tmp_path: Path) -> None:
    """No more is held than is allowed, or the scan is refused; and what they share comes once for all of them."""
    base, adapter = model_and_adapter(tmp_path)
    files = {"org/base": folder_files(base), "org/adapter": folder_files(adapter)}
    nbytes = sum(path.stat().st_size for folder in (base, adapter) for path in folder.glob("*.safetensors"))
    with serve(files) as hub, pointed_at(hub.url, tmp_path / "home"):
        hub.log.clear()
        with counted() as held:
            rows = wa.scan("org/adapter", base="org/base", memory=MEMORY, threads=2).rows
        assert SHARED < held.most <= MEMORY
        assert hub.sent("cdn") <= nbytes + 1000
        with pytest.raises(UsageError, match=r"bytes that came over the network are kept for others\. Allow at least"):
            wa.scan("org/adapter", base="org/base", memory=MEMORY // 2)
    assert {row.matrix.role: row.base is not None for row in rows} == {"GATE": True, "M1": True, "M2": True}
    assert len(rows) == EXPERTS * 3
