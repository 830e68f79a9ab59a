"""Models of the Hugging Face Hub, by way of the local Hugging Face cache.

What the cache has is read from there without a request. What it lacks is downloaded into it: config.json and
the weight files that are asked for, no others, all of one commit.
"""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import tqdm, validate_repo_id  # type: ignore[attr-defined]  # public, not in __all__

from weightaudit.errors import ModelError, ModelNotFound, ModelUnavailable, UsageError, printable
from weightaudit.source.base import WEIGHT_SUFFIXES
from weightaudit.source.local import LocalRepository

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
TIMEOUT = 20.0
"""Seconds that one answer of the Hub may take; its client would wait for ever."""

# The base that the Hub's own errors share with those of the HTTP library beneath it, whose package differs
# between huggingface_hub 1 (httpx) and 2 (httpx2).
HTTP_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]


class HubRepository(LocalRepository):
    """One commit of a Hub model, seen through its folder in the cache.

    ``listing`` are the names on the Hub, None as long as the cached folder seems to have all that matters.
    """

    def __init__(
        self, model: str, snapshot: Path, *, listing: tuple[str, ...] | None, token: str | None, offline: bool
    ) -> None:
        location = f"{endpoint()}/{model}"
        super().__init__(snapshot, name=model, location=location, revision=snapshot.name)
        self._listing = listing
        self._token = token
        self._offline = offline

    def files(self) -> list[str]:
        """Names at the top level of the repository, or of its cached folder."""
        if self._listing is not None:
            return sorted(name for name in self._listing if "/" not in name)
        return super().files()

    def fetch(self, names: Iterable[str]) -> None:
        """Download those of ``names`` that the cache lacks and the Hub has."""
        absent = [name for name in names if not (self.directory / name).is_file()]
        if not absent:
            return
        if self._offline:
            raise ModelUnavailable(
                self.name,
                f"offline, and the Hugging Face cache lacks {_some(absent)}",
                "Download the model first, or drop the offline option and unset HF_HUB_OFFLINE",
            )
        with hub_errors(self.name, self.revision):
            if self._listing is None:
                self._listing = _listing(self.name, self.revision, self._token)
            snapshot_download(
                self.name,
                revision=self.revision,
                allow_patterns=[glob.escape(name) for name in absent],
                token=self._token,
                etag_timeout=TIMEOUT,
                tqdm_class=_Progress,
            )
        # Where the network fails halfway, the client may return what the cache has and say nothing.
        absent = [name for name in absent if name in self._listing and not (self.directory / name).is_file()]
        if absent:
            raise ModelUnavailable(self.name, f"downloading {_some(absent)} failed", "Check the network")


def hub_repository(model: str, *, revision: str | None, token: str | None, offline: bool) -> HubRepository:
    """The Hub model with this id: from the cache where that has its config and weights, else online."""
    shown = printable(model)
    if not _is_hub_id(model):
        raise ModelNotFound(
            shown,
            "no such file or directory here, and it cannot be a Hub id",
            "A Hub id looks like 'gpt2' or 'organisation/name'",
        )
    _check_revision(shown, revision)
    token = _checked_token(token)
    offline = offline or constants.HF_HUB_OFFLINE

    snapshot = _cached_snapshot(model, revision)
    if snapshot is not None:
        cached = HubRepository(model, snapshot, listing=None, token=token, offline=offline)
        names = cached.files()
        if offline and any(name.endswith(WEIGHT_SUFFIXES) for name in names):
            return cached
        if CONFIG in names and any(name in names for name in WEIGHTS):
            return cached
    if offline:
        at = f" at revision '{printable(revision)}'" if revision else ""
        raise ModelUnavailable(
            shown,
            f"no such file or directory here, and offline the Hugging Face cache has no weights of it{at}",
            "Download it first, or drop the offline option and unset HF_HUB_OFFLINE",
        )
    with hub_errors(model, revision):
        # The commit is settled here, once. Asking by the user's own name for it also makes the cache remember
        # that name, so that the same command works offline afterwards.
        folder = snapshot_download(
            model,
            revision=snapshot.name if snapshot is not None else revision,
            allow_patterns=[CONFIG, WEIGHTS[1]],
            token=token,
            etag_timeout=TIMEOUT,
            tqdm_class=_Progress,
        )
        listing = _listing(model, Path(folder).name, token)
    return HubRepository(model, Path(folder), listing=listing, token=token, offline=False)


