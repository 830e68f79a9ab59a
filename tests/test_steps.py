"""The step that a name tells."""

from __future__ import annotations

import pytest

from weightaudit.steps import step_of


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-500", 500),
        ("runs/checkpoint-500/", 500),
        ("step1000", 1000),
        ("EleutherAI/pythia-70m@step143000", 143000),
        ("EleutherAI--pythia-70m@step512", 512),
        ("global_step5", 5),
        ("iter_0000100", 100),
        ("epoch=1-step=200.ckpt", 200),
        ("stage1-step99-tokens5B", 99),
        ("epoch-3", 3),
        ("2-checkpoint-30", 30),
        ("gpt2", None),
        ("step10k", None),
        ("footstep3", None),
        ("checkpoints", None),
        ("step1/model", None),
    ],
)
def test_step_of(name: str, step: int | None) -> None:
    assert step_of(name) == step
