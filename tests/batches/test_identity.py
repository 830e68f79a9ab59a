"""Which files make a local model what it is: every one that its scan reads, whatever it is called."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.batches.pools import Recorded
from weightaudit.batches import BatchResult
from weightaudit.batches.identity import ABSENT, local_state

Batch = Callable[..., BatchResult]


def changed(path: Path) -> None:
    """Another time, as another content of the same size would have."""
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


def test_a_lone_file_of_an_odd_name_is_scanned_again(batch: Batch, few: list[Path], tmp_path: Path) -> None:
    model = tmp_path / "weights.dat"
    shutil.copy(few[1] / "model.safetensors", model)
    assert batch([model]).failed == {}
    changed(model)
    pool = Recorded()
    assert batch([model], pool=pool).failed == {}
    assert len(pool.sent) == 1


@pytest.mark.parametrize(
    ("model", "read", "unread"),
    [
        ("", ["config.json", "a.safetensors", "a.bin", "named.dat", "deep.dat"], ["README.md", "other.dat"]),
        ("other.dat", ["config.json", "other.dat"], ["a.safetensors", "named.dat", "README.md"]),
        ("a.safetensors", ["config.json", "a.safetensors"], ["a.bin", "other.dat"]),
        ("x.bin.index.json", ["config.json", "x.bin.index.json", "a.bin", "named.dat"], ["README.md", "other.dat"]),
    ],
)
def test_what_is_read_counts(model: str, read: list[str], unread: list[str], tmp_path: Path) -> None:
    for name in {*read, *unread, "x.bin.index.json"}:
        (tmp_path / name).write_text("x")
    (tmp_path / "config.json").write_text(json.dumps({"weights": "named.dat", "more": [{"file": "deep.dat"}]}))
    path = str(tmp_path / model) if model else str(tmp_path)
    for name in read:
        before = local_state(path)
        changed(tmp_path / name)
        assert local_state(path) != before, name
    before = local_state(path)
    for name in unread:
        changed(tmp_path / name)
    assert local_state(path) == before


def test_a_broken_link_hides_no_other_file(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_text("x")
    (tmp_path / "old.bin").symlink_to("nowhere")
    before = local_state(str(tmp_path))
    assert before != ABSENT
    changed(weights)
    assert local_state(str(tmp_path)) != before


@pytest.mark.parametrize("config", [b"{", b"[" * 100_000, b"\xff", b"7", b"9" * 6000])
def test_a_config_that_cannot_be_read_is_the_scans_to_tell(config: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(config)
    assert "config.json" in local_state(str(tmp_path))


@pytest.mark.skipif(os.name == "nt", reason="a named pipe")
def test_a_config_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert "config.json" in local_state(str(tmp_path))


def test_what_is_not_there(tmp_path: Path) -> None:
    assert local_state(str(tmp_path / "none")) == local_state(str(tmp_path / "none.bin")) == ABSENT


def test_of_one_shard_of_a_gguf_model_all_count_as_all_are_read(tmp_path: Path) -> None:
    first, second = (tmp_path / f"m-0000{i}-of-00002.gguf" for i in (1, 2))
    first.write_bytes(b"1"), second.write_bytes(b"2")
    before = local_state(str(first))
    second.write_bytes(b"222")
    assert local_state(str(first)) != before


def test_of_a_labelled_model_files_in_folders_count(tmp_path: Path) -> None:
    inside = tmp_path / "Q4_K_M" / "m-Q4_K_M.gguf"
    inside.parent.mkdir()
    inside.write_bytes(b"1")
    before = local_state(str(tmp_path), "Q4_K_M")
    inside.write_bytes(b"22")
    assert local_state(str(tmp_path), "Q4_K_M") != before
