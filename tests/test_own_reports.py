"""Reports of ours are told from files that merely end like one."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import factory
from tests.support.pictures import draw_coarsely
from weightaudit.own_reports import OWN, is_own
from weightaudit.report import figures
from weightaudit.report.atomic_write import EXTENSIONS

OTHERS = {
    ".html": b"<!doctype html>\n<html lang='en'>\n<head>\n<title>weightaudit</title></head>\n<p>by hand</p>\n",
    ".csv": b"model,revision,accuracy\nbert,main,0.9\n",
    ".json": b'{"model": "bert", "schema": 1}\n',
    ".parquet": b"PAR1weightaudit.schema\0\0\0\0PAR1",
    ".sarif": b'{"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [{"tool": {"driver": '
    b'{"name": "CodeQL"}}, "properties": {"by": "weightaudit"}}]}\n',
    ".md": b"# Model card\n\n<!-- weightaudit -->\n",
    ".xml": b'<?xml version="1.0"?>\n<testsuites name="pytest"><testsuite name="weightaudit"/></testsuites>\n',
    ".png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(17) + b"\0\0\0\x13tEXtSoftware\0Matplotlib",
    ".svg": b"<?xml version='1.0'?>\n<svg><metadata><dc:creator><dc:title>Matplotlib</dc:title></dc:creator></metadata>"
    b"<text>weightaudit</text></svg>\n",
}


@pytest.mark.parametrize("name", ["hostile", "judged", "embeddings_only"])
def test_every_report_is_known(name: str, tmp_path: Path) -> None:
    report = factory.ALL[name]()
    for extension in EXTENSIONS:
        report.write(tmp_path / f"r{extension}")
        assert is_own(tmp_path / f"r{extension}"), extension


def test_figures_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them as each kind of file: drawing takes long."""
    pytest.importorskip("matplotlib")
    draw_coarsely(monkeypatch)
    drawing = figures._figures
    monkeypatch.setattr(figures, "_figures", lambda report: islice(drawing(report), 1))
    drawn = factory.one_layer().to_figures(tmp_path)
    assert [path.suffix for path in drawn] == [".png", ".svg"]
    assert all(map(is_own, drawn))


def test_each_format_has_its_own_sign() -> None:
    assert OWN.keys() == OTHERS.keys() == {*EXTENSIONS, ".png", ".svg"}


@pytest.mark.parametrize("extension", OTHERS)
@pytest.mark.parametrize("content", [None, b"", b"P", b"PAR1", b"\xff" * 9000], ids=repr)
def test_what_only_ends_like_a_report_is_none(extension: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / f"x{extension}"
    path.write_bytes(OTHERS[extension] if content is None else content)
    assert not is_own(path)


def test_a_data_set_is_none(tmp_path: Path) -> None:
    pd.DataFrame({"model": ["bert"], "weightaudit": [1]}).to_parquet(tmp_path / "d.parquet")
    assert not is_own(tmp_path / "d.parquet")


@pytest.mark.parametrize("length", [0, 8, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_footer_is_where_the_file_is(length: int, tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    path.write_bytes(b"PAR1" + b"weightaudit.schema" + length.to_bytes(4, "little") + b"PAR1")
    assert not is_own(path)


def test_long_names_do_not_hide_the_sign(tmp_path: Path) -> None:
    factory.bert().to_parquet(tmp_path / "r.parquet")
    table = pq.read_table(tmp_path / "r.parquet")
    long = [f"{i}{'x' * 100_000}" for i in range(len(table))]
    for name in ("model", "role", "tensors"):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(long))
    pq.write_table(table, tmp_path / "r.parquet")
    assert is_own(tmp_path / "r.parquet")


def test_what_is_no_plain_file_is_none_and_not_waited_for(tmp_path: Path) -> None:
    report = tmp_path / "r.csv"
    factory.one_layer().to_csv(report)
    (tmp_path / "link.csv").symlink_to(report)
    (tmp_path / "folder.csv").mkdir()
    names = ["link.csv", "folder.csv", "missing.csv"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.csv")
        names.append("pipe.csv")
    assert not any(is_own(tmp_path / name) for name in names)
