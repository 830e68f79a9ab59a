"""Fashion-MNIST (Xiao et al. 2017): images of 28 × 28 grey values in ten classes, from IDX files or from the Hub."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from weightaudit.errors import DataError
from weightaudit.text import printable

Split = Literal["test", "train"]
SIDE = 28
CLASSES = 10
UNSIGNED_BYTE = 8
"""IDX's type of the only arrays that are read."""
MAX_BYTES = 2**28
"""Of an array. Fashion-MNIST's largest is 47 MB; a small file in gzip may unpack to anything."""
REDOWNLOAD_HINT = "Download the file again"
_IDX_PREFIX: dict[Split, str] = {"test": "t10k", "train": "train"}


@dataclass(frozen=True)
class Images:
    """``pixels`` (n, 784) uint8, row by row from the top left; ``classes`` (n,) in 0…9; ``origin`` says whence."""

    pixels: np.ndarray
    classes: np.ndarray
    origin: str


def from_directory(directory: Path, split: Split) -> Images:
    """The images in a directory of IDX files with the names that the data set's authors gave them."""
    if not directory.is_dir():
        raise DataError(printable(str(directory)), "there is no such directory", "Give the one with the IDX files")
    images, labels = (_found(directory, split, *part) for part in (("images", 3), ("labels", 1)))
    return checked(read_idx(images, 3), read_idx(labels, 1), printable(str(directory)))


def checked(pixels: np.ndarray, classes: np.ndarray, origin: str) -> Images:
    """``pixels`` (n, 28, 28) and ``classes`` (n,) as `Images`; DataError where they are no such thing."""
    if pixels.shape[1:] != (SIDE, SIDE):
        sides = " × ".join(map(str, pixels.shape[1:]))
        raise DataError(origin, f"its images are {sides}, not {SIDE} × {SIDE}", "Is it another data set?")
    if len(pixels) != len(classes):
        raise DataError(origin, f"it has {len(pixels)} images and {len(classes)} labels", "Are they of one download?")
    if len(classes) and not 0 <= classes.min() <= classes.max() < CLASSES:
        raise DataError(origin, f"its labels go from {classes.min()} to {classes.max()}, not 0 to {CLASSES - 1}")
    return Images(pixels.reshape(len(pixels), -1), classes, origin)


def _found(directory: Path, split: Split, what: str, axes: int) -> Path:
    """``t10k-images-idx3-ubyte`` and the like; some copies have a dot before idx."""
    stem = f"{_IDX_PREFIX[split]}-{what}"
    names = [f"{stem}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise DataError(
        printable(str(directory)),
        f"it has no file {names[0]} (nor {', '.join(names[1:])})",
        "Fashion-MNIST's four files come from https://github.com/zalandoresearch/fashion-mnist",
    )


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The array in an IDX file, uint8, with that many axes. DataError where it holds anything else, more or less.

    The header is two zero bytes, the type (8: unsigned byte), the number of axes, and the length of each axis as a
    big-endian 32-bit number (http://yann.lecun.com/exdb/mnist, "the IDX file format"). Files ending in .gz are in gzip.
    """
    name = printable(str(path))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _shape(file.read, axes, name)
            size = math.prod(shape)
            if size > MAX_BYTES:
                raise DataError(name, f"its header says {size} bytes of data, more than {MAX_BYTES}", REDOWNLOAD_HINT)
            data = file.read(size + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(name, "it is no gzip file, or a damaged one", REDOWNLOAD_HINT) from None
    except OSError as error:
        raise DataError(name, f"it cannot be read: {(error.strerror or type(error).__name__).lower()}") from None
    if len(data) != size:
        which = "more" if len(data) > size else f"{len(data)}"
        raise DataError(name, f"its header says {size} bytes of data, and there are {which}", REDOWNLOAD_HINT)
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _shape(read: Callable[[int], bytes], axes: int, name: str) -> tuple[int, ...]:
    head = read(4)
    if len(head) < 4 or head[:2] != b"\0\0":
        raise DataError(name, "it is no IDX file", "An IDX file begins with two zero bytes; is it in gzip without .gz?")
    if head[2] != UNSIGNED_BYTE:
        raise DataError(name, f"its values are of IDX type {head[2]:#04x}, not unsigned bytes", "")
    if head[3] != axes:
        raise DataError(name, f"it has {head[3]} axes, not {axes}", "Are images and labels exchanged?")
    lengths = read(4 * axes)
    if len(lengths) < 4 * axes:
        raise DataError(name, "it ends within its header", REDOWNLOAD_HINT)
    return tuple(int(length) for length in np.frombuffer(lengths, dtype=">u4"))
