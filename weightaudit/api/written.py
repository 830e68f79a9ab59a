"""Ways to write down a result, to look at it, and to show it in a notebook."""

from __future__ import annotations

import io
import os
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args, overload

from weightaudit.errors import UsageError
from weightaudit.report import rendered, write
from weightaudit.text import listed

if TYPE_CHECKING:
    import pandas as pd

    from weightaudit.records import Reported

Target: TypeAlias = str | os.PathLike[str] | IO[str] | IO[bytes]
"""A file's name, or an open file, of text or of bytes."""
FailOn: TypeAlias = Literal["error", "warning", "info", "never"]


class Written:
    """A result that can be written down: each way raises OutputError where a file cannot be written.

    ``path`` is a file's name, or an open file; without one the content is returned.
    """

    @property
    def findings_frame(self) -> pd.DataFrame:
        """One row a finding, most severe first."""
        from weightaudit.report.findings_table import findings_frame

        return findings_frame(self._reported)

    @overload
    def to_csv(self, path: None = None) -> str: ...
    @overload
    def to_csv(self, path: Target) -> None: ...
    def to_csv(self, path: Target | None = None) -> str | None:
        """Write the rows as CSV, or return it. OutputError where ``path`` cannot be written."""
        return self._out(path, ".csv")

    @overload
    def to_json(self, path: None = None) -> str: ...
    @overload
    def to_json(self, path: Target) -> None: ...
    def to_json(self, path: Target | None = None) -> str | None:
        """Write everything as strict JSON, which `weightaudit.load` reads, or return it. OutputError where ``path``
        cannot be written.
        """
        return self._out(path, ".json")

    @overload
    def to_parquet(self, path: None = None) -> bytes: ...
    @overload
    def to_parquet(self, path: str | os.PathLike[str] | IO[bytes]) -> None: ...
    def to_parquet(self, path: str | os.PathLike[str] | IO[bytes] | None = None) -> bytes | None:
        """Write the rows as Parquet, or return its bytes. OutputError where ``path`` cannot be written."""
        if path is None:
            return rendered(self._reported, ".parquet")
        self._out(path, ".parquet")
        return None

    @overload
    def to_sarif(self, path: None = None) -> str: ...
    @overload
    def to_sarif(self, path: Target) -> None: ...
    def to_sarif(self, path: Target | None = None) -> str | None:
        """Write the findings as SARIF 2.1.0, for code-scanning pages, or return it. OutputError where ``path`` cannot
        be written.
        """
        return self._out(path, ".sarif")

    @overload
    def to_markdown(self, path: None = None) -> str: ...
    @overload
    def to_markdown(self, path: Target) -> None: ...
    def to_markdown(self, path: Target | None = None) -> str | None:
        """Write verdict, findings and roles as Markdown, or return it. OutputError where ``path`` cannot be written."""
        return self._out(path, ".md")

    @overload
    def to_junit(self, path: None = None, *, fail_on: FailOn = "error") -> str: ...
    @overload
    def to_junit(self, path: Target, *, fail_on: FailOn = "error") -> None: ...
    def to_junit(self, path: Target | None = None, *, fail_on: FailOn = "error") -> str | None:
        """Write a test case for each rule as JUnit's XML, or return it. OutputError where ``path`` cannot be written.

        ``fail_on`` is the severity from which on a finding is a failure.
        """
        if fail_on not in get_args(FailOn):
            raise UsageError(f"fail_on {fail_on!r}", "there is no such severity", f"Choose {listed(get_args(FailOn))}")
        return self._out(path, ".xml", fail_on=fail_on)

    def write(self, path: str | os.PathLike[str], kind: str = "", **options: Any) -> None:
        """Write to ``path`` in the format ``kind``, or that its extension picks: .html .csv .json .parquet .sarif .md
        .xml; ``options`` go to the format's writer.

        Raises UsageError for any other, OutputError where ``path`` cannot be written.
        """
        write(self._reported, path, kind, **options)

    def __repr__(self) -> str:
        """One line: what it is of, its verdict, and how much of it there is."""
        from weightaudit.report.brief import line

        return f"<{type(self).__name__} {line(self._reported)}>"

    def _repr_html_(self) -> str:
        """For notebooks: verdict, findings and profiles."""
        from weightaudit.report.brief import card

        return card(self._reported)

    @property
    def _reported(self) -> Reported:
        return cast("Reported", self)

    def _out(self, path: Target | None, kind: str, **options: Any) -> str | None:
        if isinstance(path, (str, os.PathLike)):
            write(self._reported, path, kind, **options)
            return None
        content = rendered(self._reported, kind, **options)
        if path is None:
            return content.decode()
        written: Any = path
        if not _takes_text(path):
            written.write(content)
        elif kind == ".parquet":
            raise UsageError("to_parquet", "the file was opened for text", 'Open it with mode "wb"')
        else:
            written.write(content.decode())
        return None


def _takes_text(file: object) -> bool:
    """Whether an open file takes text: by its kind, or by what it says of itself, as temporary files do."""
    mode = getattr(file, "mode", "")
    return isinstance(file, io.TextIOBase) or (isinstance(mode, str) and mode != "" and "b" not in mode)
