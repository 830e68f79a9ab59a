"""Makes golden/gptq-v1.safetensors and golden/gptq-v2.safetensors with GPTQModel's own packer and dequantiser.

    pip install gptqmodel==7.7.0 safetensors torch
    python tests/quantised/make_gptq.py

For each case NAME: the stored tensors as ``NAME.p.…`` and, as ``expected.NAME``, (out, in), what the library makes of
them in float32. All are asymmetric with zero points of 0 among them; "…-order" have any map of columns to groups.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file

OUT, IN, SIZE = 32, 32, 16


def library(name: str) -> Any:
    return importlib.import_module(name)


def case(bits: int, *, order: bool, v1: bool) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """What is stored, and what it means."""
    module = library("gptqmodel.nn_modules.qlinear.torch").TorchLinear(
        bits=bits,
        group_size=SIZE,
        desc_act=order,
        sym=False,
        in_features=IN,
        out_features=OUT,
        bias=False,
        pack_dtype=torch.int32,
        register_buffers=True,
    )
    index = torch.arange(IN) // SIZE
    if order:
        index = index[torch.randperm(IN)]
    scales = (torch.rand(OUT, IN // SIZE) + 0.01).half().float()
    zeros = torch.randint(0, 1 << bits, scales.shape)
    zeros[::5] = 0
    codes = torch.randint(0, 1 << bits, (OUT, IN))
    linear = torch.nn.Linear(IN, OUT, bias=False)
    linear.weight.data = scales[:, index] * (codes - zeros[:, index]).float()
    module.pack(linear, scales, zeros, index.int())
    module.scales = module.scales.float()
    means = module.dequantize_weight().T.float()
    if v1:
        config = SimpleNamespace(bits=bits, pack_dtype=torch.int32)
        library("gptqmodel.utils.model").convert_gptq_v2_to_v1_format_module(module, config)
    stored = {"qweight": module.qweight, "qzeros": module.qzeros, "scales": module.scales.half(), "g_idx": module.g_idx}
    return stored, means


if __name__ == "__main__":
    torch.manual_seed(0)
    for v1 in (True, False):
        made: dict[str, torch.Tensor] = {}
        for bits in (2, 3, 4, 8):
            name = f"{bits}-order" if v1 else str(bits)
            stored, means = case(bits, order=v1, v1=v1)
            made |= {f"{name}.p.{key}": value.contiguous() for key, value in stored.items()}
            made[f"expected.{name}"] = means.contiguous()
        path = Path(__file__).parent / "golden" / f"gptq-{'v1' if v1 else 'v2'}.safetensors"
        save_file(made, path, metadata={"gptqmodel": version("gptqmodel")})
