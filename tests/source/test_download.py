"""Downloads into the cache: in the layout of the Hub's client, and from a server that means harm."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save

from tests.support.covering import in_turn
from tests.support.hub import SHA, Answer, Hub, Request, faults, pointed_at, serve
from tests.support.hub.answers import redirect
from tests.support.impatience import shorten_pauses
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import CheckpointError, ModelUnavailable, WeightauditError
from weightaudit.source import open_repository
from weightaudit.source.cache_writing import CacheFolder

CONFIG = b'{"model_type": "gpt2"}'
WEIGHTS = save({"wte.weight": torch.arange(6.0).view(2, 3)})
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS}
MODEL = "org/tiny"
SECRET = "hf_secret"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An HF_HOME with some room above it to climb into, which the test leaves as it was."""
    shorten_pauses(monkeypatch)
    home = tmp_path / "some" / "where" / "home"
    home.mkdir(parents=True)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return home


@pytest.fixture
def hub(home: Path) -> Iterator[Hub]:
    with serve({MODEL: FILES}) as server, pointed_at(server.url, home):
        yield server


@pytest.fixture
def canary() -> Iterator[Hub]:
    """A server of somebody else, which answers every request with 404."""
    with serve({}) as server:
        yield server


def fetched(names: tuple[str, ...] = tuple(FILES), revision: str | None = None) -> None:
    open_repository(MODEL, revision=revision, download=True, token=SECRET, max_wait=2).fetch(names)


def all_within(tmp_path: Path, home: Path) -> bool:
    """Whether all that was written is blobs named by digests, links to them in one snapshot, and refs."""
    kept = r"models--org--tiny/(blobs/([0-9a-f]{40}|[0-9a-f]{64})|snapshots/[0-9a-f]{40}/[a-z.]+|refs/[\w/.]+)"
    files = [path for path in tmp_path.rglob("*") if path.is_symlink() or not path.is_dir()]
    assert [path for path in files if not path.is_relative_to(home / "hub")] == []
    return all(re.fullmatch(kept, path.relative_to(home / "hub").as_posix()) for path in files)


# What it leaves is what the Hub's client leaves


def test_others_find_what_was_downloaded(hub: Hub, home: Path, tmp_path: Path) -> None:
    fetched(revision="v1")
    assert all_within(tmp_path, home)
    for revision in ("v1", SHA):
        for name, content in FILES.items():
            path = huggingface_hub.try_to_load_from_cache(MODEL, name, revision=revision)
            assert isinstance(path, str)
            assert Path(path).read_bytes() == content
            found = huggingface_hub.hf_hub_download(MODEL, name, revision=revision, local_files_only=True)
            assert Path(found).read_bytes() == content
    [cached] = huggingface_hub.scan_cache_dir(home / "hub").repos
    assert (cached.repo_id, cached.nb_files, cached.size_on_disk) == (MODEL, 2, len(CONFIG) + len(WEIGHTS))
    # Online too: the client knows the blobs by their names.
    hub.push(MODEL, FILES)
    hub.log.clear()
    for name in FILES:
        huggingface_hub.hf_hub_download(MODEL, name)
    assert hub.asked(method="GET") == []


@pytest.mark.slow  # imports transformers
def test_transformers_finds_what_was_downloaded(hub: Hub, home: Path) -> None:
    from transformers import AutoConfig

    fetched(revision="v1")
    config = AutoConfig.from_pretrained(MODEL, revision="v1", local_files_only=True, cache_dir=home / "hub")
    assert config.model_type == "gpt2"


def test_what_the_client_has_downloaded_is_not_fetched_again(hub: Hub, home: Path) -> None:
    for name in FILES:
        huggingface_hub.hf_hub_download(MODEL, name)
    commit = hub.push(MODEL, FILES)
    hub.log.clear()
    fetched(revision=commit)
    assert [request.path for request in hub.asked(method="GET")] == [f"/api/models/{MODEL}/revision/{commit}"]
    open_checkpoint(MODEL, revision=commit, offline=True).close()


