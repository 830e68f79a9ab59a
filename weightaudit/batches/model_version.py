"""Which bytes an entry means now: the commit of a Hub model, or what the files of a local one look like."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from weightaudit.batches.identity import local_state
from weightaudit.batches.model_list import Entry
from weightaudit.errors import ModelError, UsageError
from weightaudit.model_files import split_label
from weightaudit.source.hub_place import hub_id


@dataclass(frozen=True)
class ModelVersion:
    """``text`` goes into the key; ``commit`` is what to scan of a Hub model, "" if that is not known; ``error`` says
    why the model cannot be had.
    """

    text: str
    commit: str = ""
    error: ModelError | None = None


def version_of(entry: Entry) -> ModelVersion:
    """Ask the file system, the Hub or the server; where the Hub is out of reach, the local Hugging Face cache.

    A scan takes what the cache has without asking whether the branch has moved; a batch asks, once a model, so that a
    moved branch is scanned again.
    """
    if entry.local:
        return ModelVersion(local_state(*split_label(entry.model)))
    if entry.elsewhere:
        return _elsewhere(entry)
    from huggingface_hub import constants

    from weightaudit.source.cache import cached_snapshot

    config = entry.config
    if re.fullmatch(r"[0-9a-f]{40}", config.revision or ""):
        return ModelVersion(config.revision or "", config.revision or "")
    error = None
    if not (config.offline or constants.HF_HUB_OFFLINE):
        from weightaudit.source.http.client import Access
        from weightaudit.source.names import token_to_send
        from weightaudit.source.redaction import redact_logs
        from weightaudit.source.resolve_revision import resolve_revision

        redact_logs()
        access = Access(hub_id(entry.model), config.revision, token_to_send(config.token), config.max_wait)
        try:
            commit = resolve_revision(access, config.revision).commit
            return ModelVersion(commit, commit)
        except ModelError as found:
            error = found
    snapshot = cached_snapshot(hub_id(entry.model), config.revision)
    if snapshot is not None:
        return ModelVersion(snapshot.name, snapshot.name)
    # Two revisions are two scans, though nobody can say now which. Offline the scan itself says best what is lacking.
    return ModelVersion(f"@{config.revision or ''}", error=error)


def _elsewhere(entry: Entry) -> ModelVersion:
    """Sizes and marks of the files on a web server or in a bucket."""
    from weightaudit.source.resolve import elsewhere

    try:
        repository = elsewhere(entry.model, offline=entry.config.offline, max_wait=entry.config.max_wait)
        return ModelVersion(json.dumps(repository.state()))
    except ModelError as found:
        return ModelVersion("", error=found)
    except UsageError:  # a library is lacking: the scan says so
        return ModelVersion("")
