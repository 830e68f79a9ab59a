"""Local files and what a user may call a model."""

from __future__ import annotations

import errno
import gc
import os
import threading
from pathlib import Path

import pytest

from tests.support.leaks import needs_descriptors, open_in
from weightaudit.errors import CheckpointError, ModelNotFound, ModelUnavailable, ModelUnreachable, UsageError
from weightaudit.source import local as local_module
from weightaudit.source import open_repository, safe_name
from weightaudit.source.local import LocalFile
from weightaudit.source.mistyped import looks_like_path
from weightaudit.text import printable

CONTENT = bytes(range(256)) * 5


@pytest.fixture
def file(tmp_path: Path) -> LocalFile:
    path = tmp_path / "data"
    path.write_bytes(CONTENT)
    return LocalFile(path, name="data")


@pytest.mark.parametrize(("offset", "length"), [(0, 1280), (3, 7), (1279, 1), (1280, 0), (5000, 0)])
def test_exactly_the_asked_bytes_are_read(offset: int, length: int, file: LocalFile) -> None:
    out = bytearray(length)
    file.read_into(offset, memoryview(out))
    assert bytes(out) == CONTENT[offset : offset + length]
    assert file.size == 1280


@pytest.mark.parametrize(("offset", "length"), [(0, 1281), (1279, 2), (1280, 1), (5000, 1)])
def test_reading_past_the_end_is_an_error(offset: int, length: int, file: LocalFile) -> None:
    with pytest.raises(CheckpointError, match=f"bytes {offset} to {offset + length} were expected"):
        file.read_into(offset, memoryview(bytearray(length)))


def test_short_reads_are_continued(file: LocalFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "MAX_READ", 100)
    out = bytearray(1000)
    file.read_into(11, memoryview(out))
    assert bytes(out) == CONTENT[11:1011]


def test_systems_without_positioned_reads(file: LocalFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "preadv")
    out = bytearray(1000)
    file.read_into(11, memoryview(out))
    assert bytes(out) == CONTENT[11:1011]


def test_a_failing_disk_is_reported(file: LocalFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(ModelUnreachable, match="byte 8 failed: input/output error"):
        file.read_into(8, memoryview(bytearray(1)))


def test_a_directory_is_listed_at_its_top_level_only(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "deep").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert open_repository(str(tmp_path)).files() == [".hidden", "a", "b", "link"]


def test_names_of_models_hold_nothing_of_the_path_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "w.safetensors").touch()
    monkeypatch.chdir(folder)
    for model in (".", str(folder), f"{folder}/", "../my-model"):
        repository = open_repository(model)
        assert (repository.name, repository.revision, repository.chosen) == ("my-model", "", None)
        assert repository.location == model
    for model in ("w.safetensors", "./w.safetensors", str(folder / "w.safetensors")):
        repository = open_repository(model)
        assert (repository.name, repository.chosen) == ("my-model/w.safetensors", "w.safetensors")
    (tmp_path / "alias").symlink_to(folder)
    assert open_repository(str(tmp_path / "alias")).name == "alias"


def test_the_home_directory_can_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert open_repository("~/model").name == "model"


def test_a_local_directory_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert open_repository("gpt2").location == "gpt2"
    assert open_repository("org/name").name == "name"


def test_a_revision_of_a_local_path_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="revision 'main' was asked for, but this is a local path"):
        open_repository(str(tmp_path), revision="main")


PATHS = [
    "./x",
    "../x",
    "/x/y",
    "~/x",
    "a/b/c",
    "x.safetensors",
    "org/x.BIN",
    "m.gguf",
    "x/",
    "C:x",
    "a\\b",
]


@pytest.mark.parametrize("model", PATHS)
def test_a_path_that_is_not_there(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks_like_path(model)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelNotFound, match="no such file or directory"):
        open_repository(model)


