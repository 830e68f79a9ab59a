"""Peak memory of one method on one matrix, in a process of its own.

python -m benchmarks.engine_memory METHOD BLOCKS.pt THREADS      prints bytes
"""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.peers import METHODS
from benchmarks.processes import peak_rss, reset_peak_rss
from benchmarks.shapes import WARM_UP, make
from benchmarks.threads import pin


def extra_memory(method: str, file: Path, threads: int) -> int:
    """Bytes by which ``method`` raises the peak resident set over the libraries and the blocks in ``file``."""
    command = [sys.executable, "-m", "benchmarks.engine_memory", method, str(file), str(threads)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    method, file, threads = sys.argv[1:]
    pin(int(threads))
    blocks = torch.load(file)
    METHODS[method](make(WARM_UP, "heavy-tailed", blocks[0].dtype, 0)[0])
    gc.collect()
    reset_peak_rss()
    before = peak_rss()
    METHODS[method](blocks)
    print(peak_rss() - before)


if __name__ == "__main__":
    main()
