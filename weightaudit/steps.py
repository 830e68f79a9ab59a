"""The step of training that a name tells: of a checkpoint's folder, or of a revision."""

from __future__ import annotations

import os
import re

_WORDS = ("step", "checkpoint", "ckpt", "iteration", "iter", "epoch")
"""What stands before the number; where a name has several of them the first of these counts."""
_NUMBERED = re.compile(
    r"(?<![A-Za-z])(?:global[_-]?)?(step|checkpoint|ckpt|iteration|iter|epoch)s?[_=.-]{0,2}(\d{1,15})(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def step_of(name: str) -> int | None:
    """The step that ``name`` tells: a path, a file's name, or ``id@revision``; None where it tells none.

    Example:
        >>> step_of("runs/checkpoint-500"), step_of("EleutherAI/pythia-70m@step1000"), step_of("global_step5")
        (500, 1000, 5)
        >>> step_of("epoch=1-step=200.ckpt"), step_of("gpt2")
        (200, None)
    """
    last = os.path.basename(os.path.normpath(name)).rpartition("@")[2]
    found = {word.lower(): int(number) for word, number in reversed(_NUMBERED.findall(last))}
    return next((found[word] for word in _WORDS if word in found), None)
