"""Libraries for training warn of much that is none of ours, and look for garbage everywhere."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet_libraries() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(autouse=True)
def little_to_collect() -> None:
    """Trainers have Python go through all objects twice a run, which with all of torch and transformers among them took
    longer than the run.
    """
    gc.freeze()
