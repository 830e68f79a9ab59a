"""From what a user calls a model to the place where its files are."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

from weightaudit.config import DEFAULTS
from weightaudit.errors import ModelNotFound, UsageError
from weightaudit.model_files import WEIGHT_SUFFIXES, split_label
from weightaudit.source.addresses import check_endpoint
from weightaudit.source.base import Repository
from weightaudit.source.local import local_repository
from weightaudit.text import printable

MOST_WAIT = 1e7
"""Seconds, some 116 days: what the system waits by has an end, and infinity is beyond it."""


def open_repository(
    model: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
    download: bool = DEFAULTS.download,
    max_wait: float = DEFAULTS.max_wait,
) -> Repository:
    """The files of ``model``: a local directory, a local file, or a Hugging Face Hub id.

    A colon and a quantisation after a directory or an id (``org/name:Q4_K_M``) say which of several GGUF files.

    Whatever exists on disk wins: where the working directory has a folder ``gpt2``, "gpt2" means that folder.
    A Hub model is read from the local Hugging Face cache where it is there, else streamed from the Hub and not kept;
    ``download`` asks for the ordinary download into that cache. ``revision`` is a Hub model's branch, tag or commit
    (None: its default branch); ``offline`` keeps off the network; ``max_wait`` is how many seconds the network may
    keep us waiting without progress.

    Raises ModelNotFound, ModelUnavailable, and UsageError for a ``revision`` given with a local path or a ``max_wait``
    that is no time.
    """
    asked = os.fspath(model)
    shown = printable(asked, limit=1000)
    if not asked.strip():
        raise UsageError("model", "it is empty", "Give a directory, a weight file, or a Hub id such as gpt2")
    if not 0 < max_wait <= MOST_WAIT:  # NaN too
        cause = f"it must be greater than 0, and at most {MOST_WAIT:g}"
        raise UsageError(f"max-wait {max_wait:g}", cause, "It is in seconds, for example 120")
    named, label = split_label(asked)
    path = Path(os.path.expanduser(named))
    if os.path.isdir(path) if label else os.path.lexists(path):
        if revision is not None:
            raise UsageError(
                shown,
                f"revision '{printable(revision)}' was asked for, but this is a local path",
                "Leave the revision out, or run where no such path hides the Hub model of that name",
            )
        return local_repository(path, location=named, label=label)
    if looks_like_path(asked):
        raise ModelNotFound(shown, "no such file or directory", "Check the path")
    # Imported here: local models need neither the Hub's client nor the time that loading it takes.
    check_endpoint(shown)
    from weightaudit.source.hub import hub_repository

    return hub_repository(
        named, revision=revision, token=token, offline=offline, download=download, max_wait=max_wait, label=label
    )


def looks_like_path(model: str) -> bool:
    """Whether ``model`` can only be meant as a path: no Hub id is written like that."""
    return (
        model in (".", "..")
        or model.startswith(("./", "../", "/", "~"))
        or model.count("/") > 1
        or model.endswith("/")
        or "\\" in model
        or bool(PureWindowsPath(model).drive)
        or model.lower().endswith(WEIGHT_SUFFIXES)
    )
