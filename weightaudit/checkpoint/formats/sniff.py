"""Files that are not what their name says, recognised by their first bytes."""

from __future__ import annotations

import re

from weightaudit.errors import CheckpointError
from weightaudit.source import ByteSource

HEAD = 64
"""Bytes at a file's start that tell its kind."""
ZIP, PICKLE = b"PK\x03\x04", b"\x80"
NAME_IT = "Give it a name that ends as its kind does (such as pytorch_model.bin), or get the model's own file"
REDOWNLOAD_HINT = "Download it again"
ORIGINAL = "It was made from a model for that program: scan that model's safetensors or PyTorch files"
_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer and not the file itself", "Run 'git lfs pull' there"),
    (ZIP, "a zip archive (PyTorch's .bin format?)", NAME_IT),
    (PICKLE, "a Python pickle (PyTorch's old .bin format?)", NAME_IT),
    (b"GGUF", "a GGUF file", "Give it a name that ends in .gguf"),
    (b"lmgg", "a file of whisper.cpp or an old llama.cpp (ggml)", ORIGINAL),
    (b"tjgg", "a file of an old llama.cpp (ggjt)", ORIGINAL),
    (b"\xba\x16\x4f\x2f", "a fastText model", "Word vectors of this format are not read here"),
    (b"\x93NUMPY", "a NumPy array", "Save the model's tensors by their names, as safetensors"),
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
    if _is_ctranslate2(head):
        raise CheckpointError(source.label, f"it is not {expected}, but a CTranslate2 model", ORIGINAL)
    for magic, what, hint in _KINDS:
        if head.startswith(magic):
            raise CheckpointError(source.label, f"it is not {expected}, but {what}", hint)


def _is_ctranslate2(head: bytes) -> bool:
    """Whether a file begins with a small version number and the name of a model specification, as CTranslate2's do."""
    version, length = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:6], "little")
    name = head[6 : 6 + length]
    return 0 < version < 100 and name.endswith(b"\0") and re.fullmatch(rb"[A-Za-z0-9_]+Spec", name[:-1]) is not None
