"""How tables become CSV, JSON and Parquet, whatever they are of; none carries a timing.

Names come from checkpoints and are untrusted: see `guarded`.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

from weightaudit.records import Finding, ModelIdentity
from weightaudit.report.columns import Column, Row, Value

if TYPE_CHECKING:
    import pandas as pd

LONGEST_KEPT = 8_000_000
"""Bytes of a value in a Parquet file's metadata; pyarrow reads at most 100 MB of them, and they are there twice."""

_NEEDS_QUOTES = re.compile(r'[",\r\n]')
# A spreadsheet runs a cell that starts like this; where ; separates its cells, also what follows a ; or a
# line end. Where full-width forms are at home, their = + - @ are taken for the same.
_FORMULA = re.compile(r'(^|[;"\r\n])([=+\-@\t\uff1d\uff0b\uff0d\uff20])')


def guarded(name: str) -> str:
    """``name`` with ' before whatever a spreadsheet would run as a formula.

    Tensor names are written by whoever made the checkpoint. No name that a real model uses starts with = + -
    @ or a tab, so only hostile names change; JSON and Parquet carry all names unchanged.
    """
    return _FORMULA.sub(r"\1'\2", name)


def csv_line(cells: Sequence[str]) -> str:
    r"""One CSV line, ended by ``\n``.

    Quoted by RFC 4180. Not the csv module, which left a lone ``\r`` unquoted before Python 3.13.
    """
    return ",".join(_quoted(cell) for cell in cells) + "\n"


def _quoted(cell: str) -> str:
    if not _NEEDS_QUOTES.search(cell):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


def write_lines(lines: Iterable[Sequence[str]], file: BinaryIO) -> None:
    """UTF-8 CSV of the cells of ``lines``, the header's among them."""
    for cells in lines:
        file.write(_utf8(csv_line(cells)))


def write_object(document: dict[str, Any], file: BinaryIO, compact: dict[str, Any] | None = None) -> None:
    """Strict JSON in UTF-8, ended by a newline, of a ``document`` that has been made `plain`. What is ``compact``
    follows, each in a line: it is for programs alone.
    """
    for piece in _all_but(2, _pieces(document, indent=1)):  # the newline and the brace at the end
        file.write(piece)
    for key, value in (compact or {}).items():
        file.write(f',\n "{key}": '.encode())
        for piece in _pieces(value, separators=(",", ":")):
            file.write(piece)
    file.write(b"\n}\n")


def _pieces(value: Any, **layout: Any) -> Iterator[bytes]:
    """JSON piece by piece: as one text, pieces and all, it takes ten times its bytes."""
    for piece in json.JSONEncoder(ensure_ascii=False, allow_nan=False, **layout).iterencode(value):
        # A lone surrogate has no UTF-8; as a backslash escape inside a JSON string it keeps its meaning.
        yield piece.encode("utf-8", "backslashreplace")


def _all_but(last: int, items: Iterable[bytes]) -> Iterator[bytes]:
    held: deque[bytes] = deque()
    for item in items:
        held.append(item)
        if len(held) > last:
            yield held.popleft()


def finding_json(finding: Finding) -> dict[str, Any]:
    """Its fields; without a baseline nothing is said of one."""
    said = asdict(finding)
    if not finding.baseline_state:
        del said["baseline_state"]
    return said


def identity_json(identity: ModelIdentity) -> dict[str, Any]:
    """Which model it is, and the files that were read."""
    said: dict[str, Any] = {
        "name": identity.name,
        "revision": identity.revision,
        "location": identity.location,
        "format": identity.format,
        "files": [{"name": file.name, "bytes": file.nbytes} for file in identity.files],
        "skipped_files": [asdict(file) for file in identity.skipped_files],
    }
    return said if identity.adapter is None else {**said, "adapter": asdict(identity.adapter)}


def frame(columns: Sequence[Column[Row]], rows: Sequence[Sequence[Value]]) -> pd.DataFrame:
    """The values of ``rows`` in ``columns``, numbers in full double precision."""
    import pandas as pd

    return pd.DataFrame(
        {
            column.name: pd.Series([storable(row[i]) for row in rows], dtype=column.dtype)
            for i, column in enumerate(columns)
        }
    )


def write_frame(table: pd.DataFrame, head: dict[str, Any], file: BinaryIO) -> None:
    """Parquet. The file's metadata hold what ``head`` says, key by key, as ``weightaudit.<key>``. A value of more than
    `LONGEST_KEPT` bytes is left out: readers refuse a file whose metadata are too long.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    stored = pa.Table.from_pandas(table, preserve_index=False)
    said = {f"weightaudit.{key}": json.dumps(value) for key, value in head.items()}
    ours = {key: text for key, text in said.items() if len(text) <= LONGEST_KEPT}
    pq.write_table(stored.replace_schema_metadata({**(stored.schema.metadata or {}), **ours}), file)


def storable(value: Any) -> Any:
    """A string with lone surrogates, which Arrow cannot store, escaped; anything else as it is."""
    return _utf8(value).decode() if isinstance(value, str) else value


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
