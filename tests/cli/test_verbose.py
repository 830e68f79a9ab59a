"""--verbose: every step on stderr, and nothing of it without being asked."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import pytest

from tests.support.running import CommandLine
from weightaudit.logs import LOGGER, timed

LINE = re.compile(r"\[ *\d+\.\d\d s\] (.+)")


def steps(stderr: str) -> list[str]:
    """What the steps say, without when, and with what differs from run to run left out."""
    told = [found[1] for line in stderr.splitlines() if (found := LINE.fullmatch(line))]
    return [re.sub(r": \d+\.\d\d s$", ": …", one) for one in told]


@pytest.mark.parametrize("asked", ["-v", pytest.param("--verbose", marks=pytest.mark.slow)])
def test_a_scan_tells_its_steps(
    weightaudit: CommandLine, tiny_checkpoints: dict[str, Path], tmp_path: Path, asked: str
) -> None:
    model = tiny_checkpoints["bert"]
    quiet = weightaudit("scan", model, "--quiet", "--threads", "1")
    done = weightaudit("scan", model, "--quiet", "--threads", "1", asked, "--out", tmp_path / "r.csv")
    assert (quiet.code, quiet.stderr) == (0, "")
    assert (done.code, done.stdout) == (0, "")
    first, *told, last = steps(done.stderr)
    assert len(told) + 2 == len(done.stderr.splitlines())
    assert first.startswith("weightaudit ")
    assert f"model bert, on this machine: {model}" in told
    assert f"opened {model}: …" in told
    assert any(re.fullmatch(r"file model\.safetensors: [\d.]+ [kM]B", one) for one in told)
    assert "family bert, by the model type bert of its config" in told
    assert any(re.match(r"\d+ matrices found; tensors: ", one) for one in told)
    assert "computing with 1 thread" in told
    assert any(re.match(r"reading [\d.]+ [kM]B in \d+ groups of tensors, at most ", one) for one in told)
    assert told[-3:] == ["read and measured: …", "checked the rules: …", f"wrote {tmp_path}/r.csv: …"]
    assert last.startswith("memory of this process: ")


@pytest.mark.parametrize("command", ["diff", "merge-check"])
def test_so_do_comparisons(weightaudit: CommandLine, tiny_checkpoints: dict[str, Path], command: str) -> None:
    told = steps(weightaudit(command, *[tiny_checkpoints["bert"]] * 2, "-v", "--fail-on", "never").stderr)
    assert sum(one.startswith("opened ") for one in told) == 2
    assert sum(one.startswith("read") and one.endswith(": …") for one in told) == 1
    assert "checked the rules: …" in told


def test_a_batch_tells_what_its_own_process_does(
    weightaudit: CommandLine, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    models = tmp_path / "list.txt"
    models.write_text(f"{tiny_checkpoints['bert']} roles=Q\n")
    words = ("batch", models, "--out", tmp_path / "out", "--workers", "0", "--quiet")
    told = steps(weightaudit(*words, "-v").stderr)
    assert f"list {models}: 1 model" in told
    assert told.index("joined the results: …") > told.index(f"opened {tiny_checkpoints['bert']}: …")
    assert weightaudit(*words).stderr == ""


def test_roles_that_are_guessed(weightaudit: CommandLine, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    model = tmp_path / "odd"
    shutil.copytree(tiny_checkpoints["gpt2"], model)
    config = (model / "config.json").read_text().replace('"model_type": "gpt2"', '"model_type": "odd\\u001b[2J"')
    (model / "config.json").write_text(config)
    done = weightaudit("archs", "--check", model, "-v")
    assert any(
        one.startswith("family ") and r"the model type odd\x1b[2J is not known" in one for one in steps(done.stderr)
    )
    assert "\x1b" not in done.stderr


def test_an_error_has_its_traceback(weightaudit: CommandLine, tmp_path: Path) -> None:
    plain, told = (weightaudit("scan", tmp_path / "none", *words) for words in ((), ("-v",)))
    assert plain.stderr.count("\n") == 1
    assert (told.code, told.stderr.splitlines()[-1]) == (3, plain.stderr.strip())
    assert "Traceback (most recent call last):" in told.stderr


def test_nothing_is_left_behind(weightaudit: CommandLine, tmp_path: Path) -> None:
    before = (LOGGER.level, list(LOGGER.handlers))
    weightaudit("scan", tmp_path / "none", "-v")
    assert (LOGGER.level, list(LOGGER.handlers)) == before


def test_a_program_may_listen(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "weightaudit"), timed("did it"):
        pass
    assert re.fullmatch(r"did it: \d+\.\d\d s", caplog.messages[0])
