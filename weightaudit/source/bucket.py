"""A model in cloud storage (s3://, gs://): a prefix of a bucket or one object, read by ranges and never kept.

Through fsspec, with the credentials and settings that its libraries find: environment, profiles, roles.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from threading import Event
from typing import Any

from weightaudit.errors import (
    ChangedMeanwhile,
    CheckpointError,
    ModelError,
    ModelNotFound,
    ModelUnreachable,
    UsageError,
)
from weightaudit.model_files import LABEL, WEIGHT_SUFFIXES
from weightaudit.source.base import safe_folder, safe_name
from weightaudit.source.bucket_calls import CHECK, Absent, ask, file_system
from weightaudit.source.http.retry import MAX_ATTEMPTS, GaveUp, RetryBudget
from weightaudit.source.local import MAX_BELOW, MAX_DEPTH
from weightaudit.source.places import bucket_path, parts_of
from weightaudit.source.schemes import safely, scheme_of
from weightaudit.text import did_you_mean, printable

PIECE = 16 << 20
"""Bytes asked for at once: as many are held a second time."""


class Storage:
    """A file system of fsspec, asked with the patience that the user allows."""

    def __init__(self, system: Any, scheme: str, max_wait: float) -> None:
        self.system = system
        self.scheme = scheme
        self.max_wait = max_wait
        self.answered = False

    def info(self, path: str, thing: str, closing: Event) -> dict[str, Any]:
        """What it says of an object or a prefix. Raises Absent and as `ask` does."""
        said = self._ask(partial(self.system.info, path), thing, closing)
        return dict(said)

    def listing(self, path: str, thing: str, closing: Event) -> list[dict[str, Any]]:
        """The same of all that is right below a prefix."""
        return list(self._ask(partial(self.system.ls, path, detail=True), thing, closing))

    def below(self, path: str, thing: str, closing: Event) -> list[str]:
        """Paths of objects below a prefix, some levels down."""
        return list(self._ask(partial(self.system.find, path, maxdepth=MAX_DEPTH + 1), thing, closing))

    def read(self, path: str, start: int, stop: int, thing: str, closing: Event) -> bytes:
        """Those bytes of an object."""
        return bytes(self._ask(partial(self.system.cat_file, path, start=start, end=stop), thing, closing))

    def _ask(self, call: Any, thing: str, closing: Event) -> Any:
        # As of a Hub that has answered before: a network may be away for a minute.
        budget = RetryBudget(thing, self.max_wait, closing, tries=None if self.answered else MAX_ATTEMPTS)
        try:
            found = ask(call, budget, self.scheme)
        except GaveUp:
            raise ValueError(f"{thing} is closed") from None
        self.answered = True
        return found


class BucketFile:
    """One object. ``mark`` is its ETag or generation, which is asked for again when all was read."""

    distant = True

    def __init__(self, storage: Storage, path: str, info: dict[str, Any], *, name: str, label: str) -> None:
        self.name = name
        self.label = label
        self.size = int(info["size"])
        self.mark = mark_of(info)
        self._storage = storage
        self._path = path
        self._closing = Event()

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill ``out`` from ``offset``, both in bytes.

        Raises CheckpointError where the object has fewer bytes or is gone, ModelUnavailable where the network or the
        storage fails for longer than is allowed, ValueError where the file is closed, before or meanwhile.
        """
        view = out.cast("B")
        if self._closing.is_set():
            raise ValueError(f"{self.label} is closed")
        if offset + len(view) > self.size and len(view):
            raise CheckpointError(
                self.label,
                f"bytes {offset} to {offset + len(view)} were expected, but it ends at {self.size}",
                "Its publisher must mend it",
            )
        for done in range(0, len(view), PIECE):
            length = min(PIECE, len(view) - done)
            try:
                data = self._storage.read(self._path, offset + done, offset + done + length, self.label, self._closing)
            except Absent:
                raise self._changed() from None
            if len(data) != length:
                raise self._changed()
            view[done : done + length] = data

    def check_unchanged(self) -> None:
        """ChangedMeanwhile where the object is another one now. One that is gone was whole when it was read."""
        try:
            info = self._storage.info(self._path, self.label, Event())
        except Absent:
            return
        if (int(info["size"] or 0), mark_of(info)) != (self.size, self.mark):
            raise self._changed()

    def close(self) -> None:
        """End reading, that of other threads too; a second call does nothing."""
        self._closing.set()

    def _changed(self) -> ChangedMeanwhile:
        return ChangedMeanwhile(self.label, "it has changed while it was read", "Scan the model again")


