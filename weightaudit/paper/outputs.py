"""An experiment's files: points.csv, NAME.html, NAME.png, config.json and, last, verdict.json.

Each is written whole or not at all, and where one cannot be, the others are. verdict.json stands for the set: it is
taken away before the others change and written when they have been, so a directory that has one says by which settings
and versions its files were made, and which are lacking.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from weightaudit.errors import OutputError
from weightaudit.paper.page import write_page
from weightaudit.paper.png import write_png
from weightaudit.paper.results import Result
from weightaudit.paper.settings import describe
from weightaudit.report.atomic_write import Attempts, attempting, replacing
from weightaudit.strict_json import plain
from weightaudit.version import versions_of

SCHEMA = 1
"""Version of verdict.json and config.json; grows when a reader of the old ones would break."""
VERDICT = "verdict.json"
VERSIONED = ("torch", "numpy", "scipy", "pandas")


def file_names(name: str) -> tuple[str, ...]:
    """The files of experiment ``name``, in the order in which they are written."""
    return ("config.json", "points.csv", f"{name}.html", f"{name}.png", VERDICT)


def made_by(config: Any) -> dict[str, Any]:
    """What the numbers depend on: every setting, and the versions of what computed them."""
    return {
        "schema": SCHEMA,
        "settings": {name: one["value"] for name, one in describe(config).items()},
        "versions": _versions(),
    }


def prepare(directory: Path) -> None:
    """Make the experiment's directory. OutputError where that cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = "there is a file of that name" if isinstance(error, FileExistsError) else error.strerror or str(error)
        raise OutputError(str(directory), cause, "Name a directory that can be made") from error


def write(
    name: str, title: str, result: Result, config: Any, directory: Path, attempts: Attempts | None = None
) -> dict[str, Any]:
    """Write all files of a result into ``directory``, which exists; returns what verdict.json holds.

    Raises OutputError where one cannot be written; the others are, and verdict.json says that it is lacking.
    ``attempts`` that the caller gives keep that error, instead of raising it, until the verdict is told.
    """
    settings = describe(config)
    about = {"experiment": name, "title": title, "schema": SCHEMA, "settings": settings, "versions": _versions()}
    writers: dict[str, Callable[[BinaryIO], None]] = {
        "config.json": lambda file: _write_json(plain(about), file),
        # Nine digits tell every float32 from its neighbours.
        "points.csv": lambda file: _write_text(
            result.points.to_csv(index=False, float_format="%.9g", lineterminator="\n"), file
        ),
        f"{name}.html": lambda file: write_page(result, title, settings, file),
        f"{name}.png": lambda file: write_png(result.charts, title, file),
    }
    with suppress(OSError):  # what keeps it from being taken away keeps it from being written too, and is told there
        (directory / VERDICT).unlink()
    with attempting(attempts) as writing:
        unwritten = list(writers)
        for file_name, write_into in writers.items():
            with writing:
                with replacing(directory / file_name) as file:
                    write_into(file)
                unwritten.remove(file_name)
        verdict: dict[str, Any] = plain(
            {
                "experiment": name,
                "title": title,
                "claims": [asdict(claim) for claim in result.claims],
                "notes": result.notes,
                "lacking": [*result.lacking, *unwritten],
                **made_by(config),
            }
        )
        with writing, replacing(directory / VERDICT) as file:
            _write_json(verdict, file)
    return verdict


def finished(name: str, config: Any, directory: Path) -> dict[str, Any] | None:
    """The verdict of an earlier run whose files are all there, if it is what a run would write now; else None.

    That is so where settings and versions are the same and the earlier run lacked nothing.
    """
    if not all((directory / file).is_file() for file in file_names(name)):
        return None
    verdict = read_verdict(directory)
    if verdict is None or verdict.get("lacking") != []:
        return None
    wanted = plain(made_by(config))
    return verdict if {key: verdict.get(key) for key in wanted} == wanted else None


def read_verdict(directory: Path) -> dict[str, Any] | None:
    """What verdict.json holds; None where there is none that can be read."""
    try:
        verdict = json.loads((directory / VERDICT).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return verdict if isinstance(verdict, dict) else None


def _write_json(value: Any, file: BinaryIO) -> None:
    _write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", file)


def _write_text(text: str, file: BinaryIO) -> None:
    file.write(text.encode("utf-8", "backslashreplace"))


def _versions() -> dict[str, str]:
    return versions_of(VERSIONED, absent="unknown")  # a vendored copy has no metadata
