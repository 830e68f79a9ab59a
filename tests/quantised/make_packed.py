"""Makes golden/awq*.safetensors and golden/compressed-tensors-*.safetensors with the formats' own libraries.

    pip install compressed-tensors==0.19.0 autoawq==0.2.9 safetensors torch transformers
    python tests/quantised/make_packed.py

For each case NAME: the stored tensors as ``NAME.p.…`` and, as ``expected.NAME``, what the library makes of them where
it multiplies in float32.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).parent / "golden"
OUT, IN = 9, 64


def library(name: str) -> Any:
    return importlib.import_module(name)


def compressed_tensors() -> dict[str, torch.Tensor]:
    compressors, quantization, utils = (
        library(f"compressed_tensors.{name}") for name in ("compressors", "quantization", "quantization.utils")
    )
    made: dict[str, torch.Tensor] = {}

    def case(name: str, format: str, columns: int = IN, **said: Any) -> None:
        args = quantization.QuantizationArgs(**said)
        scheme = quantization.QuantizationScheme(targets=["Linear"], weights=args)
        compressor = compressors.BaseCompressor.get_value_from_registry(format)
        weight = torch.randn(OUT, columns) * torch.linspace(0.2, 2, OUT)[:, None] + 0.1
        width = args.group_size if args.group_size and args.group_size > 0 else columns
        blocks = weight.reshape(OUT, -1, width)
        if args.strategy == "tensor":
            blocks = weight.reshape(1, 1, -1)
        if args.strategy == "block":
            rows, columns_ = args.block_structure
            grid = (-(-OUT // rows), -(-columns // columns_))
            padded = torch.nn.functional.pad(weight, (0, grid[1] * columns_ - columns, 0, grid[0] * rows - OUT))
            blocks = padded.reshape(grid[0], rows, grid[1], columns_).transpose(1, 2).reshape(*grid, -1)
        least, most = blocks.amin(-1), blocks.amax(-1)
        total = utils.generate_gparam(least.min(), most.max()) if format.startswith("nvfp4") else None
        scale, zero = utils.calculate_qparams(least, most, args, global_scale=total)
        if args.strategy == "tensor":
            scale, zero = scale.reshape(1), zero.reshape(1)
        state = {"weight": weight, "weight_scale": scale, "weight_zero_point": zero}
        if total is not None:
            state["weight_global_scale"] = total.reshape(1)
        stored = compressor.compress(state, scheme)
        made.update({f"{name}.p.{key}": value.contiguous() for key, value in stored.items()})
        means = compressor.decompress(dict(stored), scheme)["weight"]
        made[f"expected.{name}"] = means.float().contiguous()

    for bits in (2, 3, 4, 5, 6, 7, 8):
        case(f"int{bits}", "pack-quantized", num_bits=bits, type="int", strategy="group", group_size=32)
    for bits in (3, 4):
        asymmetric: dict[str, Any] = {"num_bits": bits, "type": "int", "symmetric": False}
        case(f"int{bits}-zero", "pack-quantized", strategy="group", group_size=32, **asymmetric)
        case(f"int{bits}-row", "pack-quantized", 50, strategy="channel", **asymmetric)
    case("bytes-row", "int-quantized", num_bits=8, type="int", strategy="channel")
    case("bytes-zero", "int-quantized", num_bits=8, type="int", strategy="channel", symmetric=False)
    case("bytes-tensor", "naive-quantized", num_bits=8, type="int", strategy="tensor")
    case("float-row", "float-quantized", num_bits=8, type="float", strategy="channel")
    case("float-tensor", "float-quantized", num_bits=8, type="float", strategy="tensor")
    case("float-block", "float-quantized", num_bits=8, type="float", strategy="block", block_structure=[4, 48])
    case("nvfp4", "nvfp4-pack-quantized", num_bits=4, type="float", strategy="tensor_group", group_size=16)
    case("mxfp4", "mxfp4-pack-quantized", num_bits=4, type="float", strategy="group", group_size=32)
    return made


def of_autoawq(file: str) -> Any:
    """A file of AutoAWQ's: the package itself needs an older transformers, and kernels for a GPU."""
    kernels = ModuleType("awq.utils.module")
    kernels.try_import = lambda name: (None, "")  # type: ignore[attr-defined]
    sys.modules["awq.utils.module"] = kernels
    path = distribution("autoawq").locate_file(f"awq/{file}.py")
    spec = importlib.util.spec_from_file_location(file.rpartition("/")[2], str(path))
    assert spec is not None
    assert spec.loader is not None
    functions = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(functions)
    return functions


def awq() -> dict[str, torch.Tensor]:
    functions = of_autoawq("utils/packing_utils")
    words = [torch.randint(-(2**31), 2**31, shape, dtype=torch.int32) for shape in ((96, 3), (3, 3))]
    scales = torch.rand(3, 24).half()
    means = functions.dequantize_gemm(*words, scales.float(), 4, 32)
    return {
        "gemm.p.qweight": words[0],
        "gemm.p.qzeros": words[1],
        "gemm.p.scales": scales,
        "expected.gemm": means.T.contiguous(),
    }


def awq_fast() -> dict[str, torch.Tensor]:
    """As its linear layer stores it; on a CPU nothing of it multiplies, so means are those of the codes it is given."""
    layer = of_autoawq("modules/linear/gemv_fast").WQLinear_GEMVFast
    made: dict[str, torch.Tensor] = {}
    for name, out, columns, size in (("small", 16, 128, 64), ("ragged", 8, 320, 32), ("whole", 8, 64, 64)):
        codes = torch.randint(0, 16, (out, columns))
        zeros = torch.randint(0, 16, (out, columns // size))
        scales = torch.randint(1, 2048, zeros.shape).half() / 4096
        index = torch.arange(columns) // size
        linear = torch.nn.Linear(columns, out, bias=False)
        linear.weight.data = scales[:, index].float() * (codes - zeros[:, index])
        stored = layer.from_linear(linear, 4, size, scales=scales.float(), zeros=zeros.float()).state_dict()
        made |= {f"{name}.p.{key}": value for key, value in stored.items()}
        offsets = -(scales.float() * zeros).half().float()
        made[f"expected.{name}"] = codes * scales[:, index].float() + offsets[:, index]
    return made


if __name__ == "__main__":
    torch.manual_seed(1)
    save_file(awq_fast(), GOLDEN / "awq-fast.safetensors", metadata={"autoawq": version("autoawq")})
    torch.manual_seed(0)
    save_file(awq(), GOLDEN / "awq.safetensors", metadata={"autoawq": version("autoawq")})
    every = compressed_tensors()
    for kind in ("int", "bytes", "float", "nvfp4", "mxfp4"):
        chosen = {name: tensor for name, tensor in every.items() if name.removeprefix("expected.").startswith(kind)}
        path = GOLDEN / f"compressed-tensors-{kind}.safetensors"
        save_file(chosen, path, metadata={"compressed-tensors": version("compressed-tensors")})
