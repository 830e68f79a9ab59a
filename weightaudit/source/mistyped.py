"""What is written like a path, and is not there: told with the names that are near, and never asked of the Hub."""

from __future__ import annotations

import difflib
import os
import re
from itertools import islice
from pathlib import Path, PureWindowsPath

from weightaudit.errors import ModelNotFound
from weightaudit.model_files import FOREIGN_WEIGHT_SUFFIXES, WEIGHT_SUFFIXES
from weightaudit.text import listed, printable

NOT_HERE = "no such file or directory here"
FILE_SUFFIXES = (
    *(".7z", ".bz2", ".csv", ".gz", ".html", ".json", ".md", ".parquet", ".rar", ".sarif", ".tar", ".tgz", ".toml"),
    *(".txt", ".xz", ".yaml", ".yml", ".zip", ".zst"),
)
"""How names of files end that are no weights; no Hub id does."""
_FOREIGN = tuple(
    suffix for suffix in FOREIGN_WEIGHT_SUFFIXES if suffix not in (".engine", ".model", ".params", ".plan")
)
"""Those of other formats, but for plain words, which ids end in too."""
_NEAR_SUFFIX = 0.75
"""How alike, by difflib, a word after the last dot is to the ending of a weight file, to be taken for one mistyped."""
_HUB_ID = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?", re.ASCII)
MOST_LOOKED_AT = 10_000
"""Names of a directory that are compared."""
MOST_NAMED = 5


def looks_like_path(model: str) -> bool:
    """Whether ``model`` can only be meant as a path: no Hub id is written like that, or its first part is a directory
    here.
    """
    return (
        model in (".", "..")
        or model.startswith(("./", "../", "/", "~"))
        or model.count("/") > 1
        or model.endswith("/")
        or "\\" in model
        or bool(PureWindowsPath(model).drive)
        or _ends_like_a_file(model.lower())
        or ("/" in model and os.path.isdir(model.partition("/")[0]))
    )


def _ends_like_a_file(model: str) -> bool:
    if model.endswith((*WEIGHT_SUFFIXES, *_FOREIGN, *FILE_SUFFIXES)):
        return True
    ending = re.search(r"\.([a-z]{4,14})$", model)
    known = [suffix[1:] for suffix in WEIGHT_SUFFIXES if len(suffix) > 4]
    return ending is not None and bool(difflib.get_close_matches(ending[1], known, n=1, cutoff=_NEAR_SUFFIX))


def could_be_hub_id(model: str) -> bool:
    """Whether the Hub's ids are made of such characters; its own check, which is stricter, is `names.check_model`."""
    return _HUB_ID.fullmatch(model) is not None


def not_found(model: str, shown: str, *, cause: str = "no such file or directory") -> ModelNotFound:
    """What to say of a path that is not there; ``shown`` is how the message calls it."""
    if re.match(r"(https?|hf|s3|gs):/[^/]", model):
        return ModelNotFound(shown, cause, "An address has two slashes after the colon")
    if "/" in model and "@" in model and could_be_hub_id(model.partition("@")[0]):
        return ModelNotFound(shown, cause, f"Write hf://{shown} for the Hub's model, or --revision")
    if re.match(r"(www\.)?(huggingface|hf)\.co/", model):
        return ModelNotFound(shown, cause, f"Write https://{shown} for the Hub's model")
    there, wanted = _as_far_as_it_exists(model)
    folder = printable(str(there), 200)
    like_an_id = "/" in model and could_be_hub_id(model) and not model.lower().endswith(WEIGHT_SUFFIXES)
    in_a_folder = str(there) != "." and (like_an_id or wanted != Path(model).name)
    parts = [f"{folder} has no '{printable(wanted)}'"] if in_a_folder else []
    hints = []
    if near := near_names(model):
        hints.append(f"Did you mean {' or '.join(map(printable, near))}?")
    elif like_an_id and in_a_folder and (names := _names_in(there)):
        hints.append(f"It has {listed(map(printable, names), MOST_NAMED)}.")
    if like_an_id:
        hints.append(f"For the Hub's model of that name write hf://{shown}")
    return ModelNotFound(shown, ": ".join([cause, *parts]), " ".join(hints).removesuffix(".") or "Check the path")


def near_names(model: str) -> list[str]:
    """Paths that are here and called much as ``model`` is, the nearest first."""
    there, wanted = _as_far_as_it_exists(model)
    called: dict[str, str] = {}
    for name in _names_in(there):
        called.setdefault(name.casefold(), name)
    near = difflib.get_close_matches(wanted.casefold(), called, n=3, cutoff=0.7)
    return [os.path.join("" if str(there) == "." else there, called[name]) for name in near]


def _as_far_as_it_exists(model: str) -> tuple[Path, str]:
    """The last directory of a path that is there, and what it lacks."""
    path = Path(os.path.expanduser(model))
    lacking = path.name
    for parent in path.parents:
        if os.path.isdir(parent):
            return parent, lacking
        lacking = parent.name
    return Path(os.curdir), lacking


def _names_in(folder: Path) -> list[str]:
    """Names in it that are not hidden, sorted; [] where it may not be looked into."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, MOST_LOOKED_AT) if not entry.name.startswith("."))
    except OSError:
        return []
