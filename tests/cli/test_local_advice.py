"""What messages about local inputs advise, followed to the letter: the command that failed then succeeds."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.support.covering import some_of
from tests.support.running import CommandLine

Words = tuple[str, ...]
Follow = Callable[[str], Iterator[Words]]
"""What a message has one do: the commands that it names, in their order; the last is to succeed."""


def _commands(says: str) -> Iterator[Words]:
    for command in re.findall(r"`weightaudit ([^`]+)`", says):
        yield tuple(shlex.split(command))


def _named(pattern: str, *words: str) -> Follow:
    """``words`` with {} filled by what the message names."""

    def follow(says: str) -> Iterator[Words]:
        found = re.search(pattern, says)
        assert found, says
        for one in found.groups():
            yield tuple(word.format(one) for word in words)

    return follow


def _all_roles(says: str) -> Iterator[Words]:
    found = re.search(r"It has (.+)\.", says)
    assert found, says
    yield ("scan", "model", "--roles", found[1].replace(" and ", ",").replace(", ", ","))


def _new_baseline(says: str) -> Iterator[Words]:
    found = re.search(r"make one: weightaudit (.+)", says)
    assert found, says
    yield tuple(shlex.split(found[1].replace("MODEL", "model").replace("FILE", "known.json")))
    yield ("scan", "model", "--baseline", "known.json")


def _two_models(here: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(here / "model", here / "both" / name)


def _no_config(here: Path) -> None:
    shutil.copytree(here / "model", here / "bare").joinpath("config.json").unlink()


def _lost_shard(here: Path) -> None:
    (here / "shards").mkdir()
    shutil.copy(here / "model" / "config.json", here / "shards")
    tensors = load_file(here / "model" / "model.safetensors")
    for shard in (1, 3):
        part = dict(list(tensors.items())[shard - 1 :: 3])
        save_file(part, here / "shards" / f"model-{shard:05}-of-00003.safetensors")


def _no_names(here: Path) -> None:
    (here / "odd").mkdir()
    shutil.copy(here / "model" / "config.json", here / "odd")
    tensors = load_file(here / "model" / "model.safetensors").values()
    save_file({f"w{number}": one for number, one in enumerate(tensors)}, here / "odd" / "model.safetensors")


def _settings(here: Path) -> None:
    (here / "own.toml").write_text("fail_onn = 'never'\n")


def _corrected(says: str) -> Iterator[Words]:
    (right,) = re.findall(r"Did you mean (\w+)\?", says)
    Path("own.toml").write_text(f"{right} = 'never'\n")
    yield ("scan", "model", "--config-file", "own.toml")


@dataclass(frozen=True)
class Case:
    """A command that fails, in a folder that ``prepare`` has made ready."""

    words: str
    follow: Follow
    prepare: Callable[[Path], None] = lambda here: None


CASES = {
    "two models in a folder": Case("scan both", _commands, _two_models),
    "no config.json": Case("scan bare", _named(r"name (\S+) itself", "scan", "bare/{}"), _no_config),
    "no names of a model": Case("scan odd", _named(r"(--all) measures", "scan", "odd", "{}"), _no_names),
    "some shards": Case("scan shards", _named(r"shards \((\S+) and (\S+)\)", "scan", "shards/{}"), _lost_shard),
    "no such layer": Case(
        "scan model --layers 99", _named(r"It has layers (\S+)\.", "scan", "model", "--layers", "{}")
    ),
    "no such role": Case("scan model --roles Z", _all_roles),
    "no such rule": Case("scan model --ignore nonsense", _commands),
    "no such severity": Case(
        "scan model --severity untrained=fatal",
        _named(r"for example (\S+) or (\S+)$", "scan", "model", "--severity", "{}"),
    ),
    "no share": Case(
        "scan model --min-coverage 2", _named(r"for example (\S+)$", "scan", "model", "--min-coverage", "{}")
    ),
    "no baseline": Case("scan model --baseline known.json", _new_baseline),
    "little memory": Case("scan model --memory 9KB", _named(r"at least (\d+) MB", "scan", "model", "--memory", "{}MB")),
    "a key that is none": Case("scan model --config-file own.toml", _corrected, _settings),
}
LIKE_OTHERS = ("no share", "no such severity", "some shards")
"""A word of the message is taken as in the other cases."""


@pytest.mark.parametrize("name", some_of(CASES, *(name for name in CASES if name not in LIKE_OTHERS)))
def test_the_advice_works(
    name: str,
    weightaudit: CommandLine,
    tiny_checkpoints: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES[name]
    shutil.copytree(tiny_checkpoints["bert"], tmp_path / "model")
    case.prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    refused = weightaudit(*case.words.split())
    assert refused.code in (2, 3), refused.stderr
    codes = []
    for words in case.follow(refused.stderr.strip().splitlines()[-1]):
        never = ("--fail-on", "never") if words[0] == "scan" else ()  # whatever is found
        codes.append(weightaudit(*words, *never).code)
    assert codes
    assert set(codes) == {0}
