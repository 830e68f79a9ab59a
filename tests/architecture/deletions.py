"""Each tensor of a model taken away in turn, or put into another shape: what our map says against what a loader does.

python -m tests.architecture.deletions [MODEL_TYPE ...] prints where the two differ.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
import transformers

from tests.architecture.inventories import classes_of, held_by, shipped, unset
from tests.architecture.saved import info
from tests.support.tiny import tiny_config
from weightaudit.architecture import map_model, mapping, wrapping
from weightaudit.architecture.matching import Match, Matcher
from weightaudit.errors import WeightauditError
from weightaudit.records import TensorInfo


@dataclass(frozen=True)
class Account:
    """Of one class: how many tensors it saves, and those of which we do not say that they are missing, or misshapen,
    when they are. ``false`` is what we say of the whole model.
    """

    tensors: int
    unmissed: tuple[str, ...]
    unshaped: tuple[str, ...]
    false: tuple[str, ...]


def saved_at(cls: Any, config: Any, *, whole: bool = False) -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    """(config.json, tensors) as the class at this config would be saved; no weights are made.

    A loader that finds one of these tensors absent says so: what it does not miss is not saved here, but for a
    ``whole`` model's, or is tied.
    """
    with torch.device("meta"), unset():
        shapes, _ = held_by(cls(config), whole=whole)
    said = json.loads(config.to_json_string(use_diff=True))
    return {**said, "architectures": [cls.__name__]}, {name: info(name, shape) for name, shape in shapes.items()}


def saved_by(model_type: str, cls: Any, **values: Any) -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    """(config.json, tensors) as the class at the tiny config would be saved."""
    config, tensors = _saved_by(model_type, cls, json.dumps(values, sort_keys=True))
    return deepcopy(config), dict(tensors)


@cache
def _saved_by(model_type: str, cls: Any, values: str) -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return saved_at(cls, tiny_config(model_type, **json.loads(values)))


def says(config: Mapping[str, Any], tensors: Mapping[str, TensorInfo], *kinds: str) -> list[str]:
    return [one.says for one in map_model(config, tensors).discrepancies if one.kind in kinds]


class Remembering(Matcher):
    """A matcher that matches each name once."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._matched: dict[str, Match | None] = {}

    def match(self, name: str) -> Match | None:
        if name not in self._matched:
            self._matched[name] = super().match(name)
        return self._matched[name]


def one_matcher() -> Callable[..., Matcher]:
    """Makes the same matcher at each call: one config has one family, whatever is taken away."""
    made: list[Remembering] = []

    def matcher(*given: Any) -> Matcher:
        if not made:
            made.append(Remembering(*given))
        return made[0]

    return matcher


def account(model_type: str, cls: Any, *, one_of_each: bool = False) -> Account:
    """Of every tensor, or of ``one_of_each`` that are named alike but for numbers: a layer's, an expert's, the last."""
    config, tensors = saved_by(model_type, cls)
    asked = {re.sub(r"\d+", "#", name): name for name in tensors}.values() if one_of_each else tensors
    unmissed, unshaped = [], []
    with patch.object(mapping, "Matcher", one_matcher()), patch.object(wrapping, "Matcher", one_matcher()):
        for name in asked:
            tensor = tensors[name]
            rest = {other: one for other, one in tensors.items() if other != name}
            if not told(config, rest, "missing"):
                unmissed.append(name)
            if not told(config, {**tensors, name: info(name, larger(tensor.shape))}, "misshapen"):
                unshaped.append(name)
        false = says(config, tensors, "missing", "misshapen")
    return Account(len(tensors), tuple(unmissed), tuple(unshaped), tuple(false))


def told(config: Mapping[str, Any], tensors: Mapping[str, TensorInfo], kind: str) -> bool:
    """Whether the map says so, or refuses the checkpoint."""
    try:
        return bool(says(config, tensors, kind))
    except WeightauditError:
        return True


def larger(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Another shape, of the same number of dimensions: no size is the old one."""
    return tuple(size + 1 for size in shape) or (2,)


def main() -> None:
    transformers.utils.logging.set_verbosity_error()
    tensors = unmissed = unshaped = 0
    for model_type in sys.argv[1:] or sorted(shipped()):
        one = account(model_type, classes_of(model_type)[0])
        tensors += one.tensors
        unmissed += len(one.unmissed)
        unshaped += len(one.unshaped)
        for kind in ("false", "unmissed", "unshaped"):
            for what in getattr(one, kind):
                print(f"{model_type}: {kind} {what}", flush=True)
    print(f"{tensors} tensors, {unmissed} not missed, {unshaped} not misshapen")


if __name__ == "__main__":
    main()
