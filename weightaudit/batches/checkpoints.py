"""The checkpoints of a run as a list of models: the folders and files of a directory whose names tell a step."""

from __future__ import annotations

import os
from pathlib import Path

from weightaudit.errors import UsageError
from weightaudit.model_files import WEIGHT_SUFFIXES
from weightaudit.steps import step_of
from weightaudit.text import printable


def checkpoints_in(directory: Path) -> list[tuple[int, Path]]:
    """Those of ``directory`` by step, in order of steps: folders such as checkpoint-500, and weight files such as
    epoch=0-step=500.ckpt. UsageError where there is none, or it cannot be read.
    """
    shown = printable(str(directory), limit=1000)
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        raise UsageError(shown, (error.strerror or str(error)).lower(), "Name another directory") from error
    found = [
        (step, path)
        for path in paths
        if (step := step_of(path.name)) is not None and (path.is_dir() or path.name.endswith(WEIGHT_SUFFIXES))
    ]
    if not found:
        model = " It is a model itself: scan it" if os.path.exists(directory / "config.json") else ""
        hint = f"Name a directory with folders such as checkpoint-500 or step1000.{model}"
        raise UsageError(shown, "no name in this directory tells a step of training", hint)
    return sorted(found, key=lambda one: one[0])
