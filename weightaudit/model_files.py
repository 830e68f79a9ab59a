"""Which files on this machine are a model's, and the rule that no output replaces one.

An output is refused where it

- has a weight file's extension, wherever it lies;
- is a file of a model at hand, by device and inode, whatever links lead to it, or a file that the command reads;
- lies in a model's folder, or in one that a link in it leads to, and is called otherwise than a report, or by a name
  that a loader takes, or is there already and no report of ours (`own_reports`);
- lies in the Hugging Face cache.

So a report may be written into a model's folder, and written there again. A directory for results may not lie there:
its files have names of their own, which are not looked at one by one.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice, pairwise
from pathlib import Path

from weightaudit.errors import OutputError
from weightaudit.own_reports import OWN, is_own
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
"""How the names of weight files end, in the formats that are looked for in a model."""
FOREIGN_WEIGHT_SUFFIXES = (
    ".caffemodel",
    ".engine",
    ".ggml",
    ".hdf5",
    ".keras",
    ".litertlm",
    ".llamafile",
    ".mlmodel",
    ".mnn",
    ".model",
    ".msgpack",
    ".nemo",
    ".npy",
    ".npz",
    ".onnx",
    ".onnx.data",
    ".onnx_data",
    ".ot",
    ".params",
    ".pb",
    ".pdiparams",
    ".pdmodel",
    ".pdparams",
    ".pickle",
    ".pkl",
    ".plan",
    ".pt2",
    ".pte",
    ".ptl",
    ".tflite",
    ".trt",
)
"""How the names of weight files end in formats of other frameworks, which are never read."""
LOADED_NAMES = (
    "*config*.json",
    "*index*.json",
    "*map.json",
    "*merges*.json",
    "*metadata*.json",
    "*processor*.json",
    "*template*.json",
    "*token*.json",
    "*vocab*.json",
    "*weights*.json",
    "args.json",
    "model.json",
    "modules.json",
    "params.json",
    "readme.md",
    "tekken.json",
    "trainer_state.json",
)
"""Names under which a loader, or the Hub, looks for a part of a model, or of its card."""
MAX_FILES = 20_000
"""Files of one model that are told by their inodes; its other files are told by lying in its folder."""
MAX_DEPTH = 3
"""Folders below a model's own that are entered for that."""
CACHED_DEPTH = MAX_DEPTH + 2
"""The same of a folder of the cache: a model's own is `snapshots` and a commit below it."""
MAX_LINKS = 40
"""Links followed one after the other, as Linux does."""
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""What says which quantisation of a model is meant."""
ELSEWHERE = "Name a file outside the model's folder"
_CACHED = ("models--", "datasets--", "spaces--")
_CACHE_PARTS = ("blobs", "snapshots", "refs", ".no_exist")
"""How folders of the cache begin, wherever it lies, and what is in each."""

Inode = tuple[int, int]


def split_label(model: str) -> tuple[str, str]:
    """A model and the quantisation that follows it after a colon, "" where none does. What exists as a path is one.

    Example:
        >>> split_label("org/name:Q4_K_M"), split_label("gpt2")
        (('org/name', 'Q4_K_M'), ('gpt2', ''))
    """
    named, colon, label = model.rpartition(":")
    # One letter before the colon is a drive of Windows, and elsewhere a directory where one is called so.
    drive = len(named) == 1 and (os.name == "nt" or not os.path.isdir(named))
    labelled = (
        named and colon and not drive and LABEL.fullmatch(label) and not os.path.lexists(os.path.expanduser(model))
    )
    return (named, label) if labelled else (model, "")


@dataclass(frozen=True)
class ModelFiles:
    """What no output may replace. Folders are real paths, inodes are (device, inode) of files.

    ``trees`` are those of models, with all below them; ``folders`` others that count without what is below them: where
    a lone file lies, and what a link in a model leads to, or to a file in it. ``inodes`` are of the models' files,
    ``read`` of what the command reads besides.
    """

    trees: frozenset[Path] = frozenset()
    folders: frozenset[Path] = frozenset()
    inodes: frozenset[Inode] = frozenset()
    read: frozenset[Inode] = frozenset()

    @classmethod
    def of(
        cls,
        models: Iterable[str | os.PathLike[str]],
        *,
        walk: bool = True,
        read: Iterable[str | os.PathLike[str]] = (),
    ) -> ModelFiles:
        """The files of those of ``models`` that are a directory or a file here, or have a folder in the Hugging Face
        cache, the others have none; and the files ``read``, such as a list of models.

        A file beside a config.json is one of the model in that folder. What lies beside any other is read with it, so
        its folder counts, without those below. Without ``walk`` only the folders that are named are found, which is
        cheap and asks nothing of what is in them.
        """
        trees: set[Path] = set()
        folders: set[Path] = set()
        inodes: set[Inode] = set()
        for model in models:
            named, _ = split_label(os.fspath(model))
            path = Path(os.path.expanduser(named))
            if not os.path.lexists(path):
                for folder in _cached(named):
                    trees.add(Path(os.path.realpath(folder)))
                    files = _entries(folder, CACHED_DEPTH) if walk else ()
                    inodes |= {one for entry, _ in islice(files, MAX_FILES) for one in _inode_of(entry.path)}
                continue
            lone = not path.is_dir()
            folder = Path(os.path.realpath(path.parent if lone else path))
            whole = not lone or (folder / "config.json").is_file()
            (trees if whole else folders).add(folder)
            if not walk:
                continue
            real_paths = {os.fspath(folder): folder}  # of folders; each comes before what is in it
            for entry, is_folder in islice(_entries(folder, MAX_DEPTH if whole else 0), MAX_FILES):
                if entry.is_symlink() or (is_folder and os.name == "nt"):  # a junction is no link there
                    real = Path(os.path.realpath(entry.path))
                    folders.add(real if is_folder else real.parent)
                elif is_folder:
                    real = real_paths[os.path.dirname(entry.path)] / entry.name
                    folders.add(real)
                if is_folder:
                    real_paths[entry.path] = real
                if not is_folder:
                    inodes |= _inodes(entry)
            inodes |= _inode_of(path) if lone else set()
        besides = frozenset().union(*(_inode_of(path) | _inode_of(path, follow=False) for path in read))
        return cls(frozenset(trees), frozenset(folders), frozenset(inodes), besides)

    def check(self, path: str | os.PathLike[str], target: Path) -> None:
        """OutputError where the output ``path``, which leads to the real path ``target``, must not be written."""
        if self.inodes & _inode_of(target):
            raise OutputError(str(path), "it is a file of the model", ELSEWHERE)
        self.check_read(target)
        for name in (Path(path).name, target.name):
            if name.lower().endswith(WEIGHT_SUFFIXES + FOREIGN_WEIGHT_SUFFIXES):
                raise OutputError(str(path), "that is the name of a weight file", "Give the report another extension")
        _check_outside_cache(path, target)
        if target.parent not in self.folders and self.trees.isdisjoint(target.parents):
            return
        name = target.name.lower()
        if not name.endswith(tuple(OWN)):
            only = f"in a model's folder only reports are written, which end in {' '.join(OWN)}"
            raise OutputError(str(path), only, ELSEWHERE)
        if any(fnmatch(name, pattern) for pattern in LOADED_NAMES):
            raise OutputError(str(path), "a loader would take it for a part of the model", ELSEWHERE)
        if os.path.lexists(target) and not is_own(target):
            raise OutputError(str(path), "it is in the model's folder, and no report of ours", ELSEWHERE)

    def check_read(self, path: str | os.PathLike[str]) -> None:
        """OutputError where ``path`` is a file that the command reads besides models."""
        if self.read and self.read & _inode_of(path, follow=False):
            raise OutputError(
                printable(str(path), limit=1000), "this command reads that file", "Name another place for the output"
            )

    def check_directory(self, directory: str | os.PathLike[str]) -> None:
        """OutputError where ``directory``, to be filled with outputs, is a model's folder, lies in one or in the
        cache.
        """
        real = Path(os.path.realpath(directory))
        holds_weights = (entry.name.lower().endswith(WEIGHT_SUFFIXES) for entry, _ in _entries(real, 0))
        cause = ""
        if real in self.trees | self.folders or any(holds_weights):
            cause = "it is a model's folder"
        elif not self.trees.isdisjoint(real.parents):
            cause = "it lies in a model's folder"
        if cause:
            raise OutputError(printable(str(directory), limit=1000), cause, "Name another directory for the results")
        _check_outside_cache(directory, real)


NO_MODELS = ModelFiles()
"""For outputs that are made of no model at hand."""


def _entries(folder: Path, depth: int) -> Iterator[tuple[os.DirEntry[str], bool]]:
    """What is in ``folder`` and, ``depth`` levels down, below it, each with whether it is a folder that is entered;
    links are entered, as loaders do. Folders that are not entered are left out, and what is in one is given once,
    whatever links lead there: level by level, so that it is entered as far from the end as it can be.
    """
    entered: set[Inode] = set()
    level = [os.fspath(folder)]
    for left in range(depth, -1, -1):
        below: list[os.DirEntry[str]] = []
        for path in level:
            where = _inode_of(path)
            if not where.isdisjoint(entered):
                continue
            entered |= where
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        if not _is_folder(entry):
                            yield entry, False
                        elif left > 0:
                            below.append(entry)
            except OSError:  # what cannot be looked into cannot be read as a model either
                continue
        below.sort(key=lambda entry: entry.path)
        yield from ((entry, True) for entry in below)
        level = [entry.path for entry in below]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one. Most are no links, and of those nothing more need be asked."""
    with suppress(OSError):
        if not entry.is_symlink():
            return entry.is_dir(follow_symlinks=False)
    return os.path.isdir(entry.path)  # unlike entry.is_dir(), it stands a link to itself


