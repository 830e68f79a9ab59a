"""No output is out of all proportion to the model that made it, whatever its names and numbers say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.covering import some_of
from tests.support.forge import LAYER, write_config, write_model
from weightaudit import scan
from weightaudit.cli.github import workflow_commands
from weightaudit.cli.summary import summary_text

CONSTANT, PAGE, MULTIPLE = 200_000, 4_500_000, 20
"""Bytes of the smallest model's outputs, of its page with plotly.js in it, and for each byte of the model."""
LONG = "module." * 138
"""Before a name it leaves the role as it is: wrappers of models do that."""


def experts(model: Path) -> None:
    """4,500 experts of one or two entries in two tensors with long names."""
    n = 4500
    stored = {f"{LONG}{LAYER}self_attn.{x}_proj.weight": torch.randn(1, 1) for x in "qkvo"}
    stored[f"{LONG}{LAYER}mlp.experts.gate_up_proj"] = torch.randn(n, 1, 2, dtype=torch.float16)
    stored[f"{LONG}{LAYER}mlp.experts.down_proj"] = torch.randn(n, 1, 1, dtype=torch.float16)
    write_model(model, stored)
    sizes = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    config = {**dict.fromkeys((*sizes, "head_dim", "vocab_size"), 1), "num_local_experts": n}
    write_config(model, {"model_type": "gpt_oss", **config})


def layers(matrix: Callable[[], torch.Tensor], prefix: str = "", count: int = 100) -> Callable[[Path], None]:
    """So many layers, and as many tensors of which nothing is known."""

    def make(model: Path) -> None:
        stored: Mapping[str, torch.Tensor] = {
            **{f"{prefix}layers.{i}.self_attn.{x}_proj.weight": matrix() for i in range(count) for x in "qkvo"},
            **{f"{prefix}odd.{i}": matrix() for i in range(count)},
        }
        write_model(model, stored)

    return make


FEW = 12
"""Layers of the models of each run: what grew with the square of their number would be twice what it may be."""
MODELS: dict[str, Callable[[Path], None]] = {
    "experts without end": experts,
    "few long names": layers(lambda: torch.randn(4, 4), "é𝄞." * 320, FEW),
    "few equal matrices with long names": layers(lambda: torch.eye(4), "a." * 480, FEW),
    "NaN in a few": layers(lambda: torch.full((4, 4), torch.nan), "a." * 480, FEW),
    "long names": layers(lambda: torch.randn(4, 4), "é𝄞." * 320),
    "equal matrices": layers(lambda: torch.eye(4)),
    "equal matrices with long names": layers(lambda: torch.eye(4), "a." * 480),
    "NaN everywhere": layers(lambda: torch.full((4, 4), torch.nan), "a." * 480),
    "zeros everywhere": layers(lambda: torch.zeros(4, 4)),
}


@pytest.mark.parametrize("name", some_of(MODELS, "experts without end", "few long names", "NaN in a few"))
def test_outputs_are_small_multiples_of_the_model(name: str, model: Path, tmp_path: Path) -> None:
    MODELS[name](model)
    most = MULTIPLE * sum(path.stat().st_size for path in model.iterdir())
    report = scan(model, threads=1)
    sizes: dict[str, Any] = {"stdout": len(summary_text(report)), "commands": len(workflow_commands(report))}
    for kind in (".csv", ".json", ".parquet", ".html", ".sarif", ".md", ".xml"):
        report.write(tmp_path / f"report{kind}")
        sizes[kind] = (tmp_path / f"report{kind}").stat().st_size
    assert all(size < most + (PAGE if kind == ".html" else CONSTANT) for kind, size in sizes.items()), sizes
    assert sizes["stdout"] < 10_000
    assert sizes["commands"] < 100_000
    told = json.loads((tmp_path / "report.json").read_bytes())
    assert len(json.dumps(told["findings"])) < most + CONSTANT
