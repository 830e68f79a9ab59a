"""Fashion-MNIST from the Hugging Face Hub: one parquet file a split, each image a PNG within it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image, UnidentifiedImageError

from weightaudit.errors import CacheError, CheckpointError, DataError, ModelError, ModelUnreachable
from weightaudit.paper.fashion_mnist.images import SIDE, Images, Split, checked
from weightaudit.source.data_set import data_set_file

DATASET = "zalando-datasets/fashion_mnist"
THING = f"data set {DATASET}"
ELSEWHERE = "Check the network, or give a directory of the IDX files: --data-dir DIR"
MAX_WAIT = 20.0
"""Seconds that the Hub may take for an answer."""


def from_hub(split: Split, *, offline: bool) -> Images:
    """The images of a split, downloaded into the Hugging Face cache (test: 5 MB, train: 31 MB) if it lacks them."""
    try:
        path, commit = data_set_file(
            DATASET, f"fashion_mnist/{split}-00000-of-00001.parquet", offline=offline, max_wait=MAX_WAIT
        )
    except (ModelUnreachable, CheckpointError, CacheError) as error:
        raise DataError(error.thing, error.cause, ELSEWHERE) from error
    except ModelError as error:
        raise DataError(THING, "the Hub has no such data set, or does not show it", ELSEWHERE) from error
    pixels, classes = _read(path)
    return checked(pixels, classes, f"{DATASET} at {commit[:7]}")


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 28, 28) uint8 and classes (n,) of columns ``image`` (a PNG's bytes) and ``label``."""
    try:
        table = pyarrow.parquet.read_table(path, columns=["image", "label"])
        encoded = table.column("image").combine_chunks().field("bytes").to_pylist()
        classes = table.column("label").to_numpy()
    except (pyarrow.ArrowException, OSError, KeyError, AttributeError, ValueError):
        raise DataError(
            THING,
            "its file holds no images and labels as expected",
            "Remove it from the Hugging Face cache, and try again",
        ) from None
    if not all(isinstance(one, bytes) for one in encoded) or classes.dtype.kind not in "iu":
        raise DataError(THING, "it lacks some images or labels", "Remove it from the Hugging Face cache, and try again")
    pixels = np.empty((len(encoded), SIDE, SIDE), dtype=np.uint8)
    for i, data in enumerate(encoded):
        pixels[i] = _decoded(data, i)
    return pixels, classes


def _decoded(data: bytes, index: int) -> np.ndarray:
    try:
        # Only PNG: no file from elsewhere should reach the decoders of rarer formats.
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.mode == "L" and image.size == (SIDE, SIDE):
                return np.asarray(image)
            found = f"of mode {image.mode}, {image.width} × {image.height}"
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        found = "no PNG"
    raise DataError(THING, f"image {index} is {found}, where {SIDE} × {SIDE} grey values should be", "")
