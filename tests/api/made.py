"""Reports of every kind, made by hand: each when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from tests.support import diffs, factory
from tests.support.merges import merge_check_result
from weightaudit.api import DiffReport, MergeReport
from weightaudit.records import DiffResult


class _Made(Mapping[str, Any]):
    """Reports by their names."""

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers = makers
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _diff(make: Callable[[], DiffResult]) -> DiffReport:
    return DiffReport(**vars(make()))


REPORTS = _Made(
    {
        **{name: getattr(factory, name) for name in ("clean", "judged", "all_nan", "guessed", "hostile", "seq2seq")},
        "mixture": lambda: factory.judged_mixture(layers=3, experts=4),
        "embeddings": factory.embeddings_only,
        **{f"diff {name}": partial(_diff, make) for name, make in diffs.ALL.items()},
        "merge check": lambda: MergeReport(**vars(merge_check_result())),
    }
)
