"""Sizes as specs write them: ``hidden``, ``4*hidden``, ``hidden/heads``, ``heads*head_dim + 2``.

Integers, names of dimensions, ``+``, ``*``, exact ``/``, and ``//``, which rounds down; products bind before
sums. No parentheses: no family needs them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

_NAME = r"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)*"
"""A dimension, or a key of the config (``vision_config.patch_size``)."""
_TERM = re.compile(rf"(?:{_NAME}|[0-9]+)(?: ?(?:[*/]|//) ?(?:{_NAME}|[0-9]+))*")
_TOKEN = re.compile(rf"{_NAME}|[0-9]+|//|[*/]")


def names_in(expression: str) -> tuple[str, ...]:
    """Dimensions the expression reads, each once, in order."""
    return tuple(dict.fromkeys(re.findall(_NAME, expression)))


def check(expression: str, known: Collection[str]) -> str:
    """What is wrong with an expression over the ``known`` dimensions; "" if nothing."""
    if not all(_TERM.fullmatch(term.strip()) for term in expression.split("+")):
        return f"'{expression}' is no sum of products of dimensions"
    unknown = [name for name in names_in(expression) if name not in known]
    return f"'{unknown[0]}' is no dimension defined above it" if unknown else ""


def evaluate(expression: str, dimensions: Mapping[str, int]) -> int:
    """Value of a checked expression. Raises ValueError where a ``/`` is not exact, or divides by zero."""
    return sum(_product(term, dimensions) for term in expression.split("+"))


def _product(term: str, dimensions: Mapping[str, int]) -> int:
    value = 1
    for operator, factor_of in _factors(term):
        factor = factor_of if isinstance(factor_of, int) else dimensions[factor_of]
        if operator == "*":
            value *= factor
        elif factor == 0 or (operator == "/" and value % factor):
            raise ValueError(f"{term.strip()} is no whole number: {value}/{factor}")
        else:
            value //= factor
    return value


@lru_cache(maxsize=4096)
def _factors(term: str) -> tuple[tuple[str, str | int], ...]:
    """(operator, number or name of a dimension) of each factor of a term; the first has ``*``."""
    found: list[tuple[str, str | int]] = []
    operator = "*"
    for token in _TOKEN.findall(term):
        if token in ("*", "/", "//"):
            operator = token
        else:
            found.append((operator, int(token) if token.isdigit() else token))
    return tuple(found)
