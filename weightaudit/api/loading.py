"""`load`: a report that was written down."""

from __future__ import annotations

import os
from pathlib import Path

from weightaudit.api.diff_report import DiffReport
from weightaudit.api.merge_report import MergeReport
from weightaudit.api.scan_report import ScanReport
from weightaudit.errors import UsageError
from weightaudit.own_reports import MAX_REPORT
from weightaudit.records import SCHEMA, DiffResult, Reported, ScanResult
from weightaudit.report.record import KEY, result_of
from weightaudit.stored import parse_stored, read_plain
from weightaudit.text import printable

_AGAIN = "Make it anew with this version"


def load(path: str | os.PathLike[str]) -> ScanReport | DiffReport | MergeReport:
    """Read a JSON report back, whole: what `scan`, `diff` or `merge_check` returned when it was written.

    Every number, finding and sentence is there again, and is written again as the same bytes; a matrix is bound to no
    checkpoint. Nothing in the file is run or followed, and each field is checked by its type.

    Parameters
    ----------
    path
        A ``.json`` that ``to_json``, or ``--json`` on the command line, wrote.

    Returns
    -------
    ScanReport, DiffReport or MergeReport
        The report of its kind.

    Raises
    ------
    UsageError
        It is no such report, cannot be read, or is of another version.

    Examples
    --------
    >>> import weightaudit as wa
    >>> wa.scan("gpt2").to_json("gpt2.json")  # doctest: +SKIP
    >>> wa.load("gpt2.json").layers  # doctest: +SKIP
    """
    result = _result(Path(path))
    if isinstance(result, ScanResult):
        return ScanReport(**vars(result))
    return DiffReport(**vars(result)) if isinstance(result, DiffResult) else MergeReport(**vars(result))


def _result(path: Path) -> Reported:
    shown = printable(str(path), limit=1000)
    try:
        said = parse_stored(read_plain(path, limit=MAX_REPORT, follow=True))
    except OSError as error:
        raise UsageError(shown, (error.strerror or str(error)).lower(), "Name another report") from error
    except (ValueError, MemoryError, RecursionError) as error:
        hint = "Name a report that was written as .json"
        raise UsageError(shown, f"it cannot be read: {printable(str(error))}", hint) from error
    if not isinstance(said, dict) or "schema" not in said:
        raise UsageError(shown, "it is no report of weightaudit", "Name a report that was written as .json")
    if said["schema"] != SCHEMA or KEY not in said:
        raise UsageError(shown, "another version of weightaudit wrote it", _AGAIN)
    try:
        return result_of(said[KEY])
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
        raise UsageError(shown, f"it is no valid report: {printable(str(error))}", _AGAIN) from error
