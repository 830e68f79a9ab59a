"""A file of a public data set of the Hub, kept in the Hugging Face cache: by the requests and checks of a download."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Event

from huggingface_hub import constants

from weightaudit.errors import ModelUnreachable
from weightaudit.source.cache import cached_file, commit_noted, model_folder
from weightaudit.source.cache_writing import CacheFolder
from weightaudit.source.http.client import SOMEBODY_ELSE, Access
from weightaudit.source.http.ranges import RemoteFile
from weightaudit.source.http.retry import RetryBudget, retry
from weightaudit.source.hub_api import ask, file_url, located
from weightaudit.source.names import COMMIT, DATA_SETS
from weightaudit.source.redaction import redact_logs

BRANCH = "main"


def data_set_file(data_set: str, name: str, *, offline: bool, max_wait: float) -> tuple[Path, str]:
    """The file ``name`` of ``data_set`` (organisation/name) as its main branch has it now, and that commit.

    It is downloaded where the cache lacks it, without a token. Where the Hub cannot be asked, the cache's is taken.
    ``max_wait`` is in seconds, as a scan's. Raises ModelNotFound, ModelUnavailable, CheckpointError, CacheError.
    """
    redact_logs()
    label = f"{data_set}/{name}"
    kept = _kept(data_set, name)
    if offline or constants.HF_HUB_OFFLINE:
        if kept is None:
            raise ModelUnreachable(label, "offline, and the Hugging Face cache lacks it", "Download it first")
        return kept
    access = Access(DATA_SETS + data_set, None, None, max_wait)
    try:
        commit = _newest(name, label, access)
        if cached_file([access.model], commit, name) is None:
            _download(name, commit, label, access)
    except ModelUnreachable:
        if kept is None:
            raise
        return kept
    CacheFolder(access.model).remember(BRANCH, commit)
    found = _kept(data_set, name)
    if found is None:
        raise ModelUnreachable(label, "the Hugging Face cache has lost it", "Try again")
    return found


def _kept(data_set: str, name: str) -> tuple[Path, str] | None:
    """The file in the cache, of the commit that it notes for the branch."""
    commit = commit_noted(model_folder(DATA_SETS + data_set) / "refs" / BRANCH)
    path = cached_file([DATA_SETS + data_set], commit, name) if commit else None
    return (path, commit) if path is not None and commit is not None else None


def _newest(name: str, label: str, access: Access) -> str:
    """The commit that the Hub names with the file."""
    budget = RetryBudget(label, access.max_wait)
    reply = retry(lambda: ask("HEAD", file_url(access.model, BRANCH, name), budget, access), budget)
    if reply.commit is None or not re.fullmatch(COMMIT, reply.commit):
        raise ModelUnreachable(label, "what answers in the Hub's place names no commit", SOMEBODY_ELSE)
    return reply.commit


def _download(name: str, commit: str, label: str, access: Access) -> None:
    locate = located(file_url(access.model, commit, name), commit, access)
    source = RemoteFile(locate, name=name, label=label, access=access, giving_up=Event())
    try:
        CacheFolder(access.model).keep(source, commit)
    finally:
        source.close()
