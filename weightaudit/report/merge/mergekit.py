"""A configuration of mergekit's with the suggested weights: to merge by, or to change its method and go on from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from weightaudit.errors import UsageError
from weightaudit.records import MergeCheckResult, ModelIdentity
from weightaudit.text import printable

DIGITS = 4
"""Decimals of a weight: it is where to start, no optimum."""


def write_mergekit(result: MergeCheckResult, file: BinaryIO) -> None:
    """YAML, UTF-8. UsageError where no weights are suggested, and for an adapter without a base."""
    file.write(("\n".join(_lines(result)) + "\n").encode())


def _lines(result: MergeCheckResult) -> Iterator[str]:
    weights = result.summary.suggested
    if not weights:
        cause = "no weights are suggested, for no matrix that counts was changed"
        raise UsageError("mergekit's configuration", cause, "Leave --mergekit out, or check more roles and layers")
    yield "# Weights that leave each model's update least disturbed where its own inputs lie. They are a start, not an"
    yield "# optimum: merge, then evaluate. normalize: false keeps them as they are."
    yield f"merge_method: {'linear' if result.base is None else 'task_arithmetic'}"
    if result.base is not None:
        yield f"base_model: {_text(_address(result.base))}"
    yield "models:"
    for model, weight in zip(result.models, weights, strict=True):
        yield f"  - model: {_text(_reference(model, result.base))}"
        yield "    parameters:"
        yield f"      weight: {round(weight, DIGITS)}"
    yield "parameters:"
    yield "  normalize: false"
    yield "dtype: float32"


def _reference(model: ModelIdentity, base: ModelIdentity | None) -> str:
    """What mergekit calls the model: of an adapter the base that it is put on as well."""
    if model.adapter is None:
        return _address(model)
    if base is None:
        raise UsageError(
            f"adapter {printable(model.name)}", "mergekit needs the model that it is put on", "Give --base"
        )
    return f"{_address(base)}+{_address(model)}"


def _address(model: ModelIdentity) -> str:
    """Its path; of a Hub model its id and revision; of any other its address, which mergekit cannot read."""
    return f"{model.name}@{model.revision}" if model.revision else model.location


def _text(value: str) -> str:
    """As a double-quoted scalar: strings of JSON are some of YAML."""
    return json.dumps(value)
