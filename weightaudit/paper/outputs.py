"""An experiment's files: points.csv, NAME.html, NAME.png, config.json and, last, verdict.json.

Each is written whole or not at all. verdict.json stands for the set: it is taken away before the others change and
written when they are there, so a directory that has one is complete, and says by which settings and versions.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from weightaudit.errors import OutputError
from weightaudit.paper.page import write_page
from weightaudit.paper.png import write_png
from weightaudit.paper.results import Result
from weightaudit.paper.settings import describe
from weightaudit.report.files import replacing
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


def write(name: str, title: str, result: Result, config: Any, directory: Path) -> dict[str, Any]:
    """Write all files of a result into ``directory``, which exists; returns what verdict.json holds.

    OutputError where the file system refuses; the directory has no verdict.json then.
    """
    settings = describe(config)
    verdict: dict[str, Any] = plain(
        {
            "experiment": name,
            "title": title,
            "claims": [asdict(claim) for claim in result.claims],
            "notes": result.notes,
            "lacking": result.lacking,
            **made_by(config),
        }
    )
    with suppress(FileNotFoundError):
        (directory / VERDICT).unlink()
    about = {"experiment": name, "title": title, "schema": SCHEMA, "settings": settings, "versions": _versions()}
    _write_json(directory / "config.json", plain(about))
    with replacing(directory / "points.csv") as file:
        # Nine digits tell every float32 from its neighbours.
        text = result.points.to_csv(index=False, float_format="%.9g", lineterminator="\n")
        file.write(text.encode("utf-8", "backslashreplace"))
    with replacing(directory / f"{name}.html") as file:
        write_page(result, title, settings, file)
    with replacing(directory / f"{name}.png") as file:
        write_png(result.charts, title, file)
    _write_json(directory / VERDICT, verdict)
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


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _versions() -> dict[str, str]:
    return versions_of(VERSIONED, absent="unknown")  # a vendored copy has no metadata
