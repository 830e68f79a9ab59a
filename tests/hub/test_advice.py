"""What messages about the Hub advise, followed to the letter: the scan that failed then succeeds."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.forks import Forks, forks_in, posix
from tests.support.hub import Hub, environment, folder_files, serve
from tests.support.models import tiny_model

pytestmark = posix
# Each is a process of its own, where the settings of huggingface_hub are read from the environment, once.
SETTINGS = "import importlib\nimport huggingface_hub.constants\nimportlib.reload(huggingface_hub.constants)\n"
END = """
import os, sys
try:
    main()
    code = 0
except SystemExit as ended:
    code = int(ended.code or 0)
for stream in (sys.stdout, sys.stderr):
    stream.flush()
os._exit(code)  # without the interpreter's own end, which takes long with all this loaded
"""
HF = f"{SETTINGS}from huggingface_hub.cli.hf import main\n{END}"
WEIGHTAUDIT = f"{SETTINGS}from weightaudit.cli import main\n{END}"
SCAN = ["scan", "org/bert", "--layers", "0", "--roles", "Q", "--csv", "layers.csv"]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("advised") / "bert"
    tiny_model("bert", folder)
    return folder


@pytest.fixture(scope="module")
def files(local: Path) -> Mapping[str, bytes | Path]:
    return folder_files(local)


@pytest.fixture(scope="module")
def forks(local: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    folder = tmp_path_factory.mktemp("forks")
    scan = ["scan", str(local), "--csv", str(folder / "layers.csv")]
    with forks_in(folder, ["huggingface_hub.cli.hf"], [scan]) as runner:
        yield runner


@pytest.fixture
def hub(files: Mapping[str, bytes | Path]) -> Iterator[Hub]:
    within = {f"best/{name}": content for name, content in files.items()}
    with serve({"org/bert": files, "org/folders": within}) as server:
        yield server


class Shell:
    """Commands of a user whose Hub is the stand-in."""

    def __init__(self, hub: Hub, forks: Forks, tmp_path: Path) -> None:
        self.variables: dict[str, str] = {}
        self._hub, self._forks, self._home, self._here = hub, forks, tmp_path / "home", tmp_path

    def _run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        env = environment(self._hub.url, self._home, **self.variables)
        return self._forks.done(program, *words, cwd=self._here, env=env)

    def weightaudit(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run(WEIGHTAUDIT, "weightaudit", *words)

    def hf(self, *words: str) -> None:
        """The Hub's own command, which has to succeed."""
        done = self._run(HF, "hf", *words)
        assert done.returncode == 0, done.stdout + done.stderr

    def type(self, line: str) -> subprocess.CompletedProcess[str] | None:
        """One command as a message has it."""
        program, *words = shlex.split(line)
        if program == "hf":
            self.hf(*words)
            return None
        assert program == "weightaudit"
        return self.weightaudit(*words)


@pytest.fixture
def shell(hub: Hub, forks: Forks, tmp_path: Path) -> Shell:
    return Shell(hub, forks, tmp_path)


def refused(done: subprocess.CompletedProcess[str], *says: str) -> str:
    assert done.returncode == 3, done.stdout + done.stderr
    for words in says:
        assert words in done.stderr
    return done.stderr


def works(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "way"), [("gated", "hf auth login"), pytest.param("private", "set HF_TOKEN", marks=pytest.mark.slow)]
)
def test_a_token_opens_what_is_closed(kind: str, way: str, hub: Hub, shell: Shell) -> None:
    getattr(hub, kind).add("org/bert")
    says = refused(shell.weightaudit(*SCAN), "'hf auth login'", "set HF_TOKEN")
    assert kind == "private" or f"Accept its terms at {hub.url}/org/bert" in says
    if way == "set HF_TOKEN":
        shell.variables["HF_TOKEN"] = hub.token
    else:
        shell.hf("auth", "login", "--token", hub.token)
    works(shell.weightaudit(*SCAN))


@pytest.mark.slow  # by default `tests/source/test_hub.py` has what is advised
def test_a_token_that_is_refused_can_be_checked(hub: Hub, shell: Shell) -> None:
    shell.variables["HF_TOKEN"] = "hf_wrong"
    refused(shell.weightaudit(*SCAN), "hf auth whoami")
    with pytest.raises(AssertionError):
        shell.hf("auth", "whoami")
    shell.variables["HF_TOKEN"] = hub.token
    works(shell.weightaudit(*SCAN))


@pytest.mark.slow
def test_a_revision_that_the_hub_lists(shell: Shell, tmp_path: Path) -> None:
    refused(shell.weightaudit(*SCAN, "--revision", "v2"), "Give a branch, a tag or a commit")
    works(shell.weightaudit(*SCAN, "--revision", "v1"))
    assert sorted(os.listdir(tmp_path)) == ["layers.csv"]  # and nothing else was written


@pytest.mark.slow  # as there, and as the download below
def test_offline_by_a_variable(shell: Shell) -> None:
    shell.variables["HF_HUB_OFFLINE"] = "1"
    refused(shell.weightaudit(*SCAN), "Download it first, or drop the offline option and unset HF_HUB_OFFLINE")
    del shell.variables["HF_HUB_OFFLINE"]
    shell.hf("download", "org/bert")
    shell.variables["HF_HUB_OFFLINE"] = "1"
    works(shell.weightaudit(*SCAN))


@pytest.mark.slow
def test_an_address_that_nobody_answers(shell: Shell) -> None:
    shell.variables["HF_ENDPOINT"] = "http://127.0.0.1:9"
    refused(shell.weightaudit(*SCAN, "--max-wait", "3"), "http://127.0.0.1:9 cannot be reached")
    del shell.variables["HF_ENDPOINT"]
    works(shell.weightaudit(*SCAN))


@pytest.mark.parametrize(
    "model", [pytest.param("org/folders", marks=pytest.mark.slow), "hf://org/folders/best/model.safetensors"]
)
def test_weights_in_a_folder(model: str, shell: Shell) -> None:
    done = shell.weightaudit("scan", model)
    assert done.returncode in (2, 3), done.stdout + done.stderr
    commands = re.findall(r"`([^`]+)`", " ".join(done.stderr.split()))
    assert [command.split()[0] for command in commands] == ["hf", "weightaudit"]
    results = [shell.type(command) for command in commands]
    assert results[-1] is not None
    works(results[-1])
