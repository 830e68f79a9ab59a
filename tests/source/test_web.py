"""Weight files on a web server: only the ranges that are needed, every answer checked, nothing secret told."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from tests.support.authorities import trust_few
from tests.support.hub import faults, pointed_at, serve
from tests.support.impatience import shorten_pauses
from tests.support.web import WEB, WEIGHTS, Web, certificate, web_server
from weightaudit.checkpoint import Checkpoint, open_checkpoint
from weightaudit.errors import (
    ChangedMeanwhile,
    CheckpointError,
    ModelError,
    ModelNotFound,
    ModelUnavailable,
    ModelUnreachable,
    UsageError,
)
from weightaudit.source import open_repository

CONFIG = b'{"model_type": "gpt2"}'
TENSORS = {"wte.weight": torch.arange(60_000.0).view(200, 300), "ln_f.weight": torch.ones(300)}
DATA = save(TENSORS)
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
SHARDED = {
    "config.json": CONFIG,
    FIRST: save({"a": torch.ones(3)}),
    SECOND: save({"b": torch.ones(4)}),
    "model.safetensors.index.json": json.dumps({"weight_map": {"a": FIRST, "b": SECOND}}).encode(),
}
slow = partial(pytest.param, marks=pytest.mark.slow)
"""A case that goes through the lines of another, or of `test_faults`."""
SECRET = "sk-very-secret"
"""In a query or a password: nowhere else."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shorten_pauses(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    trust_few(monkeypatch)


@pytest.fixture
def web() -> Iterator[Web]:
    files = {"/m/tiny/config.json": CONFIG, "/m/tiny/model.safetensors": DATA, "/lone.safetensors": DATA}
    files |= {f"/m/sharded/{name}": data for name, data in SHARDED.items()}
    with web_server(files) as server:
        yield server


def first_row(checkpoint: Checkpoint) -> float:
    return float(checkpoint.read("wte.weight")[0, 1])


def test_a_file_is_read_with_the_config_beside_it(web: Web) -> None:
    with open_checkpoint(f"{web.url}/m/tiny/model.safetensors") as checkpoint:
        identity = checkpoint.identity
        assert checkpoint.config == {"model_type": "gpt2"}
        assert first_row(checkpoint) == 1.0
    assert (identity.name, identity.revision) == ("tiny/model.safetensors", "")
    assert identity.location == f"{web.url}/m/tiny/model.safetensors"
    assert {request.method for request in web.log} == {"GET"}
    assert all("range" in request.headers for request in web.log)


def test_a_folder_is_asked_for_the_usual_names(web: Web) -> None:
    with open_checkpoint(f"{web.url}/m/tiny/") as checkpoint:
        assert (checkpoint.identity.name, checkpoint.identity.location) == ("tiny", f"{web.url}/m/tiny/")
        assert first_row(checkpoint) == 1.0


def test_only_the_ranges_that_are_read_are_sent(web: Web) -> None:
    with open_checkpoint(f"{web.url}/m/tiny/model.safetensors") as checkpoint:
        checkpoint.read("ln_f.weight")
    header = int.from_bytes(DATA[:8], "little") + 8
    assert header + 1200 <= web.sent("model.safetensors") <= 2 * header + 1200 + 1
    assert len(DATA) > 200_000


def test_a_file_without_a_config_and_one_at_the_top(web: Web) -> None:
    with open_checkpoint(f"{web.url}/lone.safetensors") as checkpoint:
        assert checkpoint.config is None or "model_type" not in checkpoint.config
        assert checkpoint.identity.name == f"{web.url.partition('//')[2]}/lone.safetensors"


@pytest.mark.parametrize("address", ["/m/sharded/", slow("/m/sharded/model.safetensors.index.json")])
def test_shards_by_their_index(address: str, web: Web) -> None:
    with open_checkpoint(f"{web.url}{address}") as checkpoint:
        assert list(checkpoint.tensors) == ["a", "b"]
        assert checkpoint.read("b").tolist() == [1.0] * 4


def test_a_shard_that_the_index_promises_and_that_is_not_there(web: Web) -> None:
    del web.files[f"/m/sharded/{SECOND}"]
    with pytest.raises(CheckpointError, match=rf"{SECOND}: .* does not have the file \(HTTP 404\)"):
        open_checkpoint(f"{web.url}/m/sharded/")


