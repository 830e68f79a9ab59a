"""A model whose layers cannot be read has failed, and the others are joined without it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from weightaudit.batches import BatchResult, aggregate, merge
from weightaudit.batches.aggregate import JOINED, join
from weightaudit.batches.manifest import Listed, read_manifest
from weightaudit.batches.outcome import Outcome, read_outcome
from weightaudit.batches.results import Results, content_of
from weightaudit.records import ScanResult
from weightaudit.report import tables
from weightaudit.report.atomic_write import Attempts
from weightaudit.report.columns import COLUMNS, NAMES
from weightaudit.report.layout import LAYERS_CSV, LAYERS_PARQUET
from weightaudit.report.table_files import csv_line

Batch = Callable[..., BatchResult]


@pytest.fixture
def joined(
    earlier: Callable[..., None], few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, str]]:
    """Join three finished models again, whatever was done to the parts of the second since."""
    out = tmp_path / "out"
    earlier(few[:3])
    listed = read_manifest(out).models
    outcomes = {out / one.folder: read_outcome(out / one.folder) for one in listed}

    def as_left(folder: Path) -> Outcome | None:
        """As if the scan itself had left its files so."""
        outcome = outcomes[folder]
        assert outcome is not None
        files = {name: content_of(folder / name) for name in outcome.files if (folder / name).is_file()}
        return replace(outcome, files={**outcome.files, **files})

    monkeypatch.setattr(aggregate, "read_outcome", as_left)

    def again() -> dict[str, str]:
        attempts = Attempts()
        found = join(listed, out, "list", attempts)
        attempts.conclude()
        return found.unreadable

    return again


def _rows(out: Path, *names: str) -> bytes:
    """What all.csv holds of these models."""
    header = csv_line(NAMES).encode()
    return header + b"".join((out / name / LAYERS_CSV).read_bytes().removeprefix(header) for name in names)


def _check_without(out: Path, few: list[Path], found: dict[str, str], part: str) -> None:
    """The second of the three has failed by its ``part``, and there is no row of it."""
    first, second, third = (path.name for path in few[:3])
    assert list(found) == [second]
    gone = not (out / second / part).is_file()  # which the next run notices by itself
    assert found[second].startswith(
        f"{part} is not what the scan left there: " if gone else f"{part} cannot be joined: "
    )
    assert ("Remove its folder and run the batch again" in found[second]) != gone
    assert found[second].isprintable()
    assert (out / "all.csv").read_bytes() == _rows(out, first, third)
    models = pq.read_table(out / "all.parquet").column("model").to_pylist()
    assert list(dict.fromkeys(models)) == [first, third]
    assert len(models) == sum(pq.ParquetFile(out / name / LAYERS_PARQUET).metadata.num_rows for name in (first, third))
    with open(out / "summary.csv", newline="") as file:
        lines = {line["model"]: line for line in csv.DictReader(file)}
    assert [lines[name]["status"] for name in (first, second, third)] == ["done", "failed", "done"]
    assert (lines[second]["reason"], lines[second]["parameters"]) == (found[second], "")
    assert "1 of 3 models failed" in (out / "index.html").read_text()


def test_whole_parts_are_joined(joined: Callable[[], dict[str, str]], few: list[Path], tmp_path: Path) -> None:
    before = [(tmp_path / "out" / name).read_bytes() for name in JOINED]
    assert joined() == {}
    assert [(tmp_path / "out" / name).read_bytes() for name in JOINED] == before
    assert before[0] == _rows(tmp_path / "out", *(path.name for path in few[:3]))


@pytest.mark.parametrize("step", [19, pytest.param(1, marks=pytest.mark.slow)])
def test_a_part_cut_off_anywhere_leaves_no_row(
    joined: Callable[[], dict[str, str]], few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At its beginning and end, between and within rows and headers; ``step``: at each of so many of these places."""
    out = tmp_path / "out"
    monkeypatch.setattr(
        aggregate, "write_index", lambda *_, **__: (out / "index.html").write_text("1 of 3 models failed")
    )
    for name in (LAYERS_CSV, LAYERS_PARQUET):
        part = out / few[1].name / name
        whole = part.read_bytes()
        ends = {
            0,
            1,
            len(csv_line(NAMES)),
            len(whole) - 1,
            *range(len(whole) - 40, len(whole), step),
            *range(0, len(whole), len(whole) // 40 * step),
        }
        if name == LAYERS_CSV:
            rows = [i + 1 for i, byte in enumerate(whole) if byte == 10]
            ends |= {*rows[::step], rows[-2]} - {len(whole)}  # whole rows, but not all
        for end in sorted(ends):
            part.write_bytes(whole[:end])
            found = joined()
            blamed = LAYERS_PARQUET if found[few[1].name].startswith(LAYERS_PARQUET) else LAYERS_CSV
            # Of a table cut between two rows it is the other part that tells.
            assert blamed == name or (name == LAYERS_CSV and whole[:end].endswith(b"\n"))
            _check_without(out, few, found, blamed)
        part.write_bytes(whole)
    assert joined() == {}


def _other_columns(part: Path) -> None:
    pq.write_table(pq.read_table(part).drop_columns(["rows"]), part)


def _other_types(part: Path) -> None:
    table = pq.read_table(part)
    words = pa.array(["many"] * table.num_rows)
    pq.write_table(table.set_column(table.schema.get_field_index("rows"), "rows", words), part)


def _bad_text(part: Path) -> None:
    table = pq.read_table(part)
    raw = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary()).view(pa.string())
    pq.write_table(table.set_column(table.schema.get_field_index("tensors"), "tensors", raw), part)


