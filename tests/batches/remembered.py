"""Scans of the same few checkpoints, hundreds of times: what a scan finds, and the bytes of its reports, are computed
once. Everything around it (which models are scanned, with which options, what is written where) is done each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from weightaudit import api
from weightaudit.api import ScanReport
from weightaudit.audit.progress import Silent
from weightaudit.report import formats


class Remembered:
    """Scans of ``models`` as they are, and their reports; any other, and one whose progress is told, is a new one."""

    def __init__(self, models: Sequence[Path]) -> None:
        self._models = {str(model) for model in models}
        self._scan, self._writer_of = api.scan, formats.writer_of
        self._reports: dict[object, ScanReport] = {}
        self._written: dict[object, bytes] = {}

    def taken(self, replace: Callable[[Any, str, Any], object]) -> None:
        """Have batches take them, as long as what ``replace`` replaces stays so."""
        replace(api, "scan", self.scan)
        replace(formats, "writer_of", self.writer_of)

    def scan(self, model: Any, *, progress: Any = False, **options: Any) -> ScanReport:
        if type(progress) is not Silent or model not in self._models:
            return self._scan(model, progress=progress, **options)
        files = [(path.name, path.lstat().st_size, path.lstat().st_mtime_ns) for path in Path(model).iterdir()]
        key = (model, *sorted(files), repr(sorted(options.items())))
        if key not in self._reports:
            self._reports[key] = self._scan(model, progress=progress, **options)
        return self._reports[key]

    def writer_of(self, kind: str) -> formats.Writer:
        writer = self._writer_of(kind)

        def written(result: Any, file: Any, **options: Any) -> None:
            if not any(result is report for report in self._reports.values()):
                writer(result, file, **options)
                return
            key = (id(result), kind, repr(sorted(options.items())))
            if key not in self._written:
                writer(result, content := BytesIO(), **options)
                self._written[key] = content.getvalue()
            file.write(self._written[key])

        return written
