"""Hub models: from the cache without a request, from a stand-in Hub, and what goes wrong in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save

from tests.source.fake_hub import SHA, Hub, put_in_cache, serve
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import ModelNotFound, ModelUnavailable, UsageError
from weightaudit.source import open_repository

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


@pytest.mark.parametrize("token", ["hf_secret\n", "hf secret", "hf_sécret"])
def test_a_broken_token_is_not_repeated(token: str, cache: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_repository("gpt2", token=token)
    assert "cret" not in str(caught.value)


# The client reads HF_ENDPOINT when it is imported, so each of these runs in a process of its own.
ASK = """
import json, sys
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import WeightauditError
answers = []
for model, options in json.loads(sys.argv[1]):
    try:
        with open_checkpoint(model, **options) as checkpoint:
            answers.append([checkpoint.identity.revision, list(checkpoint.tensors)])
    except WeightauditError as error:
        answers.append([type(error).__name__, str(error)])
print(json.dumps(answers))
"""


def ask(endpoint: str, home: Path, *questions: tuple[str, dict[str, Any]], **more: str) -> list[list[Any]]:
    """What `open_checkpoint` makes of each (model, options): [revision, tensors] or [error, message]."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    (home / "cwd").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(questions)],
        cwd=home / "cwd",
        env={**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Fetching" not in done.stderr  # no progress bar where there is no terminal
    assert "secret" not in done.stdout + done.stderr
    answers: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.fixture
def hub() -> Iterator[Hub]:
    extras = {
        "pytorch_model.bin": b"x",
        "flax.msgpack": b"x",
        "onnx/model.safetensors": b"x",
        "vocab.txt": b"x",
    }
    single = {"config.json": CONFIG, "model.safetensors": WEIGHTS, **extras}
    repos = {
        "tiny": single,
        "org/sharded": {**SHARDED, **extras},
        "org/other": {"config.json": CONFIG, "weights.safetensors": WEIGHTS},
        "org/bare": {"model.safetensors": WEIGHTS},
        "org/pickled": {"config.json": CONFIG, "pytorch_model.bin": b"x"},
        "org/incomplete": PARTIAL,
        "org/gated": single,
        "org/broken": single,
    }
    with serve(repos) as server:
        server.gated.add("org/gated")
        server.broken.add("org/broken")
        yield server


def test_download_then_offline(hub: Hub, tmp_path: Path) -> None:
    downloaded = ask(hub.url, tmp_path, ("tiny", {}), ("org/sharded", {"token": "hf_secret"}), ("org/other", {}))
    assert downloaded == [[SHA, ["wte.weight"]], [SHA, ["a", "b"]], [SHA, ["wte.weight"]]]
    fetched = {path.split("/")[-1] for _, path, _ in hub.requests if "/resolve/" in path}
    assert fetched == {"config.json", "model.safetensors", "weights.safetensors", FIRST, SECOND, INDEX}
    assert all(SHA in path for _, path, _ in hub.requests if "/resolve/" in path)
    assert all(has_token == ("sharded" in path) for _, path, has_token in hub.requests)

    # What the cache has needs no request, whether or not the network may be used.
    hub.requests.clear()
    again = ("tiny", {}), ("org/sharded", {}), ("org/sharded", {"offline": True, "revision": SHA})
    assert ask(hub.url, tmp_path, *again) == [downloaded[0], downloaded[1], downloaded[1]]
    assert hub.requests == []
    assert ask("http://127.0.0.1:9", tmp_path, ("org/other", {}), HF_HUB_OFFLINE="1") == [downloaded[2]]


def test_an_interrupted_download_is_completed(hub: Hub, tmp_path: Path) -> None:
    put_in_cache(tmp_path / "hub", "org/sharded", PARTIAL)
    put_in_cache(tmp_path / "hub", "tiny", {"config.json": CONFIG})
    answers = ask(hub.url, tmp_path, ("org/sharded", {}), ("tiny", {}))
    assert answers == [[SHA, ["a", "b"]], [SHA, ["wte.weight"]]]
    assert not any(path.endswith(FIRST) for _, path, _ in hub.requests)


def test_every_failure_has_its_message(hub: Hub, tmp_path: Path) -> None:
    secret = {"token": "hf_secret"}
    asked = {
        "org/nothing": ({}, "ModelNotFound", "no such model on the Hub, or a private one"),
        "org/gated": (secret, "ModelUnavailable", "the model is gated"),
        "org/broken": (secret, "ModelUnavailable", "the Hub answered HTTP 500"),
        "tiny": ({"revision": "v9"}, "ModelNotFound", "not the revision 'v9'"),
        "org/bare": ({}, "ConfigError", "no config.json"),
        "org/pickled": ({}, "CheckpointError", "not in safetensors files: pytorch_model.bin"),
        "org/incomplete": ({}, "CheckpointError", f"shards that it lists are missing: {SECOND}"),
    }
    answers = ask(hub.url, tmp_path, *((model, options) for model, (options, _, _) in asked.items()))
    for (model, (_, kind, cause)), (got_kind, message) in zip(asked.items(), answers, strict=True):
        assert got_kind == kind, message
        assert cause in message
        assert message.startswith((model, hub.url)) or kind == "CheckpointError"


def test_no_network(tmp_path: Path) -> None:
    put_in_cache(tmp_path / "hub", "org/sharded", PARTIAL)
    options = {"token": "hf_secret"}
    for kind, message in ask("http://127.0.0.1:9", tmp_path, ("tiny", options), ("org/sharded", options)):
        assert kind == "ModelUnavailable"
        assert "127.0.0.1:9 cannot be reached (ConnectError)" in message
