"""Whole scans through a network, a CDN and a Hub that fail: those that recover end with the CSV of the local scan, the
others with one message and exit code 3. `tests/source/test_faults.py` looks at each fault more closely.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import weightaudit as wa
from tests.support.bins import save_bin
from tests.support.covering import some_of
from tests.support.fault_table import PASSING
from tests.support.hub import SHA, Hub, environment, faults, folder_files, pointed_at, run, serve
from tests.support.hub.faults import API, HEADS, HUB, Fault
from tests.support.impatience import shorten_pauses
from tests.support.models import tiny_model
from tests.support.running import CommandLine, Outcome

LITTLE = ("--layers", "0")
MIDST = 300
"""Bytes; most answers to a scan of a tiny model are longer."""


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same model three ways, each directory called "bert"."""
    root = tmp_path_factory.mktemp("faulty")
    model = tiny_model("bert", root / "whole" / "bert")
    tiny_model("bert", root / "shards" / "bert", max_shard_size="20KB")
    pickled = root / "bin" / "bert"
    pickled.mkdir(parents=True)
    (pickled / "config.json").write_bytes((root / "whole" / "bert" / "config.json").read_bytes())
    save_bin(model.state_dict(), pickled)
    return {kind: root / kind / "bert" for kind in ("whole", "shards", "bin")}


@pytest.fixture(scope="module")
def local(directories: dict[str, Path]) -> bytes:
    """The CSV of the local scan, of any of them."""
    csv = directories["whole"].parent / "local.csv"
    wa.scan(directories["whole"], layers=0).write(csv)
    return csv.read_bytes()


Scan = Callable[..., Outcome]


@pytest.fixture
def hub(
    directories: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Hub]:
    shorten_pauses(monkeypatch)
    caplog.set_level(logging.DEBUG)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    repos = {f"org/{kind}": folder_files(directory) for kind, directory in directories.items()}
    with serve(repos) as server, pointed_at(server.url, tmp_path / "home", token=server.token):
        yield server
        assert {request.token for request in server.asked("cdn")} <= {None}
        assert not (tmp_path / "home").exists()


