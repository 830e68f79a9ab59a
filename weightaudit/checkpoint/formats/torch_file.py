"""A PyTorch file of either format, told apart as torch does: by its first bytes."""

from __future__ import annotations

from weightaudit.checkpoint.formats.checksums import Summed
from weightaudit.checkpoint.formats.polyglot import TAR_HEAD, refuse_tar, refuse_zip_behind
from weightaudit.checkpoint.formats.sniff import PICKLE, ZIP, read_head, refuse_foreign
from weightaudit.checkpoint.formats.torch_legacy import read_legacy
from weightaudit.checkpoint.formats.torch_zip import read_zip
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo
from weightaudit.source import ByteSource

NO_PYTORCH = (
    "Other programs' files are called .bin too: scan the model's safetensors or PyTorch files. If this should be one, "
    "download it again"
)
SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")


def is_torch(head: bytes) -> bool:
    """Whether a file that begins with ``head`` may be PyTorch's, and no safetensors file."""
    # The length of a safetensors header comes first, in 8 bytes: PyTorch's magic numbers would be absurd lengths.
    return head.startswith(ZIP) or (head.startswith(PICKLE) and any(head[4:8]))


def read_torch(source: ByteSource) -> tuple[str, list[TensorInfo], tuple[str, ...], list[Summed]]:
    """Which of PyTorch's formats ``source`` has, its tensors in name order, notes for the reader, and checksums."""
    head = read_head(source, TAR_HEAD)
    refuse_tar(source, head)
    if head.startswith(ZIP):
        return ("torch zip", *read_zip(source))
    if head.startswith(PICKLE):
        refuse_zip_behind(source)
        return ("torch legacy", *read_legacy(source), [])
    refuse_foreign(source, head, expected="a PyTorch file")
    if head[8:9] == b"{":
        raise CheckpointError(
            source.label,
            "it is not a PyTorch file, but looks like safetensors",
            "Give it a name that ends in .safetensors",
        )
    raise CheckpointError(source.label, "it is not a PyTorch file: neither a zip archive nor a pickle", NO_PYTORCH)
