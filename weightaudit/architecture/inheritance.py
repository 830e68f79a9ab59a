"""Specs that build on another: ``extends = "llama"`` takes over what llama.toml says and puts its own before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_OWN = ("name", "model_types", "remote", "origin", "note")
"""Keys that no spec takes from another."""
_LISTS = ("matrix", "fused", "ignored")
"""Rules: the spec's own come first, and the first that fits a name counts, fused before single ones."""


def inherit(values: Mapping[str, Any], read: Callable[[object], Mapping[str, Any]]) -> dict[str, Any]:
    """``values`` (a spec as TOML gives it) completed by the spec it extends, which ``read`` gives by name.

    Dimensions keep the base's order, new ones come last. What is of a wrong type is left for the schema to refuse.
    """
    if "extends" not in values:
        return dict(values)
    base = inherit(read(values["extends"]), read)
    merged = {key: value for key, value in base.items() if key not in _OWN}
    for key, value in values.items():
        inherited = merged.get(key)
        if key in _LISTS and isinstance(value, list) and isinstance(inherited, list):
            merged[key] = [*value, *inherited]
        elif key == "dimensions" and isinstance(value, dict) and isinstance(inherited, dict):
            merged[key] = {**inherited, **value}
        elif key != "extends":
            merged[key] = value
    return merged
