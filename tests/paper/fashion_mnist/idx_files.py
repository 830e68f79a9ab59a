"""Tiny Fashion-MNISTs as IDX files and as the Hub's parquet, made here."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def toy_images(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random pixels (count, 28, 28), brighter on the left for classes 0 to 4; classes (count,) in turn."""
    rng = np.random.default_rng(seed)
    classes = (np.arange(count) % 10).astype(np.uint8)
    pixels = rng.integers(1, 100, size=(count, 28, 28))
    pixels[classes < 5, :, :14] += 100
    return pixels.astype(np.uint8), classes


def idx(array: np.ndarray) -> bytes:
    """The array as an IDX file of unsigned bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(directory: Path, pixels: np.ndarray, classes: np.ndarray, *, packed: bool = False) -> Path:
    """Both files in ``directory``, ``packed`` in gzip."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, array in ((IMAGES, pixels), (LABELS, classes)):
        path = directory / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return directory


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """The image as a file of that kind."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def parquet(images: list[bytes | None], classes: list[int]) -> bytes:
    """The file of a split as the Hub has it: images as {bytes, path}, labels as 64-bit numbers."""
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    column = pyarrow.array([{"bytes": data, "path": None} for data in images], type=kind)
    table = pyarrow.table({"image": column, "label": pyarrow.array(classes, type=pyarrow.int64())})
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()