@pytest.mark.parametrize("model", ["gpt2", "org/name", "org/name.v1-x_2", "openai-community/gpt2-xl"])
def test_hub_ids_do_not_look_like_paths(model: str) -> None:
    assert not looks_like_path(model)


@pytest.mark.parametrize("model", ["", "  "])
def test_an_empty_name_is_not_the_working_directory(model: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        open_repository(model)


def test_a_broken_link_says_so(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    for model in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(CheckpointError, match=r"the file is missing.*link is broken"):
            open_repository(model).open("model.safetensors")


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "w").symlink_to("w")
    for model in (tmp_path, tmp_path / "w"):
        with pytest.raises(ModelUnavailable, match="symbolic links"):
            open_repository(model).open("w")


def test_a_link_to_itself_hides_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "w").touch()
    assert open_repository(tmp_path).files() == ["loop", "w"]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EMFILE, "raise `ulimit -n`"),
        (errno.ENFILE, "raise `ulimit -n`"),
        (errno.EACCES, "permissions"),
        (errno.EPERM, "permissions"),
    ],
)
def test_the_advice_fits_the_refusal(number: int, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    (tmp_path / "w").touch()
    repository = open_repository(tmp_path)
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    for attempt in (lambda: repository.open("w"), repository.files):
        with pytest.raises(ModelUnavailable, match=os.strerror(number).lower()) as caught:
            attempt()
        assert hint in caught.value.hint


def test_a_path_that_may_not_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "hidden" / "model")

    def refuse(*_: object, **__: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)  # root may look anywhere, so a mode would not do
    with pytest.raises(ModelUnavailable, match="permission denied"):
        open_repository(tmp_path / "link")


@needs_descriptors
def test_an_abandoned_file_is_closed(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(CONTENT)
    kept = LocalFile(tmp_path / "w", name="w")
    for _ in range(20):
        LocalFile(tmp_path / "w", name="w").read_into(0, memoryview(bytearray(5)))
    gc.collect()
    assert open_in(tmp_path) == [str(tmp_path / "w")]
    kept.close()
    assert open_in(tmp_path) == []


def test_closing_twice_and_from_many_threads_closes_once(file: LocalFile, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.close
    closed: list[int] = []
    monkeypatch.setattr(os, "close", closed.append)
    other = LocalFile(Path(file.label), name="data")
    threads = [threading.Thread(target=other.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read_into(0, memoryview(bytearray(1)))
    assert len(closed) == 1
    real(closed[0])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "w").touch(mode=0)
    with pytest.raises(ModelUnavailable, match="permission denied"):
        open_repository(tmp_path).open("w")


def test_a_folder_is_no_weight_file(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    with pytest.raises(CheckpointError, match="not a regular file"):
        open_repository(tmp_path).open("w")


UNSAFE = ["../secret", "/etc/passwd", "a/b", "a\\b", "C:b", "", ".", "..", "a\0b", "a\nb"]
WINDOWS = ["NUL", "con.safetensors", "COM1.bin", "Lpt².x.bin", "aux .bin", "CONIN$", "a.bin:stream", "a.bin.", "a.bin "]


@pytest.mark.parametrize("name", [*UNSAFE, *WINDOWS])
def test_unsafe_names_are_not_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").touch()
    with pytest.raises(CheckpointError, match="not a plain file name") as caught:
        open_repository(tmp_path / "model").open(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["model.safetensors", "a b", "..a", "ünïcode.bin", "-x", "console.bin", "com10.bin", "nul-1.bin"]
)
def test_plain_names_are_safe(name: str) -> None:
    assert safe_name(name, said_by="the index") == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("model.safetensors", "model.safetensors"),
        ("σ₁ naïve 模型", "σ₁ naïve 模型"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\tc\0", "a\\nb\\tc\\x00"),
        ("a\u202eb\u2028c\u200b", "a\\u202eb\\u2028c\\u200b"),
        ("bad\udcff", "bad\\udcff"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ("\x00" * 100, "\\x00" * 49 + "\\x0" + "…"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert len(printable(text)) <= 200