def _inodes(entry: os.DirEntry[str]) -> set[Inode]:
    """Of a file of a model, unless it is a report of ours that lies there as a plain file."""
    if entry.name.lower().endswith(tuple(OWN)) and is_own(entry.path):
        return set()
    return _inode_of(entry.path)


def _inode_of(path: str | os.PathLike[str], *, follow: bool = True) -> set[Inode]:
    """(device, inode) of the file at ``path``, behind it if it is a link to ``follow``; none where there is none."""
    try:
        status = os.stat(path, follow_symlinks=follow)
    except (OSError, ValueError):  # the latter of a name that no file can have, as from a file of settings
        return set()
    return {(status.st_dev, status.st_ino)}


def _check_outside_cache(path: str | os.PathLike[str], target: Path) -> None:
    """OutputError where any way to ``target`` leads through the Hugging Face cache, parts of which may be links.

    Strings, since many outputs are small, and `pathlib` took longer over them than writing such a one.
    """
    shared = {os.path.normcase(os.path.join(cache, "blobs")) for cache in _caches()}
    for way in (*_ways(path), os.fspath(target)):
        parts = way.split(os.sep)
        of_a_model = any(one.startswith(_CACHED) and two in _CACHE_PARTS for one, two in pairwise(parts))
        if of_a_model or not shared.isdisjoint(map(os.path.normcase, _stages(way))):
            raise OutputError(str(path), "it lies in the Hugging Face cache", "Name a place outside the cache")


