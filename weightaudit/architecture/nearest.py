"""Which known families an unknown model resembles."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from weightaudit.architecture.matching import Matcher
from weightaudit.architecture.registry import families, for_model_type, model_types
from weightaudit.architecture.schema import Family, MatrixRule
from weightaudit.architecture.wrapping import without_wrappers
from weightaudit.records import TensorInfo

ENOUGH = 0.5
"""Share of the names of matrices (numbers apart) that must fit a family for it to count as near."""
MAX_FAMILIES = 3
"""Families named at most."""
_NUMBER = re.compile(r"\.[0-9]+(?=\.)")
"""That of a layer or an expert, and the dot before it."""


def nearest_families(model_type: str, tensors: Mapping[str, TensorInfo]) -> tuple[str, ...]:
    """The family that most matrices fit by their names, then those of similar model types, then others that they fit.

    Of families that they fit alike the one comes first that serves a similar model type, then the one whose rules know
    more of the other tensors, that has fewer roles besides, and that serves more model types: others inherit from it.
    """
    by_type = _of_similar_types(model_type) if model_type else ()
    plain = {name: without_wrappers(name) for name in tensors}
    kind = {name: _NUMBER.sub(".0", one) for name, one in plain.items()}
    kinds = {kind[name]: one for name, one in plain.items()}
    matrices = {kinds[kind[name]] for name, info in tensors.items() if len(info.shape) > 1}
    names = set(kinds.values())
    fits = {family.name: fit for family in families() if (fit := _fit(family, names, matrices)) is not None}
    by_names = sorted(fits, key=lambda name: (fits[name][0], name not in by_type, *fits[name][1:], name))
    return tuple(dict.fromkeys((*by_names[:1], *by_type, *by_names[1:])))[:MAX_FAMILIES]


@lru_cache(maxsize=64)
def _of_similar_types(model_type: str) -> tuple[str, ...]:
    """The families of known model types that are called alike."""
    similar = difflib.get_close_matches(model_type, model_types(), n=MAX_FAMILIES)
    return tuple(family.name for family in map(for_model_type, similar) if family is not None)


def _fit(family: Family, names: Collection[str], matrices: Collection[str]) -> tuple[int, int, int, int] | None:
    """How badly the names fit, the least first; None where too few of ``matrices`` do."""
    matcher = Matcher(family)
    known = [found.rule for name in matrices if (found := matcher.match(name)) is not None]
    if not known or len(known) < ENOUGH * len(matrices):
        return None
    rules = len(known) + sum(name not in matrices and matcher.match(name) is not None for name in names)
    fitting = [rule for rule in known if isinstance(rule, MatrixRule)]
    found_roles = {role for rule in fitting for role in rule.roles}
    own_roles = {role for rule in family.matrices for role in rule.roles}
    return -len(fitting), -rules, len(own_roles - found_roles), -len(family.model_types)