class BucketRepository:
    """A prefix of a bucket, ``root``, or one object right below it: ``chosen``."""

    revision = ""

    def __init__(self, storage: Storage, address: str, root: str, chosen: str | None, label: str) -> None:
        parts = parts_of(address)
        self.name = printable("/".join(parts[-2 if chosen else -1 :]))
        self.location = safely(address)
        self.chosen = chosen
        self.label = label
        self._storage = storage
        self._root = root
        self._closing = Event()
        self._opened: list[BucketFile] = []
        self._listed: dict[str, dict[str, dict[str, Any]]] = {}

    def files(self) -> list[str]:
        """Names of the objects right below the prefix."""
        return sorted(self._entries(""))

    def below(self) -> list[str]:
        """Paths of objects in folders."""
        try:
            found = self._storage.below(self._root, self.location, self._closing)
        except Absent:
            return []
        inside = (path.removeprefix(f"{self._root}/") for path in found)
        return sorted(path for path in inside if "/" in path)[:MAX_BELOW]

    def size_of(self, path: str) -> int | None:
        """Bytes of an object; None where that cannot be learnt."""
        folder, _, name = path.rpartition("/")
        try:
            entry = self._entries(folder).get(name)
        except ModelError:
            return None
        return None if entry is None else int(entry["size"])

    def is_near(self, names: Iterable[str]) -> bool:
        """Nothing is."""
        return not list(names)

    def files_in(self, folder: str) -> list[str]:
        """Names of the objects right below ``folder``."""
        return sorted(self._entries(safe_folder(folder, said_by=self.location)))

    def open_in(self, folder: str, name: str) -> BucketFile:
        """The object ``name`` of that folder."""
        return self._open(
            safe_folder(folder, said_by=self.location), safe_name(name, said_by=self.location), f"{folder}/{name}"
        )

    def fetch(self, names: Iterable[str]) -> None:
        """Nothing to do: nothing is kept."""

    def is_own(self, name: str) -> bool:
        """It is: storage has no links."""
        return True

    def open(self, name: str) -> BucketFile:
        """The object called ``name``; CheckpointError where there is none."""
        if name != self.chosen:
            safe_name(name, said_by=self.location)
        return self._open("", name, name)

    def check_unchanged(self) -> None:
        """ChangedMeanwhile where an object that was opened is another one now."""
        for file in self._opened:
            file.check_unchanged()

    def close(self) -> None:
        """End what still waits for the storage."""
        self._closing.set()

    def state(self) -> list[list[Any]]:
        """Sizes and marks of what a scan may read, by which a batch knows it again."""
        folders = ["", *sorted({path.rpartition("/")[0] for path in self.below()} if self.label else ())]
        found = ((folder, name, entry) for folder in folders for name, entry in sorted(self._entries(folder).items()))
        read = (*WEIGHT_SUFFIXES, ".json")
        return [[folder, name, it["size"], mark_of(it)] for folder, name, it in found if name.endswith(read)]

    def _open(self, folder: str, name: str, called: str) -> BucketFile:
        label = f"{safely(self._at(called))}"
        info = self._entries(folder).get(name)
        if info is None:
            raise CheckpointError(label, "the file is missing", "Check the address; the model may be incomplete")
        path = f"{self._root}/{called}"
        file = BucketFile(self._storage, path, info, name=called, label=label)
        self._opened.append(file)
        return file

    def _at(self, path: str) -> str:
        return f"{self._storage.scheme}://{self._root}/{path}"

    def _entries(self, folder: str) -> dict[str, dict[str, Any]]:
        """The objects right below a folder, by name; asked for once."""
        if folder not in self._listed:
            prefix = f"{self._root}/{folder}" if folder else self._root
            try:
                found = self._storage.listing(prefix, self.location, self._closing)
            except Absent:
                found = []
            objects = ((one["name"].removeprefix(f"{prefix}/"), one) for one in found if one.get("type") == "file")
            self._listed[folder] = {name: one for name, one in objects if name and "/" not in name}
        return self._listed[folder]


def bucket_repository(address: str, *, offline: bool, max_wait: float) -> BucketRepository:
    """The model at ``address``, a prefix or one object; a colon and a quantisation may follow a prefix.

    Raises UsageError where the library for it is not installed, ModelNotFound, ModelUnavailable.
    """
    shown = safely(address)
    scheme = scheme_of(address)
    path = bucket_path(address)
    if offline:
        raise ModelUnreachable(shown, "offline, and it is in cloud storage", "Drop the offline option")
    storage = Storage(file_system(scheme, shown), scheme, max_wait)
    try:
        return _opened(storage, address, path, "", shown)
    except Absent:
        named, _, label = path.rpartition(":")
        if named and LABEL.fullmatch(label):
            try:
                return _opened(storage, address.rstrip("/").removesuffix(f":{label}"), named, label, shown)
            except Absent:
                pass
    raise _not_there(storage, path, shown)


def _opened(storage: Storage, address: str, path: str, label: str, shown: str) -> BucketRepository:
    # A bucket itself may often be listed by those who may not ask what it is.
    kind = storage.info(path, shown, Event()).get("type") if "/" in path else "directory"
    repository = partial(BucketRepository, storage, address, label=label)
    if kind == "file":
        if label:
            raise UsageError(shown, "it names a file and a quantisation", "Give one of the two")
        root, _, chosen = path.rpartition("/")
        return repository(root=root, chosen=chosen)
    found = repository(root=path, chosen=None)
    if "/" not in path:
        storage.listing(path, shown, Event())  # Absent where there is no such bucket
    return found


def _not_there(storage: Storage, path: str, shown: str) -> ModelNotFound:
    """With names that are near, as far as these may be listed."""
    folder, _, wanted = path.rpartition("/")
    cause, near = "the storage has no such bucket", ""
    try:
        found = storage.listing(folder, shown, Event()) if folder else []
    except Absent:
        found = []
    except ModelError:
        found = [{"name": ""}]  # whatever it is that may not be listed, it is there
    if found:
        cause = "the storage has no such object or prefix"
        names = [printable(one["name"].rstrip("/").rpartition("/")[2]) for one in found]
        near = did_you_mean(wanted, names, most=2)
    elif "/" in folder:
        cause = "the storage has no such bucket, object or prefix"
    return ModelNotFound(shown, cause, f"{near}{CHECK}")


def mark_of(info: dict[str, Any]) -> str:
    """What tells one version of an object from another: S3's ETag, Google's generation."""
    for key in ("ETag", "etag", "generation", "md5Hash", "LastModified", "updated"):
        if info.get(key):
            return f"{key} {info[key]}"
    return ""
