"""Directories of batches, and reports, as a stranger or an accident may have left them: thousands, drawn by a seed.

    python -m tests.batches.mutations DIRECTORIES REPORTS [SEED]

Each round spoils something in a batch's directory: a document, a result, or what kind of thing lies under its name.
Now and then the directory is merged and its models are compared, which may be refused in this package's own words; and
the batch is run again, which must succeed and leave the bytes of a run that nobody disturbed. Files beside the
directory, to which links lead, must stay as they are. Scans are faked: every model gets the files of one that was
really scanned.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import weightaudit.report.document
from tests.batches.faked import FakePool, Faking
from weightaudit.batches import Entry, merge, run_batch
from weightaudit.batches.folder import ModelFolder
from weightaudit.batches.job import Job
from weightaudit.batches.outcome import Outcome
from weightaudit.batches.worker import record_failure
from weightaudit.config import AuditConfig
from weightaudit.errors import CheckpointError, WeightauditError
from weightaudit.report.comparison.read import read_finished
from weightaudit.report.comparison.write import put_together

MODELS = ("first", "second", "failing")
LONGEST = 30
"""Seconds of one round, after which it hangs."""
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**18, 10**400, -(10**30), 0.5, 1e308, "", "x", [], {}, [[]]),
    *("..", ".", "/", "../outside", "/etc", "second", "all.csv", ".lock", "NUL", "con.txt", "a/b", "a\\b", "x" * 5000),
    *("\x1b[2J", "a\nb", "::error::x", "\x00", "\u202e", "\ud800", "=1+1", "done", "failed", "NaN", "1" * 5000),
    *([1, 10**9], [1, 2], [0, 0], {"error": 10**19}, {"x": {"y": []}}, [None] * 3, [[0.5, None]], [[1e300, 1e300]]),
)


class Mutations:
    """Spoilt bytes, drawn from ``rng``."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def spoilt(self, content: bytes) -> bytes:
        """``content`` with something wrong in it."""
        ways = [self._flip, self._cut, self._insert, self._repeat]
        with suppress(ValueError, RecursionError):
            said = json.loads(content)
            ways = [*ways, *[lambda content: self._document(said)] * 8]
        return self.rng.choice(ways)(content)

    def _flip(self, content: bytes) -> bytes:
        out = bytearray(content or b"x")
        for _ in range(self.rng.choice([1, 1, 2, 10])):
            out[self.rng.randrange(len(out))] = self.rng.randrange(256)
        return bytes(out)

    def _cut(self, content: bytes) -> bytes:
        return content[: self.rng.randrange(len(content) + 1)]

    def _insert(self, content: bytes) -> bytes:
        at = self.rng.randrange(len(content) + 1)
        what = self.rng.choice([b"\xef\xbb\xbf", b"\x00", b"[" * 2000, b"{", b'"', b"9" * 6000, b"NaN", b"\xff", b"-"])
        return content[:at] + what + content[at:]

    def _repeat(self, content: bytes) -> bytes:
        return content * 2

    def _document(self, said: Any) -> bytes:
        """``said`` with another value, another key or one more or less, somewhere in it."""
        holders = [one for one in _within({"": said}) if one]
        holder = self.rng.choice(holders)
        key = self.rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        way = self.rng.randrange(8)
        if way == 0 and isinstance(holder, dict):
            holder[self.rng.choice(["x", "schema", "..", "key", "\x1b", *holder])] = holder.pop(key)
        elif way == 1:
            del holder[key]
        elif way == 2:
            others = [one for other in holders for one in (other.values() if isinstance(other, dict) else other)]
            holder[key] = self.rng.choice(others)
        elif way == 3 and isinstance(holder, list):
            holder.append(holder[key])
        elif way == 4:
            value: Any = holder[key]
            for _ in range(self.rng.choice([1, 90, 150, 600])):
                value = [value] if self.rng.random() < 0.5 else {"": value}
            holder[key] = value
        else:
            holder[key] = self.rng.choice(ODD)
        try:
            return json.dumps(said).encode()
        except (ValueError, RecursionError):  # one of the values now holds itself
            return b"[" * 100_000


