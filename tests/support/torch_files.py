"""PyTorch files made for tests: honest ones by torch.save, others record by record and call by call."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

LEGACY = {"zip": True, "legacy": False}
"""Format → what torch.save wants to hear for it."""
VERSIONED = {"version": b"3\n", "byteorder": b"little"}


def saved(contents: Any, path: Path, form: str = "zip") -> Path:
    """``path``, written by torch.save in the form "zip" or "legacy"."""
    torch.save(contents, path, _use_new_zipfile_serialization=LEGACY[form])
    return path


def saved_bytes(contents: Any, form: str = "zip") -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(contents, buffer, _use_new_zipfile_serialization=LEGACY[form])
    return buffer.getvalue()


class Applied:
    """Pickled as ``function(*arguments)``, which is how a pickle runs code."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.made

    def __call__(self) -> None:
        """Only what can be called may be a ``function``; nobody calls this."""


class Bytes:
    """Pickled as a reference to a storage."""

    def __init__(self, *identity: Any) -> None:
        self.identity = identity


def storage(kind: Any = torch.FloatStorage, key: Any = "0", elements: Any = 6, *more: Any) -> Bytes:
    """A storage as torch.save refers to it."""
    return Bytes("storage", kind, key, "cpu", elements, *more)


def tensor(*, of: Any = None, offset: Any = 0, shape: Any = (2, 3), strides: Any = (3, 1)) -> Applied:
    """A tensor as torch.save describes it."""
    return Applied(torch._utils._rebuild_tensor_v2, storage() if of is None else of, offset, shape, strides, False, {})


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.identity if isinstance(obj, Bytes) else None


def pickled(contents: Any, protocol: int = 2) -> bytes:
    """A pickle of ``contents``, `Applied` and `Bytes` among them."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol).dump(contents)
    return buffer.getvalue()


def archive(records: Mapping[str, bytes], *, folder: str = "archive/", compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of ``records``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in records.items():
            file.writestr(folder + name, data)
    return buffer.getvalue()


def torch_zip(contents: Any, data: Mapping[str, bytes] | None = None, **records: bytes) -> bytes:
    """A zip file as torch.save writes it, of ``contents`` (bytes: the pickle itself) and storages by key."""
    pickle_bytes = contents if isinstance(contents, bytes) else pickled(contents)
    stored = {"0": bytes(24)} if data is None else data
    return archive(
        {"data.pkl": pickle_bytes, **VERSIONED, **records, **{f"data/{key}": value for key, value in stored.items()}}
    )


def legacy(contents: Any, data: Mapping[str, tuple[int, bytes]] | None = None, keys: Any = None) -> bytes:
    """A legacy file of ``contents`` (bytes: the pickle itself) and storages: key → (elements, bytes)."""
    stored = {"0": (6, bytes(24))} if data is None else data
    pickles = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, contents, list(stored) if keys is None else keys)
    return b"".join(part if isinstance(part, bytes) else pickled(part) for part in pickles) + b"".join(
        count.to_bytes(8, "little") + value for count, value in stored.values()
    )
