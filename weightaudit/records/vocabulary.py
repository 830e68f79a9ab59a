"""The tokens of a model's tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Vocabulary:
    """What the tokenizer beside the weights can give: ``tokens`` (id → token), by the ``file`` that lists most."""

    file: str
    tokens: Mapping[int, str] = field(repr=False)
