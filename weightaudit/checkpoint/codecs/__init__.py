"""Stored bytes → the numbers that they mean; one module for each way of storing numbers.

Other rooms see logical tensors only: what a codec reads for one, how and from how many stored tensors, stays here.
"""

from __future__ import annotations

from dataclasses import replace

from weightaudit.checkpoint.codecs import heads
from weightaudit.checkpoint.codecs.awq import Awq
from weightaudit.checkpoint.codecs.base import Codec
from weightaudit.checkpoint.codecs.base import Stored as Stored
from weightaudit.checkpoint.codecs.bitnet import BitNet
from weightaudit.checkpoint.codecs.bitsandbytes import Bitsandbytes
from weightaudit.checkpoint.codecs.compressed_tensors import CompressedTensors
from weightaudit.checkpoint.codecs.fp8 import Fp8
from weightaudit.checkpoint.codecs.ggml import CODEC as GGML
from weightaudit.checkpoint.codecs.ggml import Ggml
from weightaudit.checkpoint.codecs.gptq import Gptq
from weightaudit.checkpoint.codecs.hqq import Hqq
from weightaudit.checkpoint.codecs.joined import NAME as JOINED
from weightaudit.checkpoint.codecs.joined import Joined
from weightaudit.checkpoint.codecs.low_rank import NAME as LOW_RANK
from weightaudit.checkpoint.codecs.low_rank import LowRank
from weightaudit.checkpoint.codecs.mlx import Mlx
from weightaudit.checkpoint.codecs.modelopt import ModelOpt
from weightaudit.checkpoint.codecs.mxfp4 import Mxfp4
from weightaudit.checkpoint.codecs.quanto import Quanto
from weightaudit.checkpoint.codecs.refused import Refused
from weightaudit.checkpoint.codecs.torchao import Torchao
from weightaudit.records import Scheme, TensorInfo, unread

CODECS: dict[str, Codec] = {
    GGML: Ggml(),
    "bitsandbytes": Bitsandbytes(),
    "torchao": Torchao(),
    "quanto": Quanto(),
    "hqq": Hqq(),
    "compressed-tensors": CompressedTensors(),
    "mlx": Mlx(),
    "mxfp4": Mxfp4(),
    "modelopt": ModelOpt(),
    "awq": Awq(),
    "gptq": Gptq(),
    "fp8": Fp8(),
    "bitnet": BitNet(),
    "refused": Refused(),
    LOW_RANK: LowRank(),
    JOINED: Joined(),
}
"""By the name that an `Encoding` has. Those come first whose tensors are told from others by more."""
CODECS[heads.NAME] = heads.Heads(CODECS)


def logical_tensors(stored: Stored) -> list[TensorInfo]:
    """The tensors that the ``stored`` ones stand for, in name order: those that a codec takes together are one.

    What no codec takes stands for itself, and so does what a file format has encoded already. Earlier codecs take
    first, and none under a name that another tensor has. No codec reads parts that are not stored row by row.
    """
    settled = [info for info in stored.tensors.values() if info.encoded]
    logical = {info.name: info for info in settled}
    left = {name: info for name, info in stored.tensors.items() if name not in logical}
    for codec in CODECS.values() if left else ():
        for info in list(codec.groups(replace(stored, tensors=left))):
            taken = {part.name for part in info.stored}
            free = info.name not in logical and (info.name in taken or info.name not in left)
            strided = any(part.strides is not None for part in info.stored)
            if free and taken <= left.keys() and not (strided and len(taken) == 1):  # alone it is read as it is
                logical[info.name] = _strided(info) if strided else info
                for name in taken:
                    del left[name]
    return sorted([*left.values(), *logical.values()], key=lambda info: info.name)


def _strided(info: TensorInfo) -> TensorInfo:
    """``info``, of which some part is not stored row by row, as one that is not read."""
    encoding = info.encoding
    why = encoding.unread or "its parts are not stored row by row"
    return unread(info.name, info.shape, encoding.parts, encoding.scheme or Scheme(encoding.codec), why)
