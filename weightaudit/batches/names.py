"""What the models of one list are called: in rows, for people, and as folders. A function of the whole list alone."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightaudit.batches.model_list import Entry
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.redact import without_secrets
from weightaudit.report.layout import ALL_CSV, ALL_PARQUET, INDEX, MANIFEST, PLOTLY, SUMMARY_CSV
from weightaudit.source.places import names_a_file, parts_of
from weightaudit.stored import printed
from weightaudit.text import slug

RESERVED = frozenset({ALL_CSV, ALL_PARQUET, SUMMARY_CSV, INDEX, PLOTLY, MANIFEST})
"""Files that a batch's directory has beside its models."""
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that Windows gives to devices, whatever follows a dot."""
MAX_FOLDER_CHARS = 100
"""Characters of a folder's name before what makes it unique."""


@dataclass(frozen=True)
class Names:
    """``title`` is for people and unique; ``label`` is what rows are called by, "" for the scan's own name;
    ``folder`` lies in the batch's directory.
    """

    title: str
    label: str
    folder: str


def names(entries: Sequence[Entry]) -> list[Names]:
    """The names of each entry.

    Rows say Hub id and commit, or the directory's name. Where that is the same for two entries, as many of the path's
    folders are put before it as tell them apart, or the options in which they differ behind it.
    """
    bases = _bases(entries)
    plain = Counter(zip(bases, (entry.config.revision for entry in entries), strict=True))
    labels, titles = [], []
    for entry, base in zip(entries, bases, strict=True):
        several = plain[base, entry.config.revision] > 1
        label = f"{base} ({options_that_differ(entry.config)})" if several else base
        labels.append(label if label != _own_name(entry) else "")
        titles.append(f"{label}@{entry.config.revision}" if entry.config.revision else label)
    folders = [slug(title, longest=MAX_FOLDER_CHARS) or "model" for title in titles]
    # As a file system sees them that does not tell A from a.
    taken = Counter(folder.casefold() for folder in folders)
    out = []
    for title, label, folder in zip(titles, labels, folders, strict=True):
        free = taken[folder.casefold()] == 1 and _is_free(folder)
        out.append(Names(title, label, folder if free else own_folder(title)))
    return out


def own_folder(title: str) -> str:
    """A folder's name that no other title has, where the plain one is not free."""
    name = f"{slug(title, longest=MAX_FOLDER_CHARS).strip('.-') or 'model'}-{_digest(title)}"
    return f"model-{name}" if DEVICES.fullmatch(name) else name


def check_folder(said: Any) -> str:
    """A folder's name out of a file: one that `names` could have given. Raises ValueError."""
    name = printed(said)
    if not re.fullmatch(r"[A-Za-z0-9._@-]{1,200}", name) or not _is_free(name):
        raise ValueError("it is no model's folder")
    return name


def _is_free(name: str) -> bool:
    """Whether a model's folder may have that name: on every system it lies in the batch's directory, and is none of
    the directory's own files.
    """
    return not (name.startswith(".") or name.endswith(".") or name.casefold() in RESERVED or DEVICES.fullmatch(name))


def _own_name(entry: Entry) -> str:
    """What a scan calls the model."""
    return "/".join(_parts(entry)[-_least(entry) :]) or "/"


def _parts(entry: Entry) -> tuple[str, ...]:
    """What tells a model from others: the parts of its path or address; of the Hub's the name alone."""
    if entry.local:
        return Path(entry.model).parts[1:]
    return tuple(parts_of(entry.model)) if entry.elsewhere else (entry.model,)


def _least(entry: Entry) -> int:
    """Parts of a path that a scan puts into the name: a lone file is called by its directory too."""
    if entry.local:
        return 1 if os.path.isdir(entry.model) or not os.path.lexists(entry.model) else 2
    return 2 if entry.elsewhere and names_a_file(entry.model) else 1


def _bases(entries: Sequence[Entry]) -> list[str]:
    """For each entry its id, or the last parts of its path or address: as few as tell it from every other model.

    Where addresses differ in their queries alone, which are shown to nobody, a digest does.
    """
    bases = [_own_name(entry) for entry in entries]
    depth = [_least(entry) for entry in entries]
    while True:
        models: dict[str, set[str]] = {}
        for entry, base in zip(entries, bases, strict=True):
            models.setdefault(base, set()).add(entry.model)
        again = False
        for i, entry in enumerate(entries):
            parts = _parts(entry)
            if len(models[bases[i]]) > 1 and depth[i] < len(parts):
                depth[i] += 1
                bases[i] = "/".join(parts[-depth[i] :])
                again = True
            elif len(models[bases[i]]) > 1 and entry.elsewhere and "#" not in bases[i]:
                bases[i] += f"#{_digest(entry.model)}"
                again = True
        if not again:
            return bases


def options_that_differ(config: AuditConfig) -> str:
    """The options that change numbers and are not the defaults, as a list's line has them."""
    said = []
    for name, value in config.result_options().items():
        if value != getattr(DEFAULTS, name):
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            said.append(f"{name}={without_secrets(text)}")
    return " ".join(said) or "default options"


def _digest(title: str) -> str:
    return hashlib.sha256(title.encode("utf-8", "surrogatepass")).hexdigest()[:8]
