"""Output files appear whole or not at all, and what cannot be written is told before the scan."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.report import factory
from weightaudit.errors import OutputError, UsageError
from weightaudit.report import check_output
from weightaudit.report.files import replacing


@pytest.mark.parametrize("name", ["report.txt", "report", ".csv", "report.html.gz"])
def test_unknown_extension(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.html \.csv \.json \.parquet") as caught:
        check_output(tmp_path / name)
    assert not isinstance(caught.value, OutputError)
    with pytest.raises(UsageError):
        factory.embeddings_only().write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["r.html", "r.CSV", "r.json", "r.parquet", "x" * 240 + ".csv"])
def test_good_output_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    check_output(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no directory"):
        check_output(tmp_path / "missing" / "r.csv")


def test_parent_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="no directory"):
        check_output(tmp_path / "file" / "r.csv")


def test_output_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "r.csv").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        check_output(tmp_path / "r.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this platform")
def test_output_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.csv")
    with pytest.raises(OutputError, match="not a plain file"):
        check_output(tmp_path / "r.csv")


def refuse(*_: object) -> int:
    raise PermissionError(13, "Permission denied")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", refuse)  # root may write anywhere, so a mode would not do
    with pytest.raises(OutputError, match="Permission denied"):
        check_output(tmp_path / "r.csv")


def test_write_protected_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r.csv").write_text("precious")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="write-protected"):
        factory.embeddings_only().to_csv(tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text() == "precious"


def test_failure_midway_keeps_the_old_file_and_cleans_up(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("old")

    def interrupted() -> None:
        with replacing(tmp_path / "r.csv") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]
    assert (tmp_path / "r.csv").read_text() == "old"


def test_full_disk_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left"), replacing(tmp_path / "r.csv"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_symbolic_link_is_followed_and_mode_kept(tmp_path: Path) -> None:
    target = tmp_path / "real.csv"
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    factory.embeddings_only().to_csv(link)
    assert link.is_symlink()
    assert target.read_text().startswith("model,revision")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_new_file_has_the_ordinary_mode(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    factory.embeddings_only().to_csv(tmp_path / "r.csv")
    assert stat.S_IMODE((tmp_path / "r.csv").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
