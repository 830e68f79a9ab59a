"""Run the command line in this process, as `weightaudit …` would."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from weightaudit.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a user sees of one command."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class CommandLine:
    """Call it with the words after `weightaudit`."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: object) -> Outcome:
        self.monkeypatch.setattr(sys, "argv", ["weightaudit", *map(str, words)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self.capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)
