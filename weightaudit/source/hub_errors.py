"""What goes wrong with the Hub, in this package's words.

The texts of the Hub's client and of the HTTP library beneath it are left out: they may repeat signed addresses and
headers, and with them secrets. For the same reason no error here has one of theirs as its cause or context.
"""

from __future__ import annotations

import ssl
import sys

from huggingface_hub import constants
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from weightaudit.errors import CheckpointError, ModelError, ModelNotFound, ModelUnavailable, ModelUnreachable
from weightaudit.redact import shown
from weightaudit.text import printable

# The base that the Hub's own errors share with those of the HTTP library beneath it, whose package differs between
# huggingface_hub 1 (httpx) and 2 (httpx2). Its module is the way to that library's other names.
HTTP_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
HTTP = sys.modules[HTTP_ERROR.__module__]


def endpoint() -> str:
    """The Hub's address, without the name and password that a mirror's may hold."""
    return printable(shown(constants.ENDPOINT), limit=1000)


def explain(error: BaseException, model: str, revision: str | None, *, thing: str = "") -> ModelError:
    """What an error of the Hub's client means to someone who asked for ``model``, and for ``thing`` in it.

    Subclasses come first.
    """
    thing = thing or model
    if isinstance(error, GatedRepoError):
        return ModelUnavailable(
            model,
            "the model is gated, and this access token does not open it (or none was given)",
            f"Accept its terms at {endpoint()}/{model}, then run 'hf auth login' or set HF_TOKEN",
        )
    if isinstance(error, RepositoryNotFoundError):
        return ModelNotFound(
            model,
            "no such file or directory here, and no such model on the Hub, or a private one",
            "Check the spelling; for a private model run 'hf auth login' or set HF_TOKEN",
        )
    if isinstance(error, RevisionNotFoundError):
        return ModelNotFound(
            model,
            f"the Hub has the model, but not the revision '{printable(revision or 'main')}'",
            "Give a branch, a tag or a commit that its page lists",
        )
    if isinstance(error, DisabledRepoError):
        return ModelUnavailable(model, "the Hub has disabled the model", "Its page may say why")
    if isinstance(error, OfflineModeIsEnabled):
        return ModelUnreachable(
            model,
            "the Hub's client is set to stay offline",
            "Unset HF_HUB_OFFLINE, or download the model first",
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return ModelUnavailable(
            thing, f"the Hub refuses access (HTTP {status})", "Check the access token: 'hf auth whoami'"
        )
    if status == 429:
        return ModelUnreachable(thing, "the Hub's rate limit is reached (HTTP 429)", "Wait some minutes")
    if isinstance(error, EntryNotFoundError):
        return CheckpointError(thing, "the Hub has no such file", "Check the revision")
    if status is not None:
        return ModelUnreachable(thing, f"the Hub answered HTTP {status}", "Try again later")
    if untrusted_certificate(error):
        return untrusted(thing, endpoint())
    if not isinstance(error, OSError):
        return ModelUnreachable(
            thing,
            f"the Hugging Face cache lacks it or a part of it, and {endpoint()} cannot be reached "
            f"({type(error).__name__})",
            "Check the network and HF_ENDPOINT, then try again",
        )
    reason = (error.strerror or type(error).__name__).lower()
    return ModelUnreachable(thing, f"reading it from the Hub failed: {reason}", "Check the network and the disk")


def untrusted_certificate(error: BaseException | None) -> bool:
    """Whether ``error`` came of a certificate that is not to be trusted, which no other try would change."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def untrusted(thing: str, server: str) -> ModelUnreachable:
    """Somebody between us and the server, or a certificate that this machine does not know."""
    return ModelUnreachable(
        thing,
        f"the certificate of {printable(server)} cannot be verified",
        "Check this machine's clock; behind a company's proxy set SSL_CERT_FILE to its certificates",
    )
