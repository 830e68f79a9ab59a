"""Calls to cloud storage through fsspec: tried again where that may help, and what goes wrong in our own words.

The libraries' own texts are left out: they may repeat signed requests. Errors are known by the names of their classes,
so that no library is needed to tell them apart.
"""

from __future__ import annotations

import importlib
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from weightaudit.errors import ModelNotFound, ModelUnavailable, ModelUnreachable, UsageError
from weightaudit.source.http.retry import GaveUp, RetryableError, RetryBudget, retry
from weightaudit.source.http.timeout import call_with_timeout

T = TypeVar("T")

CLASSES = {"s3": ("s3fs", "s3fs", "S3FileSystem"), "gs": ("gcsfs", "gcsfs.core", "GCSFileSystem")}
"""For each scheme the library, and the module and class of its file system.

Not by fsspec's name for it: behind "gs" gcsfs has another class, which first asks Google, by default credentials and
past any emulator, what kind of bucket it is.
"""
# A listing that is kept would outlive a change of what it lists.
SETTINGS = {"use_listings_cache": False, "skip_instance_cache": True}
LOG_IN = {
    "s3": "Run 'aws configure' or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_PROFILE, AWS_ENDPOINT_URL); for "
    "a bucket that is open to all set FSSPEC_S3_ANON=true",
    "gs": "Run 'gcloud auth application-default login' or set GOOGLE_APPLICATION_CREDENTIALS; for a bucket that is "
    "open to all set FSSPEC_GS_TOKEN=anon",
}
NO_CREDENTIALS = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"),
    *("TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"),
    *("DefaultCredentialsError", "RefreshError", "GoogleAuthError"),
}
"""Classes of errors where nobody can say who asks."""
NO_NAME = {"ParamValidationError", "InvalidRegionError"}
"""Classes of errors where no bucket can be called so."""
CHECK = "Check the address"
NETWORK = "Check the network, and AWS_ENDPOINT_URL or STORAGE_EMULATOR_HOST where one is set; then try again"


def file_system(scheme: str, shown: str) -> Any:
    """fsspec's file system for ``scheme``; UsageError, which says how to install it, where it is not there."""
    library, module, name = CLASSES[scheme]
    try:
        kind = getattr(importlib.import_module(module), name)
    except ImportError:
        cause = f"reading {scheme}:// needs {library}, which is not installed"
        raise UsageError(shown, cause, f"pip install {library}") from None
    return kind(**SETTINGS)


class Absent(Exception):  # never leaves this room
    """There is no such object or bucket."""


def ask(call: Callable[[], T], budget: RetryBudget, scheme: str) -> T:
    """What ``call`` returns. Raises Absent, ModelUnavailable, GaveUp where ``budget`` is closed."""

    def attempt() -> T:
        failure: Exception
        try:
            silence = "the storage does not answer"
            return call_with_timeout(budget, call, discard=lambda late: None, cause=silence)
        except (RetryableError, GaveUp):
            raise
        except Exception as error:  # of whatever kind: each library has its own
            failure = meaning(error, budget.thing, scheme)
        raise failure  # outside of the handler: no text of theirs comes along

    return retry(attempt, budget)


def meaning(error: BaseException, thing: str, scheme: str) -> Exception:
    """What an error of these libraries means to someone who asked for ``thing``."""
    kinds = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    if kinds & NO_CREDENTIALS:
        return ModelUnavailable(thing, "no credentials for it were found, or they have expired", LOG_IN[scheme])
    if kinds & NO_NAME:
        return ModelNotFound(thing, "no bucket or object can be called so", CHECK)
    if isinstance(error, FileNotFoundError):
        return Absent()
    status = getattr(error, "code", None)  # gcsfs
    forbidden = isinstance(error, OSError) and str(error).startswith("Forbidden")  # gcsfs too, without a code
    if isinstance(error, PermissionError) or forbidden or status in (401, 403):
        return ModelUnavailable(thing, "the storage refuses access", LOG_IN[scheme])
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in _chain(error)):
        hint = "Check this machine's clock; set AWS_CA_BUNDLE or SSL_CERT_FILE to the certificates that it needs"
        return ModelUnreachable(thing, "the certificate of the storage cannot be verified", hint)
    if isinstance(error, IsADirectoryError):
        return Absent()
    return RetryableError(f"the storage cannot be reached ({type(error).__name__})", NETWORK)


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and len(found) < 20:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
