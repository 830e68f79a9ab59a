"""Models of the Hub by their addresses, against the stand-in Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from tests.source.cached import put_in_cache
from tests.support.covering import some_of
from tests.support.hub import SHA, Hub, pointed_at, serve
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import CheckpointError, ModelUnreachable, UsageError
from weightaudit.source import open_repository

CONFIG = b'{"model_type": "gpt2"}'
WEIGHTS = save({"wte.weight": torch.arange(6.0).view(2, 3)})
OTHER = save({"wte.weight": torch.ones(2, 3)})
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS, "other weights.safetensors": OTHER}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.chdir(tmp_path)
    with serve({"org/tiny": FILES}) as server, pointed_at(server.url, tmp_path / "home"):
        yield server


ADDRESSES = [
    "https://huggingface.co/org/tiny",
    "https://huggingface.co/org/tiny/tree/v1",
    "https://hf.co/org/tiny",
    "{hub}/org/tiny",
    "{hub}/org/tiny/tree/main",
    "hf://org/tiny",
    "hf://org/tiny@v1",
]


@pytest.mark.parametrize("address", some_of(ADDRESSES, *ADDRESSES[1:3], ADDRESSES[4], ADDRESSES[6]))
def test_an_address_is_the_model_of_that_name(address: str, hub: Hub) -> None:
    with open_checkpoint(address.format(hub=hub.url)) as checkpoint:
        identity = checkpoint.identity
        assert checkpoint.read("wte.weight").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (identity.name, identity.revision, identity.location) == ("org/tiny", SHA, f"{hub.url}/org/tiny")
    revision = "/revision/v1" if "v1" in address else "/revision/main" if "main" in address else ""
    assert hub.log[0].path == f"/api/models/org/tiny{revision}"


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("https://huggingface.co/org/tiny/blob/main/other%20weights.safetensors", marks=pytest.mark.slow),
        "{hub}/org/tiny/resolve/v1/other%20weights.safetensors?download=true",
        "hf://org/tiny/other%20weights.safetensors",
    ],
)
def test_a_file_by_its_address(address: str, hub: Hub) -> None:
    with open_checkpoint(address.format(hub=hub.url)) as checkpoint:
        identity = checkpoint.identity
        assert checkpoint.read("wte.weight").tolist() == [[1, 1, 1], [1, 1, 1]]
        assert checkpoint.config == {"model_type": "gpt2"}
    assert identity.name == "hf://org/tiny/other%20weights.safetensors"
    assert [file.name for file in identity.files] == ["other weights.safetensors"]
    assert identity.location == f"{hub.url}/org/tiny/blob/{SHA}/other%20weights.safetensors"
    assert hub.asked("hub", suffix="model.safetensors") == []
    # What a report says of where it was read from is an address of the same file at the same commit.
    with open_checkpoint(identity.location) as again:
        assert again.identity == identity
    with open_checkpoint(identity.name, revision=SHA) as again:
        assert again.identity == identity


def test_a_file_that_the_model_has_not(hub: Hub) -> None:
    with pytest.raises(CheckpointError, match=r"org/tiny/gone\.safetensors: the file is missing"):
        open_checkpoint("hf://org/tiny/gone.safetensors")


def test_a_revision_is_given_once(hub: Hub) -> None:
    assert open_repository("hf://org/tiny@v1", revision="v1").revision == SHA
    assert open_repository("https://huggingface.co/org/tiny", revision="v1").revision == SHA
    asked = len(hub.log)
    for address in ("hf://org/tiny@v1", "https://huggingface.co/org/tiny/blob/v1/model.safetensors"):
        with pytest.raises(UsageError, match="it names the revision 'v1', and 'main' was asked for"):
            open_repository(address, revision="main")
    assert len(hub.log) == asked


def test_the_cache_has_a_file_by_its_address(hub: Hub, tmp_path: Path) -> None:
    put_in_cache(tmp_path / "home" / "hub", "org/tiny", FILES)
    for offline in (False, True):
        with open_checkpoint("hf://org/tiny/other%20weights.safetensors", offline=offline) as checkpoint:
            assert checkpoint.read("wte.weight").sum() == 6
    assert hub.log == []
    with pytest.raises(ModelUnreachable, match="offline"):
        open_repository("hf://org/other", offline=True)


def test_a_file_by_its_address_is_downloaded_alone(hub: Hub, tmp_path: Path) -> None:
    with open_checkpoint("hf://org/tiny/other%20weights.safetensors", download=True) as checkpoint:
        assert checkpoint.read("wte.weight").sum() == 6
    kept = {path.name for path in (tmp_path / "home" / "hub").rglob("snapshots/*/*")}
    assert kept == {"config.json", "other weights.safetensors"}


def test_no_folder_here_is_meant_by_an_address(hub: Hub, tmp_path: Path) -> None:
    trap = tmp_path / "hf:" / "org" / "tiny"
    trap.mkdir(parents=True)
    (trap / "model.safetensors").write_bytes(OTHER)
    (tmp_path / "org" / "tiny").mkdir(parents=True)
    assert open_repository("hf://org/tiny").revision == SHA
