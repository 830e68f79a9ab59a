"""IDX, the format of MNIST and its kin: a header and then bytes. Only arrays of unsigned bytes are read.

The header is two zero bytes, the type (8: unsigned byte), the number of axes, and the length of each axis as a
big-endian 32-bit number (http://yann.lecun.com/exdb/mnist, "the IDX file format"). Files ending in .gz are in gzip.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from weightaudit.errors import DataError
from weightaudit.text import printable

UNSIGNED_BYTE = 8
MOST = 2**28
"""Bytes of an array, at most. Fashion-MNIST's largest is 47 MB; a small file in gzip may unpack to anything."""
AGAIN = "Download the file again"


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The array in the file, uint8, with that many axes. DataError where it holds anything else, more or less."""
    name = printable(str(path))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _shape(file.read, axes, name)
            size = math.prod(shape)
            if size > MOST:
                raise DataError(name, f"its header says {size} bytes of data, more than {MOST}", AGAIN)
            data = file.read(size + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(name, "it is no gzip file, or a damaged one", AGAIN) from None
    except OSError as error:
        raise DataError(name, f"it cannot be read: {(error.strerror or type(error).__name__).lower()}") from None
    if len(data) != size:
        which = "more" if len(data) > size else f"{len(data)}"
        raise DataError(name, f"its header says {size} bytes of data, and there are {which}", AGAIN)
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
        raise DataError(name, "it ends within its header", AGAIN)
    return tuple(int(length) for length in np.frombuffer(lengths, dtype=">u4"))
