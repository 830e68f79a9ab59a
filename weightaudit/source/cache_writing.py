"""Files put into the Hugging Face cache in the layout that the Hub's client reads.

    models--org--name/blobs/<digest>              the bytes
                      snapshots/<commit>/<name>   a link to them; a second name or a copy where links cannot be made
                      refs/<revision>             the commit that a branch or tag meant

Nothing that a server says becomes a path: a blob is named by the digest of the bytes that came. That is the Hub's own
name for them (SHA-256 of a large file, git's SHA-1 of a small one), so the client finds what is kept here and the other
way round; an ETag that is no such digest is not used.

What is not whole yet has a temporary name. Among the blobs that ends as the client's own do (``.incomplete``), so that
its tools find what a killed process leaves.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from weightaudit.errors import CacheError, CheckpointError
from weightaudit.source.cache import commit_noted, is_inside, is_own, model_folder
from weightaudit.source.http.client import SOMEBODY_ELSE
from weightaudit.source.http.ranges import RemoteFile
from weightaudit.source.local import LocalFile
from weightaudit.text import printable
from weightaudit.unfinished import becoming, create, temporary

PIECE = 1 << 20
"""Bytes read at once for a digest."""


class CacheFolder:
    """The folder of one model, whose id has been checked. Each part may be a link only within that folder."""

    def __init__(self, model: str) -> None:
        self._top = model_folder(model)

    def keep(self, source: RemoteFile, commit: str) -> None:
        """Put the whole of ``source`` there as that commit's file of its name, if need be by downloading it.

        Raises CheckpointError where the bytes are not those that the Hub names, CacheError where the disk refuses, and
        as `RemoteFile.copy` does.
        """
        with _disk(self._top):
            *folders, name = PurePosixPath(source.name).parts
            blobs, snapshot = self._folder("blobs"), self._folder("snapshots", commit, *folders)
            blob = self._present(source, blobs) or self._fetched(source, blobs)
            _link(blob, snapshot / name)

    def remember(self, revision: str, commit: str) -> None:
        """Note that ``revision``, whose form has been checked, means that commit now."""
        if revision == commit:
            return
        *folders, name = PurePosixPath(revision).parts
        with _disk(self._top):
            ref = self._folder("refs", *folders) / name
            # The cache may be one that others filled and that cannot be written to.
            if commit_noted(ref) != commit:
                with becoming(ref) as partial, open(create(partial), "w", encoding="ascii") as file:
                    file.write(commit)

    def _folder(self, *parts: str) -> Path:
        """A folder within this one, made if need be."""
        folder = self._top.joinpath(*parts)
        # Before anything is made: a cache may have been unpacked from a stranger's archive, links and all.
        if not is_inside(folder, self._top):
            shown = printable(str(folder), limit=1000)
            raise CacheError(shown, "a link leads it outside of the model's folder", "Remove the link")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _present(self, source: RemoteFile, blobs: Path) -> Path | None:
        """The blob that has the bytes of ``source`` already, of another commit perhaps."""
        for digest in (source.sha256, source.git_sha1):
            blob = blobs / (digest or "")
            if digest is not None and blob.is_file() and is_own(blob, self._top):
                file = LocalFile(blob, name=digest)
                try:
                    if file.size == source.size and digest in _digests(file):
                        return blob
                finally:
                    file.close()
        return None

    def _fetched(self, source: RemoteFile, blobs: Path) -> Path:
        free = shutil.disk_usage(blobs).free
        if source.size > free:
            raise CacheError(
                printable(str(self._top), limit=1000),
                f"{source.label} has {source.size} bytes, and {free} are free there",
                "Make room, set HF_HOME to another disk, or leave out --download",
            )
        with temporary(blobs, ".incomplete") as partial:
            _write(partial, source)
            file = LocalFile(partial, name=partial.name)
            try:
                sha256, git_sha1 = _digests(file)
            finally:
                file.close()
            if source.sha256 not in (None, sha256):
                raise CheckpointError(
                    source.label, "the bytes that came are not those that the Hub names (SHA-256)", SOMEBODY_ELSE
                )
            blob = blobs / (git_sha1 if source.git_sha1 == git_sha1 else sha256)
            os.replace(partial, blob)
            return blob


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = printable(str(error.filename or folder), limit=1000)
        reason = (error.strerror or type(error).__name__).lower()
        hint = "Make room or check the permissions there, set HF_HOME to another folder, or leave out --download"
        raise CacheError(where, reason, hint) from error


def _write(path: Path, source: RemoteFile) -> None:
    with open(create(path), "wb", buffering=0) as file:

        def put(position: int, chunk: bytes) -> None:
            file.seek(position)
            left = memoryview(chunk)
            while left:
                left = left[file.write(left) :]

        source.copy(put)


def _digests(file: LocalFile) -> tuple[str, str]:
    """(SHA-256, git's SHA-1) of a file, in hexadecimal."""
    sha256, git_sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    piece = bytearray(PIECE)
    for offset in range(0, file.size, PIECE):
        view = memoryview(piece)[: min(PIECE, file.size - offset)]
        file.read_into(offset, view)
        sha256.update(view)
        git_sha1.update(view)
    return sha256.hexdigest(), git_sha1.hexdigest()


def _link(blob: Path, name: Path) -> None:
    """Have ``name``, in a snapshot, be ``blob``, which stays: other snapshots may have no file but it."""
    with becoming(name) as link:
        try:
            os.symlink(os.path.relpath(blob, name.parent), link)  # relative, so that the cache can be moved
            return
        except (OSError, NotImplementedError):  # Windows keeps links from many users, and some disks have none
            pass
        real = os.path.realpath(blob)  # it may be a link itself, made when that was possible
        try:
            os.link(real, link)
        except (OSError, NotImplementedError):
            with open(real, "rb") as source, open(create(link), "wb") as copy:
                shutil.copyfileobj(source, copy)
