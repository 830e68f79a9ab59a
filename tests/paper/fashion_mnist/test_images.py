"""Fashion-MNIST from IDX files, whole and broken, and from the stand-in Hub."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import hf_hub_download

from tests.paper.fashion_mnist.idx_files import IMAGES, LABELS, idx, parquet, png, toy_images, write_idx
from tests.support.hub import faults, pointed_at, serve
from tests.support.hub.answers import plain
from tests.support.impatience import shorten_pauses
from weightaudit.errors import DataError
from weightaudit.paper.fashion_mnist.experiment import load
from weightaudit.paper.fashion_mnist.images import from_directory, read_idx

PIXELS, CLASSES = toy_images(12)
NAME = "fashion_mnist/test-00000-of-00001.parquet"
DATASET = "datasets/zalando-datasets/fashion_mnist"
REAL = os.environ.get("WEIGHTAUDIT_FASHION_MNIST", "")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again at once."""
    shorten_pauses(monkeypatch)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files(packed: bool, tmp_path: Path) -> None:
    found = load(str(write_idx(tmp_path, PIXELS, CLASSES, packed=packed)), "test", offline=True)
    assert np.array_equal(found.pixels, PIXELS.reshape(12, 784))
    assert np.array_equal(found.classes, CLASSES)


def test_names_with_a_dot_and_the_other_split(tmp_path: Path) -> None:
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx(PIXELS))
    (tmp_path / "train-labels.idx1-ubyte.gz").write_bytes(gzip.compress(idx(CLASSES)))
    assert len(from_directory(tmp_path, "train").classes) == 12
    with pytest.raises(DataError, match="no file t10k-images-idx3-ubyte"):
        from_directory(tmp_path, "test")


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "two"
    path.write_bytes(bytes.fromhex("00000802 00000002 00000003 010203 fdfeff"))
    assert read_idx(path, 2).tolist() == [[1, 2, 3], [253, 254, 255]]


WHOLE = idx(PIXELS)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no IDX file"),
        (b"\0\0\x08", "no IDX file"),
        (gzip.compress(WHOLE), "no IDX file"),
        (b"\0\0\x0d\x03" + WHOLE[4:], "type 0x0d"),
        (idx(CLASSES), "1 axes, not 3"),
        (WHOLE[:9], "ends within its header"),
        (WHOLE[:-1], "9408 bytes of data, and there are 9407"),
        (WHOLE + b"\0", "9408 bytes of data, and there are more"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 28, 28), "more than"),
        (idx(PIXELS[:, :27]), "27 × 28, not 28 × 28"),
        (idx(PIXELS[:5]), "5 images and 12 labels"),
    ],
)
def test_broken_images(data: bytes, says: str, tmp_path: Path) -> None:
    write_idx(tmp_path, PIXELS, CLASSES)
    (tmp_path / IMAGES).write_bytes(data)
    with pytest.raises(DataError, match=says) as caught:
        from_directory(tmp_path, "test")
    assert str(tmp_path) in caught.value.thing


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(WHOLE)[:-20], gzip.compress(WHOLE)[:200] + b"\xff" * 300])
def test_broken_gzip(data: bytes, tmp_path: Path) -> None:
    write_idx(tmp_path, PIXELS, CLASSES, packed=True)
    (tmp_path / f"{IMAGES}.gz").write_bytes(data)
    with pytest.raises(DataError, match="no gzip file, or a damaged one"):
        from_directory(tmp_path, "test")


def test_what_unpacks_to_more_than_it_says_is_not_unpacked(tmp_path: Path) -> None:
    write_idx(tmp_path, PIXELS, CLASSES, packed=True)
    (tmp_path / f"{LABELS}.gz").write_bytes(gzip.compress(idx(CLASSES) + bytes(10_000_000)))
    with pytest.raises(DataError, match="there are more"):
        from_directory(tmp_path, "test")


def test_no_such_class_and_no_such_directory(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", PIXELS, CLASSES + 1)
    with pytest.raises(DataError, match="from 1 to 10, not 0 to 9"):
        from_directory(tmp_path / "a", "test")
    with pytest.raises(DataError, match="no such directory"):
        from_directory(tmp_path / "b", "test")
    (tmp_path / "c" / IMAGES).mkdir(parents=True)
    with pytest.raises(DataError, match="no file"):
        from_directory(tmp_path / "c", "test")


def test_from_the_hub_then_from_the_cache(tmp_path: Path) -> None:
    data = parquet([png(image) for image in PIXELS], CLASSES.tolist())
    with serve({DATASET: {NAME: data}}) as hub, pointed_at(hub.url, tmp_path):
        with pytest.raises(DataError, match="offline, and the Hugging Face cache lacks it"):
            load(None, "test", offline=True)
        assert hub.asked() == []
        found = load(None, "test", offline=False)
        assert np.array_equal(found.pixels, PIXELS.reshape(12, 784))
        assert np.array_equal(found.classes, CLASSES)
        assert found.origin == f"zalando-datasets/fashion_mnist at {hub.sha[:7]}"
        assert hub.sent("cdn") == len(data)
        hub.stop()
        again = load(None, "test", offline=True)
    assert np.array_equal(again.pixels, found.pixels)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ETag", '"../../../../evil"'),
        ("X-Linked-ETag", '"../../../../evil"'),
        ("X-Linked-ETag", ""),
        ("ETag", "a" * 10_000),
        ("X-Repo-Commit", "../../../../evil"),
    ],
)
def test_no_word_of_the_hub_becomes_a_path(header: str, value: str, tmp_path: Path) -> None:
    data = parquet([png(image) for image in PIXELS], CLASSES.tolist())
    home = tmp_path / "within" / "within" / "home"
    home.mkdir(parents=True)
    with serve({DATASET: {NAME: data}}) as hub, pointed_at(hub.url, home):
        hub.faults.append(faults.alter({header: value}, where=faults.HEADS, times=None))
        if header == "X-Repo-Commit":
            with pytest.raises(DataError, match="names no commit"):
                load(None, "test", offline=False)
        else:  # a file is called by the digest of its bytes, whatever the Hub says
            assert np.array_equal(load(None, "test", offline=False).classes, CLASSES)
            (blob,) = (path for path in home.rglob("blobs/*"))
            assert blob.name == hashlib.sha256(data).hexdigest()
    outside = {path.name for path in tmp_path.rglob("*") if home not in (path, *path.parents)}
    assert outside == {"within"}
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name or "aaa" in path.name]


