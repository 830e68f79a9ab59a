"""A model on the Hub and the same files in a directory give the same numbers, for no more bytes than those asked for.

The stand-in Hub (`tests.support.hub`) serves the directory ``…/bert`` as ``org/bert`` and redirects the id ``bert`` to
it, so both scans carry the label "bert". They differ by nature in one column: a local model has no revision. The commit
is taken out of the CSV, and then every byte is compared.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import pytest
from safetensors.torch import load_file

import weightaudit as wa
from benchmarks.checkpoints import generate
from tests.support.bins import save_bin, save_bin_shards
from tests.support.hub import SHA, Hub, environment, folder_files, pointed_at, run, serve
from tests.support.models import RECIPES, build, tiny_model
from tests.support.running import CommandLine, Outcome
from weightaudit.checkpoint import open_checkpoint
from weightaudit.compiled.private_folder import private_folder

KINDS = ("safetensors", "safetensors shards", "bin", "bin shards")
LITTLE = ("--layers", "0")
MEDIUM = "gpt2"
"""The family whose larger checkpoint makes headers small beside the weights."""


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """``stored(family, kind)`` is the directory of a tiny model, its last name the family. Read only."""
    root = tmp_path_factory.mktemp("stored")

    def directory(family: str, kind: str) -> Path:
        found = root / kind.replace(" ", "-") / family
        if found.exists():
            return found
        model = tiny_model(family, found, max_shard_size="20KB" if kind.endswith("shards") else "1GB")
        if kind.startswith("bin"):
            for file in found.glob("model*.safetensors*"):
                file.unlink()
            # All that the model has: output layers that share their weights with the embedding too.
            tensors = model.state_dict()
            save_bin_shards(tensors, found, 3) if kind.endswith("shards") else save_bin(tensors, found)
        return found

    return directory


@pytest.fixture(scope="session")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``medium(kind)``: some 8 MB with names, buffers and layout of GPT-2's own file, in a directory. Read only."""
    root = tmp_path_factory.mktemp("medium")
    whole = root / "safetensors" / MEDIUM
    generate(MEDIUM, whole, layers=2, heavy=False, overrides={"n_embd": 256, "n_head": 8, "vocab_size": 600})
    (whole / "planted.json").unlink()

    def directory(kind: str) -> Path:
        found = root / kind.replace(" ", "-") / MEDIUM
        if not found.exists():
            found.mkdir(parents=True)
            (found / "config.json").write_bytes((whole / "config.json").read_bytes())
            tensors = load_file(whole / "model.safetensors")
            save_bin_shards(tensors, found, 3) if kind.endswith("shards") else save_bin(tensors, found)
        return found

    return directory


class Served(NamedTuple):
    """A model on a stand-in Hub at which this process's client points, and the cache of that client."""

    hub: Hub
    cache: Path


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Served]]:
    """``serving(directory)`` puts it on the Hub, under its own name, with the working directory an empty folder."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    with ExitStack() as stack:

        def put(directory: Path) -> Served:
            name = directory.name
            hub = stack.enter_context(serve({f"org/{name}": folder_files(directory)}, legacy={name: f"org/{name}"}))
            return Served(hub, stack.enter_context(pointed_at(hub.url, tmp_path / "home")))

        yield put
        assert list((tmp_path / "cwd").iterdir()) == []


def without_revision(csv: bytes, label: str, commit: str = SHA) -> bytes:
    """A streamed scan's CSV as the local scan would write it; every row must name the commit."""
    rows = csv.count(b"\n") - 1
    assert csv.count(f"\n{label},{commit},".encode()) == rows > 0
    return csv.replace(f"\n{label},{commit},".encode(), f"\n{label},,".encode())


def weight_files(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.suffix in (".safetensors", ".bin")]


