"""Which files on this machine are a model's, and the rule that no output replaces one.

An output is refused where it

- has a weight file's extension, wherever it lies;
- is a file of a model at hand, by device and inode, whatever links lead to it;
- lies in a model's folder under a name that a loader takes, or replaces anything there but a report: a JSON file counts
  as one only if it is this package's own;
- lies in the Hugging Face cache.

So a report may be written into a model's folder, and written there again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path

from weightaudit.errors import OutputError
from weightaudit.text import printable

WEIGHT_SUFFIXES = (
    ".safetensors",
    ".safetensors.index.json",
    ".bin",
    ".bin.index.json",
    ".pt",
    ".pth",
    ".ckpt",
    ".gguf",
    ".h5",
)
"""How the names of weight files end, of whatever format."""
REPORT_SUFFIXES = (".html", ".csv", ".parquet", ".sarif", ".png", ".svg")
"""How the names of reports end that no loader takes for a part of a model."""
LOADED_NAMES = (
    "config.json",
    "*[_-]config.json",
    "*.index.json",
    "tokenizer*.json",
    "vocab*.json",
    "*_tokens*.json",
    "chat_template*.json",
    "modules.json",
    "model_index.json",
    "params.json",
)
"""Names, apart from weights, under which a loader looks for a part of a model."""
MAX_FILES = 20_000
"""Files of one model that are told by their inodes; its other files are told by lying in its folder."""
MAX_DEPTH = 3
"""Folders below a model's own that are entered for that."""
ELSEWHERE = "Name a file outside the model's folder"
_OWN_JSON = re.compile(rb'\{\s*"schema": \d+,\s*"model": ')
_CACHED = ("models--", "datasets--", "spaces--")
_CACHE_PARTS = ("blobs", "snapshots", "refs", ".no_exist")
"""How folders of the cache begin, wherever it lies, and what is in each."""

Inode = tuple[int, int]


@dataclass(frozen=True)
class ModelFiles:
    """What no output may replace: ``folders`` of models, as real paths, and ``inodes`` (device, inode) of files."""

    folders: frozenset[Path] = frozenset()
    inodes: frozenset[Inode] = frozenset()

    @classmethod
    def of(cls, models: Iterable[str | os.PathLike[str]], *, walk: bool = True) -> ModelFiles:
        """The files of those of ``models`` that are a directory or a file here; the others have none.

        What lies beside a lone file is read with it, so its folder counts, without those below. Without ``walk`` only
        the folders are found, which is cheap.
        """
        folders: set[Path] = set()
        inodes: set[Inode] = set()
        for model in models:
            path = Path(os.path.expanduser(os.fspath(model)))
            if not os.path.lexists(path):
                continue
            whole = path.is_dir()
            folder = Path(os.path.realpath(path if whole else path.parent))
            folders.add(folder)
            if not walk:
                continue
            for file in islice(_files(folder, MAX_DEPTH if whole else 0), MAX_FILES):
                inodes |= _inodes(file)
            inodes |= set() if whole else _inode_of(path)
        return cls(frozenset(folders), frozenset(inodes))

    def check(self, path: str | os.PathLike[str], target: Path) -> None:
        """OutputError where the output ``path``, which leads to the real path ``target``, must not be written."""
        if self.inodes & _inode_of(target):
            raise OutputError(str(path), "it is a file of the model", ELSEWHERE)
        for name in (Path(path).name, target.name):
            if name.lower().endswith(WEIGHT_SUFFIXES):
                raise OutputError(str(path), "that is the name of a weight file", "Give the report another extension")
        _check_outside_cache(path, target)
        if self.folders.isdisjoint(target.parents):
            return
        name = target.name.lower()
        if any(fnmatch(name, pattern) for pattern in LOADED_NAMES):
            raise OutputError(str(path), "a loader would take it for a part of the model", ELSEWHERE)
        if target.exists() and not name.endswith(REPORT_SUFFIXES) and not _is_own_json(target):
            raise OutputError(str(path), "it is a file of the model", ELSEWHERE)

    def check_directory(self, directory: str | os.PathLike[str]) -> None:
        """OutputError where ``directory``, to be filled with outputs, is a model's folder or in the cache."""
        real = Path(os.path.realpath(directory))
        if real in self.folders or any(entry.name.lower().endswith(WEIGHT_SUFFIXES) for entry in _files(real, 0)):
            raise OutputError(
                printable(str(directory), limit=1000),
                "it is a model's folder",
                "Name another directory for the results",
            )
        _check_outside_cache(directory, real)


NO_MODELS = ModelFiles()
"""For outputs that are made of no model at hand."""


def _files(folder: Path, depth: int) -> Iterator[os.DirEntry[str]]:
    """What is no folder in ``folder`` and, ``depth`` levels down, below it; links are entered, as loaders do."""
    below: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not os.path.isdir(entry.path):  # unlike entry.is_dir(), it stands a link to itself
                    yield entry
                elif depth > 0:
                    below.append(entry.path)
    except OSError:  # what cannot be looked into cannot be read as a model either
        return
    for path in sorted(below):
        yield from _files(Path(path), depth - 1)


def _inodes(entry: os.DirEntry[str]) -> set[Inode]:
    """Of a file of a model, unless it is a report that lies there as a plain file of that one name."""
    found = _inode_of(entry.path)
    if not found or entry.is_symlink():
        return found
    if entry.name.lower().endswith(REPORT_SUFFIXES) or (
        entry.name.lower().endswith(".json") and _is_own_json(Path(entry.path))
    ):
        return set()
    return found


def _inode_of(path: str | os.PathLike[str]) -> set[Inode]:
    """(device, inode) of the file behind ``path``; none where there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return set()
    return {(status.st_dev, status.st_ino)}


def _is_own_json(path: Path) -> bool:
    """Whether that is a report of ours, which may be written again."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            return _OWN_JSON.match(file.read(200)) is not None
    except OSError:
        return False


def _check_outside_cache(path: str | os.PathLike[str], target: Path) -> None:
    for folder, below in zip(target.parts, target.parts[1:], strict=False):
        if folder.startswith(_CACHED) and below in _CACHE_PARTS:
            raise OutputError(str(path), "it lies in the Hugging Face cache", "Name a place outside the cache")
