"""A model on a web server: one weight file by its address, or a folder, read by ranges and never kept.

A web server lists nothing. So some names are asked for beside the file or in the folder (`BESIDE`, `WEIGHTS`), and what
is there is what answered.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import Event
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from weightaudit.errors import CheckpointError, ModelError, ModelNotFound, ModelUnavailable, ModelUnreachable
from weightaudit.source.base import CONFIG, GGUF, SHARD, STANDARD_WEIGHTS, ByteSource, safe_name
from weightaudit.source.http.client import Access, client_of
from weightaudit.source.http.location import RemoteLocation, etag_or_date
from weightaudit.source.http.ranges import RemoteFile
from weightaudit.source.http.retry import GaveUp, RetryBudget, retry
from weightaudit.source.hub_errors import HTTP
from weightaudit.source.places import parts_of, web_file
from weightaudit.source.redaction import redact_logs
from weightaudit.source.schemes import safely
from weightaudit.source.web_api import ABSENT, CHECK, NO_PARTS, Refused, find, located
from weightaudit.strict_json import parse_object
from weightaudit.text import printable

ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
WEIGHTS = (*(name for pair in STANDARD_WEIGHTS for name in pair), *ADAPTERS)
"""Asked for in a folder."""
BESIDE = (CONFIG, "adapter_config.json", "quantize_config.json", "quant_config.json", "hf_quant_config.json")
"""Asked for in a folder and beside a file: what a checkpoint reads of small files beside weights."""
OPTIONAL = BESIDE[1:]
"""Of these, what most models do not have, and a server may answer for in any way."""
PATIENCE = 5.0
"""Seconds that these are waited for."""
NO_PROXY = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"))
"""This machine is asked by nobody in between, whatever proxies the environment names."""
AT_ONCE = 8
"""Names asked for together."""
MAX_INDEX = 100_000_000
"""Bytes of an index of shards."""
MOST_SHARDS = 10_000


class WebRepository:
    """A folder of a web server, or one file of it: ``chosen``.

    ``found`` are the files that answered, and where they are; ``listed`` are shards that an index or a name tells of.
    """

    revision = ""
    label = ""

    def __init__(self, address: str, chosen: str | None, access: Access) -> None:
        self.location = safely(address)
        self.chosen = chosen
        self.name = printable("/".join(parts_of(address)[-2 if chosen else -1 :]))
        self.found: dict[str, RemoteLocation] = {}
        self.listed: list[str] = []
        self._address = urlsplit(address)
        self._access = access
        self._closing = Event()

    def files(self) -> list[str]:
        """Names of the files that are known to be there, or said to be by an index."""
        return sorted({*self.found, *self.listed})

    def below(self) -> list[str]:
        """None: nobody lists them."""
        return []

    def size_of(self, path: str) -> int | None:
        """Bytes of a file that answered."""
        return self.found[path].size if path in self.found else None

    def is_near(self, names: Iterable[str]) -> bool:
        """Nothing is, and nothing is asked for only to compare it."""
        return not list(names)

    def files_in(self, folder: str) -> list[str]:
        """None: folders are not entered."""
        return []

    def open_in(self, folder: str, name: str) -> ByteSource:
        """CheckpointError: folders are not entered."""
        raise CheckpointError(
            self._label(f"{folder}/{name}"), "folders of a web server are not entered", "Name the file"
        )

    def fetch(self, names: Iterable[str]) -> None:
        """Nothing to do: nothing is kept."""

    def is_own(self, name: str) -> bool:
        """It is: a web server has no links."""
        return True

    def open(self, name: str) -> RemoteFile:
        """The file called ``name``; CheckpointError where there is none."""
        if name != self.chosen:
            safe_name(name, said_by=self.location)
        if name not in self.found and name not in self.listed:
            raise CheckpointError(self._label(name), "the file is missing", "Check the address")
        place = self.found.get(name) or self._ask(name)
        if isinstance(place, Refused):
            if place.status in ABSENT:
                cause = f"{place.server} does not have the file (HTTP {place.status}), which belongs to the model"
                raise CheckpointError(self._label(name), cause, "Its publisher must add it")
            raise place.error(self._label(name))
        label = self._label(name)
        if not place.in_parts and not name.endswith(".json"):  # small files are read whole
            raise ModelUnavailable(label, "the server gives the whole file where a part of it is asked for", NO_PARTS)
        return RemoteFile(
            located(self._url(name), self._access),
            name=name,
            label=label,
            access=self._access,
            giving_up=self._closing,
            mark=etag_or_date,
            place=place,
        )

    def check_unchanged(self) -> None:
        """Nothing to do: each answer is checked."""

    def close(self) -> None:
        """End what still waits for the server."""
        self._closing.set()

    def state(self) -> list[list[Any]]:
        """Sizes and marks of the files, those of an index too, by which a batch knows them again."""
        self.look_for([name for name in self.listed if name not in self.found])
        return [[name, place.size, place.etag] for name, place in sorted(self.found.items())]

    def look_for(self, names: Sequence[str]) -> dict[str, Refused]:
        """Ask for ``names`` together, keep those that are there, and give why the others are not."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="weightaudit-look") as pool:
            try:
                answers = list(pool.map(self._ask, names))
            except BaseException:  # Ctrl-C too; raised again
                pool.shutdown(wait=False, cancel_futures=True)
                self.close()
                raise
        by_name = dict(zip(names, answers, strict=True))
        self.found |= {name: place for name, place in by_name.items() if isinstance(place, RemoteLocation)}
        return {name: why for name, why in by_name.items() if isinstance(why, Refused)}

    def list_shards(self, index: str) -> None:
        """Believe the ``index``, which answered, that its shards are there; opening one asks."""
        source = self.open(index)
        try:
            if source.size > MAX_INDEX:
                return  # reading it will say so
            data = bytearray(source.size)
            source.read_into(0, memoryview(data))
        finally:
            source.close()
        try:
            said = parse_object(bytes(data), thing=source.label, error=CheckpointError, hint="").get("weight_map")
        except CheckpointError:  # it is read again, which says what is wrong
            return
        names = {name for name in said.values() if isinstance(name, str)} if isinstance(said, dict) else set()
        self.listed += sorted(names)[:MOST_SHARDS]

    def _ask(self, name: str) -> RemoteLocation | Refused:
        budget = self._budget(name)
        try:
            return retry(lambda: find(self._url(name), budget, self._access), budget)
        except GaveUp:
            raise ValueError(f"{self._label(name)} is closed") from None
        except ModelError:
            # What only may lie beside the weights must not cost them; their own failures, and the config's, are told.
            if name not in OPTIONAL:
                raise
            return Refused(self._access.model, HTTPStatus.NOT_FOUND, signed=False)

    def _budget(self, name: str) -> RetryBudget:
        longest = min(self._access.max_wait, PATIENCE) if name in OPTIONAL else self._access.max_wait
        return RetryBudget(self._label(name), longest, self._closing)

    def _url(self, name: str) -> str:
        """The address of a file, with the query of the one that was given: a signature may be for a whole folder."""
        if name == self.chosen:
            return urlunsplit(self._address._replace(fragment=""))
        folder = self._address.path.rpartition("/")[0]
        return urlunsplit(self._address._replace(path=f"{folder}/{quote(name)}", fragment=""))

    def _label(self, name: str) -> str:
        return safely(self._url(name))


