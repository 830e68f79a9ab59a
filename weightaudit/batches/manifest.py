"""What a batch's directory is about: the models it was made for, in their order, finished or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weightaudit.batches.names import check_folder
from weightaudit.errors import UsageError
from weightaudit.report.layout import MANIFEST
from weightaudit.stored import items, parse_stored, printed, read_plain, record, text, whole
from weightaudit.text import printable

SCHEMA = 1
MAX_MANIFEST = 1 << 28
"""Bytes; a model takes some 200."""
MOST_SHARDS = 100_000
"""Parts of one list."""


@dataclass(frozen=True)
class Listed:
    """One model: its place in the whole list from 0, what people call it, its folder; and which model that is (Hub id
    or path) by which options, "" in a manifest of before they were written down.
    """

    number: int
    title: str
    folder: str
    model: str = ""
    options: str = ""


@dataclass(frozen=True)
class Manifest:
    """``total`` models are in the whole list, of which these are shard ``shard``, (i, n); ``digest`` is the list's, and
    ``title`` what the page of all models is called.
    """

    models: tuple[Listed, ...]
    total: int
    shard: tuple[int, int]
    digest: str
    title: str

    def write(self, directory: Path) -> None:
        """Into ``directory``, whole or not at all; OutputError where that cannot be."""
        from weightaudit.report.atomic_write import replacing

        with replacing(directory / MANIFEST) as file:
            file.write((json.dumps({"schema": SCHEMA, **asdict(self)}) + "\n").encode())


_LISTED = {"number": whole, "title": text, "folder": check_folder}
_FIELDS = {
    "schema": whole,
    "models": items(lambda said: Listed(**record(said, _LISTED, {"model": text, "options": text}))),
    "total": whole,
    "shard": items(whole),
    "digest": printed,
    "title": text,
}


def read_manifest(directory: Path) -> Manifest:
    """That of ``directory``. UsageError where it is no batch's, or its manifest is none that we would write."""
    shown = printable(str(directory), limit=1000)
    again = "Run its batch again, which writes it anew"
    try:
        return _checked(parse_stored(read_plain(directory / MANIFEST, limit=MAX_MANIFEST, follow=False)))
    except FileNotFoundError as error:
        hint = "Name directories that `weightaudit batch` has written"
        raise UsageError(shown, f"it is no batch's directory: there is no {MANIFEST} in it", hint) from error
    except NotADirectoryError as error:
        raise UsageError(shown, "not a directory", "Name a batch's directory") from error
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise UsageError(shown, f"its {MANIFEST} cannot be read: {cause}", again) from error
    except ValueError as error:
        raise UsageError(shown, f"its {MANIFEST} cannot be read: {printable(str(error))}", again) from error


def _checked(said: Any) -> Manifest:
    told = record(said, _FIELDS)
    if told.pop("schema") != SCHEMA:
        raise ValueError("another version wrote it")
    models, shard, total = tuple(told["models"]), told["shard"], told["total"]
    if len(shard) != 2 or not 1 <= shard[0] <= shard[1] <= MOST_SHARDS:
        raise ValueError("its shard is none")
    if any(one.number >= total for one in models):
        raise ValueError("it has more models than its list")
    for called in zip(*((one.number, one.title, one.folder.casefold()) for one in models), strict=True):
        if len(set(called)) < len(models):
            raise ValueError("two of its models are called the same")
    return Manifest(**{**told, "models": models, "shard": (shard[0], shard[1])})


def digest_of(titles: Iterable[str]) -> str:
    """The same for the same list."""
    return hashlib.sha256("\n".join(titles).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def incomplete(manifests: Sequence[Manifest]) -> list[str]:
    """Which shards of a list are not among ``manifests``, as "3/8". Those behind the last model have none to miss."""
    missing = []
    for digest, parts in {(manifest.digest, manifest.shard[1]) for manifest in manifests}:
        group = [m for m in manifests if (m.digest, m.shard[1]) == (digest, parts)]
        here = {manifest.shard[0] for manifest in group}
        most = min(parts, max(manifest.total for manifest in group))
        missing += [f"{part}/{parts}" for part in range(1, most + 1) if part not in here]
    return sorted(missing)
