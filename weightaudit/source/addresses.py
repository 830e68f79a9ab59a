"""The address of the Hub that the environment names, looked at before the Hub's client is imported, which fails where
HF_ENDPOINT is no address.
"""

from __future__ import annotations

import os

from weightaudit.errors import ModelUnreachable
from weightaudit.redact import is_server


def check_endpoint(thing: str) -> None:
    """ModelUnreachable for ``thing`` where HF_ENDPOINT is set to what the Hub's client cannot even be imported with."""
    server, _, path = os.environ.get("HF_ENDPOINT", "").partition("://")[2].partition("/")
    if not is_server(server) or "@" in path:  # the rest of a password, after a slash in it
        raise no_endpoint(thing)


def no_endpoint(thing: str) -> ModelUnreachable:
    """HF_ENDPOINT is no address. Its value is not repeated: a password may be what broke it."""
    hint = "It looks like https://example.org; in a password / is written as %2F, and @ as %40"
    return ModelUnreachable(thing, "HF_ENDPOINT is not the address of a server", hint)
