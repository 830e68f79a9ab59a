"""From what a user calls a model to the place where its files are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from weightaudit.config import DEFAULTS
from weightaudit.errors import ModelError, ModelNotFound, ModelUnreachable, UsageError
from weightaudit.model_files import split_label
from weightaudit.source.addresses import check_endpoint
from weightaudit.source.base import Repository
from weightaudit.source.hub_place import agreed, hub_place
from weightaudit.source.local import local_repository
from weightaudit.source.mistyped import NOT_HERE, could_be_hub_id, looks_like_path, near_names, not_found
from weightaudit.source.schemes import BUCKETS, is_address, safely, scheme_of
from weightaudit.text import printable

if TYPE_CHECKING:
    from weightaudit.source.bucket import BucketRepository
    from weightaudit.source.web import WebRepository

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
    """The files of ``model``: a local directory, a local file, a Hugging Face Hub id, or an address.

    Addresses are those of the Hub (``https://huggingface.co/…``, ``hf://…``), of a weight file or a folder on a web
    server (``https://…``), and of a bucket (``s3://…``, ``gs://…``). A colon and a quantisation after a directory or an
    id (``org/name:Q4_K_M``) say which of several GGUF files.

    Whatever exists on disk wins: where the working directory has a folder ``gpt2``, "gpt2" means that folder, and where
    it has a folder ``org``, "org/name" means what is in it.
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
    if is_address(asked):
        return _at_address(asked, revision, token=token, offline=offline, download=download, max_wait=max_wait)
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
    if looks_like_path(named):
        raise not_found(named, printable(named, limit=1000))
    if not could_be_hub_id(named):
        raise not_found(named, shown, cause=f"{NOT_HERE}, and it cannot be a Hub id")
    # Imported here: local models need neither the Hub's client nor the time that loading it takes.
    check_endpoint(shown)
    from weightaudit.source.hub import hub_repository

    try:
        return hub_repository(
            named, revision=revision, token=token, offline=offline, download=download, max_wait=max_wait, label=label
        )
    except (ModelNotFound, ModelUnreachable) as error:
        failure = error
    # Raised out here: the first error has another behind it, whose text could hold a secret.
    raise _perhaps_a_path(failure, named, near_names(named) if revision is None else [])


def _perhaps_a_path(error: ModelError, named: str, near: Sequence[str]) -> ModelError:
    """``error`` about a Hub id, for one who may have meant a path; ``near`` are those that are called much like it."""
    cause = error.cause
    if isinstance(error, ModelUnreachable) and "/" not in named and NOT_HERE not in cause:
        cause = f"{NOT_HERE}, and {cause}"
    hint = f"Did you mean {' or '.join(map(printable, near))}, which is here? {error.hint}" if near else error.hint
    return type(error)(error.thing, cause, hint)


def _at_address(
    address: str, revision: str | None, *, token: str | None, offline: bool, download: bool, max_wait: float
) -> Repository:
    """`open_repository` of what begins with a scheme."""
    place = hub_place(address)
    if place is not None:
        check_endpoint(safely(address))
        from weightaudit.source.hub import hub_repository

        return hub_repository(
            place.model,
            revision=agreed(address, place.revision, revision),
            token=token,
            offline=offline,
            download=download,
            max_wait=max_wait,
            label=place.label,
            chosen=place.file or None,
        )
    if revision is not None:
        cause = f"revision '{printable(revision)}' was asked for, but only models of the Hub have revisions"
        raise UsageError(safely(address), cause, "Leave the revision out")
    return elsewhere(address, offline=offline, max_wait=max_wait)


def elsewhere(address: str, *, offline: bool, max_wait: float) -> WebRepository | BucketRepository:
    """The files at an address of a web server or a bucket. Raises as `open_repository`."""
    if scheme_of(address) in BUCKETS:
        from weightaudit.source.bucket import bucket_repository

        return bucket_repository(address, offline=offline, max_wait=max_wait)
    check_endpoint(safely(address))
    from weightaudit.source.web import web_repository

    return web_repository(address, offline=offline, max_wait=max_wait)
