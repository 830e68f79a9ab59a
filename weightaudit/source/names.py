"""What a Hub model, its revisions and the access token may be called, checked before anything is asked."""

from __future__ import annotations

import re

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, not in __all__

from weightaudit.errors import ModelNotFound, UsageError
from weightaudit.text import printable

COMMIT = r"[0-9a-f]{40,64}"
"""A commit, which becomes a part of paths and addresses."""
DATA_SETS = "datasets/"
"""What the Hub has before a data set's id. A model's own has one slash at most, and so is never taken for one."""


def is_hub_id(model: str) -> bool:
    """Whether it is written as the Hub's ids are."""
    try:
        validate_repo_id(model)
    except HFValidationError:
        return False
    return model.isascii()  # huggingface_hub 1 lets other letters through; the Hub has none


def check_model(model: str) -> None:
    """ModelNotFound for what cannot be a Hub id."""
    if not is_hub_id(model):
        raise ModelNotFound(
            printable(model),
            "no such file or directory here, and it cannot be a Hub id",
            "A Hub id looks like 'gpt2' or 'organisation/name'",
        )


def check_revision(model: str, revision: str | None) -> None:
    """ModelNotFound for what cannot be a revision."""
    # Branch names may hold slashes ("refs/pr/1"), but the cache makes a path of them.
    if revision is None or (re.fullmatch(r"[\w][\w./+@-]*", revision, re.ASCII) and ".." not in revision):
        return
    raise ModelNotFound(
        printable(model),
        f"'{printable(revision)}' cannot be a revision",
        "Give a branch, a tag or a commit",
    )


def token_to_send(token: str | None) -> str | None:
    """``token``, or the one that the Hub's client finds (HF_TOKEN, 'hf auth login'), or None.

    Not by the client's own function that makes headers: to describe itself to the Hub, that one may ask it for a
    list and write a file into HF_HOME.
    """
    if not token and not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        token = huggingface_hub.get_token()
    # The HTTP library repeats a header that it cannot send in its error message, and with it the token.
    if token and not re.fullmatch(r"[!-~]+", token):
        raise UsageError("token", "it holds blanks or characters no access token has", "Copy the token again")
    return token or None
