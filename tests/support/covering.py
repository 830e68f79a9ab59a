"""Products of cases that are too long for each run of the tests: those in which every pair of values is met, and the
rest marked slow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import Any

import pytest


def covering(*axes: Sequence[Any], together: int = 2) -> list[Any]:
    """Every combination of the axes' values, for `pytest.mark.parametrize`; slow but for some in which each choice of
    values from ``together`` axes is met.

    Example:
        >>> [case for case in covering("ab", "xy", together=1) if type(case) is tuple]
        [('a', 'x'), ('b', 'y')]
    """
    cases = list(product(*(range(len(axis)) for axis in axes)))
    missing = {met for case in cases for met in combinations(enumerate(case), together)}
    chosen = set()
    while missing:
        best = max(cases, key=lambda case: len(missing & set(combinations(enumerate(case), together))))
        chosen.add(best)
        missing -= set(combinations(enumerate(best), together))
    found: list[Any] = []
    for case in cases:
        values = tuple(axis[i] for axis, i in zip(axes, case, strict=True))
        found.append(values if case in chosen else pytest.param(*values, marks=pytest.mark.slow))
    return found


def some_of(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """The cases, for `pytest.mark.parametrize`; slow but for those that are ``kept``, which must be among them.

    Example:
        >>> [case for case in some_of("abc", "b") if type(case) is str]
        ['b']
    """
    found = list(cases)
    assert kept
    assert all(one in found for one in kept), kept
    return [
        case if case in kept else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for case in found
    ]


def in_turn(many: Sequence[Any], few: Sequence[Any]) -> list[Any]:
    """Every pair of them, for `pytest.mark.parametrize`; slow but for one of each of ``many``, with ``few`` in turn.

    Example:
        >>> [case for case in in_turn("abc", "xy") if type(case) is tuple]
        [('a', 'x'), ('b', 'y'), ('c', 'x')]
    """
    return [
        (one, other) if j == i % len(few) else pytest.param(one, other, marks=pytest.mark.slow)
        for (i, one), (j, other) in product(enumerate(many), enumerate(few))
    ]
