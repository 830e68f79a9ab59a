"""Writing an output file whole or not at all, and saying early that it cannot be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from weightaudit import unfinished
from weightaudit.errors import OutputError, OutputErrors, UsageError
from weightaudit.model_files import NO_MODELS, ModelFiles

EXTENSIONS = (".html", ".csv", ".json", ".parquet", ".sarif", ".md", ".xml")


def output_extension(path: str | os.PathLike[str]) -> str:
    """The lower-case extension that picks the format; UsageError where it is none of `EXTENSIONS`."""
    extension = Path(path).suffix.lower()
    if extension not in EXTENSIONS:
        ending = f"'{extension}' is no report format" if extension else "its name has no extension to pick a format by"
        raise UsageError(str(path), ending, f"End it in one of {' '.join(EXTENSIONS)}")
    return extension


def check_output(path: str | os.PathLike[str], models: ModelFiles = NO_MODELS) -> None:
    """Fail now where `ScanResult.write` would fail after the scan of one of ``models``: UsageError for an unknown
    extension, OutputError.
    """
    output_extension(path)
    check_writable(path, models)


def check_writable(path: str | os.PathLike[str], models: ModelFiles = NO_MODELS, *, follow: bool = True) -> None:
    """Fail now where writing ``path`` would fail after the scan. Leaves nothing behind. ``follow`` is `replacing`'s.

    OutputError: no such directory, no permission, not a plain file, or what must not be replaced, as one of ``models``.
    """
    try:
        target = _target(path, models, follow=follow)
        with unfinished.temporary(target.parent) as trial:
            os.close(unfinished.create(trial))
    except OSError as error:
        raise _unwritable(path, error) from error


class Attempts:
    """Several outputs of finished work: where one cannot be written, the others still are.

    Example:
        >>> attempts = Attempts()
        >>> for write in (report.to_csv, report.to_html):  # doctest: +SKIP
        ...     with attempts:
        ...         write("out")
        >>> attempts.conclude()
    """

    def __init__(self) -> None:
        self._errors: list[Exception] = []

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):  # not Ctrl-C, which ends everything
            self._errors.append(error)
        return isinstance(error, Exception)

    def conclude(self) -> None:
        """Raise what went wrong: the one error, or OutputErrors with all of several."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise OutputErrors(self._errors)


@contextmanager
def attempting(given: Attempts | None) -> Iterator[Attempts]:
    """The ``given`` attempts, which their owner concludes; else new ones, concluded when the block has ended well."""
    attempts = given or Attempts()
    yield attempts
    if given is None:
        attempts.conclude()


@contextmanager
def replacing(
    path: str | os.PathLike[str], models: ModelFiles = NO_MODELS, *, follow: bool = False
) -> Iterator[BinaryIO]:
    """Binary file that becomes ``path`` when the block ends well; on any error ``path`` stays as it was.

    The bytes go to a new file in the same directory, which `os.replace` then renames: on one file system that
    is atomic. A symbolic link is replaced; with ``follow``, for a path that the user wrote, what it leads to is, as by
    opening it. OutputError where the file system refuses, and for a weight file's name or a file of ``models``.
    """
    try:
        target = _target(path, models, follow=follow)
        with unfinished.becoming(target) as temporary:
            with os.fdopen(unfinished.create(temporary), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists() and not target.is_symlink():
                os.chmod(temporary, target.stat().st_mode & 0o777)
    except OSError as error:
        raise _unwritable(path, error) from error


def _target(path: str | os.PathLike[str], models: ModelFiles, *, follow: bool) -> Path:
    """The file to be written, behind ``path`` if it is a link to ``follow``; OutputError where something else than a
    writable plain file is there, or what must not be replaced.
    """
    if os.fspath(path) == "-":
        raise OutputError("-", "a report is written to a file; stdout has the summary", "Name an output file")
    # Before links are followed: /dev/stdout may lead to a plain file, which a shell holds open and must keep.
    called = Path(os.path.abspath(path))
    if called.parts[1:2] in (("dev",), ("proc",)) and called.parts[2:3] != ("shm",):
        raise OutputError(str(path), "it is not a plain file", "Name an output file")
    target = Path(os.path.realpath(path)) if follow else Path(os.path.realpath(called.parent), called.name)
    models.check(path, target)
    if target.is_dir():
        raise OutputError(str(path), "it is a directory", "Name a file in it")
    if not target.parent.is_dir():
        raise OutputError(str(path), f"there is no directory {target.parent}", "Create it first")
    if target.is_symlink():
        return target
    if target.exists() and not target.is_file():
        raise OutputError(str(path), "it is not a plain file", "Name another output file")
    if target.exists() and not os.access(target, os.W_OK):
        raise OutputError(str(path), "the file is write-protected", "Name another output file")
    return target


def _unwritable(path: str | os.PathLike[str], error: OSError) -> OutputError:
    return OutputError(str(path), error.strerror or str(error), "Name an output file that can be written")
