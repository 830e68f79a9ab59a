"""Output files appear whole or not at all, and what cannot be written is told before the scan."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.support import factory
from weightaudit.errors import OutputError, UsageError
from weightaudit.report import check_output
from weightaudit.report.atomic_write import check_writable, replacing


@pytest.mark.parametrize("name", ["report.txt", "report", ".csv", "report.html.gz"])
def test_unknown_extension(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.html \.csv \.json \.parquet") as caught:
        check_output(tmp_path / name)
    assert not isinstance(caught.value, OutputError)
    with pytest.raises(UsageError):
        factory.embeddings_only().write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["r.html", "r.CSV", "r.json", "r.parquet", "r.sarif", "x" * 240 + ".csv"])
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


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/../dev/fd/1", "/proc/self/fd/1", "/dev/null"])
def test_a_device_is_never_replaced(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redirected").write_text("held open by a shell")
    monkeypatch.setattr(os.path, "realpath", lambda _: str(tmp_path / "redirected"))
    with pytest.raises(OutputError, match="not a plain file"):
        check_writable(path)
    with pytest.raises(OutputError, match="not a plain file"):
        factory.embeddings_only().to_csv(path)
    assert (tmp_path / "redirected").read_text() == "held open by a shell"


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no file system in memory on this platform")
def test_files_in_shared_memory_are_plain() -> None:
    check_output(f"/dev/shm/weightaudit-test-{os.getpid()}.csv")


def test_a_dash_is_not_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="stdout has the summary"):
        check_writable("-")
    assert list(tmp_path.iterdir()) == []


def test_a_name_longer_than_the_file_system_allows(tmp_path: Path) -> None:
    for attempt in (check_output, factory.embeddings_only().write):
        with pytest.raises(OutputError, match="File name too long"):
            attempt(tmp_path / ("x" * 300 + ".csv"))


@pytest.mark.parametrize("question", ["is_dir", "exists"])
def test_a_directory_that_may_not_be_searched(question: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, question, refuse)  # root may search anywhere, so a mode would not do
    for attempt in (check_output, factory.embeddings_only().write):
        with pytest.raises(OutputError, match="Permission denied"):
            attempt(tmp_path / "r.csv")


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
