"""What addresses mean, before anything is asked."""

from __future__ import annotations

import pytest

from weightaudit.errors import CheckpointError, UsageError
from weightaudit.model_files import parted, split_label
from weightaudit.source.hub_place import HubPlace, agreed, at_revision, hub_id, hub_place
from weightaudit.source.places import bucket_path, check_address, is_elsewhere, parts_of, web_file
from weightaudit.source.schemes import is_address, safely

SHA = "0123456789abcdef0123456789abcdef01234567"

HUB = {
    "https://huggingface.co/org/name": HubPlace("org/name"),
    "https://huggingface.co/gpt2": HubPlace("gpt2"),
    "https://huggingface.co/gpt2/": HubPlace("gpt2"),
    "https://hf.co/org/name": HubPlace("org/name"),
    "http://huggingface.co/org/name": HubPlace("org/name"),
    "HTTPS://HuggingFace.co/org/name?library=transformers#files": HubPlace("org/name"),
    "https://huggingface.co/org/name/tree/main": HubPlace("org/name", "main"),
    "https://huggingface.co/gpt2/tree/v1.0": HubPlace("gpt2", "v1.0"),
    f"https://huggingface.co/org/name/tree/{SHA}/": HubPlace("org/name", SHA),
    "https://huggingface.co/org/name/tree/refs%2Fpr%2F7": HubPlace("org/name", "refs/pr/7"),
    "https://huggingface.co/org/name/tree/refs/pr/7": HubPlace("org/name", "refs/pr/7"),
    "https://huggingface.co/org/name/blob/main/model.safetensors": HubPlace("org/name", "main", "model.safetensors"),
    "https://huggingface.co/org/name/resolve/v1/a%20b.gguf?download=true": HubPlace("org/name", "v1", "a b.gguf"),
    "https://huggingface.co/gpt2/raw/main/model.safetensors": HubPlace("gpt2", "main", "model.safetensors"),
    "https://huggingface.co/org/name@v2": HubPlace("org/name", "v2"),
    "https://huggingface.co/org/name:Q4_K_M": HubPlace("org/name", label="Q4_K_M"),
    "hf://org/name": HubPlace("org/name"),
    "HF://gpt2": HubPlace("gpt2"),
    "hf://org/name@main": HubPlace("org/name", "main"),
    "hf://gpt2@main/model.safetensors": HubPlace("gpt2", "main", "model.safetensors"),
    "hf://org/name@refs%2Fpr%2F7/model.safetensors": HubPlace("org/name", "refs/pr/7", "model.safetensors"),
    "hf://org/name@refs/pr/7": HubPlace("org/name", "refs/pr/7"),
    "hf://org/name/model.safetensors": HubPlace("org/name", None, "model.safetensors"),
    "hf://gpt2/model.safetensors": HubPlace("gpt2", None, "model.safetensors"),
    "hf://org/name:Q8_0": HubPlace("org/name", label="Q8_0"),
    "hf://org/name:Q8_0@v1": HubPlace("org/name", "v1", label="Q8_0"),
}


@pytest.mark.parametrize("address", HUB)
def test_addresses_of_the_hub(address: str) -> None:
    assert is_address(address)
    assert not is_elsewhere(address)
    place = hub_place(address)
    assert place == HUB[address]
    # What it is called and where it is, put together again, is the same model.
    assert hub_place(place.at(place.revision) if "://" in place.at(place.revision) else f"hf://{place.at(None)}")
    if place.file:
        assert hub_place(place.at(place.revision)) == place
        assert hub_id(place.name) == place.model
    check_address(address)


def test_of_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "https://me:secret@mirror.example:8443/hub")
    assert hub_place("https://mirror.example:8443/hub/org/name/tree/v1") == HubPlace("org/name", "v1")
    for other in (
        "https://mirror.example/hub/org/name",
        "http://mirror.example:8443/hub/o/n",
        "https://mirror.example:8443/",
    ):
        assert hub_place(other) is None


NO_MODELS = [
    "https://huggingface.co/",
    "https://huggingface.co/datasets/org/name",
    "https://huggingface.co/spaces/org/name",
    "https://huggingface.co/org/name/discussions/3",
    "https://huggingface.co/a/b/c",
    "https://huggingface.co/docs/transformers",
    "hf://",
    "hf://datasets/org/name",
    "hf://org/na me",
    "hf://../x",
    "https://huggingface.co/org/name/blob/main",
]


