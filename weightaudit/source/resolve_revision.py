"""Which commit of a Hub model a revision means now, and what files it has: one request, made once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from huggingface_hub import constants

from weightaudit.errors import ModelUnreachable
from weightaudit.source.http.client import SOMEBODY_ELSE, Access
from weightaudit.source.http.retry import RetryBudget, retry
from weightaudit.source.hub_api import ask
from weightaudit.source.names import COMMIT, is_hub_id
from weightaudit.strict_json import parse_object

MAX_LISTING = 30_000_000
"""Bytes of the Hub's description of a model; that of one with 100,000 files has some 10 million."""
MAX_VALUES = 1_000_000
"""Values in it, counted as `parse_object` does: three for each file, and some hundred."""


@dataclass(frozen=True)
class Pinned:
    """A model at one commit: ``model`` is the id under which the Hub keeps it, ``files`` all names, folders' too."""

    model: str
    commit: str
    files: tuple[str, ...]


def resolve_revision(access: Access, revision: str | None) -> Pinned:
    """Ask the Hub for the model of ``access``. Raises ModelNotFound, ModelUnreachable.

    Not by the client's `model_info`: that also reads the model card, and fails where a stranger wrote an odd one.
    """
    budget = RetryBudget(access.model, access.max_wait)
    url = f"{constants.ENDPOINT}/api/models/{access.model}"
    if revision is not None:
        url += f"/revision/{quote(revision, safe='')}"
    reply = retry(lambda: ask("GET", url, budget, access, limit=MAX_LISTING), budget)
    cause = "it does not say which commit and files the model has"
    try:
        said = parse_object(
            reply.body, thing="", error=ModelUnreachable, hint="", machine_made=False, max_values=MAX_VALUES
        )
        pinned = _parsed(said)
    except ModelUnreachable as failure:
        cause, pinned = failure.cause, None
    if pinned is None:
        raise ModelUnreachable(budget.thing, f"what answers in the Hub's place is not the Hub: {cause}", SOMEBODY_ELSE)
    return pinned


def _parsed(said: dict[str, Any]) -> Pinned | None:
    model, commit, siblings = said.get("id"), said.get("sha"), said.get("siblings") or []
    if not isinstance(model, str) or not is_hub_id(model):
        return None
    if not isinstance(commit, str) or not re.fullmatch(COMMIT, commit) or not isinstance(siblings, list):
        return None
    names = [entry.get("rfilename") for entry in siblings if isinstance(entry, dict)]
    return Pinned(model, commit, tuple(name for name in names if isinstance(name, str)))
