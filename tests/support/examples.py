"""How many examples a property is tried with, where each costs more than most do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import settings

Test = TypeVar("Test", bound=Callable[..., Any])


def at_most(examples: int) -> Callable[[Test], Test]:
    """In `make test` so many; in `make test-all` as many as of every property."""
    quick = settings.default is None or settings.default.max_examples <= settings.get_profile("quick").max_examples
    return settings(max_examples=examples) if quick else lambda test: test
