"""All models' results in one: all.csv, all.parquet, summary.csv, index.html. One model at a time is in memory, but for
what the page says of each.

The order is that of the list, so that the bytes are the same however and in whatever order the models were scanned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from weightaudit.batches.manifest import Listed
from weightaudit.batches.outcome import Outcome, read_outcome
from weightaudit.batches.results import Results
from weightaudit.batches.verdicts import ModelVerdict, verdict_of, worst_first
from weightaudit.logs import timed
from weightaudit.records import LayerRow
from weightaudit.report.adapters import ADAPTER
from weightaudit.report.atomic_write import Attempts, replacing
from weightaudit.report.columns import COLUMNS, Column
from weightaudit.report.comparison import SUMMARY_COLUMNS, ModelEntry, write_index
from weightaudit.report.full_columns import FULL
from weightaudit.report.layout import ALL_CSV, ALL_PARQUET, LAYERS_CSV, LAYERS_PARQUET, LOG, PAGE, SUMMARY_CSV
from weightaudit.report.quantisation import QUANTISATION
from weightaudit.report.scan_columns import LAYOUTS
from weightaudit.report.spectra import SPECTRAL
from weightaudit.report.table_files import csv_line, guarded
from weightaudit.text import printable

JOINED = (ALL_CSV, ALL_PARQUET, SUMMARY_CSV)
ROWS = 1 << 16
"""Rows of a row group in all.parquet: what is gathered in memory before it is written."""
LONGEST_LINE = 1 << 20
"""Bytes of a line of a LAYERS_CSV: a row names a few tensors of at most a thousand characters."""
UNFINISHED = "not finished: run its batch again"
MORE = (QUANTISATION, ADAPTER, SPECTRAL, FULL)
"""Columns that a table has or has not, all of a group, in the order in which they stand behind the others."""
SUMMARY_HEAD = ("model", "revision", "status", "reason", "folder", "family", "guessed")
"""Columns of summary.csv before `SUMMARY_COLUMNS`."""
FINDING_COLUMNS = ("verdict", "errors", "warnings")
"""Those behind: blank for a model that failed, and for a scan of before there were verdicts."""


@dataclass(frozen=True)
class Joined:
    """What the joined files say: title → why the layers of that model could not be joined, severity → how many
    findings the others have, and the verdict of each model, worst first.
    """

    unreadable: dict[str, str]
    findings: dict[str, int]
    verdicts: tuple[ModelVerdict, ...]


@timed("joined the results")
def join(listed: Sequence[Listed], directory: Path, title: str, attempts: Attempts) -> Joined:
    """Write the joined files of these models of ``directory``, each whole or not at all. ``title`` is the page's.

    A model whose layers cannot be read stops nothing: it has failed, with no row in any of the files and none of its
    findings told. Nor does a file that cannot be written: ``attempts`` has the error.
    """
    outcomes = {one.folder: read_outcome(directory / one.folder) for one in listed}
    parts = {
        folder: outcome.results(directory / folder)
        for folder, outcome in outcomes.items()
        if outcome is not None and outcome.status == "done"
    }
    unreadable: dict[str, str] = {}
    layers, found = _join_layers(parts, directory)
    while found:  # once more without them
        unreadable |= found
        layers, found = _join_layers({name: parts[name] for name in parts if name not in unreadable}, directory)
    with attempts:
        layers.conclude()
    read = {folder: _as_read(outcome, unreadable.get(folder)) for folder, outcome in outcomes.items()}
    summary = [csv_line((*SUMMARY_HEAD, *(column.name for column in SUMMARY_COLUMNS), *FINDING_COLUMNS))]
    summary += [_summary_line(one, read[one.folder]) for one in listed]
    with attempts, replacing(directory / SUMMARY_CSV) as file:
        file.write("".join(summary).encode("utf-8", "backslashreplace"))
    with attempts:
        write_index(entries(listed, read), directory, title=title or "models", beside=JOINED)
    findings: Counter[str] = Counter()
    for outcome in read.values():
        findings.update(outcome.entry.get("findings", {}) if outcome is not None else {})
    verdicts = worst_first(verdict_of(one, read[one.folder], directory, UNFINISHED) for one in listed)
    failed = {one.title: unreadable[one.folder] for one in listed if one.folder in unreadable}
    return Joined(failed, dict(findings), verdicts)


def _as_read(outcome: Outcome | None, reason: str | None) -> Outcome | None:
    """``outcome``, as that of a model that failed where there is a ``reason``."""
    if outcome is None or reason is None:
        return outcome
    return Outcome(key=outcome.key, status="failed", title=outcome.title, revision=outcome.revision, reason=reason)


def entries(listed: Iterable[Listed], read: Mapping[str, Outcome | None]) -> Iterator[ModelEntry]:
    """What the page says of each model; ``read``: folder → its outcome."""
    for one in listed:
        outcome = read[one.folder]
        if outcome is None:
            yield ModelEntry(one.title, "", "failed", UNFINISHED)
            continue
        at = quote(one.folder)
        yield ModelEntry(
            name=one.title,
            revision=outcome.revision,
            status=outcome.status,
            reason=outcome.reason,
            link=f"{at}/{PAGE}" if outcome.status == "done" else "",
            log=f"{at}/{LOG}",
            **outcome.entry,
        )


def _summary_line(one: Listed, outcome: Outcome | None) -> str:
    """A failed model has its reason there, and no numbers."""
    entry = outcome.entry if outcome is not None else {}
    if outcome is None:
        said = [one.title, "", "failed", UNFINISHED, one.folder, "", ""]
    else:
        family, guessed = entry.get("family", ""), entry.get("guessed", "")
        said = [one.title, outcome.revision, outcome.status, outcome.reason, one.folder, family, str(guessed).lower()]
    numbers = entry.get("metrics", {})
    metrics = [column.text(numbers.get(column.name)) for column in SUMMARY_COLUMNS]
    return csv_line(list(map(guarded, [*said, *metrics, *_findings(outcome)])))


def _findings(outcome: Outcome | None) -> list[str]:
    """The text of each of `FINDING_COLUMNS`."""
    if outcome is None or not outcome.verdict:
        return [""] * len(FINDING_COLUMNS)
    counts = outcome.entry.get("findings", {})
    return [outcome.verdict, *(str(counts.get(severity, 0)) for severity in ("error", "warning"))]


class _Unreadable(Exception):
    """Why the part of one model cannot be joined."""


def _join_layers(parts: Mapping[str, Results], directory: Path) -> tuple[Attempts, dict[str, str]]:
    """all.csv and all.parquet: what became of writing them, and which of ``parts`` cannot be read, and why. Where there
    are such, the files are to be written again without them.
    """
    attempts = Attempts()
    rows: dict[str, int] = {}
    unreadable: dict[str, str] = {}
    own = {folder: _layout(results) for folder, results in parts.items()}
    columns = (
        *COLUMNS,
        *(column for more in MORE if any(more[0] in there for there in own.values()) for column in more),
    )
    with attempts, replacing(directory / ALL_CSV) as file:
        file.write(_header(columns))
        for folder, results in parts.items():
            try:
                rows[folder] = _join_csv(results, file, own[folder], columns)
            except _Unreadable as error:
                unreadable[folder] = str(error)
    with attempts, replacing(directory / ALL_PARQUET) as file:
        unreadable |= _join_parquet(parts, rows, file, columns)
    return attempts, unreadable


def _header(columns: Sequence[Column[LayerRow]]) -> bytes:
    return csv_line([column.name for column in columns]).encode()


def _layout(results: Results) -> Sequence[Column[LayerRow]]:
    """The columns that the CSV has."""
    return next((columns for columns in LAYOUTS if _has_header(results, columns)), COLUMNS)


def _has_header(results: Results, columns: Sequence[Column[LayerRow]]) -> bool:
    """Whether the CSV starts so; one that cannot be read is told when it is joined."""
    try:
        with results.open(LAYERS_CSV) as part:
            header = _header(columns)
            return part.readline(len(header)) == header
    except (ValueError, OSError):
        return False


def _join_csv(
    results: Results, file: BinaryIO, own: Sequence[Column[LayerRow]], columns: Sequence[Column[LayerRow]]
) -> int:
    """Copy what follows the header of its ``own`` columns, the others of ``columns`` empty; the number of rows. Raises
    _Unreadable, with some of them copied, where it is no whole table of these.
    """
    rows, commas, quoted = 0, 0, False
    widen = _widening(own, columns)
    for line in _lines(results, own):
        # A cell in quotes may hold commas and line ends; quotes in it are doubled.
        for i, piece in enumerate(line.split(b'"')):
            quoted ^= i > 0
            commas += 0 if quoted else piece.count(b",")
        if not quoted:
            if commas != len(own) - 1 or not line.endswith(b"\n"):
                raise _unreadable(LAYERS_CSV, "it is cut off or has other columns")
            rows, commas = rows + 1, 0
            line = widen(line)
        file.write(line)
    if quoted:
        raise _unreadable(LAYERS_CSV, "it is cut off")
    return rows


def _widening(own: Sequence[Column[LayerRow]], columns: Sequence[Column[LayerRow]]) -> Callable[[bytes], bytes]:
    """What makes a line of ``columns`` of the end of one of its ``own``, each group of `MORE` that it lacks empty.
    Whatever stands behind such a group, numbers of an adapter or a spectrum, has no comma within a cell.
    """
    lacking: list[tuple[int, int]] = []
    """Columns behind a group that is not there, and its own."""
    behind = 0
    for more in reversed(MORE):
        if more[0] in columns:
            if more[0] not in own:
                lacking.append((behind, len(more)))
            behind += len(more)

    def widened(line: bytes) -> bytes:
        line = line.removesuffix(b"\n")
        for last, blank in lacking:
            before, *after = line.rsplit(b",", last) if last else [line]
            line = b",".join([before + b"," * blank, *after])
        return line + b"\n"

    return widened if lacking else lambda line: line


def _lines(results: Results, columns: Sequence[Column[LayerRow]]) -> Iterator[bytes]:
    """The lines behind the header, each with its end. Raises _Unreadable."""
    try:
        with results.open(LAYERS_CSV) as part:
            header = _header(columns)
            if part.readline(len(header)) != header:
                raise _unreadable(LAYERS_CSV, "it is cut off or has other columns")
            while line := part.readline(LONGEST_LINE):
                yield line
    except ValueError as error:
        raise _changed(LAYERS_CSV, error) from error


def _join_parquet(
    parts: Mapping[str, Results], rows: Mapping[str, int], file: BinaryIO, columns: Sequence[Column[LayerRow]]
) -> dict[str, str]:
    """Write the tables of ``parts``, each of which must have the ``rows`` that are known of it, with these ``columns``;
    folder → why it has none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(column.name, _arrow_type(column.dtype)) for column in columns])
    unreadable: dict[str, str] = {}
    gathered: list[Any] = []
    with pq.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.concat_tables(gathered))
            gathered.clear()

        for folder, results in parts.items():
            try:
                gathered.append(_read_parquet(results, schema, rows.get(folder)))
            except _Unreadable as error:
                unreadable[folder] = str(error)
            if sum(table.num_rows for table in gathered) >= ROWS:
                flush()
        if gathered:
            flush()
    return unreadable


