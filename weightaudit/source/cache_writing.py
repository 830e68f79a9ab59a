"""Files put into the Hugging Face cache in the layout that the Hub's client reads.

    models--org--name/blobs/<digest>              the bytes
                      snapshots/<commit>/<name>   a link to them; the file itself where links cannot be made
                      refs/<revision>             the commit that a branch or tag meant

Nothing that a server says becomes a path: a blob is named by the digest of the bytes that came. That is the Hub's own
name for them (SHA-256 of a large file, git's SHA-1 of a small one), so the client finds what is kept here and the other
way round; an ETag that is no such digest is not used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from huggingface_hub import constants

from weightaudit.errors import CacheError, CheckpointError
from weightaudit.source.local import LocalFile
from weightaudit.source.remote import RemoteFile
from weightaudit.source.web import SOMEBODY_ELSE
from weightaudit.text import printable

PIECE = 1 << 20
"""Bytes read at once for a digest."""


class CacheFolder:
    """The folder of one model, whose id has been checked. Each part may be a link only within that folder."""

    def __init__(self, model: str) -> None:
        self._top = Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"

    def keep(self, source: RemoteFile, commit: str) -> None:
        """Put the whole of ``source`` there as that commit's file of its name, if need be by downloading it.

        Raises CheckpointError where the bytes are not those that the Hub names, CacheError where the disk refuses, and
        as `RemoteFile.copy` does.
        """
        with _disk(self._top):
            blobs, snapshot = self._folder("blobs"), self._folder("snapshots", commit)
            blob = self._present(source, blobs) or self._fetched(source, blobs)
            _link(blob, snapshot / source.name)

    def remember(self, revision: str, commit: str) -> None:
        """Note that ``revision``, whose form has been checked, means that commit now."""
        if revision == commit:
            return
        *folders, name = PurePosixPath(revision).parts
        with _disk(self._top):
            ref = self._folder("refs", *folders) / name
            # The cache may be one that others filled and that cannot be written to.
            if not _says(ref, commit):
                _write_ref(ref, commit)

    def _folder(self, *parts: str) -> Path:
        """A folder within this one, made if need be."""
        folder = self._top.joinpath(*parts)
        # Before anything is made: a cache may have been unpacked from a stranger's archive, links and all.
        if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(self._top)):
            shown = printable(str(folder), limit=1000)
            raise CacheError(shown, "a link leads it outside of the model's folder", "Remove the link")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _present(self, source: RemoteFile, blobs: Path) -> Path | None:
        """The blob that has the bytes of ``source`` already, of another commit perhaps."""
        for digest in (source.sha256, source.git_sha1):
            if digest is not None and (blobs / digest).is_file():
                file = LocalFile(blobs / digest, name=digest)
                try:
                    if file.size == source.size and digest in _digests(file):
                        return blobs / digest
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
        partial = blobs / f"{uuid.uuid4().hex}.incomplete"
        try:
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
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = printable(str(error.filename or folder), limit=1000)
        reason = (error.strerror or type(error).__name__).lower()
        hint = "Make room or check the permissions there, set HF_HOME to another folder, or leave out --download"
        raise CacheError(where, reason, hint) from error


def _create(path: Path) -> int:
    """A descriptor of the new file ``path``; whatever is there already, a link too, is an error."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)


def _write(path: Path, source: RemoteFile) -> None:
    with open(_create(path), "wb", buffering=0) as file:

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
    """Have ``name``, in a snapshot, be ``blob``. Relative, so that the cache can be moved."""
    link = name.with_name(f".{uuid.uuid4().hex}")
    try:
        os.symlink(Path("..", "..", "blobs", blob.name), link)
    except (OSError, NotImplementedError):  # Windows keeps links from many users, and some disks have none
        os.replace(blob, name)
        return
    try:
        os.replace(link, name)
    except BaseException:  # Ctrl-C too; raised again
        link.unlink(missing_ok=True)
        raise


def _says(ref: Path, commit: str) -> bool:
    if not ref.is_file():
        return False
    with ref.open("rb") as file:
        return file.read(len(commit) + 1) == commit.encode()


def _write_ref(path: Path, commit: str) -> None:
    partial = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with open(_create(partial), "w", encoding="ascii") as file:
            file.write(commit)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