def _long_metadata(part: Path) -> None:
    """What a scan of very many tensors once wrote."""
    table = pq.read_table(part)
    pq.write_table(table.replace_schema_metadata({"weightaudit.coverage": "x" * 80_000_000}), part)


def _endless_metadata(part: Path) -> None:
    """A footer in Thrift's compact protocol whose sixth field, of bytes, is said to be 2 GB long."""
    footer = b"\x68\xff\xff\xff\xff\x07"
    part.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def _a_directory(part: Path) -> None:
    part.unlink()
    part.mkdir()


PARTS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "an empty table": (LAYERS_PARQUET, lambda part: part.write_bytes(b"")),
    "something else": (LAYERS_PARQUET, lambda part: part.write_bytes(b"PAR1" + bytes(1000) + b"PAR1")),
    "no table": (LAYERS_PARQUET, lambda part: part.unlink()),
    "a directory": (LAYERS_PARQUET, _a_directory),
    "other columns": (LAYERS_PARQUET, _other_columns),
    "other types": (LAYERS_PARQUET, _other_types),
    "text that is none": (LAYERS_PARQUET, _bad_text),
    "endless metadata": (LAYERS_PARQUET, _long_metadata),
    "metadata that says that it is endless": (LAYERS_PARQUET, _endless_metadata),
    "rows left out": (LAYERS_PARQUET, lambda part: pq.write_table(pq.read_table(part).slice(1), part)),
    "no LAYERS_CSV": (LAYERS_CSV, lambda part: part.unlink()),
    "no header": (LAYERS_CSV, lambda part: part.write_bytes(part.read_bytes().partition(b"\n")[2])),
    "an open quote": (LAYERS_CSV, lambda part: part.write_bytes(part.read_bytes() + b'"')),
    "a row of another width": (LAYERS_CSV, lambda part: part.write_bytes(part.read_bytes() + b"a,b\n")),
    "a line without end": (LAYERS_CSV, lambda part: part.write_bytes(part.read_bytes() + b"x" * 3_000_000)),
}
LIKE_OTHERS = ("endless metadata", "an empty table", "something else", "no table", "an open quote")
"""One takes long; tables are cut off above, too; and a row of another width tells of a quote that is open."""


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case in LIKE_OTHERS else case for case in PARTS]
)
def test_a_part_that_is_no_table_of_ours(
    case: str, joined: Callable[[], dict[str, str]], few: list[Path], tmp_path: Path
) -> None:
    name, change = PARTS[case]
    change(tmp_path / "out" / few[1].name / name)
    _check_without(tmp_path / "out", few, joined(), name)


def test_quoted_cells_with_line_ends_and_commas_are_whole_rows(tmp_path: Path) -> None:
    cells = ['a,"b"\n', "\r\n,", *["x"] * (len(NAMES) - 2)]
    (tmp_path / LAYERS_CSV).write_text(csv_line(NAMES) + csv_line(cells) * 3, newline="")
    with open(tmp_path / "all.csv", "wb") as file:
        results = Results(tmp_path, {LAYERS_CSV: content_of(tmp_path / LAYERS_CSV)})
        assert aggregate._join_csv(results, file, COLUMNS, COLUMNS) == 3
    assert (tmp_path / "all.csv").read_text() == (csv_line(cells) * 3).replace("\r\n", "\n")


def test_a_run_ends_with_that_failure_and_so_does_a_merge(
    batch: Batch, few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [shutil.copytree(few[0], tmp_path / "cut off"), few[1]]
    write_parquet = tables.write_parquet

    def cut_off(result: ScanResult, file: BinaryIO) -> None:
        write_parquet(result, file)
        if result.identity.name == "cut off":
            file.truncate(file.tell() - 9)

    monkeypatch.setattr(tables, "write_parquet", cut_off)
    result = batch([f'"{model}"' for model in models])
    assert list(result.failed) == ["cut off"]
    assert result.scanned == [path.name for path in models]
    merged = merge([tmp_path / "out"], tmp_path / "merged")
    assert merged.failed == result.failed
    assert (tmp_path / "merged" / "all.csv").read_bytes() == _rows(tmp_path / "out", few[1].name)
    listed: tuple[Listed, ...] = tuple(read_manifest(tmp_path / "merged").models)
    assert len(listed) == 2
