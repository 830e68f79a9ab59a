"""Parts of a long experiment that are kept as they are finished, so that a run that was stopped goes on from there."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightaudit.paper.outputs import made_by
from weightaudit.report.atomic_write import replacing
from weightaudit.text import slug

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "cells"
"""Beside the outputs, while they are not finished."""


class Cells:
    """Tables by their names, in a folder of ``directory`` (None: nowhere), for one ``config`` and its versions."""

    def __init__(self, directory: Path | None, config: Any) -> None:
        self._folder = None if directory is None else directory / FOLDER
        self._made_by = json.dumps(made_by(config), sort_keys=True)

    def table(self, name: str, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """That of an earlier run by the same settings, or the one that is computed now and kept: the same to the last
        digit. OutputError where it cannot be kept.
        """
        import pandas as pd

        path = self._path(name)
        if path is not None and path.is_file():
            text = path.read_text("utf-8")
        else:
            made = compute()
            text = json.dumps({"columns": [*made.columns], "rows": made.astype(object).to_numpy().tolist()})
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as file:
                    file.write(text.encode())
        told = json.loads(text)
        return pd.DataFrame(told["rows"], columns=told["columns"])

    def clear(self) -> None:
        """Remove them: the outputs have it all."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path | None:
        if self._folder is None:
            return None
        key = hashlib.sha256(f"{name} {self._made_by}".encode()).hexdigest()[:16]
        return self._folder / f"{slug(name, longest=40)}-{key}.json"
