"""Files that are not what their name says, recognised by their first bytes."""

from __future__ import annotations

from weightaudit.errors import CheckpointError
from weightaudit.source import ByteSource

HEAD = 64
"""Bytes at a file's start that tell its kind."""
ZIP, PICKLE = b"PK\x03\x04", b"\x80"
NAME_IT = "Name it as what it is (such as pytorch_model.bin), or get the model's own file"
REDOWNLOAD_HINT = "Download it again"
_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer and not the file itself", "Run 'git lfs pull' there"),
    (ZIP, "a zip archive (PyTorch's .bin format?)", NAME_IT),
    (PICKLE, "a Python pickle (PyTorch's old .bin format?)", NAME_IT),
    (b"GGUF", "a GGUF file", "Use the model's safetensors files"),
    (b"\x89HDF", "an HDF5 file", "Use the model's safetensors files"),
    (b"<", "a web page: a download went wrong", REDOWNLOAD_HINT),
)


def read_head(source: ByteSource, nbytes: int = HEAD) -> bytes:
    """The first ``nbytes`` of ``source``, or all that it has."""
    head = bytearray(min(source.size, nbytes))
    source.read_into(0, memoryview(head))
    return bytes(head)


def refuse_foreign(source: ByteSource, head: bytes, *, expected: str) -> None:
    """CheckpointError where ``head`` begins a file that is known, and is not ``expected``."""
    if not head:
        raise CheckpointError(source.label, "it is empty", REDOWNLOAD_HINT)
    for magic, what, hint in _KINDS:
        if head.startswith(magic):
            raise CheckpointError(source.label, f"it is not {expected}, but {what}", hint)