def _is_hub_id(model: str) -> bool:
    try:
        validate_repo_id(model)
    except HFValidationError:
        return False
    return model.isascii()  # huggingface_hub 1 lets other letters through; the Hub has none


def _listing(model: str, commit: str, token: str | None) -> tuple[str, ...]:
    """Names of all files of that commit, as the Hub says."""
    found = HfApi(token=token).model_info(model, revision=commit, timeout=TIMEOUT)
    return tuple(file.rfilename for file in found.siblings or ())


def _cached_snapshot(model: str, revision: str | None) -> Path | None:
    """The cached folder of that revision, if the cache has any file of the model that a scan reads."""
    for name in (CONFIG, *WEIGHTS):
        found = try_to_load_from_cache(model, name, revision=revision)
        if isinstance(found, str):
            return Path(found).parent
    return None


def endpoint() -> str:
    """The Hub's address without the name and password that a mirror's may hold."""
    return re.sub(r"//[^/@]*@", "//", constants.ENDPOINT)


class _Progress(tqdm):
    """The Hub client's own progress bar, silent where stderr is no terminal."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if not sys.stderr.isatty():
            options["disable"] = True
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # untyped in the Hub's client


def _check_revision(model: str, revision: str | None) -> None:
    # Branch names may hold slashes ("refs/pr/1"), but the cache makes a path of them.
    if revision is None or (re.fullmatch(r"[\w][\w./+@-]*", revision, re.ASCII) and ".." not in revision):
        return
    raise ModelNotFound(
        model,
        f"'{printable(revision)}' cannot be a revision",
        "Give a branch, a tag or a commit",
    )


def _checked_token(token: str | None) -> str | None:
    # The HTTP library repeats a header that it cannot send in its error message, and with it the token.
    if token and not re.fullmatch(r"[!-~]+", token):
        raise UsageError("token", "it holds blanks or characters no access token has", "Copy the token again")
    return token or None


def _some(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more files"


@contextmanager
def hub_errors(model: str, revision: str | None) -> Iterator[None]:
    """Turn what the Hub's client raises into this package's errors.

    Their own text is left out: it may repeat signed URLs and headers, and with them secrets.
    """
    try:
        yield
    except (HTTP_ERROR, EntryNotFoundError, OSError, RuntimeError, ValueError) as error:
        raise explain(error, printable(model), revision) from error


def explain(error: BaseException, model: str, revision: str | None) -> ModelError:
    """What an error of the Hub's client means to someone who asked for ``model``. Subclasses come first."""
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        # "Not in the cache either": what matters is why the Hub did not help.
        return explain(error.__cause__, model, revision)
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
    if isinstance(error, OfflineModeIsEnabled):
        return ModelUnavailable(
            model,
            "the Hub's client is set to stay offline",
            "Unset HF_HUB_OFFLINE, or download the model first",
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return ModelUnavailable(
            model, f"the Hub refuses access (HTTP {status})", "Check the access token: 'hf auth whoami'"
        )
    if status == 429:
        return ModelUnavailable(model, "the Hub's rate limit is reached (HTTP 429)", "Wait some minutes")
    if status is not None:
        return ModelUnavailable(model, f"the Hub answered HTTP {status}", "Try again later")
    if not isinstance(error, OSError):
        return ModelUnavailable(
            model,
            f"the Hugging Face cache lacks it or a part of it, and {endpoint()} cannot be reached "
            f"({type(error).__name__})",
            "Check the network and HF_ENDPOINT, then try again: a download goes on where it stopped",
        )
    reason = (error.strerror or type(error).__name__).lower()
    return ModelUnavailable(model, f"downloading it failed: {reason}", "Check the network and the disk")
