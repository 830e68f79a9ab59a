"""What messages about the Hub advise, followed to the letter: the scan that failed then succeeds."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.hub import Hub, environment, folder_files, run, serve
from tests.support.models import tiny_model

HF = [sys.executable, "-m", "huggingface_hub.cli.hf"]
SCAN = ["scan", "org/bert", "--csv", "layers.csv"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes | Path]:
    folder = tmp_path_factory.mktemp("advised") / "bert"
    tiny_model("bert", folder)
    return folder_files(folder)


@pytest.fixture
def hub(files: Mapping[str, bytes | Path]) -> Iterator[Hub]:
    within = {f"best/{name}": content for name, content in files.items()}
    with serve({"org/bert": files, "org/folders": within}) as server:
        yield server


class Shell:
    """Commands of a user whose Hub is the stand-in."""

    def __init__(self, hub: Hub, tmp_path: Path) -> None:
        self.variables: dict[str, str] = {}
        self._hub, self._home, self._here = hub, tmp_path / "home", tmp_path

    def weightaudit(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run(list(words), environment(self._hub.url, self._home, **self.variables), self._here)

    def hf(self, *words: str) -> None:
        """The Hub's own command, which has to succeed."""
        env = environment(self._hub.url, self._home, **self.variables)
        done = subprocess.run([*HF, *words], env=env, cwd=self._here, capture_output=True, text=True, check=False)
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
def shell(hub: Hub, tmp_path: Path) -> Shell:
    return Shell(hub, tmp_path)


def refused(done: subprocess.CompletedProcess[str], *says: str) -> str:
    assert done.returncode == 3, done.stdout + done.stderr
    for words in says:
        assert words in done.stderr
    return done.stderr


def works(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("kind", "way"), [("gated", "hf auth login"), ("private", "set HF_TOKEN")])
def test_a_token_opens_what_is_closed(kind: str, way: str, hub: Hub, shell: Shell) -> None:
    getattr(hub, kind).add("org/bert")
    says = refused(shell.weightaudit(*SCAN), "'hf auth login'", "set HF_TOKEN")
    assert kind == "private" or f"Accept its terms at {hub.url}/org/bert" in says
    if way == "set HF_TOKEN":
        shell.variables["HF_TOKEN"] = hub.token
    else:
        shell.hf("auth", "login", "--token", hub.token)
    works(shell.weightaudit(*SCAN))


def test_a_token_that_is_refused_can_be_checked(hub: Hub, shell: Shell) -> None:
    shell.variables["HF_TOKEN"] = "hf_wrong"
    refused(shell.weightaudit(*SCAN), "hf auth whoami")
    with pytest.raises(AssertionError):
        shell.hf("auth", "whoami")
    shell.variables["HF_TOKEN"] = hub.token
    works(shell.weightaudit(*SCAN))


def test_a_revision_that_the_hub_lists(shell: Shell, tmp_path: Path) -> None:
    refused(shell.weightaudit(*SCAN, "--revision", "v2"), "Give a branch, a tag or a commit")
    works(shell.weightaudit(*SCAN, "--revision", "v1"))
    assert sorted(os.listdir(tmp_path)) == ["layers.csv"]  # and nothing else was written


def test_offline_by_a_variable(shell: Shell) -> None:
    shell.variables["HF_HUB_OFFLINE"] = "1"
    refused(shell.weightaudit(*SCAN), "Download it first, or drop the offline option and unset HF_HUB_OFFLINE")
    del shell.variables["HF_HUB_OFFLINE"]
    shell.hf("download", "org/bert")
    shell.variables["HF_HUB_OFFLINE"] = "1"
    works(shell.weightaudit(*SCAN))


def test_an_address_that_nobody_answers(shell: Shell) -> None:
    shell.variables["HF_ENDPOINT"] = "http://127.0.0.1:9"
    refused(shell.weightaudit(*SCAN, "--max-wait", "1"), "http://127.0.0.1:9 cannot be reached")
    del shell.variables["HF_ENDPOINT"]
    works(shell.weightaudit(*SCAN))


@pytest.mark.parametrize("model", ["org/folders", "hf://org/folders/best/model.safetensors"])
def test_weights_in_a_folder(model: str, shell: Shell) -> None:
    done = shell.weightaudit("scan", model)
    assert done.returncode in (2, 3), done.stdout + done.stderr
    commands = re.findall(r"`([^`]+)`", " ".join(done.stderr.split()))
    assert [command.split()[0] for command in commands] == ["hf", "weightaudit"]
    results = [shell.type(command) for command in commands]
    assert results[-1] is not None
    works(results[-1])
