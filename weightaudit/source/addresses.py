"""What may be shown of an address: neither who asks (a name and password) nor its query, as good as a key to the file.

Needs nothing of the Hub's client, which cannot be imported where HF_ENDPOINT is no address.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from weightaudit.errors import ModelUnreachable

_SCHEME = r"\b[a-z][a-z0-9+.-]*://"
_ADDRESS = re.compile(rf"{_SCHEME}(?:(?!{_SCHEME})\S)+", re.IGNORECASE)
_QUERY = re.compile(r"[?#][^'\"<>]*")


def without_secrets(text: str) -> str:
    """``text``, the passwords and queries of the addresses in it cut off."""
    return _ADDRESS.sub(lambda address: shown(address[0]), text)


def shown(address: str) -> str:
    """One address without them. What encloses it in a line of a log stays."""
    scheme, mark, rest = address.partition("://")
    server = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in server:  # a password may hold some too: the last is the end of it
        rest = server.rpartition("@")[2] + rest[len(server) :]
    elif "@" in rest and not _is_server(server):  # a password with a slash or the like, which nothing can be asked by
        rest = rest.rpartition("@")[2]
    return scheme + mark + _QUERY.sub("?…", rest)


def check_endpoint(thing: str) -> None:
    """ModelUnreachable for ``thing`` where HF_ENDPOINT is set to what the Hub's client cannot even be imported with."""
    server, _, path = os.environ.get("HF_ENDPOINT", "").partition("://")[2].partition("/")
    if not _is_server(server) or "@" in path:  # the rest of a password, after a slash in it
        raise no_endpoint(thing)


def no_endpoint(thing: str) -> ModelUnreachable:
    """HF_ENDPOINT is no address. Its value is not repeated: a password may be what broke it."""
    hint = "It looks like https://example.org; in a password / is written as %2F, and @ as %40"
    return ModelUnreachable(thing, "HF_ENDPOINT is not the address of a server", hint)


def _is_server(address: str) -> bool:
    """Whether what follows the scheme begins with a host and, if there is a colon, a port."""
    try:
        _ = urlsplit(f"//{address}").port
    except ValueError:
        return False
    return True
