"""The ordinary download of the Hub's client into its cache, for those who want to keep a model.

File by file, of names that the Hub has listed already: the client's way of downloading several asks the Hub for their
list again, and would wait for that answer without end.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from huggingface_hub import hf_hub_download

from weightaudit.source.hub_errors import hub_errors
from weightaudit.source.web import Access

ANSWER = 20.0
"""Seconds that the Hub may take to say where a file is; for the bytes the client has its own limit, 10 of silence."""
FILES_AT_ONCE = 8


def download(model: str, revision: str, names: Sequence[str], access: Access) -> Path:
    """Bring ``names``, which the model has, into the cache; the cached folder of that revision.

    Where the network fails, the client may return what the cache has of another time and say nothing.
    """
    fetch = partial(
        hf_hub_download,
        model,
        revision=revision,
        token=access.token if access.token is not None else False,
        etag_timeout=min(ANSWER, access.max_wait),
    )
    with hub_errors(model, revision), ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="weightaudit-get") as pool:
        paths = list(pool.map(lambda name: fetch(filename=name), names))
    return Path(paths[0]).parent
