"""What `weightaudit.training` costs: one small GPT-2, trained with and without the callback, at several budgets.

    python -m benchmarks.training

Each run is the same but for the callback. Printed are the seconds of the whole run, of training and measuring as the
callback counts them, and how many measurements were complete and skipped. A run with a learning rate of 1000 shows what
is told of one that diverges.
"""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from transformers.utils import logging as said_by_transformers

from weightaudit.report.series.log import LOG_NAME, read_log
from weightaudit.training import WeightauditCallback

STEPS, BATCH, LENGTH, VOCABULARY, LAYERS, HIDDEN = 120, 16, 64, 512, 2, 64
EVERY = 10


def texts(number: int) -> list[dict[str, torch.Tensor]]:
    """A random walk over a fixed random graph: something to learn, and nothing to download."""
    drawn = torch.Generator().manual_seed(0)
    following = torch.randint(0, VOCABULARY, (VOCABULARY, 4), generator=drawn)
    walks = torch.empty(number, LENGTH, dtype=torch.long)
    walks[:, 0] = torch.randint(0, VOCABULARY, (number,), generator=drawn)
    for place in range(1, LENGTH):
        turns = torch.randint(0, 4, (number,), generator=drawn)
        walks[:, place] = following[walks[:, place - 1], turns]
    return [{"input_ids": walk, "labels": walk} for walk in walks]


def train(directory: Path, steps: int = STEPS, rate: float = 1e-3, **options: Any) -> tuple[float, Any]:
    """Seconds that a run takes, and its callback; without ``options`` it has none."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=HIDDEN, n_layer=LAYERS, n_head=4)
    )
    arguments = TrainingArguments(
        output_dir=str(directory),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=rate,
        use_cpu=True,
        disable_tqdm=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
    )
    trainer = Trainer(model, arguments, train_dataset=texts(512))
    callback = WeightauditCallback(**options) if options else None
    if callback is not None:
        trainer.add_callback(callback)
    began = time.perf_counter()
    trainer.train()
    return time.perf_counter() - began, callback


def main() -> None:
    """Print a line for each run."""
    torch.set_num_threads(1)  # threads that wait for one another on a busy machine measure that
    said_by_transformers.set_verbosity_error()
    logging.basicConfig(format="  told: %(message).160s…")
    with tempfile.TemporaryDirectory() as root:
        train(Path(root) / "warm-up", steps=5, every=1, budget=None)  # what is compiled and imported once is no part
        cases: dict[str, dict[str, Any]] = {
            "no callback": {},
            "budget 2 %": {"every": EVERY, "budget": 0.02},
            "no callback, again": {},
            "no budget": {"every": EVERY, "budget": None},
            "budget 2 %, not at the start": {"every": EVERY, "budget": 0.02, "at_start": False},
        }
        for name, options in cases.items():
            directory = Path(root) / name.replace(" ", "-").replace("%", "percent")
            seconds, callback = train(directory, **options)
            print(f"{name}: {seconds:.2f} s, {seconds / STEPS * 1000:.0f} ms a step", end="")
            print(_counted(callback, directory) if callback is not None else "", flush=True)
        print("learning rate 1000:")
        train(Path(root) / "diverges", steps=20, rate=1e3, every=EVERY, budget=None, stop_on_nonfinite=True)


def _counted(callback: WeightauditCallback, directory: Path) -> str:
    budget = callback.observer.budget
    rows, told = read_log(directory / LOG_NAME)
    training, measuring = told["training_seconds"], told["measuring_seconds"]
    matrices = [row for row in rows if row.kind == "matrix"]
    skipped = sum(row.kind == "skipped" for row in rows)
    return (
        f"; training {training:.2f} s, measuring {measuring:.3f} s: {100 * measuring / training:.1f} % "
        f"(checks for NaN {budget.of_checks:.3f} s); {len(matrices)} matrices at {len({row.step for row in matrices})} "
        f"steps, {skipped} measurements skipped"
    )


if __name__ == "__main__":
    main()
