"""Model lists that the batch tests write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weightaudit.batches import Entry, read_model_list
from weightaudit.config import AuditConfig


def entries_of(models: Sequence[object], folder: Path, base: AuditConfig | None = None) -> list[Entry]:
    """The entries of a list of these lines, which is written into ``folder``."""
    path = folder / "list.txt"
    path.write_text("".join(f"{model}\n" for model in models))
    return read_model_list(path, base or AuditConfig())
