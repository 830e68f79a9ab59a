"""Commands on addresses of models: the same tables as of the local files, only what is asked for, nothing secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file, save

import weightaudit as wa
from tests.support.authorities import trust_few
from tests.support.hub import Hub, folder_files, pointed_at, serve
from tests.support.impatience import shorten_pauses
from tests.support.running import CommandLine
from tests.support.web import Web, certificate, folder_paths, web_server
from weightaudit.report.layout import MANIFEST

SECRET = "sk-very-secret"
LAYER = ("--layers", "0")
SIGNATURE = f"X-Signature={SECRET}&X-Expires=60"


@pytest.fixture
def model(tiny_checkpoints: dict[str, Path]) -> Path:
    return tiny_checkpoints["gpt2"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)
    monkeypatch.setattr("weightaudit.source.http.retry.STALL", 20.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    trust_few(monkeypatch)


@pytest.fixture
def web(model: Path) -> Iterator[Web]:
    """The model on a server that wants signed addresses."""
    with web_server(folder_paths(model, "/m/gpt2")) as server:
        server.query = SIGNATURE
        yield server


@pytest.fixture
def hub(model: Path, tmp_path: Path) -> Iterator[Hub]:
    with serve({"org/gpt2": folder_files(model)}) as server, pointed_at(server.url, tmp_path / "home"):
        yield server


def scanned(weightaudit: CommandLine, model: object, out: str, *words: str) -> tuple[bytes, dict[str, Any]]:
    """The table of a scan and its JSON report."""
    done = weightaudit("scan", model, "--out", f"{out}.csv", "--json", f"{out}.json", "--quiet", *words)
    assert done.code == 0, done.stderr
    return Path(f"{out}.csv").read_bytes(), json.loads(Path(f"{out}.json").read_text())


def nothing_secret_in(folder: Path, *texts: str) -> None:
    """Neither in the texts nor in any file below ``folder``."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
        assert SECRET not in str(path)
    assert SECRET not in "".join(texts)


