"""WeightWatcher at its defaults on a checkpoint directory, the way its users run it. Prints the number of matrices.

    PATH/TO/ITS/python benchmarks/weightwatcher_run.py DIR [THREADS]

Runs under WeightWatcher's own interpreter, so it imports nothing of this project. transformers loads the bare model
(AutoModel: no output head), which is the least work that still covers every layer.
"""

from __future__ import annotations

import sys

import torch
import weightwatcher
from transformers import AutoModel


def main() -> None:
    directory, *threads = sys.argv[1:]
    if threads:
        torch.set_num_threads(int(threads[0]))
    model = AutoModel.from_pretrained(directory)
    details = weightwatcher.WeightWatcher().analyze(model=model)
    print(f"matrices={len(details)}")


if __name__ == "__main__":
    main()
