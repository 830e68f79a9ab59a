"""A tensor's name within its model: without what the model around the one that is meant puts before it."""

from __future__ import annotations

from collections.abc import Sequence


def canonical(name: str, prefixes: Sequence[str]) -> str:
    """``name`` without any of the family's ``prefixes``, which may repeat or be missing.

    Example:
        >>> canonical("model.language_model.layers.0.mlp.fc1.weight", ["model.", "language_model."])
        'layers.0.mlp.fc1.weight'
    """
    while True:
        prefix = next((one for one in prefixes if name.startswith(one) and len(name) > len(one)), "")
        if not prefix:
            return name
        name = name[len(prefix) :]
