"""The floor under any scan: read every byte of a checkpoint once and sum the squares of its floating tensors.

    python -m benchmarks.floor DIR [--threads N]      prints JSON: bytes, sum of squares, seconds without the imports

One reused buffer for the bytes, one for their float32 copy where they are narrower. No names, no certificates.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import torch

from benchmarks.headers import stored_tensors
from weightaudit.dtypes import BY_CODE

CHUNK = 16 << 20  # bytes read at once; the sums are float32 within a chunk and float64 over the chunks


def sum_squares(directory: Path) -> tuple[int, float]:
    """Bytes read and Σ w² over the floating tensors of the checkpoint in ``directory``."""
    raw = torch.empty(CHUNK, dtype=torch.uint8)
    view = raw.numpy().data
    wide = torch.empty(CHUNK // 2, dtype=torch.float32)
    nbytes, total = 0, 0.0
    for path, tensors in stored_tensors(directory).items():
        with path.open("rb", buffering=0) as file:
            for tensor in tensors:
                dtype = BY_CODE[tensor.code]
                for start in range(0, tensor.nbytes, CHUNK):
                    size = min(CHUNK, tensor.nbytes - start)
                    _fill(file.fileno(), view[:size], tensor.offset + start)
                    nbytes += size
                    if dtype.analysable:
                        values = raw[:size].view(dtype.torch)
                        if dtype.bits < 32:
                            values = wide[: len(values)].copy_(values)
                        total += float(torch.dot(values, values))
    return nbytes, total


def _fill(fd: int, out: memoryview, offset: int) -> None:
    done = 0
    while done < len(out):
        got = os.preadv(fd, [out[done:]], offset + done)
        if not got:
            raise EOFError(f"file ends {len(out) - done} bytes early")
        done += got


def main() -> None:
    parser = argparse.ArgumentParser(description="Read every byte of a checkpoint and sum the squares.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    start = time.perf_counter()
    nbytes, total = sum_squares(options.directory)
    print(json.dumps({"bytes": nbytes, "sum_of_squares": total, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
