"""Fixtures shared by all tests. No test reaches a network: the Hub client is told to stay offline."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported, which reads it once
if "OMP_NUM_THREADS" not in os.environ:
    # Before numpy and torch are, too. Many tests run at once, and threads that wait for one another while others want
    # their cores spin: SVDs of a real model took ten times their CPU. Tests that are about threads say how many.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background has them ignore Ctrl-C, and so every process that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # by nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

from tests.support import log_capture
from tests.support.models import tiny_model
from tests.support.running import CommandLine

# What tests write need not outlive a power failure, and for slow disks they waited a tenth of their time.
os.fsync = lambda fd: None

# A full collection goes through all of torch and transformers: a tenth of the tests' time at Python's own thresholds.
gc.set_threshold(20_000, 20, 50)

for profile, examples in {"quick": 100, "thorough": 1000}.items():  # `make test` and `make test-all`
    settings.register_profile(
        profile, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("quick")


@pytest.hookimpl(trylast=True)  # after pytest's own, which starts it
def pytest_configure(config: pytest.Config) -> None:
    log_capture.on_request(config)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Schedule as ``--dist loadfile`` does, nearly."""
    from tests.support.scheduling import ByFileAndLibrary

    return ByFileAndLibrary(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of all collections. Nothing unfreezes it, as there are five at the end."""
    gc.freeze()


@pytest.fixture
def weightaudit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line: ``weightaudit("scan", path, "--csv", out)`` → exit code, stdout, stderr."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory per family with a tiny random model, which transformers saves when it is first asked for. Read only:
    copy before changing.
    """
    return _Built(tmp_path_factory.mktemp("tiny"))


class _Built(dict[str, Path]):
    """Directories by their families, each made when it is looked up."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def __missing__(self, family: str) -> Path:
        tiny_model(family, self._root / family)
        self[family] = self._root / family
        return self[family]