def test_names_in_an_index_lead_nowhere_else(web: Web) -> None:
    for name in ("../tiny/model.safetensors", "https://example.org/x.safetensors"):
        web.put("/m/sharded/model.safetensors.index.json", json.dumps({"weight_map": {"a": name}}).encode())
        with pytest.raises(CheckpointError, match="not a plain file name"):
            open_checkpoint(f"{web.url}/m/sharded/")
    assert web.asked("tiny/model.safetensors") == []


def test_shards_of_a_gguf_model_by_their_names(web: Web) -> None:
    names = [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    web.put(f"/g/{names[1]}", b"GGUF")
    repository = open_repository(f"{web.url}/g/{names[1]}")
    assert repository.files() == names
    with pytest.raises(CheckpointError, match="does not have the file"):
        repository.open(names[0])


def test_https_and_a_certificate_that_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    tls = certificate(tmp_path)
    with web_server({"/m/tiny/model.safetensors": DATA, "/m/tiny/config.json": CONFIG}, tls=tls) as web:
        assert web.url.startswith("https://")
        with pytest.raises(ModelUnreachable, match=r"the certificate of https://127.0.0.1.* cannot be verified"):
            open_repository(f"{web.url}/m/tiny/")
        assert web.log == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
        with open_checkpoint(f"{web.url}/m/tiny/") as checkpoint:
            assert first_row(checkpoint) == 1.0


REFUSED = {
    "404": (404, ModelNotFound, r"has no such file \(HTTP 404\)"),
    "410": (410, ModelNotFound, r"has no such file \(HTTP 410\)"),
    "403": (403, ModelUnavailable, r"refuses access \(HTTP 403\)\. Check who may read it"),
    "401": (401, ModelUnavailable, r"refuses access \(HTTP 401\)"),
    "405": (405, ModelUnavailable, r"answered HTTP 405"),
    "503": (503, ModelUnreachable, r"answered HTTP 503 \(6 tries\)"),
    "429": (429, ModelUnreachable, r"rate limit of .* is reached"),
}


@pytest.mark.parametrize("case", ["404", "403", "503", "429", slow("410"), slow("401"), slow("405")])
def test_refusals(case: str, web: Web) -> None:
    code, kind, message = REFUSED[case]
    web.faults.append(faults.status(code, where=faults.Where("web", suffix="model.safetensors"), times=None))
    with pytest.raises(kind, match=message) as caught:
        open_checkpoint(f"{web.url}/m/tiny/model.safetensors")
    assert type(caught.value) is kind
    assert len(web.asked("model.safetensors")) == (6 if code in (429, 503) else 1)


def test_what_is_not_there_beside_the_weights(web: Web) -> None:
    """Storage says 403 of a name that nobody may list, some servers answer everything with a page."""
    beside = faults.Where("web", suffix="config.json")
    for fault in (
        faults.status(403, where=beside, times=None),
        faults.status(404, where=beside, times=None),
        faults.alter({"Content-Type": "text/html; charset=utf-8"}, where=beside, times=None),
    ):
        web.faults[:] = [fault]
        assert open_repository(f"{web.url}/m/tiny/model.safetensors").files() == ["model.safetensors"]
    web.faults[:] = [faults.status(500, where=beside, times=None)]
    with pytest.raises(ModelUnreachable, match=r"config\.json: .* answered HTTP 500"):
        open_repository(f"{web.url}/m/tiny/model.safetensors")


def test_a_page_in_the_place_of_weights(web: Web) -> None:
    web.faults.append(faults.alter({"Content-Type": "text/html"}, where=WEB, times=None))
    with pytest.raises(ModelUnavailable, match="answers with a web page in the file's place"):
        open_repository(f"{web.url}/m/tiny/model.safetensors")


def test_a_folder_without_weights(web: Web) -> None:
    with pytest.raises(ModelNotFound, match=r"no weights found: asked for model\.safetensors, .* does not list"):
        open_repository(f"{web.url}/m/")
    web.faults.append(faults.status(403, where=WEB, times=None))
    with pytest.raises(ModelUnavailable, match=r"refuses access \(HTTP 403\)"):
        open_repository(f"{web.url}/m/")


def test_a_server_without_ranges(web: Web) -> None:
    web.faults.append(faults.ignore_range(where=WEB, times=None))
    with pytest.raises(ModelUnavailable, match=r"gives the whole file .* download the file and scan that"):
        open_checkpoint(f"{web.url}/m/tiny/model.safetensors")
    assert len(web.asked("model.safetensors")) == 1


def test_a_server_that_stops_serving_ranges(web: Web) -> None:
    with open_checkpoint(f"{web.url}/m/tiny/model.safetensors") as checkpoint:
        web.faults.append(faults.ignore_range(where=WEB, times=None))
        with pytest.raises(ModelUnreachable, match=r"ignores which part .* download the file and scan that"):
            checkpoint.read("wte.weight")


@pytest.mark.parametrize("etags", [True, False], ids=["etag", "date alone"])
def test_a_file_that_changes(etags: bool, web: Web) -> None:
    web.etags = etags
    with open_checkpoint(f"{web.url}/m/tiny/model.safetensors") as checkpoint:
        web.put("/m/tiny/model.safetensors", save({**TENSORS, "wte.weight": torch.zeros(200, 300)}))
        with pytest.raises(ChangedMeanwhile, match="it has changed while it was read"):
            checkpoint.read("wte.weight")


def test_a_file_that_becomes_shorter_or_is_gone(web: Web) -> None:
    for change in (lambda: web.put("/m/tiny/model.safetensors", DATA[:-50]), lambda: web.files.clear()):
        web.put("/m/tiny/model.safetensors", DATA)
        with open_checkpoint(f"{web.url}/m/tiny/model.safetensors") as checkpoint:
            change()
            with pytest.raises(ModelError):
                checkpoint.read("wte.weight")


@pytest.mark.parametrize(
    "fault",
    [
        faults.drop_after(10_000, where=WEIGHTS),
        slow(faults.hang_up(where=WEIGHTS)),
        slow(faults.short(100, where=WEIGHTS)),
        faults.wrong_range(where=WEIGHTS),
        slow(faults.status(503, where=WEIGHTS)),
        slow(faults.gzipped(where=WEIGHTS)),
    ],
    ids=["drop", "hang up", "short", "other range", "503", "gzip"],
)
def test_what_a_network_does_once(fault: faults.Fault, web: Web) -> None:
    fault.times, fault.struck = 1, 0
    with open_checkpoint(f"{web.url}/m/tiny/model.safetensors") as checkpoint:
        web.faults.append(fault)
        assert torch.as_tensor(checkpoint.read("wte.weight")).equal(TENSORS["wte.weight"])
    assert fault.struck == 1


def test_redirects_are_followed(web: Web) -> None:
    with web_server({"/store/1234": DATA}) as store:
        web.moved["/m/moved.safetensors"] = f"{store.url}/store/1234"
        with open_checkpoint(f"{web.url}/m/moved.safetensors") as checkpoint:
            assert first_row(checkpoint) == 1.0
            assert checkpoint.identity.location == f"{web.url}/m/moved.safetensors"
        assert store.sent() > 200_000
        assert len(web.asked("moved.safetensors")) == 1


@pytest.mark.parametrize(
    "target", ["http://example.org/x", "file:///etc/passwd", slow("ftp://127.0.0.1/x"), "http://a b/"]
)
def test_redirects_to_where_nobody_should_go(target: str, web: Web) -> None:
    web.moved["/m/moved.safetensors"] = target
    with pytest.raises(ModelUnavailable, match="sends us to an address that is") as caught:
        open_repository(f"{web.url}/m/moved.safetensors")
    assert not caught.value.temporary


def test_no_redirect_leads_from_https_to_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web) -> None:
    pytest.importorskip("cryptography")
    tls = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    with web_server({}, tls=tls) as secure:
        secure.moved["/x.safetensors"] = f"{web.url}/lone.safetensors"
        with pytest.raises(ModelUnavailable, match="not encrypted"):
            open_repository(f"{secure.url}/x.safetensors")
    assert web.log == []


