"""Tensors of which a loader says more than our map does, and why: model type → pattern of names → reason."""

from __future__ import annotations

UNMISSED: dict[str, dict[str, str]] = {"*": {}}
"""Absent, and not told."""

UNSHAPED: dict[str, dict[str, str]] = {"*": {}}
"""Of another shape, and not told."""