@pytest.mark.parametrize(
    "name", [pytest.param("", id="folder"), pytest.param("/model.safetensors", marks=pytest.mark.slow, id="file")]
)
def test_https(
    name: str, weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography")
    tls = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    with web_server(folder_paths(model, "/m/gpt2"), tls=tls) as web:
        table, report = scanned(weightaudit, f"{web.url}/m/gpt2{name or '/'}", "far", *LAYER)
        assert report["source"]["location"] == f"{web.url}/m/gpt2{name or '/'}"
    assert table == scanned(weightaudit, f"{model}{name}", "near", *LAYER)[0]


@pytest.mark.slow  # `tests/source/test_bucket.py` reads both
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_cloud_storage(scheme: str, weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    for library in {"s3": ("s3fs", "moto.server"), "gs": ("gcsfs", "werkzeug")}[scheme]:  # some take long to import
        pytest.importorskip(library)
    from tests.support import cloud

    objects = {f"models/m/gpt2/{path.name}": path.read_bytes() for path in model.iterdir()}
    start = {"s3": cloud.s3_server, "gs": cloud.gs_server}[scheme]
    with start(objects) as server, cloud.pointed(server, tmp_path):
        for name in ("", "/model.safetensors"):
            table, report = scanned(weightaudit, f"{scheme}://models/m/gpt2{name}", "far", *LAYER)
            assert report["source"]["location"] == f"{scheme}://models/m/gpt2{name}"
            assert table == scanned(weightaudit, f"{model}{name}", "near", *LAYER)[0]
        server.log.clear()
        scanned(weightaudit, f"{scheme}://models/m/gpt2", "part", "--roles", "O", "--layers", "0")
        weights = (model / "model.safetensors").stat().st_size
        assert 0 < sum(asked.sent for asked in server.log if asked.range) < weights / 3
        for words in (("scan", f"{scheme}://nobucket/x"), ("scan", f"{scheme}://models/m/gpt3")):
            done = weightaudit(*words)
            assert done.code == 3
            assert "the storage has no such" in done.stderr
    for path in tmp_path.glob("*.json"):
        assert cloud.SECRET not in path.read_text()


@pytest.mark.slow  # `tests/source/test_hub_addresses.py` has these, and a batch below scans them
def test_the_hub(weightaudit: CommandLine, model: Path, hub: Hub) -> None:
    near = scanned(weightaudit, "hf://org/gpt2", "one", *LAYER)[0]
    for address in (f"{hub.url}/org/gpt2/tree/main", "https://huggingface.co/org/gpt2", "org/gpt2"):
        assert scanned(weightaudit, address, "other", *LAYER)[0] == near
    done = weightaudit("scan", "https://huggingface.co/org/gpt2/tree/v1", "--revision", "main")
    assert done.code == 2
    assert "it names the revision 'v1', and 'main' was asked for" in done.stderr


def test_a_merge_with_the_files_of_the_address_that_was_named(
    weightaudit: CommandLine, model: Path, hub: Hub, tmp_path: Path
) -> None:
    done = weightaudit("merge", "hf://org/gpt2@v1", model, "--weights", "0.5,0.5", "--out", tmp_path / "merged")
    assert done.code == 0, done.stderr
    assert (tmp_path / "merged" / "config.json").is_file()
    assert hub.asked("hub", suffix="/revision/v1")


def test_only_the_roles_that_are_asked_for_are_sent(weightaudit: CommandLine, model: Path, web: Web) -> None:
    scanned(weightaudit, f"{web.url}/m/gpt2/?{SIGNATURE}", "part", "--roles", "O", "--layers", "0")
    assert 0 < web.sent("model.safetensors") < (model / "model.safetensors").stat().st_size / 3


def test_no_signature_is_in_any_output(
    weightaudit: CommandLine, model: Path, web: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"{web.url}/m/gpt2/model.safetensors?{SIGNATURE}"
    out = tmp_path / "out"
    out.mkdir()
    outs = [
        word
        for kind in ("csv", "json", "html", "md", "sarif", "xml", "parquet")
        for word in ("--out", out / f"r.{kind}")
    ]
    part = ("--layers", "0", "--roles", "O")
    with caplog.at_level(logging.INFO):
        done = weightaudit("scan", address, *outs, "--base", address, *part)
    assert done.code == 0, done.stderr
    assert f"{web.url}/m/gpt2/model.safetensors?…" in (out / "r.json").read_text()
    diffed = weightaudit(
        "diff", address, address, "--out", out / "d.json", "--out", out / "d.html", "--parents", address, *part
    )
    assert diffed.code == 0, diffed.stderr
    merged = weightaudit(
        "merge-check", model, address, "--out", out / "m.json", "--out", out / "m.html", "--merged", address, *part
    )
    assert merged.code == 0, merged.stderr
    compared = weightaudit("compare", model, address, "--out", out / "compared", *part)
    assert compared.code == 0, compared.stderr
    assert (out / "compared" / "index.html").is_file()
    checked = weightaudit("archs", "--check", address)
    assert checked.code == 0, checked.stderr
    web.query = "another"
    refused = weightaudit("scan", address, "--debug")
    assert refused.code == 3
    assert "A signed address may have expired" in refused.stderr
    told = [text for one in (done, diffed, merged, compared, checked, refused) for text in (one.stdout, one.stderr)]
    nothing_secret_in(out, caplog.text, *told)


def test_a_batch(weightaudit: CommandLine, model: Path, web: Web, hub: Hub, tmp_path: Path) -> None:
    lines = [  # of which one matrix is scanned
        f"{web.url}/m/gpt2/?{SIGNATURE}",
        f"{web.url}/m/gpt2/model.safetensors?{SIGNATURE}",
        f"{hub.url}/org/gpt2/tree/v1",
        "hf://org/gpt2/model.safetensors",
        str(model),
    ]
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    words = ("batch", listed, "--out", out, "--workers", "0", "--layers", "0", "--roles", "O")
    done = weightaudit(*words)
    assert done.code == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith("5 models, 0 failed")
    host = web.url.partition("//")[2]
    titles = [one["title"] for one in json.loads((out / MANIFEST).read_text())["models"]]
    # The folder on the server and the one here are both called gpt2: what lies before tells them apart.
    assert titles[0] == "m/gpt2"
    assert titles[1:4] == ["gpt2/model.safetensors", "org/gpt2@v1", "hf://org/gpt2/model.safetensors"]
    assert titles[4].endswith("/gpt2")
    assert (out / "org--gpt2--model.safetensors").is_dir()
    again = weightaudit(*words)
    assert again.stderr.splitlines()[-1].startswith("5 models (5 from earlier runs), 0 failed")
    # Signed anew it is the same model; changed it is another.
    web.query = f"X-Signature={SECRET}-anew"
    listed.write_text(listed.read_text().replace(SIGNATURE, web.query))
    assert "5 models (5 from earlier runs), 0 failed" in weightaudit(*words).stderr
    tensors = load_file(model / "model.safetensors")
    web.put("/m/gpt2/model.safetensors", save({name: 2 * tensor for name, tensor in tensors.items()}))
    assert "5 models (3 from earlier runs), 0 failed" in weightaudit(*words).stderr
    nothing_secret_in(out, done.stdout, done.stderr, again.stderr)
    assert host in (out / MANIFEST).read_text()


def test_lines_of_a_list_that_are_no_addresses(weightaudit: CommandLine, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("http://example.org/model.safetensors\nhttps://huggingface.co/datasets/a/b\nftp://x/y.bin\n")
    done = weightaudit("batch", listed, "--out", tmp_path / "out")
    assert done.code == 2
    for said in ("line 1: http://example.org", "not encrypted", "line 2: https://hugg", "line 3: ftp://x"):
        assert said in done.stderr


def test_from_python(model: Path, web: Web) -> None:
    report = wa.scan(f"{web.url}/m/gpt2/?{SIGNATURE}", progress=False)
    assert report.identity.name == "gpt2"
    assert SECRET not in repr(SimpleNamespace(**vars(report)))


def test_a_mistyped_path(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "my-model").symlink_to(model)
    done = weightaudit("scan", "my-modle/model.safetensors")
    assert (done.code, done.stdout) == (3, "")
    assert "my-modle/model.safetensors: no such file or directory. Did you mean my-model?" in done.stderr
