"""Running a scan on a hostile model, with the checks that hold for all of them."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.running import CommandLine, Outcome

KINDS = ("html", "csv", "json", "parquet")
# thing: cause. Next step
MESSAGE = re.compile(r"weightaudit: (?P<thing>.+?): (?P<cause>.+)\. (?P<hint>[A-Z`'].+)\n")
LONGEST = 2000
"""Characters of a message: it may name some files and a path, but never repeat a file."""


@dataclass(frozen=True)
class Outputs:
    """What a scan that succeeded left, read by ordinary readers."""

    page: Path
    csv: list[dict[str, str]]
    json: dict[str, Any]
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Attack:
    """A scan of a hostile model with every kind of output, into an empty directory."""

    run: CommandLine
    out: Path

    def refused(self, model: Path | str, *says: str, words: tuple[str, ...] = ()) -> str:
        """The one line that refuses ``model``; each of ``says`` is in it."""
        done = self._scan(model, words)
        assert (done.code, done.stdout) == (3, ""), done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stderr[:-1].isprintable()
        assert len(done.stderr) <= LONGEST
        assert "Traceback" not in done.stderr
        assert "This is a bug" not in done.stderr
        assert MESSAGE.fullmatch(done.stderr), done.stderr
        assert list(self.out.iterdir()) == []
        for word in says:
            assert word in done.stderr
        return done.stderr

    def scanned(self, model: Path | str, words: tuple[str, ...] = ()) -> Outputs:
        """What the scan of ``model`` says and writes: nothing raw on the terminal, no output broken.

        What it finds wrong with the weights is another thing: --fail-on never.
        """
        done = self._scan(model, ("--fail-on", "never", *words))
        assert done.code == 0, done.stderr
        for talk in (done.stdout, done.stderr):
            assert all(line.isprintable() and len(line) <= LONGEST for line in talk.split("\n"))
        assert sorted(path.name for path in self.out.iterdir()) == sorted(f"report.{kind}" for kind in KINDS)
        text = (self.out / "report.csv").read_bytes().decode("utf-8")
        head, *lines = csv.reader(io.StringIO(text, newline=""))
        assert {len(line) for line in lines} == {len(head)}
        # Strict: NaN and Infinity are no JSON.
        whole = json.loads((self.out / "report.json").read_bytes().decode("utf-8"), parse_constant=pytest.fail)
        assert len(whole["layers"]) == len(lines) == pq.read_table(self.out / "report.parquet").num_rows
        return Outputs(
            # Out of the way of the next scan, since the browser leaves its profile beside it.
            (self.out / "report.html").replace(self.out.parent / "page.html"),
            [dict(zip(head, line, strict=True)) for line in lines],
            whole,
            done.stdout,
            done.stderr,
        )

    def _scan(self, model: Path | str, words: tuple[str, ...]) -> Outcome:
        self.out.mkdir(exist_ok=True)
        for path in self.out.iterdir():
            path.unlink()
        outputs = [word for kind in KINDS for word in ("--out", self.out / f"report.{kind}")]
        return self.run("scan", model, "--threads", "1", *outputs, *words)