def test_a_damaged_blob_is_fetched_again(hub: Hub, home: Path) -> None:
    fetched()
    commit = hub.push(MODEL, FILES)
    for blob in (home / "hub" / "models--org--tiny" / "blobs").iterdir():
        blob.write_bytes(bytes(blob.stat().st_size))
    fetched(revision=commit)
    with open_checkpoint(MODEL, revision=commit, offline=True) as checkpoint:
        assert checkpoint.read("wte.weight").tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("missing", [["symlink", "link"], pytest.param(["symlink"], marks=pytest.mark.slow)])
def test_a_disk_without_links_gets_the_files_themselves(
    missing: list[str], hub: Hub, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    fetched()  # with links, as by somebody who may make them
    commits = [SHA]
    for kind in missing:
        monkeypatch.setattr(os, kind, refuse)
    for _ in range(2):
        commits.append(hub.push(MODEL, FILES))
        hub.log.clear()
        fetched(revision=commits[-1])
        assert not hub.asked("cdn")  # the blobs are there
    for commit in commits:
        for name, content in FILES.items():
            path = Path(huggingface_hub.hf_hub_download(MODEL, name, revision=commit, local_files_only=True))
            assert (path.is_symlink(), path.read_bytes()) == (commit == SHA, content)
        open_checkpoint(MODEL, revision=commit, offline=True).close()
    assert all_within(tmp_path, home)


def test_a_blob_that_is_a_link_to_elsewhere_is_none(hub: Hub, home: Path, tmp_path: Path) -> None:
    """Its bytes may be the right ones; they are somebody's who may change them, and no scan would read them."""
    fetched()
    for blob in (home / "hub" / "models--org--tiny" / "blobs").iterdir():
        blob.rename(tmp_path / "cwd" / blob.name)
        blob.symlink_to(tmp_path / "cwd" / blob.name)
    commit = hub.push(MODEL, FILES)
    fetched(revision=commit)
    open_checkpoint(MODEL, revision=commit, offline=True).close()
    blobs = home / "hub" / "models--org--tiny" / "blobs"
    assert not any(blob.is_symlink() for blob in blobs.iterdir())
    assert len(list((tmp_path / "cwd").iterdir())) == len(FILES)


def test_a_broken_download_goes_on_where_it_broke(hub: Hub) -> None:
    hub.faults.append(faults.drop_after(50))
    fetched()
    first, second = hub.asked("cdn", "GET")
    assert ("range" in first.headers, second.headers["range"]) == (False, f"bytes=50-{len(WEIGHTS) - 1}")
    open_checkpoint(MODEL, offline=True).close()


def test_a_server_that_serves_no_parts_is_good_enough(hub: Hub) -> None:
    hub.faults.append(faults.ignore_range(times=None))
    fetched()
    open_checkpoint(MODEL, offline=True).close()


def test_an_empty_file(hub: Hub) -> None:
    hub.push(MODEL, {**FILES, "empty.bin": b""})
    fetched(("empty.bin",))
    assert open_repository(MODEL).open("empty.bin").size == 0


def test_a_ref_that_says_so_already_is_left_alone(hub: Hub, home: Path) -> None:
    fetched()
    ref = home / "hub" / "models--org--tiny" / "refs" / "main"
    before = ref.stat().st_ino
    CacheFolder(MODEL).remember("main", SHA)
    assert ref.stat().st_ino == before
    CacheFolder(MODEL).remember("main", "0" * 40)
    CacheFolder(MODEL).remember("refs/pr/1", SHA)
    assert (ref.read_text(), (ref.parent / "refs" / "pr" / "1").read_text()) == ("0" * 40, SHA)
    assert sorted(path.name for path in ref.parent.iterdir()) == ["main", "refs"]


# Disks


def test_a_full_disk_is_one_error(hub: Hub, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr("weightaudit.source.cache_writing.create", lambda path: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(WeightauditError, match=r"no space left on device.*HF_HOME") as caught:
        fetched()
    assert caught.value.exit_code == 2
    assert caught.value.temporary  # a batch tries it again
    assert all_within(tmp_path, home)


def test_a_file_that_does_not_fit_is_not_begun(hub: Hub, home: Path) -> None:
    hub.faults.append(faults.alter({"X-Linked-Size": "9" * 17}, where=faults.HEADS, times=None))
    with pytest.raises(WeightauditError, match=r"has 99999999999999999 bytes, and \d+ are free"):
        fetched()
    assert hub.asked("cdn") == []


@pytest.mark.parametrize("part", ["blobs", "snapshots", "refs"])
def test_a_link_in_the_cache_leads_nothing_outside(part: str, hub: Hub, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = home / "hub" / "models--org--tiny"
    folder.mkdir(parents=True)
    (folder / part).symlink_to(outside)
    with pytest.raises(WeightauditError, match="a link leads it outside of the model's folder"):
        fetched()
    assert list(outside.iterdir()) == []


def test_a_cache_that_is_a_link_itself_is_the_users_choice(hub: Hub, home: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (home / "hub").symlink_to(disk)
    fetched()
    assert open_repository(MODEL, offline=True).revision == SHA


# A server that means harm

NAMES = {
    "up": "../../evil",
    "far up": "../" * 20 + "{top}/evil",
    "absolute": "/{top}/evil",
    "a drive": "C:\\evil",
    "backslashes": "..\\..\\evil",
    "a device": "NUL",
    "a device with a suffix": "con.safetensors",
    "dots": "..",
    "empty": "",
    "long": "a" * 10_000,
    "another digest": "0" * 40,
    "quotes": '""../../evil""',
    "weak": 'W/"../../evil"',
}


FEW = ("up", "a device", "long", "another digest")


@pytest.mark.parametrize(
    ("what", "header"),
    [
        *in_turn(FEW, ["ETag", "X-Linked-ETag"]),
        *(pytest.param(what, "ETag", marks=pytest.mark.slow) for what in NAMES if what not in FEW),
        *(pytest.param(what, "X-Linked-ETag", marks=pytest.mark.slow) for what in NAMES if what not in FEW),
    ],
)
def test_no_etag_becomes_a_path(what: str, header: str, hub: Hub, home: Path, tmp_path: Path) -> None:
    etag = NAMES[what].format(top=str(tmp_path).lstrip("/"))
    hub.faults.append(faults.alter({header: etag}, where=faults.HEADS, times=None))
    fetched()
    assert all_within(tmp_path, home)
    with open_checkpoint(MODEL, offline=True) as checkpoint:
        assert checkpoint.config == {"model_type": "gpt2"}


@pytest.mark.parametrize(
    "commit",
    [
        "../../x",
        "0" * 40,
        SHA.upper(),
        *(pytest.param(c, marks=pytest.mark.slow) for c in ("/etc", SHA + "0", "x" * 9000, "..")),
    ],
)
def test_a_commit_other_than_the_one_asked_for(commit: str, hub: Hub, home: Path, tmp_path: Path) -> None:
    hub.faults.append(faults.alter({"X-Repo-Commit": commit}, where=faults.HEADS, times=None))
    with pytest.raises(ModelUnavailable, match="serves another commit"):
        fetched()
    assert all_within(tmp_path, home)


def test_other_bytes_than_the_hub_names(hub: Hub, home: Path, tmp_path: Path) -> None:
    hub.faults.append(faults.alter({"X-Linked-ETag": f'"{"0" * 64}"'}, where=faults.HEADS, times=None))
    with pytest.raises(CheckpointError, match=r"the bytes that came are not those that the Hub names \(SHA-256\)"):
        fetched()
    assert all_within(tmp_path, home)


def xet(canary: Hub) -> dict[str, dict[str, str | None]]:
    named = {"X-Xet-Hash": "0" * 64}
    return {
        "a link": {**named, "Link": f'<{canary.url}/api/token>; rel="xet-auth"'},
        "a route": {**named, "X-Xet-Refresh-Route": f"{canary.url}/api/token"},
        "a route with a host": {**named, "X-Xet-Refresh-Route": f"@{canary.url.removeprefix('http://')}/api/token"},
        "a store": {
            **named,
            "X-Xet-Cas-Url": canary.url,
            "X-Xet-Access-Token": "x",
            "X-Xet-Token-Expiration": "4102444800",
            "Link": f'<{canary.url}/a>; rel="xet-auth", <{canary.url}/b>; rel="xet-reconstruction-info"',
        },
        "a next page": {"Link": f'<{canary.url}/api/models?cursor=x>; rel="next"'},
    }


@pytest.mark.parametrize("what", ["a link", "a route", "a route with a host", "a store", "a next page"])
def test_headers_that_name_other_servers_are_not_followed(
    what: str, hub: Hub, canary: Hub, home: Path, tmp_path: Path
) -> None:
    hub.faults.append(faults.alter(xet(canary)[what], where=replace(faults.HUB, method=""), times=None))
    fetched()
    assert canary.log == []
    assert all_within(tmp_path, home)
    open_checkpoint(MODEL, offline=True).close()


@pytest.mark.parametrize(
    ("where", "headers"), in_turn(["listing", "head", "bytes", "relocated"], ["none", "size", "all"])
)
def test_redirects_take_the_token_nowhere(
    where: str, headers: str, hub: Hub, canary: Hub, home: Path, tmp_path: Path
) -> None:
    places = {"listing": faults.API, "head": faults.HEADS, "bytes": faults.CDN, "relocated": faults.HEADS}
    more = {
        "none": {},
        "size": {"X-Linked-Size": str(len(WEIGHTS))},
        "all": {"X-Linked-Size": "10", "X-Linked-ETag": '"../../evil"', "X-Repo-Commit": SHA},
    }[headers]

    def change(request: Request, answer: Answer) -> Answer:
        return redirect(302, canary.url + request.target, more)

    if where == "relocated":  # the second answer is another one than the first
        hub.faults.append(faults.expire_after(0, times=1))
    place = replace(places[where], suffix="" if where == "listing" else ".safetensors")
    fault = faults.Fault(change, place, None, skip=1 if where == "relocated" else 0)
    hub.faults.append(fault)
    with pytest.raises(WeightauditError) as caught:
        fetched()
    assert fault.struck
    assert str(caught.value).isprintable()
    assert {request.token for request in canary.log} <= {None}
    assert all("cookie" not in request.headers for request in canary.log)
    assert all_within(tmp_path, home)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "//", "http://[::1"),
        *(pytest.param(url, marks=pytest.mark.slow) for url in ("ftp://127.0.0.1/x", "http://", "data:,x", "\\\\x")),
    ],
)
def test_redirects_to_no_web_address(url: str, hub: Hub, home: Path, tmp_path: Path) -> None:
    size = {"X-Linked-Size": str(len(WEIGHTS))}
    fault = faults.status(302, {"Location": url, **size}, where=faults.HEADS, times=None)
    hub.faults.append(fault)
    with pytest.raises(ModelUnavailable):
        fetched()
    assert all_within(tmp_path, home)


@pytest.mark.parametrize(
    ("size", "where"),
    in_turn([0, 1, len(WEIGHTS) - 1, len(WEIGHTS) + 1, 10**6], ["X-Linked-Size", "Content-Length"]),
)
def test_a_size_that_lies(size: int, where: str, hub: Hub, home: Path, tmp_path: Path) -> None:
    place = faults.HEADS if where == "X-Linked-Size" else faults.CDN
    place = replace(place, suffix=".safetensors")
    hub.faults.append(faults.alter({where: str(size)}, where=place, times=None))
    with pytest.raises(WeightauditError):
        fetched()
    assert all_within(tmp_path, home)


def test_a_second_answer_that_differs(hub: Hub, home: Path, tmp_path: Path) -> None:
    place = replace(faults.HEADS, suffix=".safetensors")
    hub.faults.append(faults.expire_after(0, times=1))
    fault = faults.alter({"X-Linked-ETag": '"../../evil"'}, where=place, times=None, skip=1)
    hub.faults.append(fault)
    with pytest.raises(CheckpointError, match="has changed while it was read"):
        fetched()
    assert fault.struck
    assert all_within(tmp_path, home)