def _ways(path: str | os.PathLike[str]) -> Iterator[str]:
    """``path`` as an absolute one, and what it becomes as one link after the other is followed."""
    way = os.path.abspath(path)
    for _ in range(MAX_LINKS):
        yield way
        link = next((stage for stage in _stages(way) if os.path.islink(stage)), None)
        if link is None:
            return
        try:
            rest = way[len(link) :].lstrip(os.sep)
            way = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link), rest))
        except OSError:  # it is gone meanwhile
            return


def _stages(way: str) -> list[str]:
    """The folders that the absolute path ``way`` passes, from the root on, and itself."""
    found = [way]
    while (parent := os.path.dirname(found[-1])) != found[-1]:
        found.append(parent)
    return found[::-1]


def _caches() -> set[str]:
    """Where the Hugging Face cache may be, as it is called and as it really is.

    The Hub's client, which knows, cannot be imported under every environment. In `blobs` it has what models share.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    named = {os.environ.get("HF_HUB_CACHE"), os.environ.get("HUGGINGFACE_HUB_CACHE"), os.path.join(home, "hub")}
    if (constants := sys.modules.get("huggingface_hub.constants")) is not None:
        named.add(constants.HF_HUB_CACHE)
    places = [os.path.expanduser(place) for place in named if place]
    return {made(place) for place in places for made in (os.path.abspath, os.path.realpath)}


def cache_folder_name(model: str) -> str:
    """The name that the Hub model with this id has in the Hugging Face cache."""
    return f"models--{model.replace('/', '--')}"


def _cached(model: str) -> list[Path]:
    """The folders of the cache that a Hub id has, if it is one."""
    folders = (Path(cache, cache_folder_name(model)) for cache in _caches())
    return [folder for folder in folders if os.path.isdir(folder)]


def parted(name: str) -> tuple[str, str | None]:
    """A Hub id and the revision that it may carry, ``id@revision``; a path is what exists as one.

    An address keeps what it carries: its own room reads it, and @ may stand before a server too.
    """
    if "://" in name:
        return name, None
    model, at, revision = name.rpartition("@")
    return (model, revision) if at and model and revision and not Path(name).exists() else (name, None)
