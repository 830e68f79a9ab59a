"""What a codec makes of stored tensors that lie in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from weightaudit.arrays import Array, as_array
from weightaudit.checkpoint.codecs import CODECS, Stored, logical_tensors
from weightaudit.checkpoint.reader import stored_numbers
from weightaudit.records import CodeFacts, TensorInfo


def stored(tensors: Mapping[str, Array]) -> dict[str, TensorInfo]:
    """Headers of ``tensors``, as if they lay one after the other in a file."""
    infos, offset = {}, 0
    for name, array in tensors.items():
        infos[name] = TensorInfo(name, array.dtype.name, array.shape, "f", offset, array.nbytes)
        offset += array.nbytes
    return infos


def logical(
    tensors: Mapping[str, Array], method: Mapping[str, Any] | None = None, metadata: Mapping[str, str] | None = None
) -> TensorInfo:
    """The one logical tensor that is encoded in ``tensors``."""
    infos = stored(tensors)
    found = logical_tensors(Stored(infos, method or {}, metadata or {}, lambda asked: [tensors[i.name] for i in asked]))
    (info,) = [one for one in found if one.encoded]
    return info


def decoded(
    tensors: Mapping[str, Array], method: Mapping[str, Any] | None = None, *, at: tuple[int, int] | None = None
) -> tuple[TensorInfo, Array]:
    """It and its numbers, or those of one matrix (index, of how many) that it stacks; ValueError as `Codec.decode`."""
    info = logical(tensors, method)
    if at is not None:
        one = info.at(*at)
        assert one is not None
        info = one
    assert not info.why_unread, info.why_unread
    out = np.full(info.shape, np.nan, np.float32)
    with np.errstate(all="ignore"):
        CODECS[info.encoding.codec].decode(info, _parts(tensors, info), out)
    return info, out


def facts(tensors: Mapping[str, Array], method: Mapping[str, Any] | None = None) -> CodeFacts | None:
    """What its codes and scales are."""
    info = logical(tensors, method)
    return CODECS[info.encoding.codec].facts(info, _parts(tensors, info))


@contextmanager
def traced(peaks: list[int]) -> Iterator[None]:
    """Add the bytes that were held at most within it. What is traced takes five times as long."""
    tracemalloc.start()
    try:
        yield
        peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def golden(file: str) -> tuple[dict[str, dict[str, Array]], dict[str, Array]]:
    """By case: the tensors that a library stored, and what it makes of them."""
    parts: dict[str, dict[str, Array]] = {}
    expected = {}
    for name, tensor in load_file(Path(__file__).parent / "golden" / f"{file}.safetensors").items():
        case, _, rest = name.partition(".")
        if case == "expected":
            expected[rest] = as_array(tensor)
        else:
            parts.setdefault(case, {})[rest] = as_array(tensor)
    return parts, expected


def _parts(tensors: Mapping[str, Array], info: TensorInfo) -> dict[str, Array]:
    everything = b"".join(np.ascontiguousarray(array).tobytes() for array in tensors.values())
    return {
        use: stored_numbers(part, np.frombuffer(everything, np.uint8)[part.offset :][: part.nbytes].copy())
        for use, part in info.encoding.parts
    }
