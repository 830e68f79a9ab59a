"""Settings of a repository: weightaudit.toml, or [tool.weightaudit] of pyproject.toml, in the working directory.

They may choose what is scanned and how findings are judged, and nothing else: no output, no model, no token, no device.
A file that lies in the folder of the model that is scanned is the model's author's, and is not read unless it is named.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from weightaudit.cli.fail_on import FAIL_ON
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.errors import UsageError
from weightaudit.model_files import split_label
from weightaudit.options import options_of
from weightaudit.stored import read_plain
from weightaudit.text import did_you_mean, printable

FILE, PROJECT = "weightaudit.toml", "pyproject.toml"
"""Looked for in this order; where the first is there, the second is not read."""
TABLE = "weightaudit"
MAX_BYTES = 1 << 20
FAIL_ON_KEY = "fail_on"
KEYS = (*(name for name, known in options_of(AuditConfig).items() if known.in_settings), FAIL_ON_KEY)
"""What a file may set."""


@dataclass(frozen=True)
class Settings:
    """What a file sets, each as it is written there; ``path`` is "" where there is no file, ``named`` says that the
    command line names it.
    """

    path: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    named: bool = False

    def in_folder_of(self, models: Iterable[str]) -> str:
        """The first of ``models`` in whose folder the file was found; "" where it was named, or is apart from all."""
        if not self.path or self.named:
            return ""
        here = Path(os.path.realpath(os.curdir))
        for model in models:
            named = os.path.expanduser(split_label(model)[0])
            path = Path(os.path.realpath(named))
            folder = path if path.is_dir() else path.parent
            if os.path.lexists(named) and folder in (here, *here.parents):
                return model
        return ""


def find_settings(named: Path | None) -> Settings:
    """Those of the file ``named``, or of the working directory. UsageError for one that cannot be used."""
    if named is not None:
        return _read(str(named), named.name == PROJECT, named=True)
    for name in (FILE, PROJECT):
        if os.path.lexists(name):
            return _read(name, name == PROJECT, named=False)
    return Settings()


def _read(path: str, project: bool, *, named: bool) -> Settings:
    shown = printable(path, 1000)
    try:
        content = read_plain(path, limit=MAX_BYTES, follow=True)
    except OSError as error:
        raise UsageError(shown, (error.strerror or str(error)).lower(), "Name a TOML file by --config-file") from error
    if project and not named and TABLE.encode() not in content:
        return Settings()  # whatever else is in it, and wrong with it, is not for us
    try:
        said: Any = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # of TOML and of UTF-8 are both the first
        raise UsageError(shown, f"it is no TOML: {printable(str(error))}", "Correct it, or move it away") from error
    if project:
        said = said.get("tool", {})
        said = said.get(TABLE) if isinstance(said, Mapping) else None
        if said is None:
            return Settings()
    if not isinstance(said, Mapping):
        raise UsageError(f"{shown}: tool.{TABLE}", "it is no table", f"Write [tool.{TABLE}], then a key a line")
    return Settings(path, _checked(shown, os.path.dirname(path), said), named)


def _checked(shown: str, folder: str, said: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in said.items():
        name = key.replace("-", "_")
        if name not in KEYS:
            raise UsageError(
                f"{shown}: '{printable(key)}'",
                "a file of settings cannot set it",
                did_you_mean(name, KEYS) + f"It may set {', '.join(KEYS)}",
            )
        if name in values:
            raise UsageError(f"{shown}: '{printable(key)}'", "it is set twice", "Keep one of them")
        if name == FAIL_ON_KEY and value not in FAIL_ON:
            wrong = f"{printable(repr(value))} is none of {', '.join(FAIL_ON)}"
            raise UsageError(f"{shown}: {name}", wrong, "Write for example fail_on = 'warning'")
        if name != FAIL_ON_KEY:
            _try(shown, name, value)
        # A path is one from where it is written.
        values[name] = os.path.join(folder, value) if name == "baseline" else value
    return values


def _try(shown: str, name: str, value: Any) -> None:
    """UsageError that names the file where the option ``name`` cannot be ``value``."""
    try:
        DEFAULTS.with_written({name: value})
    except UsageError as error:
        raise UsageError(f"{shown}: {error.thing}", error.cause, error.hint) from error
    except TypeError as error:
        wrong = f"{printable(repr(value))} is no value of it"
        raise UsageError(f"{shown}: {name}", wrong, "Write a text, or a list of texts") from error
