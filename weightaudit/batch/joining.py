"""All models' results in one: all.csv, all.parquet, summary.csv, index.html. One model at a time is in memory, but for
what the page says of each.

The order is that of the list, so that the bytes are the same however and in whatever order the models were scanned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from weightaudit.batch.manifest import Listed
from weightaudit.batch.outcome import Outcome, read_outcome
from weightaudit.batch.results import CSV, LOG, PAGE, PARQUET, Results
from weightaudit.errors import OutputError
from weightaudit.report.columns import COLUMNS, NAMES
from weightaudit.report.comparison import SUMMARY_COLUMNS, ModelEntry, write_index
from weightaudit.report.files import Attempts, replacing
from weightaudit.report.tables import csv_line, guarded

JOINED = ("all.csv", "all.parquet", "summary.csv")
ROWS = 1 << 16
"""Rows of a row group in all.parquet: what is gathered in memory before it is written."""
UNFINISHED = "not finished: run its batch again"
SUMMARY_HEAD = ("model", "revision", "status", "reason", "folder", "family", "guessed")
"""Columns of summary.csv before `SUMMARY_COLUMNS`."""
FINDING_COLUMNS = ("verdict", "errors", "warnings")
"""Those behind: blank for a model that failed, and for a scan of before there were verdicts."""


def join(listed: Sequence[Listed], directory: Path, title: str) -> None:
    """Write the joined files of these models of ``directory``, each whole or not at all. ``title`` is the page's.

    Raises OutputError where one cannot be written; the others are.
    """
    done: list[Results] = []
    summary = [csv_line((*SUMMARY_HEAD, *(column.name for column in SUMMARY_COLUMNS), *FINDING_COLUMNS))]
    for one in listed:
        outcome = read_outcome(directory / one.folder)
        summary.append(_summary_line(one, outcome))
        if outcome is not None and outcome.status == "done":
            done.append(outcome.results(directory / one.folder))
    all_csv, all_parquet, summary_csv = JOINED
    attempts = Attempts()
    with attempts, replacing(directory / all_csv) as file:
        _join_csv(done, file)
    with attempts, replacing(directory / all_parquet) as file:
        _join_parquet(done, file)
    with attempts, replacing(directory / summary_csv) as file:
        file.write("".join(summary).encode("utf-8", "backslashreplace"))
    with attempts:
        write_index(entries(listed, directory), directory, title=title or "models", beside=JOINED)
    attempts.conclude()


def entries(listed: Iterable[Listed], directory: Path) -> Iterator[ModelEntry]:
    """What a comparison page in ``directory`` says of each model, read when its turn comes."""
    for one in listed:
        outcome = read_outcome(directory / one.folder)
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


def _join_csv(parts: Iterable[Results], file: BinaryIO) -> None:
    header = csv_line(NAMES).encode()
    file.write(header)
    for results in parts:
        try:
            with results.open(CSV) as part:
                if part.readline() != header:
                    raise ValueError("it has other columns")
                while block := part.read(1 << 20):
                    file.write(block)
        except ValueError as error:
            raise _changed(results.folder / CSV) from error


def _join_parquet(parts: Iterable[Results], file: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(column.name, _arrow_type(column.dtype)) for column in COLUMNS])
    gathered: list[Any] = []
    with pq.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.concat_tables(gathered))
            gathered.clear()

        for results in parts:
            try:
                with results.open(PARQUET) as part:
                    table = pq.ParquetFile(part).read(use_threads=False)
                gathered.append(table.select(schema.names).replace_schema_metadata(None).cast(schema))
            except (KeyError, ValueError) as error:  # Arrow's own are among these
                raise _changed(results.folder / PARQUET) from error
            if sum(table.num_rows for table in gathered) >= ROWS:
                flush()
        if gathered:
            flush()


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


def _changed(path: Path) -> OutputError:
    return OutputError(str(path), "it is not what the scan left there", "Run the batch again, which scans it again")