def test_the_newest_is_taken_and_without_the_hub_the_last(tmp_path: Path) -> None:
    old, new = (parquet([png(image) for image in PIXELS[:count]], CLASSES[:count].tolist()) for count in (5, 7))
    with serve({DATASET: {NAME: old}}) as hub, pointed_at(hub.url, tmp_path):
        assert len(load(None, "test", offline=False).classes) == 5
        hub.push(DATASET, {NAME: new})
        assert len(load(None, "test", offline=True).classes) == 5
        assert len(load(None, "test", offline=False).classes) == 7
        sent = hub.sent("cdn")
        assert len(load(None, "test", offline=False).classes) == 7
        assert hub.sent("cdn") == sent
        hub.stop()
        assert len(load(None, "test", offline=False).classes) == 7


def test_bytes_that_are_not_the_hubs_are_refused(tmp_path: Path) -> None:
    data = parquet([png(image) for image in PIXELS], CLASSES.tolist())
    with serve({DATASET: {NAME: data}}) as hub, pointed_at(hub.url, tmp_path):
        hub.faults.append(faults.alter({"X-Linked-ETag": f'"{"0" * 64}"'}, where=faults.HEADS, times=None))
        with pytest.raises(DataError, match="not those that the Hub names"):
            load(None, "test", offline=False)
        with pytest.raises(DataError, match="offline"):
            load(None, "test", offline=True)


def test_what_the_hub_lacks(tmp_path: Path) -> None:
    with serve({DATASET: {"README.md": b"nothing"}}) as hub, pointed_at(hub.url, tmp_path):
        with pytest.raises(DataError, match=f"{NAME}: the Hub has no such file") as caught:
            load(None, "test", offline=False)
        assert "--data-dir" in caught.value.hint
    with serve({}) as hub, pointed_at(hub.url, tmp_path), pytest.raises(DataError, match="no such data set"):
        load(None, "test", offline=False)
    with serve({DATASET: {NAME: b""}}) as hub, pointed_at(hub.url, tmp_path):
        hub.faults.append(lambda request, answer: plain(500, b"out of order"))
        with pytest.raises(DataError, match="HTTP 500"):
            load(None, "test", offline=False)


def test_a_hub_that_is_not_there(tmp_path: Path) -> None:
    with serve({}) as hub:
        url = hub.url.replace("://", "://somebody:a-password@")
    with pointed_at(url, tmp_path), pytest.raises(DataError, match="cannot be reached") as caught:
        load(None, "test", offline=False)
    assert "a-password" not in str(caught.value)


def test_the_cache_is_the_hub_clients(tmp_path: Path) -> None:
    data = parquet([png(image) for image in PIXELS], CLASSES.tolist())
    ids: dict[str, Any] = {"repo_id": DATASET.removeprefix("datasets/"), "filename": NAME, "repo_type": "dataset"}
    with serve({DATASET: {NAME: data}}) as hub:
        with pointed_at(hub.url, tmp_path / "ours"):
            load(None, "test", offline=False)
            assert Path(hf_hub_download(**ids, local_files_only=True)).read_bytes() == data
        with pointed_at(hub.url, tmp_path / "theirs"):
            hf_hub_download(**ids, token=False)
            assert len(load(None, "test", offline=True).classes) == 12


BGR = np.zeros((28, 28, 3), np.uint8)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PAR1 and nothing", "no images and labels as expected"),
        (parquet([None], [0]), "lacks some images"),
        (parquet([b"\x89PNG"], [0]), "image 0 is no PNG"),
        (parquet([png(PIXELS[0], "TIFF")], [0]), "image 0 is no PNG"),
        (parquet([png(PIXELS[0]), png(PIXELS[0])[:60]], [0, 1]), "image 1 is no PNG"),
        (parquet([png(PIXELS[0, :27])], [0]), "image 0 is of mode L, 28 × 27"),
        (parquet([png(BGR)], [0]), "image 0 is of mode RGB"),
        (parquet([png(PIXELS[0])], [10]), "from 10 to 10, not 0 to 9"),
    ],
)
def test_files_of_the_hub_that_are_something_else(data: bytes, says: str, tmp_path: Path) -> None:
    with serve({DATASET: {NAME: data}}) as hub, pointed_at(hub.url, tmp_path), pytest.raises(DataError, match=says):
        load(None, "test", offline=False)


@pytest.mark.skipif(not REAL, reason="WEIGHTAUDIT_FASHION_MNIST names no directory of the real data set's IDX files")
def test_the_real_images() -> None:
    found = from_directory(Path(REAL), "test")
    assert found.classes[:8].tolist() == [9, 2, 1, 1, 6, 1, 4, 6]  # an ankle boot, a pullover, trousers, …
    assert set(found.classes.tolist()) == set(range(10))
    assert 50 < found.pixels.mean() < 100
