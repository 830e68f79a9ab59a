"""Tiny quantised models of a format that only the tests know, and of one that nothing decodes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tests.support.models import tiny_model
from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs import Stored
from weightaudit.records import CodeFacts, Scheme, TensorInfo, encoded, unread

SCHEME = Scheme("toy", 8, "row", symmetric=True)
UNREAD = Scheme("EXL9", 3)
WHY = "no decoder of it is written"
Change = Callable[[dict[str, torch.Tensor]], None]


class Toy:
    """`Codec`: "X.codes" (int8) times "X.row_scale" is the matrix X (out, in); "X.exl" is one that nobody reads."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        for name, part in stored.tensors.items():
            scale = stored.tensors.get(f"{name.removesuffix('.codes')}.row_scale")
            if name.endswith(".codes") and scale is not None:
                yield encoded(name[:-6], part.shape, "toy", (("codes", part), ("scale", scale)), SCHEME)
            elif name.endswith(".exl"):
                yield unread(name[:-4], part.shape, (("codes", part),), UNREAD, WHY)

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        np.multiply(parts["codes"], parts["scale"][:, None], out=out)

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        codes, scale = parts["codes"], parts["scale"]
        size = np.abs(scale[scale != 0])
        return CodeFacts(
            codes.size,
            int((abs(codes.astype(np.int16)) == 127).sum()),
            0,
            scale.size,
            zero_scales=int((scale == 0).sum()),
            least_scale=float(size.min()),
            largest_scale=float(size.max()),
        )


def quantised(
    family: str, folder: Path, *, left: str = "(?!)", change: Change = lambda stored: None, config: Any = None
) -> Path:
    """A tiny model of ``family``, the matrices of its layers encoded, those whose name fits ``left`` unreadably.

    ``change`` is made to what is stored, ``config`` to config.json. What its Conv1D has is turned to (out, in).
    """
    tiny_model(family, folder)
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if tensor.ndim != 2 or not re.search(r"\.\d+\.", name):
            stored[name] = tensor
            continue
        matrix = tensor.T.contiguous() if family == "gpt2" else tensor
        scale = matrix.abs().amax(dim=1) / 127
        codes = torch.round(matrix / scale[:, None]).to(torch.int8)
        stored |= (
            {f"{name}.exl": codes} if re.search(left, name) else {f"{name}.codes": codes, f"{name}.row_scale": scale}
        )
    change(stored)
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    said = json.loads((folder / "config.json").read_text("utf-8")) | (config or {})
    (folder / "config.json").write_text(json.dumps(said), "utf-8")
    return folder
