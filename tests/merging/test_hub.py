"""Models on the Hub: streamed, they are checked and merged as the same files here; faults say whose they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import weightaudit as wa
from tests.support.covering import in_turn
from tests.support.hub import SHA, Hub, faults, folder_files, pointed_at, serve
from tests.support.models import tiny_model
from tests.support.running import CommandLine
from tests.support.variants import derived, noisy
from weightaudit.merging.linear import beside
from weightaudit.source import Repository, open_repository
from weightaudit.source.http import retry


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    tiny_model("gpt2", root / "base", max_shard_size="20KB")
    tiny_model("gpt2", root / "whole")
    tuned = {
        name: derived(root / "whole", root / name, lambda tensors, seed=seed: noisy(tensors, seed=seed))  # type: ignore[misc]
        for seed, name in enumerate(("math", "code"), 1)
    }
    return {"base": root / "base", **tuned}


@pytest.fixture
def hub(models: dict[str, Path], tmp_path: Path) -> Iterator[Hub]:
    with (
        serve({f"org/{name}": folder_files(folder) for name, folder in models.items()}) as hub,
        pointed_at(hub.url, tmp_path / "home"),
    ):
        yield hub


def test_a_check_streamed_is_that_of_the_files_here(hub: Hub, models: dict[str, Path], tmp_path: Path) -> None:
    there = wa.merge_check(["org/math", f"org/code@{SHA}"], base="org/base")
    here = wa.merge_check([models["math"], models["code"]], base=models["base"])
    assert repr(there.meetings) == repr(here.meetings)
    assert there.summary == here.summary
    assert [model.revision for model in there.models] == [SHA, SHA]
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_a_merge_streamed_is_that_of_the_files_here(hub: Hub, models: dict[str, Path], tmp_path: Path) -> None:
    wa.merge(["org/math", "org/code"], tmp_path / "there", base="org/base", weights=(0.5, 1))
    wa.merge([models["math"], models["code"]], tmp_path / "here", base=models["base"], weights=(0.5, 1))
    for file in (tmp_path / "here").iterdir():
        told = (tmp_path / "there" / file.name).read_bytes()
        if file.suffix != ".safetensors":
            assert told == file.read_bytes()
        else:
            head = [int.from_bytes(data[:8], "little") + 8 for data in (told, file.read_bytes())]
            assert told[head[0] :] == file.read_bytes()[head[1] :]
            recipe = json.loads(json.loads(told[8 : head[0]])["__metadata__"]["weightaudit"])
            assert recipe["base"] == {**recipe["base"], "name": "org/base", "revision": SHA}
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_files_beside_are_those_of_the_commit_whose_weights_were_read(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def opened(model: str, **options: Any) -> Repository:
        asked.append((model, options["revision"]))
        return open_repository(model, **options)

    monkeypatch.setattr(beside, "open_repository", opened)
    wa.merge(["org/math", "org/code"], tmp_path / "out", base="org/base@main")
    assert asked == [("org/base", SHA)]


@pytest.mark.parametrize(("command", "repo"), in_turn(["merge-check", "merge"], ["org/base", "org/code"]))
def test_a_fault_that_lasts_is_one_message_that_says_whose(
    command: str, repo: str, hub: Hub, weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 2.0)  # longer than what is left: it is told at once
    fault = faults.drop_after(100, times=None)
    hub.faults.append(lambda request, answer: fault(request, answer) if repo in request.path else answer)
    out = ["--out", str(tmp_path / "out")] if command == "merge" else []
    done = weightaudit(command, "org/math", "org/code", "--base", "org/base", "--max-wait", "1", *out)
    assert (done.code, done.stdout) == (3, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("weightaudit: ")]
    assert "breaks the connection" in line
    assert repo in line
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".weightaudit")]
