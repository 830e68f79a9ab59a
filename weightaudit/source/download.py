"""The ordinary download of the Hub's client into its cache, for those who want to keep a model."""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # public, not in __all__

from weightaudit.source.hub_errors import hub_errors
from weightaudit.source.web import Access

TIMEOUT = 20.0
"""Seconds that one answer of the Hub may take; its client would wait for ever."""


def download(model: str, revision: str | None, names: Iterable[str], access: Access) -> Path:
    """Bring those of ``names`` that the model has into the cache; the cached folder of that revision.

    Where the network fails halfway, the client may return what the cache has and say nothing.
    """
    with hub_errors(model, revision):
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=[glob.escape(name) for name in names],
            token=access.token if access.token is not None else False,
            etag_timeout=TIMEOUT,
            tqdm_class=_Progress,
        )
    return Path(folder)


class _Progress(tqdm):
    """The Hub client's own progress bar, silent where stderr is no terminal."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if not sys.stderr.isatty():
            options["disable"] = True
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # untyped in the Hub's client