def _within(value: Any) -> Iterator[Any]:
    """All lists and objects in ``value``, itself among them."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, (dict, list)):
            yield one
            left += one.values() if isinstance(one, dict) else one


class Things:
    """Other things than the file that belongs at a path; links lead to files ``outside``."""

    def __init__(self, rng: random.Random, outside: Path) -> None:
        self.rng, self.outside = rng, outside

    def put(self, path: Path) -> str:
        """Have another thing at ``path``; says which."""
        ways = [self.link, self.link_to_itself, self.hard_link, self.pipe, self.folder, self.full_folder]
        ways += [self.socket, self.device, self.nothing, self.empty, self.twin]
        way = self.rng.choice(ways)
        _remove(path)
        way(path)
        return way.__name__

    def link(self, path: Path) -> None:
        targets = [self.outside / path.name, self.outside, self.outside / "new", Path("/dev/zero"), Path("/proc/self")]
        path.symlink_to(self.rng.choice(targets))

    def link_to_itself(self, path: Path) -> None:
        path.symlink_to(path.name)

    def hard_link(self, path: Path) -> None:
        with suppress(FileNotFoundError, PermissionError):
            os.link(self.outside / path.name, path)

    def pipe(self, path: Path) -> None:
        os.mkfifo(path)

    def folder(self, path: Path) -> None:
        path.mkdir()

    def full_folder(self, path: Path) -> None:
        (path / "inner").mkdir(parents=True)
        (path / "inner" / "file").write_text("somebody's")

    def socket(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as made, suppress(OSError):  # a long path
            made.bind(str(path))

    def device(self, path: Path) -> None:
        try:
            os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero, which never ends
        except (OSError, AttributeError):
            path.symlink_to("/dev/zero")

    def nothing(self, path: Path) -> None: ...

    def empty(self, path: Path) -> None:
        path.touch()

    def twin(self, path: Path) -> None:
        """What another model has under that name."""
        source = self.outside / path.name
        if source.is_file():
            shutil.copyfile(source, path)


class Careful(Faking):
    """Leaves what the work would have left, by the way that a worker leaves it."""

    def _leave(self, job: Job) -> Outcome:
        if job.title == "failing":
            return replace(record_failure(job, CheckpointError("failing", "it is corrupt")), entry={})
        folder = ModelFolder(Path(job.directory) / job.folder)
        folder.begin()
        for name in self.outcome.files:
            folder.write(name, (self.template / name).read_bytes())
        outcome = replace(self.outcome, key=job.key, title=job.title, run=job.run)
        folder.finish(outcome)
        return replace(outcome, entry={})


class CarefulPool(FakePool):
    def __init__(self, template: Path) -> None:
        self.executor = Careful(template)


def quick(replace: Callable[[Any, str, Any], object]) -> None:
    """Leave out what takes long and is not at issue: power cuts, and megabytes of the same script."""
    replace(os, "fsync", lambda descriptor: None)
    replace(weightaudit.report.document, "plotly_bytes", lambda: b"// plotly.js")


class Trial:
    """A batch's directory that is spoilt and run again, ``root`` / "out". ``template`` is the folder of one model that
    was really scanned.
    """

    def __init__(self, root: Path, template: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.root, self.template = root, template
        self.out, self.outside = root / "out", root / "outside"
        self.entries = [Entry(i, f"/nowhere/{name}", True, AuditConfig()) for i, name in enumerate(MODELS)]
        self.counts: Counter[str] = Counter()
        self.run(self.out)
        shutil.copytree(template, self.outside)
        for name in (
            "plotly.js",
            "batch.json",
            "all.csv",
            "all.parquet",
            "summary.csv",
            "index.html",
            ".lock",
            ".run",
            ".progress",
        ):
            (self.outside / name).write_text("somebody's")
        (self.outside / ".weightaudit-0.tmp").write_text("somebody's")
        self.whole = self.state()
        self.beside = _contents(self.outside)
        self.mutations, self.things = Mutations(self.rng), Things(self.rng, self.outside)

    def run(self, out: Path) -> None:
        run_batch(self.entries, out, lambda: CarefulPool(self.template), threads=1, title="list")

    def state(self) -> dict[str, str]:
        """What the directory holds, but for what differs from run to run."""
        found = _contents(self.out)
        for name in MODELS:
            said = json.loads((self.out / name / "outcome.json").read_bytes())
            del said["run"], said["sha256"]
            del said["files"]["log.txt"]
            found[f"{name}/outcome.json"] = repr(said)
        return {name: said for name, said in found.items() if name not in (".lock", "failing/log.txt")}

    def round(self) -> None:
        """One of them. AssertionError, or whatever escapes, says that it went wrong."""
        what = self._spoil()
        try:
            with limited(LONGEST):
                if self.rng.random() < 0.3:
                    self._use()
                self.run(self.out)
            assert _contents(self.outside) == self.beside, "files beside the directory have changed"
            inner = [self.out / name / left for name in MODELS for left in ("inner", ".progress")]
            for left in [*self.out.rglob("*.aside-*"), *inner, self.out / ".weightaudit-0.tmp"]:
                _remove(left)  # nobody's business: what was in the way, and what is not read
            assert self.state() == self.whole, "the run did not recover"
            for path in self.out.rglob("*"):
                assert not path.is_symlink(), f"{path} is a link"
        except Exception as error:
            raise AssertionError(f"after {what}: {type(error).__name__}: {error}") from error

    def _spoil(self) -> str:
        folder = self.out / self.rng.choice(MODELS)
        documents = [self.out / "batch.json", *[folder / "outcome.json"] * 3]
        files = [path for path in folder.iterdir() if path.is_file()]
        others = [folder, folder / ".progress", *files, *(self.out / name for name in (".lock", ".run"))]
        others += [path for path in self.out.iterdir() if path.is_file()] + [self.out / ".weightaudit-0.tmp"]
        if self.rng.random() < 0.6:
            path = self.rng.choice(documents)
            what = "bytes"
            content = self.mutations.spoilt(path.read_bytes())
            _remove(path)
            path.write_bytes(content)
        elif self.rng.random() < 0.3:
            path, what = self.rng.choice(files), "bytes"
            content = self.mutations.spoilt(path.read_bytes())
            _remove(path)
            path.write_bytes(content)
        else:
            path = self.rng.choice([*documents, *others])
            what = self.things.put(path)
        self.counts[f"{'document' if path in documents else 'other'}: {what}"] += 1
        return f"{what} at {path.relative_to(self.out)}"

    def _use(self) -> None:
        """What else reads a batch's directory; each may refuse."""
        merged, compared = self.root / "merged", self.root / "compared"
        for folder in (merged, compared):
            _remove(folder)
        with suppress(WeightauditError):
            merge([self.out], merged)
            assert not any(path.is_symlink() for path in merged.rglob("*")), "a link was merged"
            self.counts["merged"] += 1
        compared.mkdir()
        for name in MODELS:
            with suppress(WeightauditError):
                report = read_finished(self.out / name)
                if report is not None:
                    put_together([report, report], compared)


