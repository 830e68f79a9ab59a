"""Modules that a sentence transformer has beside its transformer: modules.json lists them, each in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from weightaudit.checkpoint.small_reads import read_all
from weightaudit.errors import CheckpointError
from weightaudit.records import FileFault
from weightaudit.source import Repository, safe_name
from weightaudit.strict_json import parse_value
from weightaudit.text import listed as enumerated
from weightaudit.text import printable

MODULES = "modules.json"
MAX_BYTES = 1_000_000
MAX_MODULES = 64
"""Modules of one model; real ones have two to four."""
MAX_NAMED = 4
"""Modules named in one finding."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The file of a module, in the order in which sentence-transformers takes it."""
WITH_WEIGHTS = ("CNN", "Dense", "LSTM", "LayerNorm", "StaticEmbedding", "WeightedLayerPooling", "WordEmbeddings")
"""Kinds of modules that have weights of their own."""


@dataclass(frozen=True)
class Module:
    """One module: its ``folder`` and its weight ``file`` in there."""

    folder: str
    file: str


def find_modules(repository: Repository) -> tuple[list[Module], list[FileFault]]:
    """The modules beside the top of ``repository`` that have a weight file, and what is wrong with the others."""
    if repository.chosen is not None or MODULES not in repository.files():
        return [], []
    try:
        listed = list(_listed(repository))
    except CheckpointError as error:
        if error.temporary:
            raise
        return [], [FileFault("modules", f"{MODULES} cannot be read ({error.cause}): what it lists was not looked at.")]
    modules: list[Module] = []
    faults: list[FileFault] = []
    without: list[str] = []
    for folder, kind in listed:
        try:
            files = repository.files_in(folder)
        except CheckpointError as error:
            if error.temporary:
                raise
            faults.append(FileFault("modules", f"{MODULES} lists {printable(folder)}: {error.cause}; it was not read."))
            continue
        file = next((name for name in WEIGHTS if name in files), "")
        if file:
            modules.append(Module(folder, file))
        elif kind in WITH_WEIGHTS:
            without.append(f"{printable(folder)} ({printable(kind)})")
    if without:
        have = "which has" if len(without) == 1 else "which have"
        says = f"{MODULES} lists {enumerated(without, MAX_NAMED, spare=1)}, {have} no weights here."
        faults.append(FileFault("modules", says))
    return modules, faults


def _listed(repository: Repository) -> Iterator[tuple[str, str]]:
    """Folder and kind of each module that does not lie at the top. Raises CheckpointError for what is no such list."""
    repository.fetch([MODULES])
    source = repository.open(MODULES)
    try:
        data = read_all(source, limit=MAX_BYTES, error=CheckpointError)
    finally:
        source.close()
    entries = parse_value(data, thing=source.label, error=CheckpointError, hint="", machine_made=False)
    if not isinstance(entries, list) or len(entries) > MAX_MODULES:
        raise CheckpointError(source.label, f"it is no list of at most {MAX_MODULES} modules")
    seen: set[str] = set()
    for entry in entries:
        path, kind = (entry.get("path"), entry.get("type")) if isinstance(entry, dict) else (None, None)
        if not isinstance(path, str) or not isinstance(kind, str):
            raise CheckpointError(source.label, "a module in it has no path or no type")
        folder = _folder(path)
        if folder and folder not in seen:
            seen.add(folder)
            yield safe_name(folder, said_by=source.label), kind.rpartition(".")[2]


def _folder(path: str) -> str:
    """The folder that ``path`` leads to: "2_Dense" of "./2_Dense/", "" for the top; an absolute path stays as it is."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return path if path.startswith("/") else "/".join(parts)
