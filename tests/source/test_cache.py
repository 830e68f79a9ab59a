"""A Hugging Face cache that somebody else wrote: what it notes and links is believed as far as it stays the model's."""

from __future__ import annotations

import os
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.source.cached import put_in_cache
from tests.support.covering import in_turn
from tests.support.hub import SHA, pointed_at, serve
from weightaudit.errors import CheckpointError, ModelUnavailable
from weightaudit.source import open_repository

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
WEIGHTS = "model.safetensors"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


def content(model: str = "gpt2", revision: str | None = None) -> bytes:
    source = open_repository(model, revision=revision).open(WEIGHTS)
    out = bytearray(source.size)
    source.read_into(0, memoryview(out))
    return bytes(out)


NOTES = {
    "a path": b"../../../../etc",
    "an absolute path": b"/etc",
    "no text": b"\xff\xfe\x00",
    "a commit and more": SHA.encode() + b"\n../x",
    "a commit and a line's end": SHA.encode() + b"\n",
    "nothing": b"",
    "a name": b"evil",
    "upper case": SHA.upper().encode(),
    "other digits": "٣".encode() * 40,
    "a short commit": SHA[:39].encode(),
}


@pytest.mark.parametrize("what", NOTES)
def test_refs_that_name_no_commit(what: str, cache: Path) -> None:
    snapshot = put_in_cache(cache, "gpt2", FILES)
    for name in ("evil", SHA.upper(), SHA[:39], "٣" * 40):
        folder = snapshot.with_name(name)
        folder.mkdir(exist_ok=True)  # where the file system has one name for both cases, it is there
        for file, data in FILES.items():
            (folder / file).write_bytes(data)
    (snapshot.parent.parent / "refs" / "main").write_bytes(NOTES[what])
    with pytest.raises(ModelUnavailable, match="offline the Hugging Face cache has no weights of it") as caught:
        open_repository("gpt2")
    assert str(caught.value).isprintable()


def test_a_ref_is_read_no_further_than_a_commit(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = put_in_cache(cache, "gpt2", FILES).parent.parent / "refs" / "main"
    with note.open("r+b") as file:
        file.truncate(1 << 40)  # a hole: reading all of it takes more memory than there is
    with pytest.raises(ModelUnavailable, match="has no weights of it"):
        open_repository("gpt2")


@pytest.mark.skipif(os.name == "nt", reason="named pipes")
@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "device"])
def test_refs_that_are_no_files(kind: str, cache: Path) -> None:
    note = put_in_cache(cache, "gpt2", FILES).parent.parent / "refs" / "main"
    note.unlink()
    make = {
        "pipe": os.mkfifo,
        "folder": os.mkdir,
        "loop": lambda path: os.symlink(path, path),
        "device": lambda path: os.symlink("/dev/zero", path),
    }
    make[kind](note)
    with pytest.raises(ModelUnavailable, match="has no weights of it"):
        open_repository("gpt2")


@pytest.mark.skipif(os.name == "nt", reason="named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_cached_files_that_are_no_files(kind: str, cache: Path, tmp_path: Path) -> None:
    """They are as good as none: the Hub is asked."""
    snapshot = put_in_cache(cache, "gpt2", FILES)
    (snapshot / WEIGHTS).unlink()
    if kind == "pipe":
        os.mkfifo(snapshot / WEIGHTS)
    else:
        (snapshot / WEIGHTS).symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="the file is missing"):
        open_repository("gpt2").open(WEIGHTS)
    with serve({"gpt2": FILES}) as hub, pointed_at(hub.url, cache.parent):
        assert content() == b"weights"
        assert hub.asked("cdn", suffix=WEIGHTS)


def test_a_commit_is_itself_whatever_is_noted_under_its_name(cache: Path) -> None:
    """The Hub's client would read another commit's files, which a report would show under this one's name."""
    snapshot = put_in_cache(cache, "gpt2", FILES)
    other = "f" * 40
    put_in_cache(cache, "gpt2", {"config.json": b"{}", WEIGHTS: b"others"}, sha=other, ref="")
    (snapshot.parent.parent / "refs" / SHA).write_text(other)
    for revision in (SHA, None):
        assert open_repository("gpt2", revision=revision).revision == SHA
        assert content(revision=revision) == b"weights"


OUTWARD = [WEIGHTS, "config.json", "the snapshot", "the snapshots", "a blob", "the blobs"]


@pytest.mark.parametrize(("part", "where"), in_turn(OUTWARD, ["elsewhere", "another model of the cache"]))
def test_links_that_lead_out_of_the_models_folder(part: str, where: str, cache: Path, tmp_path: Path) -> None:
    snapshot = put_in_cache(cache, "gpt2", FILES)
    outside = tmp_path / "outside" if where == "elsewhere" else cache / "models--org--private" / "snapshots"
    (outside / SHA).mkdir(parents=True)
    blobs = [blob.name for blob in (snapshot.parent.parent / "blobs").iterdir()]
    for folder in (outside, outside / SHA):
        for name in FILES:
            (folder / name).write_bytes(FILES[name])
        for name in blobs:
            (folder / name).write_bytes(b"weights")
    blob = (snapshot / WEIGHTS).resolve()
    link, target = {
        "the snapshot": (snapshot, outside),
        "the snapshots": (snapshot.parent, outside),
        "a blob": (blob, outside / WEIGHTS),
        "the blobs": (blob.parent, outside),
    }.get(part, (snapshot / part, outside / part))
    link.rename(tmp_path / "away")
    link.symlink_to(target)
    repository = open_repository("gpt2")
    name = part if part in FILES else WEIGHTS
    for read in (lambda: repository.open(name), lambda: repository.fetch([name])):
        with pytest.raises(CheckpointError, match=r"leads it out of the model's folder .* Remove the link") as caught:
            read()
        assert os.path.realpath(outside) in str(caught.value)
    # Both next steps work: the directory by its path, and the model again once the link is gone.
    assert open_repository(snapshot).open(name).size == len(FILES[name])
    link.unlink()
    with serve({"gpt2": FILES}) as hub, pointed_at(hub.url, cache.parent):
        open_repository("gpt2", download=True).fetch(FILES)
    assert content() == b"weights"


def test_blobs_that_several_models_share_are_followed(cache: Path) -> None:
    """As the Hub's client lays them out: once in the cache, and a link in each model's blobs."""
    snapshot = put_in_cache(cache, "gpt2", FILES)
    shared = cache / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    blob = (snapshot / WEIGHTS).resolve()
    blob.rename(shared)
    blob.symlink_to(os.path.relpath(shared, blob.parent))
    assert content() == b"weights"
    with serve({"gpt2": FILES}) as hub, pointed_at(hub.url, cache.parent):
        commit = hub.push("gpt2", FILES)
        open_repository("gpt2", revision=commit, download=True).fetch(FILES)
        assert hub.asked("cdn", suffix=WEIGHTS) == []
        assert blob.is_symlink()
        assert content(revision=commit) == b"weights"


def test_a_models_folder_may_be_on_another_disk(cache: Path) -> None:
    put_in_cache(cache, "gpt2", FILES)
    (cache / "models--gpt2").rename(cache.parent / "disk")
    (cache / "models--gpt2").symlink_to(cache.parent / "disk")
    assert content() == b"weights"