def tensor_bytes(directory: Path, names: Collection[str] | None = None) -> int:
    """Bytes of these tensors, or of all, in the files; what several tensors share counts once."""
    with open_checkpoint(directory) as checkpoint:
        found = [info for name, info in checkpoint.tensors.items() if names is None or name in names]
    held = {(info.file, info.offset): 0 for info in found}
    for info in found:
        held[info.file, info.offset] = max(held[info.file, info.offset], info.nbytes)
    return sum(held.values())


def header_bytes(directory: Path) -> int:
    """All that the weight files hold beside tensors: for a zip its directory, its pickle and the padding."""
    return sum(path.stat().st_size for path in weight_files(directory)) - tensor_bytes(directory)


def asked_for(report: wa.ScanReport) -> set[str]:
    """Tensors whose values the scan needs: those analysed, copies that it compares with them, and all others of
    floating-point numbers, in which a whole scan looks for NaN.
    """
    coverage = report.coverage
    compared = (coverage.status == "tied") & ~coverage.detail.str.contains("not compared")
    looked_at = coverage.status.isin(["ignored", "unmapped"]) & coverage.dtype.str.contains("float")
    whole = report.options["roles"] is None and report.options["layers"] is None
    return set(coverage.tensor[(coverage.status == "analysed") | compared | (looked_at & whole)])


def check_transfers(hub: Hub, directory: Path, report: wa.ScanReport) -> None:
    """The weights cost at most 1.02 × what was asked for plus headers; the rest are the small files, once each."""
    needed = tensor_bytes(directory, asked_for(report))
    assert needed > 0
    assert needed <= hub.sent("cdn") <= 1.02 * needed + header_bytes(directory)
    small = [path for path in directory.iterdir() if path.name == "config.json" or path.name.endswith(".index.json")]
    listing = max(request.sent for request in hub.asked("hub", "GET", f"/api/models/org/{directory.name}"))
    redirect = 200
    assert hub.sent("hub") <= sum(path.stat().st_size for path in small) + listing + redirect
    for path in weight_files(directory):  # the Hub counts these, and allows few
        assert len(hub.asked("hub", "HEAD", f"/resolve/{SHA}/{path.name}")) <= 2  # by the short id and by the long
    assert not [request for request in hub.log if "/resolve/main/" in request.path]
    assert all(request.token is None for request in hub.log)


TWINS = (("roberta", "safetensors shards"),)
"""By default, several files; the other format is read below."""


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        case if case in TWINS else pytest.param(*case, marks=pytest.mark.slow)
        for case in itertools.product(RECIPES, KINDS)
    ],
)
def test_streamed_and_local_scans_are_twins(
    weightaudit: CommandLine,
    tmp_path: Path,
    stored: Callable[[str, str], Path],
    serving: Callable[[Path], Served],
    family: str,
    kind: str,
) -> None:
    directory = stored(family, kind)
    assert (len(weight_files(directory)) > 1) == kind.endswith("shards")
    local, plain, streamed = (tmp_path / f"{name}.csv" for name in ("local", "plain", "streamed"))
    here = wa.scan(directory)
    here.write(local)
    assert weightaudit("scan", stored(family, "safetensors"), "--csv", plain).code == 0
    assert local.read_bytes() == plain.read_bytes()

    hub, cache = serving(directory)
    done = weightaudit("scan", family, "--csv", streamed)
    assert done.code == 0, done.stderr
    assert without_revision(streamed.read_bytes(), family) == local.read_bytes()
    check_transfers(hub, directory, here)
    assert not cache.exists()


