"""The stand-in Hub under the real client: what it answers, and that both ways of pointing the client at it agree."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import HfApi, get_hf_file_metadata, get_session, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.support.hub import SHA, Hub, environment, pointed_at, serve

CONFIG = b'{"model_type": "gpt2"}' * 40
WEIGHTS = bytes(range(256)) * 1000
LARGE = "model.safetensors"
MODEL = "org/name"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / LARGE).write_bytes(WEIGHTS)
    files: dict[str, bytes | Path] = {
        "config.json": CONFIG,
        LARGE: tmp_path / LARGE,
        "onnx/model.onnx": b"x",
        "onnx/a/b.txt": b"y",
    }
    repos = {MODEL: files, "org/gated": files, "org/private": files, "openai-community/gpt2": files}
    with serve(repos, legacy={"gpt2": "openai-community/gpt2"}) as server:
        server.gated.add("org/gated")
        server.private.add("org/private")
        yield server


@pytest.fixture
def cache(hub: Hub, tmp_path: Path) -> Iterator[Path]:
    with pointed_at(hub.url, tmp_path / "home") as folder:
        yield folder


def metadata(model: str, name: str, **options: Any) -> huggingface_hub.HfFileMetadata:
    return get_hf_file_metadata(hf_hub_url(model, name, revision=options.pop("revision", None)), timeout=20, **options)


def get(url: str, **headers: str) -> Any:
    return get_session().get(
        url, headers={"accept-encoding": "identity", **headers}, follow_redirects=False, timeout=20
    )


@pytest.mark.usefixtures("cache")
def test_model_info(hub: Hub) -> None:
    info = HfApi().model_info(MODEL, timeout=20)
    assert info.sha == SHA == hub.sha
    assert [file.rfilename for file in info.siblings or ()] == ["config.json", LARGE, "onnx/a/b.txt", "onnx/model.onnx"]
    sized = HfApi().model_info(MODEL, revision="v1", files_metadata=True)
    assert {file.rfilename: file.size for file in sized.siblings or ()}[LARGE] == len(WEIGHTS)
    assert HfApi().model_info("gpt2").id == "openai-community/gpt2"
    for model, error in (("org/none", RepositoryNotFoundError), ("org/private", RepositoryNotFoundError)):
        for token in (None, hub.stranger):
            with pytest.raises(error):
                HfApi(token=token).model_info(model)
    assert HfApi(token=hub.token).model_info("org/private").private
    assert HfApi().model_info("org/gated").gated == "auto"
    with pytest.raises(RevisionNotFoundError):
        HfApi().model_info(MODEL, revision="refs/pr/9")
    with pytest.raises(HfHubHTTPError, match="401") as refused:
        HfApi(token="hf_wrong").model_info(MODEL)
    assert not isinstance(refused.value, RepositoryNotFoundError)
    assert hub.asked("hub", suffix=f"/api/models/{MODEL}")[0].token is None


@pytest.mark.usefixtures("cache")
def test_metadata_of_a_large_file_is_on_the_redirect(hub: Hub) -> None:
    found = metadata(MODEL, LARGE)
    assert (found.commit_hash, found.size) == (SHA, len(WEIGHTS))
    assert found.etag == hashlib.sha256(WEIGHTS).hexdigest()
    assert found.location.startswith(hub.cdn_url)
    assert [(request.server, request.method, request.status) for request in hub.log] == [("hub", "HEAD", 302)]
    assert metadata(MODEL, LARGE).location != found.location  # signed anew
    assert metadata("gpt2", LARGE).location.startswith(f"{hub.cdn_url}/repos/openai-community/gpt2/")


@pytest.mark.usefixtures("cache")
def test_metadata_of_a_small_file_follows_relative_redirects(hub: Hub) -> None:
    found = metadata("gpt2", "config.json", revision=SHA)
    assert (found.commit_hash, found.size) == (SHA, len(CONFIG))
    assert found.location.startswith(f"{hub.url}/api/resolve-cache/models/openai-community/gpt2/{SHA}/config.json?")
    assert [request.status for request in hub.log] == [307, 307, 200]
    whole = get(found.location)
    assert (whole.status_code, whole.content, whole.headers["etag"]) == (200, CONFIG, f'"{found.etag}"')
    part = get(found.location, range="bytes=3-5")
    assert (part.status_code, part.content) == (206, CONFIG[3:6])
    packed = get(found.location, **{"accept-encoding": "gzip"})
    assert packed.content == CONFIG
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["etag"].startswith("W/")


@pytest.mark.usefixtures("cache")
def test_what_files_are_refused(hub: Hub) -> None:
    for token in (None, hub.stranger):
        with pytest.raises(GatedRepoError):
            metadata("org/gated", LARGE, token=token)
        with pytest.raises(RepositoryNotFoundError) as refused:
            metadata("org/private", LARGE, token=token)
        assert not isinstance(refused.value, GatedRepoError)
    assert [request.status for request in hub.log] == [401, 401, 403, 404]
    for model in ("org/gated", "org/private"):
        assert metadata(model, LARGE, token=hub.token).size == len(WEIGHTS)
    with pytest.raises(EntryNotFoundError):
        metadata(MODEL, "nothing.bin")
    with pytest.raises(RevisionNotFoundError):
        metadata(MODEL, LARGE, revision="v9")


@pytest.mark.usefixtures("cache")
def test_ranges_of_the_cdn(hub: Hub) -> None:
    url, size = metadata(MODEL, LARGE).location, len(WEIGHTS)
    whole = get(url)
    assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, WEIGHTS, "bytes")
    assert "x-repo-commit" not in whole.headers
    etag = whole.headers["etag"]
    for asked, said, part in (
        ("bytes=0-0", f"bytes 0-0/{size}", WEIGHTS[:1]),
        ("bytes=100-299", f"bytes 100-299/{size}", WEIGHTS[100:300]),
        (f"bytes={size - 5}-", f"bytes {size - 5}-{size - 1}/{size}", WEIGHTS[-5:]),
        (f"bytes={size - 5}-{size + 90}", f"bytes {size - 5}-{size - 1}/{size}", WEIGHTS[-5:]),
        ("bytes=-7", f"bytes {size - 7}-{size - 1}/{size}", WEIGHTS[-7:]),
    ):
        answer = get(url, range=asked)
        assert (answer.status_code, answer.headers["content-range"], answer.content) == (206, said, part)
        assert answer.headers["etag"] == etag
        assert answer.headers["content-length"] == str(len(part))
    beyond = get(url, range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    for asked in ("bytes=0-1,4-5", "bytes=5-4", "lines=1-2", "bytes=-"):
        assert get(url, range=asked).status_code == 200
    assert get(url, range="bytes=0-1", **{"if-range": etag}).status_code == 206
    assert get(url, range="bytes=0-1", **{"if-range": '"other"'}).status_code == 200
    assert get(url, **{"if-match": '"other"'}).status_code == 412
    assert get(url, **{"if-none-match": etag}).status_code == 304
    head = get_session().head(url, headers={"range": "bytes=0-9"}, timeout=20)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")
    assert hub.asked("cdn")[1].span == (0, 1)
    assert hub.sent("cdn", "HEAD") == 0
    assert sum(request.sent for request in hub.asked("cdn") if request.status == 206) == 1 + 200 + 5 + 5 + 7 + 2
    assert hub.accepted == {"hub": 1, "cdn": 1}  # one connection each, kept alive
    assert etag.strip('"') not in (metadata(MODEL, LARGE).etag, "")


@pytest.mark.usefixtures("cache")
def test_signed_addresses(hub: Hub) -> None:
    url = metadata(MODEL, LARGE).location
    assert get(url, authorization=f"Bearer {hub.token}").status_code == 400
    assert get(url.replace("X-Signature=", "X-Signature=0")).status_code == 403
    assert get(url.replace(LARGE, "onnx/model.onnx")).status_code == 403
    hub.expire()
    assert get(url).status_code == 403
    assert get(metadata(MODEL, LARGE).location).status_code == 200


def test_downloads(hub: Hub, cache: Path) -> None:
    assert Path(hf_hub_download("gpt2", LARGE)).read_bytes() == WEIGHTS
    folder = Path(snapshot_download("org/private", token=hub.token))
    assert folder == cache / "models--org--private" / "snapshots" / SHA
    assert (folder / "onnx/a/b.txt").read_bytes() == b"y"
    assert (folder / "config.json").read_bytes() == CONFIG
    assert all(request.token is None for request in hub.asked("cdn"))
    assert hub.sent("cdn", suffix=LARGE) == 2 * len(WEIGHTS)


@pytest.mark.usefixtures("cache")
def test_commits(hub: Hub) -> None:
    new = hub.push(MODEL, {LARGE: b"new"})
    assert HfApi().model_info(MODEL).sha == new == metadata(MODEL, LARGE).commit_hash
    assert metadata(MODEL, LARGE).size == 3
    for old in (SHA, "v1"):
        assert metadata(MODEL, LARGE, revision=old).size == len(WEIGHTS)
    url = metadata(MODEL, LARGE).location
    before = get(url)
    hub.put(MODEL, LARGE, b"changed")
    after = get(url)
    assert (before.content, after.content) == (b"new", b"changed")
    assert before.headers["etag"] != after.headers["etag"]


@pytest.mark.usefixtures("cache")
def test_trees() -> None:
    flat = {entry.path: type(entry).__name__ for entry in HfApi().list_repo_tree(MODEL)}
    assert flat == {"config.json": "RepoFile", LARGE: "RepoFile", "onnx": "RepoFolder"}
    inner = [entry.path for entry in HfApi().list_repo_tree(MODEL, "onnx", recursive=True)]
    assert sorted(inner) == ["onnx/a", "onnx/a/b.txt", "onnx/model.onnx"]


ASK = """
import sys, json
from huggingface_hub import HfApi, hf_hub_download
HfApi().model_info(sys.argv[1])
print(json.dumps([hf_hub_download(sys.argv[1], name) for name in sys.argv[2:]]))
"""


@pytest.mark.slow
def test_both_ways_of_pointing_the_client_ask_the_same(hub: Hub, tmp_path: Path) -> None:
    names = ["config.json", LARGE]
    with pointed_at(hub.url, tmp_path / "here", token=hub.token):
        HfApi().model_info("gpt2")
        here = [hf_hub_download("gpt2", name) for name in names]
    first = [(request.server, request.method, request.path, request.status, request.token) for request in hub.log]
    hub.log.clear()
    done = subprocess.run(
        [sys.executable, "-c", ASK, "gpt2", *names],
        env=environment(hub.url, tmp_path / "there", HF_TOKEN=hub.token, HF_HUB_DISABLE_TELEMETRY="1"),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    there = json.loads(done.stdout)
    second = [(request.server, request.method, request.path, request.status, request.token) for request in hub.log]
    assert first == second
    assert len(first) > 5
    assert {token for server, *_, token in first if server == "hub"} == {hub.token}
    for one, other in zip(here, there, strict=True):
        assert Path(one).relative_to(tmp_path / "here") == Path(other).relative_to(tmp_path / "there")
        assert Path(one).read_bytes() == Path(other).read_bytes()


def test_nothing_is_left_of_the_pointing(hub: Hub, tmp_path: Path) -> None:
    endpoint, cached = huggingface_hub.constants.ENDPOINT, huggingface_hub.constants.HF_HUB_CACHE
    with pointed_at(hub.url, tmp_path):
        assert HfApi().endpoint == hub.url
    assert (endpoint, cached) == (huggingface_hub.constants.ENDPOINT, huggingface_hub.constants.HF_HUB_CACHE)
    assert HfApi().endpoint == endpoint
