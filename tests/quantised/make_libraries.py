# mypy: ignore-errors
"""Writes golden/{bitsandbytes,mxfp4,mlx,torchao,torchao-floats,quanto,hqq}.safetensors with the formats' own libraries.

Run as ``python tests/quantised/make_libraries.py`` in an environment that has bitsandbytes, transformers, mlx, torchao,
optimum-quanto, hqq, torch and safetensors. Each file holds tensors as its library stores them, its own dequantised
matrices under "expected.NAME", and the libraries' versions in the header.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).with_name("golden")


def save(name: str, tensors: dict[str, torch.Tensor], *libraries: str, **metadata: str) -> None:
    """``tensors`` as golden file ``name``."""
    versions = {library: version(library) for library in libraries}
    contiguous = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
    save_file(contiguous, GOLDEN / f"{name}.safetensors", metadata={**versions, **metadata})


def drawn(*shape: int) -> torch.Tensor:
    """Random numbers with a sign that leans and columns that differ."""
    return torch.randn(*shape) * torch.logspace(0, -1, shape[-1]) + 0.05


def bitsandbytes() -> None:
    from bitsandbytes import functional
    from bitsandbytes.nn import Params4bit

    tensors = {}
    cases: dict[str, dict[str, Any]] = {
        "nf4": {},
        "nf4_double": {"compress_statistics": True},
        "nf4_stored_bf16": {"compress_statistics": True, "quant_storage": torch.bfloat16},
        "fp4": {"quant_type": "fp4", "blocksize": 128},
        "nf4_wide": {"blocksize": 4096},
        "nf4_ragged": {"shape": (9, 39)},
    }
    for name, options in cases.items():
        W = drawn(*options.pop("shape", (8, 128)))
        given = {"compress_statistics": False, "quant_type": "nf4", "blocksize": 64, **options}
        weight = Params4bit(W, requires_grad=False, **given).to("cpu")
        tensors[f"{name}.weight"] = weight.data
        for key, value in weight.quant_state.as_dict(packed=True).items():
            tensors[f"{name}.weight.{key}"] = value
        tensors[f"expected.{name}.weight"] = functional.dequantize_4bit(weight.data, weight.quant_state).float()
    codes, scales, _ = functional.int8_vectorwise_quant(drawn(10, 24).half())
    tensors |= {"int8.weight": codes, "int8.SCB": scales, "int8.weight_format": torch.zeros((), dtype=torch.uint8)}
    tensors["expected.int8.weight"] = functional.int8_vectorwise_dequant(codes, scales)
    save("bitsandbytes", tensors, "bitsandbytes", "torch")


def mxfp4() -> None:
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    tensors = {}
    for name, rows, groups in (("gate_up_proj", 10, 2), ("down_proj", 64, 1)):
        blocks = torch.randint(0, 256, (3, rows, groups, 16), dtype=torch.uint8)
        scales = torch.randint(100, 140, (3, rows, groups), dtype=torch.uint8)
        turned = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
        tensors |= {f"experts.{name}_blocks": blocks, f"experts.{name}_scales": scales}
        tensors[f"expected.experts.{name}"] = turned.transpose(1, 2)
    save("mxfp4", tensors, "transformers", "torch")


def mlx() -> None:
    import mlx.core as mx
    import numpy as np

    def told(array: Any) -> torch.Tensor:
        return torch.from_numpy(np.array(array))

    tensors, config = {}, {"group_size": 64, "bits": 4, "mode": "affine"}
    for bits, group, dtype in (
        (2, 32, mx.float32),
        (3, 64, mx.float32),
        (4, 64, mx.float32),
        (5, 32, mx.float32),
        (6, 64, mx.float32),
        (8, 128, mx.float32),
        (4, 32, mx.float16),
    ):
        name = f"affine{bits}_{group}_{str(dtype).rsplit('.', 1)[-1]}"
        W = mx.array(drawn(3, 256).numpy()).astype(dtype)
        codes, scales, biases = mx.quantize(W, group_size=group, bits=bits)
        tensors |= {f"{name}.weight": told(codes), f"{name}.scales": told(scales), f"{name}.biases": told(biases)}
        back = mx.dequantize(codes, scales.astype(mx.float32), biases.astype(mx.float32), group_size=group, bits=bits)
        tensors[f"expected.{name}.weight"] = told(back)
        config[name] = {"group_size": group, "bits": bits}
    for mode in ("mxfp4", "nvfp4", "mxfp8"):
        codes, scales = mx.quantize(mx.array(drawn(12, 64).numpy()), mode=mode)
        tensors |= {f"{mode}.weight": told(codes), f"{mode}.scales": told(scales)}
        back = mx.dequantize(codes, scales, mode=mode, dtype=mx.float32)
        tensors[f"expected.{mode}.weight"] = told(back)
    save("mlx", tensors, "mlx", quantization=json.dumps(config))


def torchao() -> None:
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import (
        Float8WeightOnlyConfig,
        Int8WeightOnlyConfig,
        IntxWeightOnlyConfig,
        MappingType,
        quantize_,
    )
    from torchao.quantization.granularity import PerGroup

    tensors: dict[str, torch.Tensor] = {}
    metadata: dict[str, str] = {}
    for name, config in {
        "int8": Int8WeightOnlyConfig(),
        "float8": Float8WeightOnlyConfig(),
        "int4": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)),
        "int4_offset": IntxWeightOnlyConfig(
            weight_dtype=torch.int4, granularity=PerGroup(32), mapping_type=MappingType.ASYMMETRIC
        ),
    }.items():
        layer = torch.nn.Linear(64, 12, bias=False)
        layer.weight.data = drawn(12, 64)
        quantize_(layer, config)
        flat, said = flatten_tensor_state_dict({f"{name}.weight": layer.weight})
        tensors |= flat
        metadata |= {key: value for key, value in said.items() if key != "tensor_names"}
        tensors[f"expected.{name}.weight"] = layer.weight.dequantize().float()
    save("torchao", tensors, "torchao", **metadata)


def torchao_floats() -> None:
    """Small floats with scales in rows and swizzled, of which the last pieces are not whole; multiplied in float32."""
    from torchao.prototype.mx_formats.mx_tensor import MXTensor
    from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict

    tensors: dict[str, torch.Tensor] = {}
    metadata: dict[str, str] = {}
    W = drawn(130, 96) * torch.logspace(-3, 3, 130)[:, None]
    made: dict[str, torch.Tensor] = {}
    for turned in (False, True):
        after, of = ("_swizzled", W) if turned else ("", W[:9])
        for dtype in ("float8_e4m3fn", "float8_e5m2", "float4_e2m1fn_x2")[2 * turned :]:
            made[f"mx_{dtype}{after}"] = MXTensor.to_mx(of, getattr(torch, dtype), 32, is_swizzled_scales=turned)
        whole = torch.tensor(0.01)
        made[f"nvfp4{after}"] = NVFP4Tensor.to_nvfp4(of, per_tensor_scale=whole, is_swizzled_scales=turned)
    made["nvfp4_alone"] = NVFP4Tensor.to_nvfp4(W[60:69])
    made["mx_stack"] = MXTensor.to_mx(drawn(3, 5, 64), torch.float4_e2m1fn_x2, 32)
    for name, tensor in made.items():
        flat, said = flatten_tensor_state_dict({f"{name}.weight": tensor})
        tensors |= flat
        metadata |= {key: value for key, value in said.items() if key != "tensor_names"}
        tensors[f"expected.{name}.weight"] = tensor.dequantize(torch.float32)
    save("torchao-floats", tensors, "torchao", **metadata)


def quanto() -> None:
    from optimum.quanto import freeze, qfloat8, qint2, qint4, qint8, quantize

    tensors: dict[str, torch.Tensor] = {}
    for kind in (qint8, qfloat8, qint4, qint2):
        name = kind.name
        model = torch.nn.ModuleDict({name: torch.nn.Linear(256, 6)})
        model[name].weight.data = drawn(6, 256)
        quantize(model, weights=kind)
        freeze(model)
        tensors |= {key: value for key, value in model.state_dict().items() if "put_scale" not in key}
        tensors[f"expected.{name}.weight"] = model[name].weight.dequantize()
    save("quanto", tensors, "optimum-quanto")


def hqq() -> None:
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    tensors: dict[str, torch.Tensor] = {}
    for bits in (8, 4, 3, 2, 1):
        for axis in (0, 1):
            layer = torch.nn.Linear(24, 16, bias=False)
            layer.weight.data = drawn(16, 24)
            config = BaseQuantizeConfig(nbits=bits, group_size=16 if axis else 32, axis=axis)
            packed = HQQLinear(layer, config, compute_dtype=torch.float32, device="cpu")
            name = f"hqq{bits}_{axis}"
            tensors |= {f"{name}.{key}": value for key, value in packed.state_dict().items()}
            tensors[f"expected.{name}.weight"] = packed.dequantize()
    save("hqq", tensors, "hqq")


if __name__ == "__main__":
    for make in (bitsandbytes, mxfp4, mlx, torchao, torchao_floats, quanto, hqq):
        if not sys.argv[1:] or make.__name__ in sys.argv[1:]:
            torch.manual_seed(0)
            make()