def _read_parquet(results: Results, schema: Any, rows: int | None) -> Any:
    """The table of ``schema``; ``rows`` are those that it should have. Raises _Unreadable."""
    with ExitStack() as opened:
        try:
            file = opened.enter_context(results.open(LAYERS_PARQUET))
        except ValueError as error:
            raise _changed(LAYERS_PARQUET, error) from error
        return _table(file, schema, rows)


def _table(file: BinaryIO, schema: Any, rows: int | None) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as part:
            if rows not in (None, part.metadata.num_rows):
                raise _unreadable(LAYERS_PARQUET, f"it has {part.metadata.num_rows} rows and {LAYERS_CSV} has {rows}")
            table = part.read(columns=schema.names, use_threads=False)
            for name in {column.name for more in MORE for column in more} & set(schema.names) - set(table.column_names):
                table = table.append_column(schema.field(name), pa.nulls(table.num_rows, schema.field(name).type))
        # Not only as many bytes as the footer says: what was read must be UTF-8 and the like, too.
        table.validate(full=True)
        return table.select(schema.names).replace_schema_metadata(None).cast(schema)
    except (OSError, ValueError, KeyError, TypeError, MemoryError, NotImplementedError, pa.ArrowException) as error:
        said = printable(str(error).strip().partition("\n")[0], 300) or type(error).__name__
        raise _unreadable(LAYERS_PARQUET, said) from error


def _arrow_type(dtype: str) -> Any:
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "Int64": pa.int64(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
    }
    return types[dtype]


def _changed(name: str, error: ValueError) -> _Unreadable:
    """For what is not as its outcome tells, which the next run notices too."""
    return _Unreadable(f"{name} is not what the scan left there: {error}. Run the batch again, which scans it again")


def _unreadable(name: str, why: str) -> _Unreadable:
    return _Unreadable(f"{name} cannot be joined: {why}. Remove its folder and run the batch again")
