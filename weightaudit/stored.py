"""What this package has stored, read back as a stranger's: plain files only, bounded, every field checked.

A directory of results may come from anybody, so nothing in it is believed because of its name. Opening never waits (a
named pipe), reading never ends later than was allowed (a device), and a document is used only when each of its fields
is of its kind and in its range: `record` and the checks below raise ValueError for the first that is not.
"""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from weightaudit.errors import UsageError
from weightaudit.strict_json import parse_value

Checked = TypeVar("Checked")
Check = Callable[[Any], Any]

LONGEST_TEXT = 100_000
"""Characters of one text; what is longer was not written by us."""


def open_plain(path: str | os.PathLike[str], *, follow: bool) -> BinaryIO:
    """The file at ``path`` for reading, if it is a plain one; OSError that says what else it is.

    Without ``follow`` it must be no link either.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    if not follow:
        if is_link(os.lstat(path)):  # O_NOFOLLOW says it in odd words, and Windows does not have it
            raise OSError(errno.ELOOP, "It is a link", os.fspath(path))
        flags |= getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "It is not a plain file", os.fspath(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path: str | os.PathLike[str], *, limit: int, follow: bool) -> bytes:
    """All of the plain file at ``path``; OSError where it is none, or has more than ``limit`` bytes."""
    with open_plain(path, follow=follow) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"It has more than {limit:,} bytes", os.fspath(path))
    return content


def is_link(status: os.stat_result) -> bool:
    """Whether an `os.lstat` is that of a link: symbolic, or one of Windows' other ways to be elsewhere."""
    return stat.S_ISLNK(status.st_mode) or bool(getattr(status, "st_reparse_tag", 0))


def is_folder(path: Path) -> bool:
    """Whether a directory is there, and no link to one."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISDIR(status.st_mode) and not is_link(status)


def parse_stored(content: bytes) -> Any:
    """The JSON value that we wrote; ValueError where we did not."""
    try:
        return parse_value(content, thing="", error=UsageError, hint="", half_pairs=True)
    except UsageError as error:
        raise ValueError(error.cause) from error


def record(said: Any, fields: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> dict[str, Any]:
    """``said``, an object of exactly these ``fields`` and of some that are ``optional``, each as its check gives it."""
    if not isinstance(said, dict):
        raise ValueError("it is no object")
    checks = {**fields, **(optional or {})}
    if not fields.keys() <= said.keys() <= checks.keys():
        raise ValueError(f"its fields are not {', '.join(fields)}")
    return {name: _named(name, checks[name], value) for name, value in said.items()}


def _named(name: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def text(value: Any) -> str:
    """A string of bearable length."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError("it is no text")
    return value


def printed(value: Any) -> str:
    """A text that can be shown as it is: one line, and nothing in it that steers a terminal."""
    if not text(value).isprintable():
        raise ValueError("it holds what cannot be printed")
    return str(value)


def whole(value: Any) -> int:
    """A whole number from 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("it is no whole number from 0")
    return value


def finite(value: Any) -> float:
    """A finite number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("it is no finite number")
    return float(value)


def flag(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError("it is neither true nor false")
    return value


def one_of(values: Collection[str]) -> Callable[[Any], Any]:
    """The check for one of these texts."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"it is none of {', '.join(values)}")
        return value

    return check


def or_none(check: Callable[[Any], Checked]) -> Callable[[Any], Checked | None]:
    """``check``, which null passes too."""
    return lambda value: None if value is None else check(value)


def items(check: Callable[[Any], Checked]) -> Callable[[Any], list[Checked]]:
    """The check of a list whose items pass ``check``."""

    def each(value: Any) -> list[Checked]:
        if not isinstance(value, list):
            raise ValueError("it is no list")
        return [check(item) for item in value]

    return each


def by_name(check: Callable[[Any], Checked]) -> Callable[[Any], dict[str, Checked]]:
    """The check of an object of any names whose values pass ``check``."""

    def each(value: Any) -> dict[str, Checked]:
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        return {text(name): check(item) for name, item in value.items()}

    return each
