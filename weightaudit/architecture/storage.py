"""Tensors that some files of one model type store (out, in) and others (in, out): which of the two a checkpoint has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from weightaudit.architecture.dimensions import Dimensions
from weightaudit.architecture.expressions import evaluate
from weightaudit.architecture.matching import Matcher
from weightaudit.architecture.schema import ANY, Family, MatrixRule
from weightaudit.records import TensorInfo


def settled(family: Family, matcher: Matcher, tensors: Mapping[str, TensorInfo], dimensions: Dimensions) -> Family:
    """``family`` with its rules of ``either`` storage turned where the shapes say (in, out).

    One checkpoint has one storage, so tensors that are square, which fit both, go with the others. Shapes that tell
    both ways, or neither, leave the rules as they are, and what does not fit is told as of any rule.
    """
    if not any(rule.either for rule in family.matrices):
        return family
    votes = {_turned(matcher, info, dimensions) for info in tensors.values() if len(info.shape) == 3}
    if True not in votes or False in votes:
        return family
    return replace(family, matrices=tuple(replace(r, transposed=True) if r.either else r for r in family.matrices))


def _turned(matcher: Matcher, info: TensorInfo, dimensions: Dimensions) -> bool | None:
    """Whether the tensor's shape is that of (in, out); None where it does not tell."""
    found = matcher.match(info.name)
    rule = found.rule if found is not None else None
    if found is None or not isinstance(rule, MatrixRule) or not rule.either or ANY in (*rule.rows, rule.cols):
        return None
    numbers = dimensions.of(found.stack, found.layer)
    try:
        plain = (sum(evaluate(size, numbers) for size in rule.rows), evaluate(rule.cols, numbers))
    except (KeyError, ValueError):
        return None
    stored = info.shape[-2:]
    return None if stored == stored[::-1] or stored not in (plain, plain[::-1]) else stored != plain
