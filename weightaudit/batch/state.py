"""Which bytes an entry means now: the commit of a Hub model, or what the files of a local one look like."""

from __future__ import annotations

import re
from dataclasses import dataclass

from weightaudit.batch.identity import local_state
from weightaudit.batch.model_list import Entry
from weightaudit.errors import ModelError


@dataclass(frozen=True)
class State:
    """``text`` goes into the key; ``commit`` is what to scan of a Hub model, "" if that is not known; ``error`` says
    why the model cannot be had.
    """

    text: str
    commit: str = ""
    error: ModelError | None = None


def state_of(entry: Entry) -> State:
    """Ask the file system, or the Hub; where that is out of reach, the local Hugging Face cache.

    A scan takes what the cache has without asking whether the branch has moved; a batch asks, once a model, so that a
    moved branch is scanned again.
    """
    if entry.local:
        return State(local_state(entry.model))
    from huggingface_hub import constants

    from weightaudit.source.cache import cached_snapshot

    config = entry.config
    if re.fullmatch(r"[0-9a-f]{40}", config.revision or ""):
        return State(config.revision or "", config.revision or "")
    error = None
    if not (config.offline or constants.HF_HUB_OFFLINE):
        from weightaudit.source.names import token_to_send
        from weightaudit.source.pin import pin
        from weightaudit.source.redaction import redact_logs
        from weightaudit.source.web import Access

        redact_logs()
        access = Access(entry.model, config.revision, token_to_send(config.token), config.max_wait)
        try:
            commit = pin(access, config.revision).commit
            return State(commit, commit)
        except ModelError as found:
            error = found
    snapshot = cached_snapshot(entry.model, config.revision)
    if snapshot is not None:
        return State(snapshot.name, snapshot.name)
    # Two revisions are two scans, though nobody can say now which. Offline the scan itself says best what is lacking.
    return State(f"@{config.revision or ''}", error=error)
