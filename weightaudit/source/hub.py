"""Models of the Hugging Face Hub: read from the local Hugging Face cache where that has them, else streamed.

A model of which the cache has the config and all weights needs no request. Of any other the Hub is asked once for the
commit and its files; then each file that the cache has of that commit is read from there, and the others by ranges,
from the Hub, without keeping them. Only `download` writes into the cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from threading import Event
from urllib.parse import quote

from huggingface_hub import constants

from weightaudit.errors import CheckpointError, ModelError, ModelUnreachable
from weightaudit.model_files import WEIGHT_SUFFIXES
from weightaudit.source.base import GGUF, SHARD, ByteSource, safe_folder, safe_name
from weightaudit.source.cache import CONFIG, cached_file, cached_snapshot, is_whole
from weightaudit.source.cache_writing import CacheFolder
from weightaudit.source.download import download as download_files
from weightaudit.source.http.client import Access
from weightaudit.source.http.ranges import RemoteFile
from weightaudit.source.hub_api import file_url, located
from weightaudit.source.hub_errors import endpoint
from weightaudit.source.hub_place import HubPlace
from weightaudit.source.local import FileState, LocalFile, LocalRepository
from weightaudit.source.names import check_model, check_revision, token_to_send
from weightaudit.source.redaction import redact_logs
from weightaudit.source.resolve_revision import Pinned, resolve_revision
from weightaudit.text import listed, printable


class HubRepository:
    """One commit of a Hub model.

    ``snapshot`` is its folder in the cache, where that has all that matters; else ``pinned`` is what the Hub said.
    """

    def __init__(
        self,
        commit: str,
        *,
        snapshot: Path | None = None,
        pinned: Pinned | None = None,
        access: Access,
        offline: bool,
        download: bool,
        label: str = "",
        chosen: str | None = None,
    ) -> None:
        self.label = label
        self.chosen = chosen
        self.revision = commit
        place = HubPlace(access.model, commit, chosen or "")
        self.name = place.name
        self.location = f"{endpoint()}/{access.model}" + (f"/blob/{commit}/{quote(chosen)}" if chosen else "")
        self._model = access.model
        self._snapshot = snapshot
        self._pinned = pinned
        self._access = access
        self._offline = offline
        self._download = download
        self._closing = Event()
        self._opened: list[FileState] = []

    def files(self) -> list[str]:
        """Names at the top level of the repository, or of its cached folder if the Hub has not been asked."""
        if self._pinned is not None:
            return sorted(name for name in self._pinned.files if "/" not in name)
        return [] if self._snapshot is None else _names_in(self._snapshot)

    def below(self) -> list[str]:
        """Paths of files in folders of the repository, or of its cached folder if the Hub has not been asked."""
        if self._pinned is not None:
            return sorted(name for name in self._pinned.files if "/" in name)
        return [] if self._snapshot is None else _local(self._snapshot).below()

    def size_of(self, path: str) -> int | None:
        """Bytes of that file; None where neither the cache nor the Hub says."""
        try:
            file = self._open(safe_folder(path, said_by=self.location))
        except ModelError:
            return None
        file.close()
        return file.size

    def is_near(self, names: Iterable[str]) -> bool:
        """Whether the cache has them."""
        return all(self._cached(safe_name(name, said_by=self.location)) is not None for name in names)

    def is_own(self, name: str) -> bool:
        """It is, or cannot be opened: `cached_file` sees to that."""
        return True

    def files_in(self, folder: str) -> list[str]:
        """Names of the files in that folder of the repository, or of its cached folder."""
        inside = f"{safe_folder(folder, said_by=self.location)}/"
        if self._pinned is None:
            return [] if self._snapshot is None else _local(self._snapshot).files_in(folder)
        found = (name.removeprefix(inside) for name in self._pinned.files if name.startswith(inside))
        return sorted(name for name in found if "/" not in name)

    def open_in(self, folder: str, name: str) -> ByteSource:
        """The file ``name`` of that folder: from the cache, or from the Hub, downloaded if that was asked for."""
        path = f"{safe_folder(folder, said_by=self.location)}/{safe_name(name, said_by=self.location)}"
        self._fetch([path])
        return self._open(path)

    def fetch(self, names: Iterable[str]) -> None:
        """Download those of ``names`` that the cache lacks and the Hub has, if downloads were asked for.

        ModelUnreachable where the cache lacks some and the Hub is not to be asked, CheckpointError for an unsafe name.
        """
        self._fetch([safe_name(name, said_by=self.location) for name in names])

    def _fetch(self, names: Iterable[str]) -> None:
        """As `fetch`, of paths whose parts are safe."""
        absent = [name for name in names if self._cached(name) is None]
        if not absent:
            return
        if self._offline:
            raise ModelUnreachable(
                self._model,
                f"offline, and the Hugging Face cache lacks {_some(absent)}",
                "Download the model first, or drop the offline option and unset HF_HUB_OFFLINE",
            )
        files = self._ask_hub().files
        wanted = [name for name in absent if name in files]
        if self._download and wanted:
            download_files(self._model, self.revision, wanted, self._at_hub, self.close)
            missing = [name for name in wanted if self._cached(name) is None]
            if missing:
                raise ModelUnreachable(self._model, f"downloading {_some(missing)} failed", "Check the network")

    def open(self, name: str) -> ByteSource:
        """The file ``name``: from the cache, or from the Hub."""
        return self._open(safe_name(name, said_by=self.location))

    def _open(self, name: str) -> ByteSource:
        cached = self._cached(name)
        if cached is not None:
            file = LocalFile(cached, name=name)
            self._opened.append(file.state)
            return file
        if self._offline or name not in self._ask_hub().files:
            label = f"{self._model}/{printable(name)}"
            raise CheckpointError(label, "the file is missing", "Check the revision; the model may be incomplete")
        return self._at_hub(name)

    def _at_hub(self, name: str) -> RemoteFile:
        label = f"{self._model}/{printable(name)}"
        url = file_url(self._ask_hub().model, self.revision, name)
        locate = located(url, self.revision, self._access)
        return RemoteFile(locate, name=name, label=label, access=self._access, giving_up=self._closing)

    def check_unchanged(self) -> None:
        """CheckpointError where a cached file is another one now; streamed ones are checked with every answer."""
        for state in self._opened:
            state.check()

    def close(self) -> None:
        """End each `open` that still waits for the Hub."""
        self._closing.set()

    def _cached(self, name: str) -> Path | None:
        models = (self._model,) if self._pinned is None else (self._model, self._pinned.model)
        return cached_file(dict.fromkeys(models), self.revision, name)

    def _ask_hub(self) -> Pinned:
        if self._pinned is None:
            self._pinned = resolve_revision(self._access, self.revision)
        return self._pinned


def hub_repository(
    model: str,
    *,
    revision: str | None,
    token: str | None,
    offline: bool,
    download: bool,
    max_wait: float,
    label: str = "",
    chosen: str | None = None,
) -> HubRepository:
    """The Hub model with this id: from the cache where that has its config and weights, else from the Hub.

    ``label`` says which of its quantisations, ``chosen`` which of its files.
    """
    redact_logs()
    check_model(model)
    check_revision(model, revision)
    access = Access(model, revision, token_to_send(token), max_wait)
    offline = offline or constants.HF_HUB_OFFLINE
    repository = partial(HubRepository, access=access, offline=offline, download=download, label=label, chosen=chosen)

    snapshot = cached_snapshot(model, revision)
    if snapshot is not None:
        names = _names_in(snapshot)
        if _has_what_is_asked(names, label, chosen) or (
            offline and any(name.endswith(WEIGHT_SUFFIXES) for name in names)
        ):
            return repository(snapshot.name, snapshot=snapshot)
    if offline:
        at = f" at revision '{printable(revision)}'" if revision else ""
        raise ModelUnreachable(
            model,
            f"no such file or directory here, and offline the Hugging Face cache has no weights of it{at}",
            "Download it first, or drop the offline option and unset HF_HUB_OFFLINE",
        )
    pinned = resolve_revision(access, revision)
    found = repository(pinned.commit, pinned=pinned)
    if download and (CONFIG in pinned.files or any(name.endswith(GGUF) for name in pinned.files)):
        found.fetch([CONFIG])
        # So that the same command works offline afterwards.
        CacheFolder(model).remember(revision or "main", pinned.commit)
    return found


def _has_what_is_asked(names: list[str], label: str, chosen: str | None) -> bool:
    """Whether files of these names are all that a scan reads. Of one of several shards nobody can say that."""
    if chosen is None:
        return is_whole(names) and not label
    alone = not chosen.endswith(".json") and SHARD.fullmatch(chosen) is None
    return alone and chosen in names and CONFIG in names


def _names_in(folder: Path) -> list[str]:
    return _local(folder).files()


def _local(folder: Path) -> LocalRepository:
    return LocalRepository(folder, name="", location=str(folder))


def _some(names: list[str]) -> str:
    return listed(map(printable, names), 3, noun="files")