def spoilt_report(report: Path, target: Path, rng: random.Random) -> None:
    """A report like ``report``, spoilt, read back and put together with itself, or refused."""
    content = Mutations(rng).spoilt(report.read_bytes())
    path = target / report.name
    path.write_bytes(content)
    with limited(LONGEST), suppress(WeightauditError):
        read = read_finished(path)
        if read is not None:
            put_together([read, read], target)


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """TimeoutError where the block takes longer."""

    def late(*args: object) -> None:
        raise TimeoutError(f"{seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _contents(folder: Path) -> dict[str, str]:
    """Digests of all plain files, by where they are."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main(words: Sequence[str]) -> None:
    import resource

    import weightaudit as wa
    from tests.batches.checkpoints import random_model
    from weightaudit.batches.executors import InlinePool

    quick(setattr)
    rounds, reports, seed = int(words[0]), int(words[1]), int(words[2]) if len(words) > 2 else 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = random_model(root, "gpt2", 0, layers=1)
        run_batch([Entry(1, str(model), True, AuditConfig())], root / "one", InlinePool, threads=1)
        most = 8 << 30
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        trial = Trial(root, root / "one" / model.name, seed)
        failures: list[str] = []

        def tried(call: Callable[[], None]) -> None:
            try:
                call()
            except BaseException as error:
                failures.append(f"{type(error).__name__}: {error}")
                print(failures[-1], flush=True)
                if isinstance(error, KeyboardInterrupt):
                    raise

        for number in range(rounds):
            before = len(failures)
            tried(trial.round)
            if len(failures) > before:  # the next one begins from a sound directory again
                _remove(trial.out)
                trial.run(trial.out)
                trial.whole = trial.state()
            if number % 500 == 499:
                print(f"{number + 1} directories, {len(failures)} failures", flush=True)
        report = wa.scan(model, threads=1)
        for kind in ("json", "parquet"):
            report.write(root / f"report.{kind}")
        target = root / "reports"
        target.mkdir()
        for number in range(reports):
            kind = "parquet" if number % 4 == 3 else "json"
            tried(partial(spoilt_report, root / f"report.{kind}", target, trial.rng))
        print(json.dumps(dict(sorted(trial.counts.items())), indent=1))
        print(f"{rounds} directories and {reports} reports, {len(failures)} failures")
        sys.exit(bool(failures))


if __name__ == "__main__":
    main(sys.argv[1:])
