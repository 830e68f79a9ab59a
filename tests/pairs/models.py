"""Models made from others, and what `diff` says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.variants import Tensors, derived, noisy
from weightaudit.config import AuditConfig
from weightaudit.pairs.diff import diff_models
from weightaudit.records import Change, DiffResult

__all__ = ["Tensors", "at", "derived", "diff", "noisy"]


def diff(base: Path, other: Path, **asked: Any) -> DiffResult:
    return diff_models(str(base), str(other), AuditConfig(), **asked)


def at(result: DiffResult, words: str) -> Change:
    (change,) = (change for change in result.changes if words in (change.place.words(), *change.tensors))
    return change
