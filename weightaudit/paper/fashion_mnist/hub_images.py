"""Fashion-MNIST from the Hugging Face Hub: one parquet file a split, each image a PNG within it."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session, tqdm  # type: ignore[attr-defined]  # public, not in __all__
from PIL import Image, UnidentifiedImageError

from weightaudit.errors import DataError
from weightaudit.paper.fashion_mnist.images import SIDE, Images, Split, checked
from weightaudit.source.hub_errors import HTTP_ERROR

DATASET = "zalando-datasets/fashion_mnist"
THING = f"data set {DATASET}"
ELSEWHERE = "Check the network, or give a directory of the IDX files: --data-dir DIR"
_ETAG = re.compile(r'(W/)?"?[A-Za-z0-9_-]{1,128}"?')
_NAMES = {"etag": _ETAG, "x-linked-etag": _ETAG, "x-repo-commit": re.compile("[0-9a-f]{40}")}
"""Headers of whose values the Hub's client makes names in its cache, each with what it may look like."""
TIMEOUT = 20.0
"""Seconds that the Hub may take for an answer."""


def from_hub(split: Split, *, offline: bool) -> Images:
    """The images of a split, downloaded into the Hugging Face cache (test: 5 MB, train: 31 MB) if it lacks them."""
    path = _downloaded(f"fashion_mnist/{split}-00000-of-00001.parquet", offline)
    commit = path.parent.parent.name  # the cache's folder of a commit bears its name
    pixels, classes = _read(path)
    return checked(pixels, classes, f"{DATASET} at {commit[:7]}")


def _downloaded(name: str, offline: bool) -> Path:
    session = get_session()
    hooks = session.event_hooks
    if _check_names not in hooks["response"]:
        session.event_hooks = {**hooks, "response": [*hooks["response"], _check_names]}
    try:
        found = hf_hub_download(
            DATASET,
            name,
            repo_type="dataset",
            token=False,  # it is public, and the client would take a token wherever a server sends it
            etag_timeout=TIMEOUT,
            local_files_only=offline,
            tqdm_class=_Progress,
        )
    except (HTTP_ERROR, EntryNotFoundError, OSError, RuntimeError, ValueError) as error:
        failure = DataError(THING, _cause(error, name, offline), ELSEWHERE)
    else:
        return Path(str(found))
    raise failure  # outside of the handler: the client's texts may repeat signed addresses


def _check_names(response: Any) -> None:
    """ValueError where the client would make a path of what no file should be called."""
    for header, form in _NAMES.items():
        value = response.headers.get(header)
        if value is not None and form.fullmatch(value) is None:
            raise ValueError(f"the header {header} names no file of the cache")


def _cause(error: BaseException, name: str, offline: bool) -> str:
    """What the client's error means. Subclasses come first."""
    if isinstance(error, LocalEntryNotFoundError):
        if offline or isinstance(error.__cause__, OfflineModeIsEnabled):
            return "offline, and the Hugging Face cache lacks it"
        if error.__cause__ is not None:  # the cache lacks it; what matters is why the Hub did not help
            return _cause(error.__cause__, name, offline)
        return "the Hub cannot be reached, and the Hugging Face cache lacks it"
    if isinstance(error, OfflineModeIsEnabled):
        return "offline, and the Hugging Face cache lacks it"
    if isinstance(error, (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError)):
        return "the Hub has no such data set, or does not show it"
    if isinstance(error, EntryNotFoundError):
        return f"the Hub has no file {name} in it"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the Hub answered HTTP {status}"
    return f"it cannot be had from the Hub ({type(error).__name__})"


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 28, 28) uint8 and classes (n,) of columns ``image`` (a PNG's bytes) and ``label``."""
    try:
        table = pyarrow.parquet.read_table(path, columns=["image", "label"])
        encoded = table.column("image").combine_chunks().field("bytes").to_pylist()
        classes = table.column("label").to_numpy()
    except (pyarrow.ArrowException, OSError, KeyError, AttributeError, ValueError):
        raise DataError(
            THING,
            "its file holds no images and labels as expected",
            "Remove it from the Hugging Face cache, and try again",
        ) from None
    if not all(isinstance(one, bytes) for one in encoded) or classes.dtype.kind not in "iu":
        raise DataError(THING, "it lacks some images or labels", "Remove it from the Hugging Face cache, and try again")
    pixels = np.empty((len(encoded), SIDE, SIDE), dtype=np.uint8)
    for i, data in enumerate(encoded):
        pixels[i] = _decoded(data, i)
    return pixels, classes


def _decoded(data: bytes, index: int) -> np.ndarray:
    try:
        # Only PNG: no file from elsewhere should reach the decoders of rarer formats.
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.mode == "L" and image.size == (SIDE, SIDE):
                return np.asarray(image)
            found = f"of mode {image.mode}, {image.width} × {image.height}"
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        found = "no PNG"
    raise DataError(THING, f"image {index} is {found}, where {SIDE} × {SIDE} grey values should be", "")


class _Progress(tqdm):
    """The Hub client's own progress bar, silent where stderr is no terminal."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if not sys.stderr.isatty():
            options["disable"] = True
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # untyped in the Hub's client