def test_redirects_without_end(web: Web) -> None:
    web.moved["/m/loop.safetensors"] = f"{web.url}/m/loop.safetensors"
    with pytest.raises(ModelUnavailable, match="redirects without end"):
        open_repository(f"{web.url}/m/loop.safetensors")


def test_the_token_of_the_hub_stays_at_home(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({}) as hub, pointed_at(hub.url, tmp_path / "home", token=hub.token):
        web.moved["/m/moved.safetensors"] = f"{hub.url}/org/name/x.safetensors"
        with open_checkpoint(f"{web.url}/m/tiny/model.safetensors", token=hub.token) as checkpoint:
            first_row(checkpoint)
        with pytest.raises(ModelError):
            open_repository(f"{web.url}/m/moved.safetensors", token=hub.token)
        assert hub.log != []
        for request in (*web.log, *hub.log):
            assert request.token is None
            assert "cookie" not in request.headers


def test_signed_addresses_are_told_to_nobody(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    web.query = f"X-Signature={SECRET}&X-Expires=60"
    with caplog.at_level("DEBUG"):
        with open_checkpoint(f"{web.url}/m/tiny/model.safetensors?{web.query}") as checkpoint:
            assert first_row(checkpoint) == 1.0
            identity = checkpoint.identity
        web.query = "another"
        with pytest.raises(ModelUnavailable, match="A signed address may have expired: make a new one") as refused:
            open_repository(f"{web.url}/m/tiny/model.safetensors?X-Signature={SECRET}")
    assert identity.location == f"{web.url}/m/tiny/model.safetensors?…"
    assert identity.name == "tiny/model.safetensors"
    for text in (caplog.text, str(refused.value), repr(identity)):
        assert SECRET not in text
    assert any(record.name == "httpx" or "httpx" in record.name for record in caplog.records)


def test_a_password_goes_to_its_own_server_alone(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    with web_server({"/x.safetensors": DATA}) as other, caplog.at_level(logging.DEBUG):
        web.moved["/m/moved.safetensors"] = f"{other.url}/x.safetensors"
        address = web.url.replace("//", f"//me:{SECRET}@") + "/m/moved.safetensors"
        with open_checkpoint(address) as checkpoint:
            location = checkpoint.identity.location
        assert web.log[0].headers["authorization"].startswith("Basic ")
        assert all("authorization" not in request.headers for request in other.log)
    assert SECRET not in location + caplog.text


def test_wrong_usage(web: Web) -> None:
    with pytest.raises(UsageError, match="only models of the Hub have revisions"):
        open_repository(f"{web.url}/m/tiny/", revision="main")
    with pytest.raises(ModelUnreachable, match="offline, and it is on a web server"):
        open_repository(f"{web.url}/m/tiny/", offline=True)
    with pytest.raises(UsageError, match="http:// is not encrypted"):
        open_repository("http://example.org/m/tiny/")
    assert web.log == []


def test_a_server_that_is_not_there(web: Web) -> None:
    web.stop()
    with pytest.raises(ModelUnreachable, match=rf"{web.url} cannot be reached"):
        open_repository(f"{web.url}/m/tiny/", max_wait=1.0)


@pytest.mark.parametrize("name", ["adapter_config.json", slow("hf_quant_config.json")])
def test_what_only_may_lie_beside_the_weights_costs_them_nothing(web: Web, name: str) -> None:
    """A server that sends those who ask for it elsewhere, as to a page where one logs in."""
    web.moved[f"/m/tiny/{name}"] = "http://example.org/login"
    with open_checkpoint(f"{web.url}/m/tiny/model.safetensors") as checkpoint:
        assert first_row(checkpoint) == 1.0
    web.moved["/m/tiny/config.json"] = "http://example.org/login"
    with pytest.raises(ModelUnavailable, match="not encrypted"):
        open_checkpoint(f"{web.url}/m/tiny/model.safetensors")


def test_this_machine_is_asked_by_nobody_in_between(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    with web_server({}) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for host in ("127.0.0.1", "localhost"):
            address = web.url.replace("127.0.0.1", host)
            with open_checkpoint(f"{address}/m/tiny/model.safetensors?sig={SECRET}") as checkpoint:
                assert first_row(checkpoint) == 1.0
        assert proxy.log == []
