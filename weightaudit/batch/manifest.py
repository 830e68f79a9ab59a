"""What a batch's directory is about: the models it was made for, in their order, finished or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weightaudit.errors import UsageError, printable

MANIFEST = "batch.json"
SCHEMA = 1


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
        from weightaudit.report.files import replacing

        with replacing(directory / MANIFEST) as file:
            file.write((json.dumps({"schema": SCHEMA, **asdict(self)}) + "\n").encode())


def read_manifest(directory: Path) -> Manifest:
    """That of ``directory``. UsageError where it is no batch's."""
    shown = printable(str(directory), limit=1000)
    try:
        said: Any = json.loads((directory / MANIFEST).read_bytes())
        if said.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        models = tuple(Listed(**model) for model in said.pop("models"))
        part, parts = said.pop("shard")
        return Manifest(models, shard=(part, parts), **said)
    except FileNotFoundError as error:
        hint = "Name directories that `weightaudit batch` has written"
        raise UsageError(shown, f"it is no batch's directory: there is no {MANIFEST} in it", hint) from error
    except OSError as error:
        raise UsageError(shown, (error.strerror or str(error)).lower(), "Name a batch's directory") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(shown, f"its {MANIFEST} cannot be read", "Run the batch again") from error


def digest_of(titles: Iterable[str]) -> str:
    """The same for the same list."""
    return hashlib.sha256("\n".join(titles).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def incomplete(manifests: Sequence[Manifest]) -> list[str]:
    """Which shards of a list are not among ``manifests``, as "3/8"."""
    missing = []
    for digest, parts in {(manifest.digest, manifest.shard[1]) for manifest in manifests}:
        here = {m.shard[0] for m in manifests if (m.digest, m.shard[1]) == (digest, parts)}
        missing += [f"{part}/{parts}" for part in range(1, parts + 1) if part not in here]
    return sorted(missing)