@pytest.mark.parametrize("address", NO_MODELS)
def test_other_pages_of_the_hub(address: str) -> None:
    with pytest.raises(UsageError, match=r"no address of a model on the Hub|names no file") as caught:
        hub_place(address)
    assert "hf://org/name@main" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://huggingface.co/org/name/tree/main/checkpoint-5",
        "https://huggingface.co/org/name/resolve/main/checkpoint-5/model.safetensors",
        "hf://org/name@main/checkpoint-5/model.safetensors",
    ],
)
def test_folders_of_a_repository_say_what_to_write(address: str) -> None:
    with pytest.raises(UsageError, match="folder of a repository, which is not entered") as caught:
        hub_place(address)
    assert "hf download org/name --include 'checkpoint-5/*' --local-dir MODEL" in str(caught.value)


def test_two_revisions() -> None:
    assert agreed("hf://a/b", None, "v1") == agreed("hf://a/b@v1", "v1", "v1") == agreed("x", "v1", None) == "v1"
    with pytest.raises(UsageError, match="it names the revision 'v1', and 'v2' was asked for"):
        agreed("hf://a/b@v1", "v1", "v2")
    with pytest.raises(UsageError, match="it names the revision"):
        hub_place("https://huggingface.co/org/name@v1/tree/v2")
    with pytest.raises(UsageError, match="a file and a quantisation"):
        hub_place("https://huggingface.co/org/name:Q4_0/blob/main/x.gguf")


def test_names_at_revisions() -> None:
    assert at_revision("org/name", "v1") == "org/name@v1"
    assert at_revision("org/name:Q4_0", None) == "org/name:Q4_0"
    assert at_revision("hf://org/name/a.gguf", "refs/pr/1") == "hf://org/name@refs%2Fpr%2F1/a.gguf"


@pytest.mark.parametrize("address", ["ftp://host/x.bin", "file:///x/model.safetensors", "az://x/y", "azure://x"])
def test_schemes_that_are_not_read(address: str) -> None:
    with pytest.raises(UsageError, match="are not read"):
        hub_place(address)


@pytest.mark.parametrize("model", ["C:/x", "C://x", "gpt2", "org/name", "./x", "a:b", "//host/share", "://x"])
def test_no_addresses(model: str) -> None:
    assert not is_address(model)
    assert not is_elsewhere(model)


def test_web_addresses() -> None:
    assert web_file("https://host/a/model.safetensors?X-Sig=1") == "model.safetensors"
    assert web_file("https://host:8443/a/m.GGUF") == "m.GGUF"
    assert web_file("https://host/a/") is None
    assert web_file("http://127.0.0.1:99/a/") is None
    assert web_file("http://[::1]:99/a/") is None
    for address in ("http://host/a/", "http://127.0.0.1.evil.example/a/", "http://10.0.0.1/model.safetensors"):
        with pytest.raises(UsageError, match="http:// is not encrypted"):
            web_file(address)
    for address in ("https://host/a/readme.md", "https://host/model", "https://host/a/model.safetensors/x"):
        with pytest.raises(UsageError, match="it names no weight file"):
            web_file(address)
    for address in ("https:///x.bin", "https://host:port/x.bin", "https://"):
        with pytest.raises(UsageError, match="no address of a server"):
            web_file(address)
    for address in (
        "https://host/..%2f..%2fx%2fmodel.bin%00.bin",
        "https://host/a%3Astream.bin",
        "https://host/con.bin",
    ):
        with pytest.raises(CheckpointError, match="not a plain file name"):
            check_address(address)


def test_buckets() -> None:
    assert bucket_path("s3://bucket/a/b/") == "bucket/a/b"
    assert bucket_path("gs://bucket") == "bucket"
    for address in ("s3://", "s3:///a", "s3://key:secret@bucket/a", "gs://bucket:x/a"):
        with pytest.raises(UsageError, match="it names no bucket") as caught:
            bucket_path(address)
        assert "secret" not in str(caught.value)


def test_what_is_shown_of_addresses() -> None:
    assert parts_of("https://me:secret@host:99/a%20b/model.bin?sig=secret") == ["host:99", "a b", "model.bin"]
    assert parts_of("s3://bucket/a/b") == ["bucket", "a", "b"]
    assert safely("https://me:secret@host/a.bin?sig=secret#x") == "https://host/a.bin?…"


def test_neither_revision_nor_label_is_cut_off_an_address() -> None:
    for address in ("https://me:secret@host/a@b.bin", "hf://org/name@main", "s3://bucket/run@3/x"):
        assert parted(address) == (address, None)
    assert split_label("https://host:8443/a.bin") == ("https://host:8443/a.bin", "")