def web_repository(address: str, *, offline: bool, max_wait: float) -> WebRepository:
    """The weight file at ``address``, or the folder where it ends in a slash.

    Raises UsageError for an address that is none or is not encrypted, ModelNotFound, ModelUnavailable.
    """
    shown = safely(address)
    chosen = web_file(address)
    if offline:
        raise ModelUnreachable(shown, "offline, and it is on a web server", "Drop the offline option")
    redact_logs()
    client = client_of(shown, lambda: HTTP.Client(follow_redirects=False, mounts=NO_PROXY))
    access = Access(shown, None, None, max_wait, client=client, hint=CHECK, no_parts=NO_PARTS)
    weakref.finalize(access, client.close)  # when neither this nor any of its files is in use any more
    repository = WebRepository(address, chosen, access)
    absent = repository.look_for((chosen, *BESIDE) if chosen else (*WEIGHTS, *BESIDE))
    if chosen in absent:
        raise absent[chosen].error(shown)
    if chosen is None and repository.found.keys().isdisjoint(WEIGHTS):
        raise _nothing_in(shown, list(absent.values()))
    index = chosen or next((name for name in WEIGHTS if name in repository.found), "")
    if index.endswith(".index.json"):
        repository.list_shards(index)
    shard = SHARD.fullmatch(index)
    if shard is not None and shard["suffix"] == GGUF and 0 < int(shard["count"]) <= MOST_SHARDS:
        count = shard["count"]
        repository.listed += [f"{shard['stem']}-{i:05d}-of-{count}{GGUF}" for i in range(1, int(count) + 1)]
    return repository


def _nothing_in(shown: str, refused: list[Refused]) -> ModelNotFound | ModelUnavailable:
    statuses = {one.status for one in refused}
    if statuses and statuses <= {401, 403}:
        return ModelUnavailable(
            shown, f"the server refuses access (HTTP {min(statuses)})", "Name the weight file, or check who may read it"
        )
    cause = f"no weights found: asked for {', '.join(WEIGHTS)}; a web server does not list what it has"
    return ModelNotFound(shown, cause, "Name the weight file itself")