ASKED: tuple[dict[str, str], ...] = (
    *({"memory": "32MB"}, {"roles": "M2,POSITION"}, {"layers": "1"}),  # all, in pieces; parts
    *({}, {"roles": "Q"}),
)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (kind, options) if i == j == 1 else pytest.param(kind, options, marks=pytest.mark.slow)
        for i, kind in enumerate(("safetensors", "bin", "bin shards"))
        for j, options in enumerate(ASKED)
    ],
)
def test_only_what_is_asked_for_is_transferred(
    medium: Callable[[str], Path], serving: Callable[[Path], Served], kind: str, options: dict[str, Any]
) -> None:
    directory = medium(kind)
    local = wa.scan(directory, **options)
    hub, cache = serving(directory)
    streamed = wa.scan(MEDIUM, **options)
    assert streamed.layers.drop(columns="revision").equals(local.layers.drop(columns="revision"))
    check_transfers(hub, directory, local)
    assert header_bytes(directory) < 0.01 * tensor_bytes(
        directory, asked_for(local)
    )  # so that the bound says something
    assert not cache.exists()
    whole = sum(path.stat().st_size for path in weight_files(directory))
    if "roles" in options or "layers" in options:
        assert hub.sent("cdn") < whole / 2
    assert hub.accepted["cdn"] <= 16 * len(weight_files(directory))


# Every event by which Python writes to a disk, as the interpreter tells it: what is removed again is seen too.
TRACE = """
import os, runpy, sys
out = os.open(os.environ["TRACE_TO"], os.O_WRONLY | os.O_CREAT)
WRITES = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.remove", "os.rmdir"}
def hook(event, arguments):
    if event == "open":  # by its number, a file is open already
        wrote = isinstance(arguments[0], (str, bytes)) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    else:
        wrote = event in WRITES or event.startswith("tempfile.")
    if wrote:
        os.write(out, f"{event} {arguments[0]}\\n".encode())
sys.addaudithook(hook)
for words in sys.argv[1:]:
    sys.argv = ["weightaudit", *words.split("|")]
    try:
        runpy.run_module("weightaudit", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert ended.code == 0
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where machine code is kept: where this process does, which has some."""
    folder = private_folder()
    return folder.path if folder else tmp_path_factory.mktemp("caches") / "weightaudit"


