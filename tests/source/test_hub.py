"""Hub models: from the cache without a request, streamed from a stand-in Hub, downloaded from it, and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save

from tests.source.cached import put_in_cache
from tests.support.covering import some_of
from tests.support.hub import SHA, Hub, faults, pointed_at, serve
from tests.support.hub.answers import plain
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import CheckpointError, ConfigError, ModelNotFound, ModelUnavailable, UsageError
from weightaudit.source import open_repository
from weightaudit.source.cache import is_whole

CONFIG = b'{"model_type": "gpt2"}'
WEIGHTS = save({"wte.weight": torch.arange(6.0).view(2, 3)})
FIRST, SECOND, INDEX = (
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
)
SHARDED = {
    "config.json": CONFIG,
    FIRST: save({"a": torch.ones(3)}),
    SECOND: save({"b": torch.ones(4)}),
    INDEX: json.dumps({"weight_map": {"a": FIRST, "b": SECOND}}).encode(),
}
PARTIAL = {name: SHARDED[name] for name in ("config.json", INDEX, FIRST)}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no network, and no folder that could be taken for a model."""
    folder = tmp_path / "hub"
    folder.mkdir()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


@pytest.mark.parametrize("model", ["gpt2", "org/name"])
def test_a_cached_model_is_read_offline(model: str, cache: Path) -> None:
    put_in_cache(cache, model, {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    with open_checkpoint(model) as checkpoint:
        assert (checkpoint.identity.name, checkpoint.identity.revision) == (model, SHA)
        assert checkpoint.identity.location.endswith(f"/{model}")
        assert checkpoint.read("wte.weight").tolist() == [[0, 1, 2], [3, 4, 5]]
        assert checkpoint.config == {"model_type": "gpt2"}


def test_a_cached_sharded_model(cache: Path) -> None:
    put_in_cache(cache, "org/name", SHARDED)
    with open_checkpoint("org/name") as checkpoint:
        assert list(checkpoint.tensors) == ["a", "b"]


@pytest.mark.parametrize("revision", [SHA, "v1", "refs/pr/1"])
def test_a_cached_revision(revision: str, cache: Path) -> None:
    snapshot = put_in_cache(cache, "gpt2", {"config.json": CONFIG, "model.safetensors": WEIGHTS}, ref="")
    if revision != SHA:
        ref = snapshot.parent.parent / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(SHA)
    assert open_repository("gpt2", revision=revision).revision == SHA
    with pytest.raises(ModelUnavailable, match="cache has no weights of it"):
        open_repository("gpt2")


def test_a_snapshot_folder_can_be_named_as_a_directory(cache: Path) -> None:
    snapshot = put_in_cache(cache, "gpt2", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    with open_checkpoint(snapshot) as checkpoint:
        assert list(checkpoint.tensors) == ["wte.weight"]


def test_offline_an_uncached_model_is_unavailable(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable, match=r"gpt2: no such file .* offline .* unset HF_HUB_OFFLINE"):
        open_repository("gpt2")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(ModelUnavailable, match="at revision 'v9'"):
        open_repository("gpt2", revision="v9", offline=True)


def test_offline_a_model_of_which_only_the_config_is_cached(cache: Path) -> None:
    put_in_cache(cache, "gpt2", {"config.json": CONFIG})
    with pytest.raises(ModelUnavailable, match="cache has no weights of it"):
        open_repository("gpt2")


def test_offline_missing_shards_are_named(cache: Path) -> None:
    put_in_cache(cache, "org/name", PARTIAL)
    with pytest.raises(ModelUnavailable, match=f"the Hugging Face cache lacks {SECOND}"):
        open_checkpoint("org/name")


@pytest.mark.parametrize("model", ["-bad", "a--b", "org/na me", "naïve", "x" * 100, "a\x1b[2J", "a..b", "b.git"])
def test_what_is_neither_path_nor_hub_id(model: str, cache: Path) -> None:
    with pytest.raises(ModelNotFound, match="no such file or directory here, and it cannot be a Hub id") as caught:
        open_repository(model)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("revision", ["", "../../x", "a b", "/x", "-x", "a\nb"])
def test_an_impossible_revision(revision: str, cache: Path) -> None:
    with pytest.raises(ModelNotFound, match="cannot be a revision"):
        open_repository("gpt2", revision=revision)


@pytest.mark.parametrize("max_wait", [0.0, -1.0, float("nan")])
def test_a_wait_that_is_none(max_wait: float, cache: Path) -> None:
    for model in ("gpt2", "."):
        with pytest.raises(UsageError, match=r"max-wait .* must be greater than 0"):
            open_repository(model, max_wait=max_wait)


@pytest.mark.parametrize("token", ["hf_secret\n", "hf secret", "hf_sécret"])
def test_a_broken_token_is_not_repeated(token: str, cache: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_repository("gpt2", token=token)
    assert "cret" not in str(caught.value)


@pytest.fixture
def hub(cache: Path, tmp_path: Path) -> Iterator[Hub]:
    """A stand-in Hub that this process's client talks to, with an empty cache, ``cache``."""
    extras = {"flax.msgpack": b"x", "onnx/model.safetensors": b"x", "vocab.txt": b"x"}
    single = {"config.json": CONFIG, "model.safetensors": WEIGHTS, **extras}
    repos = {
        "org/tiny": single,
        "org/sharded": {**SHARDED, **extras},
        "org/other": {"config.json": CONFIG, "weights.safetensors": WEIGHTS},
        "org/bare": {"model.safetensors": WEIGHTS},
        "org/incomplete": PARTIAL,
        "org/gated": single,
        "org/private": single,
        "org/odd": {
            "config.json": CONFIG,
            "a\x1b[2J": b"x",
            "../up.safetensors": b"x",
            "b c+d%41&#é.safetensors": WEIGHTS,
        },
    }
    with serve(repos, legacy={"tiny": "org/tiny"}) as server, pointed_at(server.url, tmp_path):
        server.gated.add("org/gated")
        server.private.add("org/private")
        yield server


def written(home: Path) -> list[Path]:
    """What was written below ``home`` other than empty folders of the fixtures."""
    return [path for path in home.rglob("*") if not path.is_dir()]


def test_a_model_is_streamed_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    with open_checkpoint("org/tiny", token=hub.token) as checkpoint:
        assert checkpoint.read("wte.weight").tolist() == [[0, 1, 2], [3, 4, 5]]
        assert checkpoint.config == {"model_type": "gpt2"}
        identity = checkpoint.identity
    assert (identity.name, identity.revision, identity.location) == ("org/tiny", SHA, f"{hub.url}/org/tiny")
    assert written(tmp_path) == []
    assert {request.token for request in hub.asked("hub")} == {hub.token}
    assert {request.token for request in hub.asked("cdn")} == {None}
    assert all("cookie" not in request.headers for request in hub.log)


def test_the_commit_is_settled_with_one_request(hub: Hub) -> None:
    repository = open_repository("org/sharded", revision="v1")
    hub.push("org/sharded", {"config.json": b"{}"})
    assert repository.revision == SHA
    assert repository.files() == sorted([*SHARDED, "flax.msgpack", "vocab.txt"])
    sources = [repository.open(name) for name in (FIRST, "config.json")]
    assert [source.size for source in sources] == [len(SHARDED[FIRST]), len(CONFIG)]
    api, *heads = hub.asked("hub")
    assert api.path == "/api/models/org/sharded/revision/v1"
    assert {request.method for request in heads} == {"HEAD"}
    assert all(SHA in request.path for request in heads)
    assert hub.asked("cdn") == []


def test_ids_of_one_word(hub: Hub) -> None:
    with open_checkpoint("tiny") as checkpoint:
        assert checkpoint.read("wte.weight").tolist() == [[0, 1, 2], [3, 4, 5]]
        assert checkpoint.identity.name == "tiny"
    moved = [request.path for request in hub.log if "tiny" in request.path and "org/tiny" not in request.path]
    assert moved == ["/api/models/tiny"]  # after that the Hub's own name is used


def test_private_and_gated_models_open_with_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in ("org/private", "org/gated"):
        with open_checkpoint(model, token=hub.token) as checkpoint:
            assert list(checkpoint.tensors) == ["wte.weight"]
    monkeypatch.setenv("HF_TOKEN", hub.token)
    with open_checkpoint("org/private") as checkpoint:
        assert list(checkpoint.tensors) == ["wte.weight"]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    with pytest.raises(ModelNotFound):
        open_repository("org/private")


def test_a_broken_token_of_the_environment_is_not_repeated(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_se cret")
    with pytest.raises(UsageError) as caught:
        open_repository("org/tiny")
    assert "cret" not in str(caught.value)
    assert hub.log == []


@pytest.mark.parametrize(
    ("model", "options", "kind", "cause"),
    [
        ("org/nothing", {}, ModelNotFound, "org/nothing: .* no such model on the Hub, or a private one"),
        ("org/nothing", {"token": "hf_secret"}, ModelNotFound, "no such model on the Hub, or a private one"),
        ("nothing", {}, ModelNotFound, "nothing: .* no such model on the Hub, or a private one"),
        ("org/private", {"token": "hf_stranger"}, ModelNotFound, "or a private one"),
        ("org/gated", {"token": "hf_stranger"}, ModelUnavailable, "the model is gated.*/org/gated, then"),
        ("org/gated", {}, ModelUnavailable, "the model is gated"),
        ("org/tiny", {"token": "hf_wrong"}, ModelUnavailable, r"refuses access \(HTTP 401\).*'hf auth whoami'"),
        ("org/tiny", {"revision": "v9"}, ModelNotFound, "not the revision 'v9'"),
        ("org/bare", {}, ConfigError, "no config.json"),
        ("org/incomplete", {}, CheckpointError, f"shards that it lists are missing: {SECOND}"),
    ],
)
def test_every_refusal_has_its_message(
    model: str, options: dict[str, Any], kind: type[Exception], cause: str, hub: Hub
) -> None:
    with pytest.raises(kind, match=cause) as caught:
        open_checkpoint(model, **options)
    assert str(caught.value).isprintable()
    assert "hf_" not in str(caught.value)
    assert len(hub.log) < 12  # none of these is worth another try


@pytest.mark.parametrize("url", ["localhost:8080", "hub", "ftp://hub", "http://", "http://a b:x/"])
def test_an_endpoint_that_is_no_address(url: str, tmp_path: Path) -> None:
    with pointed_at(url, tmp_path), pytest.raises(ModelUnavailable, match="HF_ENDPOINT is not the address"):
        open_repository("org/tiny")


def test_a_disabled_model(hub: Hub) -> None:
    message = {"X-Error-Message": "Access to this resource is disabled."}
    hub.faults.append(faults.status(403, message, where=faults.API, times=None))
    with pytest.raises(ModelUnavailable, match="the Hub has disabled the model"):
        open_repository("org/tiny")


def test_the_password_of_a_mirror_is_not_repeated(hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mirror = hub.url.replace("//", "//somebody:p%40ssword@")
    with pointed_at(mirror, tmp_path), caplog.at_level("DEBUG"):
        with pytest.raises(ModelUnavailable, match=r"refuses access \(HTTP 401\)") as refused:
            open_repository("org/tiny")
        assert hub.log[0].headers["authorization"].startswith("Basic ")
        hub.stop()
        with pytest.raises(ModelUnavailable, match=rf"{hub.url} cannot be reached") as away:
            open_repository("org/tiny", max_wait=0.1)
    assert f"GET {hub.url}/api/models/org/tiny" in caplog.text
    for text in (caplog.text, str(refused.value), str(away.value)):
        assert "ssword" not in text


def test_names_that_need_care(hub: Hub) -> None:
    repository = open_repository("org/odd")
    assert "../up.safetensors" not in repository.files()
    source = repository.open("b c+d%41&#é.safetensors")
    out = bytearray(source.size)
    source.read_into(0, memoryview(out))
    assert out == WEIGHTS
    for name in ("../up.safetensors", "a\x1b[2J", "onnx/x", ".."):
        with pytest.raises(CheckpointError, match="not a plain file name") as caught:
            repository.open(name)
        assert str(caught.value).isprintable()
    with pytest.raises(CheckpointError, match=r"org/odd/gone\.bin: the file is missing"):
        repository.open("gone.bin")


def test_what_the_cache_has_whole_needs_no_request(hub: Hub, cache: Path) -> None:
    put_in_cache(cache, "org/tiny", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    put_in_cache(cache, "org/sharded", SHARDED)
    put_in_cache(cache, "org/pickled", {"config.json": CONFIG, "pytorch_model.bin": b"x"})
    for model in ("org/tiny", "org/sharded"):
        with open_checkpoint(model) as checkpoint:
            assert checkpoint.identity.revision == SHA
    assert not open_repository("org/pickled").open("pytorch_model.bin").distant
    assert hub.log == []


def test_what_the_cache_has_of_a_model_is_not_asked_for(hub: Hub, cache: Path) -> None:
    put_in_cache(cache, "org/sharded", PARTIAL)
    put_in_cache(cache, "tiny", {"config.json": CONFIG})
    put_in_cache(cache, "org/tiny", {"vocab.txt": b"cached"})
    with open_checkpoint("org/sharded") as checkpoint:
        assert list(checkpoint.tensors) == ["a", "b"]
    assert not hub.asked("cdn", suffix=FIRST)
    repository = open_repository("tiny")
    near = {name: not repository.open(name).distant for name in ("config.json", "vocab.txt", "model.safetensors")}
    assert near == {"config.json": True, "vocab.txt": True, "model.safetensors": False}
    # Files of another commit are another model's.
    hub.push("org/sharded", {**SHARDED, "config.json": b"{}"})
    assert open_repository("org/sharded").open(FIRST).distant


@pytest.mark.parametrize(
    ("names", "whole"),
    [
        (["config.json", "model.safetensors"], True),
        (["model.safetensors"], False),
        (["config.json", "pytorch_model.bin"], True),
        (["config.json", "weights.safetensors"], False),
        (["config.json", INDEX, FIRST, SECOND], True),
        (["config.json", INDEX, FIRST], False),
        (["config.json", INDEX], False),
        (["config.json", INDEX, FIRST, "model-00002-of-00003.safetensors"], False),
        (["config.json", INDEX, FIRST, "other-00002-of-00002.safetensors"], False),
        (["config.json", INDEX, FIRST, "pytorch_model.bin"], False),
        (["config.json", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"], True),
        (["config.json", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"], False),
        (["config.json", INDEX, "model-00001-of-00000.safetensors"], False),
    ],
)
def test_what_a_whole_model_is(names: list[str], whole: bool) -> None:
    assert is_whole(names) == whole


def test_download_then_offline(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = {
        "tiny": ["model.safetensors"],
        "org/sharded": [INDEX, FIRST, SECOND],
        "org/other": ["weights.safetensors"],
    }
    for model, weights in models.items():
        repository = open_repository(model, download=True, token=hub.token)
        repository.fetch(["config.json", *weights, "no-such-file"])
        assert repository.revision == SHA
        assert not any(repository.open(name).distant for name in ["config.json", *weights])
    kept = {path.name for path in cache.rglob("*") if path.is_symlink()}
    assert kept == {"config.json", "model.safetensors", "weights.safetensors", FIRST, SECOND, INDEX}
    assert {request.token for request in hub.asked("cdn")} == {None}

    # What the cache has needs no request, whether or not the network may be used.
    hub.log.clear()
    for options in ({}, {"revision": SHA}, {"offline": True}, {"download": True}):
        for model in ("tiny", "org/sharded"):
            assert not open_repository(model, **options).open("config.json").distant
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    open_checkpoint("org/other").close()
    assert hub.log == []


def test_an_interrupted_download_is_completed(hub: Hub, cache: Path) -> None:
    put_in_cache(cache, "org/sharded", PARTIAL)
    repository = open_repository("org/sharded", download=True)
    repository.fetch([INDEX, FIRST, SECOND])
    assert not repository.open(SECOND).distant
    assert not hub.asked(suffix=FIRST)


def test_a_download_that_fails_halfway_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = open_repository("org/sharded", download=True)
    monkeypatch.setattr("weightaudit.source.hub.download_files", lambda *_: None)
    with pytest.raises(ModelUnavailable, match=f"downloading {FIRST} failed"):
        repository.fetch([FIRST])


@pytest.mark.parametrize("where", some_of([faults.API, faults.HUB, faults.CDN], faults.CDN))
def test_a_download_from_a_silent_server_ends(hub: Hub, monkeypatch: pytest.MonkeyPatch, where: faults.Where) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.faults.append(faults.stall(30, after=None, where=where, times=None))
    with pytest.raises(ModelUnavailable):
        open_repository("tiny", download=True, max_wait=0.5).fetch(["model.safetensors"])


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"id": "org/tiny", "sha": "main"}',
        b'{"id": "org/tiny", "sha": "../../../../../../../../../../../../../etc"}',
        b'{"id": "../x", "sha": "0123456789abcdef0123456789abcdef01234567"}',
        b'{"id": 3, "sha": "0123456789abcdef0123456789abcdef01234567"}',
        b'{"id": "org/tiny", "sha": "0123456789abcdef0123456789abcdef01234567", "siblings": 3}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_answers_in_the_hubs_place(body: bytes, hub: Hub) -> None:
    hub.faults.append(faults.Fault(lambda request, answer: plain(200, body), faults.API, None))
    with pytest.raises(ModelUnavailable, match="what answers in the Hub's place is not the Hub"):
        open_repository("org/tiny")


def test_odd_entries_of_a_listing_are_passed_over(hub: Hub) -> None:
    siblings = [3, {}, {"rfilename": 5}, {"rfilename": "config.json"}]
    card = {"ignore_metadata_errors": False, "base_model": [3]}  # a stranger wrote it
    said = {"id": "org/tiny", "sha": SHA, "siblings": siblings, "cardData": card}
    body = json.dumps(said).encode()
    hub.faults.append(faults.Fault(lambda request, answer: plain(200, body), faults.API, None))
    assert open_repository("org/tiny").files() == ["config.json"]
