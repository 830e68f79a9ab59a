"""Which known families an unknown model resembles."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

from weightaudit.architecture.matching import Matcher
from weightaudit.architecture.registry import families, for_model_type, model_types

ENOUGH = 0.5
"""Share of the distinct names (layer numbers apart) that must fit a family for it to count as near."""
MAX_FAMILIES = 3
"""Families named at most."""


def nearest_families(model_type: str, names: Iterable[str]) -> tuple[str, ...]:
    """Families whose patterns most of the names fit, best first; then families of similar model type."""
    distinct = {re.sub(r"\.[0-9]+\.", ".0.", name) for name in names}
    share = {family.name: _share(Matcher(family), distinct) for family in families()}
    by_names = sorted((name for name in share if share[name] >= ENOUGH), key=lambda name: (-share[name], name))
    similar = difflib.get_close_matches(model_type, model_types(), n=MAX_FAMILIES) if model_type else []
    by_type = [family.name for family in map(for_model_type, similar) if family is not None]
    return tuple(dict.fromkeys(by_names + by_type))[:MAX_FAMILIES]


def _share(matcher: Matcher, names: Collection[str]) -> float:
    return sum(matcher.match(name) is not None for name in names) / len(names) if names else 0.0
