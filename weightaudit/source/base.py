"""What a place where bytes live must offer, and the names it may be asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PureWindowsPath
from typing import Protocol

from weightaudit.errors import CheckpointError
from weightaudit.text import printable

CONFIG = "config.json"
GGUF = ".gguf"
"""How the name of a GGUF file ends."""
MAX_CONFIG = 10_000_000
"""Bytes; real ones have some thousand."""
STANDARD_WEIGHTS = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""The usual names of a model's one weight file or its shards' index, in the order in which they are taken."""
SHARD = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.safetensors|\.bin|\.pt|\.pth|\.gguf)"
)
"""The name of one shard of several."""
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *([.:].*)?", re.IGNORECASE)
"""What Windows takes for a device, with any ending, in any folder."""


class ByteSource(Protocol):
    """One open file of a model, read at any offset, by any thread.

    ``name`` is its plain name in the model; ``label`` says in messages where it is; ``size`` is in bytes; ``distant``
    says that the bytes come over a network, where reading ahead and several reads at once pay.
    """

    name: str
    label: str
    size: int
    distant: bool

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill ``out`` (bytes, writable) from ``offset``: all of it, or CheckpointError or ModelUnavailable."""
        ...

    def check_unchanged(self) -> None:
        """CheckpointError where the file is no longer what was opened; also after `close`."""
        ...

    def close(self) -> None:
        """Let the file go; reading afterwards is an error, and a read over a network under way ends soon."""
        ...


class Repository(Protocol):
    """The files of one model.

    ``name`` labels the model in every row and holds nothing of this machine; ``revision`` is a commit or
    ""; ``location`` is the path or URL of the files; ``chosen`` is the one file that the user named, or None;
    ``label`` is what the user added after a colon to say which of several quantisations, or "".
    """

    name: str
    revision: str
    location: str
    chosen: str | None
    label: str

    def files(self) -> list[str]:
        """Plain names of the files at the top level, sorted. Folders are not entered."""
        ...

    def below(self) -> list[str]:
        """Paths of files in folders, "folder/name", sorted: for advice. Some levels and many files of them at most."""
        ...

    def size_of(self, path: str) -> int | None:
        """Bytes of a file of `files` or `below`, without fetching it; None where that cannot be learnt."""
        ...

    def is_near(self, names: Iterable[str]) -> bool:
        """Whether these files can be opened without asking anything of a network."""
        ...

    def files_in(self, folder: str) -> list[str]:
        """Plain names of the files in ``folder``, itself a plain name, sorted; [] where there is none.

        CheckpointError where it leads out of the model.
        """
        ...

    def open_in(self, folder: str, name: str) -> ByteSource:
        """As `open`, of the file ``name`` in ``folder``; it is called "folder/name"."""
        ...

    def fetch(self, names: Iterable[str]) -> None:
        """Bring these files as near as was asked for, together; names that do not exist are skipped."""
        ...

    def is_own(self, name: str) -> bool:
        """Whether the file called ``name`` lies in the model, and is no link that leads out of it."""
        ...

    def open(self, name: str) -> ByteSource:
        """The file called ``name``; CheckpointError where the name is unsafe or no such file can be read."""
        ...

    def check_unchanged(self) -> None:
        """CheckpointError where a file that was opened is another one now, so that what was read may be a mixture."""
        ...

    def close(self) -> None:
        """End each `open` that other threads still wait in, by ValueError; files that are open stay so."""
        ...


def safe_name(name: str, *, said_by: str) -> str:
    """``name``, if it is the plain name of a file beside ``said_by``; else CheckpointError.

    Names come from files that strangers wrote. Windows' rules are the stricter ones (both slashes, drive
    letters), so a model is as safe, or as refused, on every system.
    """
    plain = PureWindowsPath(name).name == name and name not in ("", ".", "..")
    # A colon would name a stream behind the file, and a last dot or blank is dropped: another name for the same file.
    odd = ":" in name or name.endswith((".", " ")) or DEVICE.fullmatch(name)
    if not plain or odd or not name.isprintable():
        raise CheckpointError(
            said_by,
            f"it names the file '{printable(name)}', which is not a plain file name in the same directory",
            "It could lead outside the model, so it is refused; get the model from its publisher",
        )
    return name


def safe_folder(path: str, *, said_by: str) -> str:
    """``path``, if it is the path of a folder below ``said_by`` in plain names, "a/b"; else CheckpointError."""
    for part in path.split("/"):
        safe_name(part, said_by=said_by)
    return path