def test_nothing_is_written_but_the_output(tmp_path: Path, stored: Callable[[str, str], Path], kernels: Path) -> None:
    """Of two scans, one of each format, by a process of their own. Working directory, cache, home and temporary folder
    stay empty, and no file is even opened to be written: but for the machine code of our kernels, in a folder of its
    own.
    """
    sharded, pickled = stored("gpt2", "safetensors shards"), stored("gpt2", "bin")
    folders = {name: tmp_path / name for name in ("cwd", "hf", "tmp", "user", "out")}
    for folder in folders.values():
        folder.mkdir()
    scans = [f"scan|{model}|--csv|{folders['out']}/{model[-4:]}.csv" for model in ("gpt2", "org/pickled")]
    repos = {"org/gpt2": folder_files(sharded), "org/pickled": folder_files(pickled)}
    with serve(repos, legacy={"gpt2": "org/gpt2"}) as hub:
        env = environment(
            hub.url,
            folders["hf"],
            HOME=str(folders["user"]),
            USERPROFILE=str(folders["user"]),
            XDG_CACHE_HOME=str(folders["user"] / "cache"),
            TMPDIR=str(folders["tmp"]),
            NUMBA_CACHE_DIR=str(kernels.parent),
            TRACE_TO=str(tmp_path / "trace"),
            PYTHONDONTWRITEBYTECODE="1",
        )
        done = subprocess.run(
            [sys.executable, "-c", TRACE, *scans],
            cwd=folders["cwd"],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert {Path(request.path).suffix for request in hub.asked("cdn")} == {".safetensors", ".bin"}
    left = {name: sorted(path.name for path in folder.rglob("*")) for name, folder in folders.items()}
    assert left == {"cwd": [], "hf": [], "tmp": [], "user": [], "out": ["gpt2.csv", "kled.csv"]}
    traced = [line for line in (tmp_path / "trace").read_text().splitlines() if str(kernels) not in line]
    assert [line for line in traced if str(folders["out"]) in line]
    assert [line for line in traced if str(folders["out"]) not in line and line != f"open {os.devnull}"] == []


@pytest.mark.slow  # `tests/source/test_hub.py` has each way of a cache
def test_cached_files_are_read_without_a_request(
    weightaudit: CommandLine, tmp_path: Path, stored: Callable[[str, str], Path], serving: Callable[[Path], Served]
) -> None:
    directory = stored("bert", "safetensors shards")
    hub, _ = serving(directory)
    csv = tmp_path / "layers.csv"
    assert weightaudit("scan", "org/bert", *LITTLE, "--csv", csv).code == 0
    streamed = csv.read_bytes()

    # One shard, the index and config.json are in the cache: only the other shards are asked for.
    first, *others = sorted(path.name for path in weight_files(directory))
    for name in (first, "config.json", "model.safetensors.index.json"):
        huggingface_hub.hf_hub_download("org/bert", name)
    hub.log.clear()
    assert weightaudit("scan", "org/bert", *LITTLE, "--csv", csv).code == 0
    assert csv.read_bytes() == streamed
    assert {Path(request.path).name for request in hub.asked("cdn")} == set(others)
    assert not [request for request in hub.log if request.path.endswith((first, "config.json", ".index.json"))]

    for name in others:
        huggingface_hub.hf_hub_download("org/bert", name)
    hub.log.clear()
    for more in ((), ("--offline",), ("--download",), ("--revision", SHA), ("--revision", "main")):
        assert weightaudit("scan", "org/bert", *LITTLE, "--csv", csv, *more).code == 0
        assert csv.read_bytes() == streamed
    assert hub.log == []


def test_offline_asks_nothing(
    weightaudit: CommandLine, tmp_path: Path, stored: Callable[[str, str], Path], serving: Callable[[Path], Served]
) -> None:
    hub, cache = serving(stored("gpt2", "bin"))
    done = weightaudit("scan", "gpt2", "--offline", "--csv", tmp_path / "layers.csv")
    assert (done.code, done.stdout) == (3, "")
    assert "offline" in done.stderr
    assert not (tmp_path / "layers.csv").exists()
    assert hub.log == []
    assert not cache.exists()


@pytest.mark.slow  # `tests/source/test_hub.py` downloads, and reads that offline
@pytest.mark.parametrize("kind", KINDS)
def test_download_keeps_the_files(
    weightaudit: CommandLine,
    tmp_path: Path,
    stored: Callable[[str, str], Path],
    serving: Callable[[Path], Served],
    kind: str,
) -> None:
    directory = stored("roberta", kind)
    hub, cache = serving(directory)
    outputs = [tmp_path / f"{name}.csv" for name in ("streamed", "downloaded", "again")]
    assert weightaudit("scan", "org/roberta", *LITTLE, "--csv", outputs[0]).code == 0
    hub.put("org/roberta", "tokenizer.json", b"{}")
    assert weightaudit("scan", "org/roberta", *LITTLE, "--csv", outputs[1], "--download").code == 0
    snapshot = cache / "models--org--roberta" / "snapshots" / SHA
    kept = {path.name: path.read_bytes() for path in snapshot.iterdir()}
    wanted = {"config.json", *(path.name for path in directory.iterdir() if path.stem != "generation_config")}
    assert kept == {name: (directory / name).read_bytes() for name in wanted}
    hub.log.clear()
    assert weightaudit("scan", "org/roberta", *LITTLE, "--csv", outputs[2], "--offline").code == 0
    assert hub.log == []
    assert len({output.read_bytes() for output in outputs}) == 1


@pytest.mark.slow  # by default, that nothing is asked for by a branch's name, above and in `tests/source/test_hub.py`
def test_a_revision_is_pinned_before_anything_is_read(
    tmp_path: Path, stored: Callable[[str, str], Path], serving: Callable[[Path], Served]
) -> None:
    directory = stored("bert", "safetensors")
    local = wa.scan(directory, layers=0).layers
    hub, _ = serving(directory)
    other = build("bert")
    for parameter in other.parameters():
        parameter.data *= 2
    other.save_pretrained(tmp_path / "other")
    moved: list[str] = []

    def somebody_pushes(request: object, answer: object) -> None:
        if not moved:
            moved.append(hub.push("org/bert", folder_files(tmp_path / "other")))

    hub.faults.append(lambda request, answer: somebody_pushes(request, answer) if request.server == "cdn" else None)
    before = wa.scan("org/bert", layers=0).layers
    assert moved
    after = wa.scan("org/bert", layers=0).layers
    assert set(before.revision) == {SHA}
    assert set(after.revision) == set(moved)
    same = ["role", "layer", "frobenius_norm", "spectral_norm"]
    assert before[same].equals(local[same])
    assert (after.frobenius_norm > 1.9 * local.frobenius_norm).all()
    for revision in ("v1", SHA):
        assert wa.scan("org/bert", revision=revision, layers=0).layers.equals(before)


def authorised(hub: Hub, words: list[str], folder: Path, weightaudit: CommandLine | None) -> Outcome:
    """What the command does in a process of its own, or as ``weightaudit`` in this one."""
    if weightaudit is not None:
        with pointed_at(hub.url, folder / "hf"):
            return weightaudit(*words)
    done = run(words, environment(hub.url, folder / "hf"), folder / "cwd")
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("access", "kind", "alone"),
    [
        ("gated", "safetensors", False),
        pytest.param("private", "bin shards", False, marks=pytest.mark.slow),
        pytest.param("gated", "safetensors", True, marks=pytest.mark.slow),
        pytest.param("private", "bin shards", True, marks=pytest.mark.slow),
    ],
)
def test_a_token_opens_a_model_and_goes_nowhere_else(
    weightaudit: CommandLine, tmp_path: Path, stored: Callable[[str, str], Path], access: str, kind: str, alone: bool
) -> None:
    """Read with every output, by a process of its own where it is ``alone``: the token is in none, nor are signed
    addresses.
    """
    directory = stored("bert", kind)
    for name in ("cwd", "hf"):
        (tmp_path / name).mkdir()
    outputs = {name: tmp_path / f"r.{name}" for name in ("html", "csv", "json", "parquet")}
    words = ["scan", "org/bert", *LITTLE, "--out", str(outputs["html"])]
    for name in ("csv", "json", "parquet"):
        words += [f"--{name}", str(outputs[name])]
    with serve({"org/bert": folder_files(directory)}) as hub:
        getattr(hub, access).add("org/bert")
        with pointed_at(hub.url, tmp_path / "hf"):
            nameless = weightaudit(*words)
        assert nameless.code == 3
        assert nameless.stderr.count("\n") == 1
        with pointed_at(hub.url, tmp_path / "hf", token=hub.stranger):
            stranger = weightaudit(*words, "--debug")
        assert stranger.code == 3
        assert "Traceback" in stranger.stderr
        assert hub.stranger not in stranger.stderr
        assert not any(output.exists() for output in outputs.values())
        assert hub.asked("cdn") == []
        hub.log.clear()
        done = authorised(hub, [*words, "--token", hub.token, "--debug"], tmp_path, weightaudit if not alone else None)
        assert done.code == 0, done.stderr
        assert {request.token for request in hub.asked("hub") if "agent-harnesses" not in request.path} == {hub.token}
        assert {request.token for request in hub.asked("cdn")} == {None}
        signatures = {request.query["X-Signature"] for request in hub.asked("cdn")}
        assert signatures
        written = [done.stdout.encode(), done.stderr.encode(), *(output.read_bytes() for output in outputs.values())]
        for secret in (hub.token, "X-Signature", *signatures):
            assert not any(secret.encode() in text for text in written)
    rows = len(wa.scan(directory, layers=0).layers)
    assert without_revision(outputs["csv"].read_bytes(), "org/bert").count(b"\n") == rows + 1
