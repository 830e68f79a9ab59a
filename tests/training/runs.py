"""Runs of training that take a second: a tiny GPT-2 on random text, and a clock that the test moves."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import torch

# Of transformers' Trainer and models: imported where they are used. Every process that runs tests collects these files.

VOCABULARY, LENGTH, LAYERS, HIDDEN = 64, 16, 2, 32


class Clock:
    """Tells the time that it has been set to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def loaded() -> None:
    """Leave out of collections what is loaded by now: trainers have Python go through all objects twice a run, which
    with all of torch and transformers among them took longer than the run. To be called once their library is imported.
    """
    gc.freeze()


def gpt2(seed: int = 0) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=HIDDEN, n_layer=LAYERS, n_head=4)
    )


def texts(number: int = 64) -> list[dict[str, torch.Tensor]]:
    drawn = torch.randint(0, VOCABULARY, (number, LENGTH), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": text, "labels": text} for text in drawn]


def trainer(directory: Path, model: Any = None, *, steps: int = 6, rate: float = 1e-3, **options: Any) -> Any:
    from transformers import Trainer, TrainingArguments

    loaded()
    arguments = TrainingArguments(
        output_dir=str(directory),
        max_steps=steps,
        per_device_train_batch_size=4,
        learning_rate=rate,
        use_cpu=True,
        disable_tqdm=True,
        **{"report_to": [], "save_strategy": "no", "logging_steps": 2, **options},
    )
    return Trainer(model if model is not None else gpt2(), arguments, train_dataset=texts())