@pytest.fixture
def scan(weightaudit: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Scan:
    """``scan("whole", *options)`` scans a layer of org/whole; ``tmp_path / "layers.csv"`` is the output."""

    def command(kind: str, *options: object) -> Outcome:
        done = weightaudit("scan", f"org/{kind}", *LITTLE, "--csv", tmp_path / "layers.csv", *options)
        for secret in ("hf_secret", "X-Signature=", "Expires="):
            assert secret not in done.stdout + done.stderr + caplog.text
        return done

    return command


def as_local(csv: Path, kind: str) -> bytes:
    """A streamed scan's CSV with the local scan's label and without the commit, which a local scan has not."""
    text = csv.read_bytes()
    assert text.count(f"org/{kind},{SHA},".encode()) == text.count(b"\n") - 1
    return text.replace(f"org/{kind},{SHA},".encode(), b"bert,,")


WHOLE_SCANS = ("addresses that expire at once",)
"""By default, one of the Hub and the CDN; those of that alone are met below, and `tests/source/test_faults.py` reads
through all.
"""


@pytest.mark.parametrize(
    "name", [name if name in WHOLE_SCANS else pytest.param(name, marks=pytest.mark.slow) for name in PASSING]
)
def test_what_passes_leaves_no_trace(name: str, hub: Hub, scan: Scan, local: bytes, tmp_path: Path) -> None:
    fault = PASSING[name](hub, MIDST)
    hub.faults.append(fault)
    done = scan("shards")
    assert done.code == 0, done.stderr
    assert fault.struck > 0
    assert as_local(tmp_path / "layers.csv", "shards") == local


@pytest.mark.slow  # below a file of another format changes under way
@pytest.mark.parametrize("kind", ["whole", "bin"])
@pytest.mark.parametrize(
    "name",
    [
        *("drop in mid-body", "stall in mid-body", "short 206", "200 ignoring the range", "403", "503"),
        "an expiry told as 410",
    ],
)
def test_other_formats(kind: str, name: str, hub: Hub, scan: Scan, local: bytes, tmp_path: Path) -> None:
    fault = PASSING[name](hub, MIDST)
    hub.faults.append(fault)
    done = scan(kind)
    assert done.code == 0, done.stderr
    assert fault.struck > 0
    assert as_local(tmp_path / "layers.csv", kind) == local


LASTING: dict[str, tuple[Callable[[Hub], Fault], str]] = {
    "drop in mid-body": (lambda hub: faults.drop_after(100, times=None), "breaks the connection"),
    "stall": (lambda hub: faults.stall(60, after=100, times=None), "falls silent"),
    "short 206": (lambda hub: faults.short(5, times=None), "--download"),
    "200 ignoring the range": (lambda hub: faults.ignore_range(times=None), "ignores which part of the file"),
    "wrong Content-Range": (lambda hub: faults.wrong_range(times=None), "serves another part of the file"),
    "401": (lambda hub: faults.status(401, times=None), "refuses to serve the file (HTTP 401)"),
    "403": (lambda hub: faults.status(403, times=None), "refuses to serve the file (HTTP 403)"),
    "404": (lambda hub: faults.status(404, times=None), "refuses to serve the file (HTTP 404)"),
    "410": (lambda hub: faults.status(410, times=None), "refuses to serve the file (HTTP 410)"),
    "401 of the hub": (lambda hub: faults.status(401, where=API, times=None), "the Hub refuses access (HTTP 401)"),
    "403 of the hub": (lambda hub: faults.status(403, where=HEADS, times=None), "the Hub refuses access (HTTP 403)"),
    "404 of the hub": (
        lambda hub: faults.status(404, {"X-Error-Code": "RepoNotFound"}, where=API, times=None),
        "no such model on the Hub",
    ),
    "410 of the hub": (lambda hub: faults.status(410, where=API, times=None), "the Hub answered HTTP 410"),
    "429 with Retry-After": (
        lambda hub: faults.status(429, {"Retry-After": "300"}, times=None),
        "asks to wait 300 seconds",
    ),
    "429 of the hub": (
        lambda hub: faults.status(429, {"RateLimit": '"api";r=0;t=290'}, where=API, times=None),
        "asks to wait 290 seconds",
    ),
    "500": (lambda hub: faults.status(500, times=None), "answered HTTP 500"),
    "503": (lambda hub: faults.status(503, times=None), "answered HTTP 503"),
    "503 of the hub": (lambda hub: faults.status(503, where=HUB, times=None), "answered HTTP 503 (6 tries)"),
    "expired addresses": (lambda hub: faults.expire_after(0), "refuses to serve the file (HTTP 403)"),
    "redirect of every range": (lambda hub: faults.redirect_to("http://127.0.0.1:9/", times=None), "(HTTP 302)"),
    "no answer": (lambda hub: faults.hang_up(times=None), "breaks the connection"),
}


def told_once(done: Outcome, cause: str) -> None:
    assert (done.code, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("weightaudit: ")
    assert cause in line
    assert line.isprintable()


TOLD = ("401 of the hub", "429 with Retry-After", "503 of the hub")
"""By default, one of each kind that a command tells; `tests/source/test_faults.py` has what is said of the others."""


@pytest.mark.parametrize(
    "name", [name if name in TOLD else pytest.param(name, marks=pytest.mark.slow) for name in LASTING]
)
def test_what_lasts_is_told_once(name: str, hub: Hub, scan: Scan, tmp_path: Path) -> None:
    making, cause = LASTING[name]
    hub.faults.append(making(hub))
    told_once(scan("whole", "--max-wait", 1 if name in ("stall", "drop in mid-body") else 60), cause)
    assert not (tmp_path / "layers.csv").exists()


@pytest.mark.parametrize("kind", some_of(["whole", "shards", "bin"], "bin"))
def test_a_file_that_changes_between_ranges(kind: str, hub: Hub, scan: Scan, directories: dict[str, Path]) -> None:
    (weights, *_) = sorted(path for path in directories[kind].iterdir() if path.suffix in (".safetensors", ".bin"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    hub.faults.append(faults.change_file(hub, f"org/{kind}", weights.name, bytes(data), skip=2))
    told_once(scan(kind), f"org/{kind}/{weights.name}: it has changed while it was read")


def test_connections_refused(hub: Hub, scan: Scan) -> None:
    hub.stop("cdn")
    told_once(scan("whole"), "cannot be reached (ConnectError)")


def test_the_hub_is_unreachable(weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)
    with pointed_at("http://127.0.0.1:9", tmp_path):
        done = weightaudit("scan", "org/whole")
    *pauses, _ = done.stderr.splitlines(keepends=True)  # of the log, which `caplog` takes elsewhere here
    assert len(pauses) == 5
    assert all("; trying again in " in pause for pause in pauses)
    told_once(
        replace(done, stderr=done.stderr.removeprefix("".join(pauses))),
        "org/whole: http://127.0.0.1:9 cannot be reached (ConnectError)",
    )


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(API, marks=pytest.mark.slow, id="the listing"),
        pytest.param(HEADS, marks=pytest.mark.slow, id="the files"),
        pytest.param(HUB, id="all"),
    ],
)
def test_a_redirect_to_another_host_is_followed_without_the_token(
    where: faults.Where, hub: Hub, scan: Scan, local: bytes, directories: dict[str, Path], tmp_path: Path
) -> None:
    with serve({"org/shards": folder_files(directories["shards"])}) as other:
        hub.faults.append(faults.redirect_to(other.url + "/", 307, where=where, times=None))
        assert scan("shards").code == 0
        assert as_local(tmp_path / "layers.csv", "shards") == local
        assert other.log
        assert "hf_secret" not in str([request.headers for request in other.log])
    assert {request.token for request in hub.asked("hub")} == {hub.token}


@pytest.mark.parametrize(
    ("alone", "shortened"),
    [(False, True), *(pytest.param(alone, False, marks=pytest.mark.slow) for alone in (False, True))],
)
def test_pauses_are_told(
    alone: bool,
    shortened: bool,
    weightaudit: CommandLine,
    directories: dict[str, Path],
    local: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With every output, and tracebacks, by a process of its own where it is ``alone``: each pause is a line on stderr,
    and no secret is anywhere. They are real but where they are ``shortened``.
    """
    if shortened:
        shorten_pauses(monkeypatch)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    outputs = [tmp_path / f"r.{kind}" for kind in ("html", "csv", "json")]
    words = ["scan", "org/shards", *LITTLE, "--debug", *(word for path in outputs for word in ("--out", str(path)))]
    with serve({"org/shards": folder_files(directories["shards"])}) as hub:

        def command(*more: str) -> Outcome:
            if alone:
                env = environment(hub.url, tmp_path / "home", HF_TOKEN=hub.token)
                ended = run([*words, *more], env, tmp_path / "cwd")
                return Outcome(ended.returncode, ended.stdout, ended.stderr)
            with pointed_at(hub.url, tmp_path / "home", token=hub.token), pytest.MonkeyPatch.context() as patch:
                patch.setattr(logging.getLogger(), "handlers", [])  # as of a process, which has none of pytest's
                return weightaudit(*words, *more)

        hub.faults += [faults.status(503), faults.drop_after(MIDST, where=faults.Where(min_bytes=MIDST + 1))]
        done = command()
        assert done.code == 0, done.stderr
        assert done.stderr.count(f"{hub.cdn_url} answered HTTP 503; trying again in 0.") == 1
        assert as_local(outputs[1], "shards") == local
        hub.faults.append(faults.status(503, times=None))
        failed = command("--max-wait", "1")
        assert failed.code != 0
        assert "Traceback" in failed.stderr
        assert "answered HTTP 503" in failed.stderr
        shown = [done.stdout, done.stderr, failed.stdout, failed.stderr, *(path.read_text() for path in outputs)]
        for secret in (hub.token, "X-Signature", "Expires=", *(r.query["X-Signature"] for r in hub.asked("cdn"))):
            assert not any(secret in text for text in shown)
    assert json.loads(outputs[2].read_text())["model"]
    assert not (tmp_path / "home").exists()
    assert list((tmp_path / "cwd").iterdir()) == []
