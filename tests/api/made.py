"""Reports of every kind, made by hand."""

from __future__ import annotations

from typing import Any

from tests.support import diffs, factory
from tests.support.merges import merge_check_result
from weightaudit.api import DiffReport, MergeReport

REPORTS: dict[str, Any] = {
    **{name: getattr(factory, name)() for name in ("clean", "judged", "all_nan", "guessed", "hostile", "seq2seq")},
    "mixture": factory.judged_mixture(layers=3, experts=12),
    "embeddings": factory.embeddings_only(),
    **{f"diff {name}": DiffReport(**vars(make())) for name, make in diffs.ALL.items()},
    "merge check": MergeReport(**vars(merge_check_result())),
}
