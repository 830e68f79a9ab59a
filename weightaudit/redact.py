"""What may be shown of an address: neither who asks (a name and password) nor its query, as good as a key."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SCHEME = r"\b[a-z][a-z0-9+.-]*://"
_ADDRESS = re.compile(rf"{_SCHEME}(?:(?!{_SCHEME})\S)+", re.IGNORECASE)
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_CLOSING = "'\"<>)],;"
"""What may stand behind an address in a line of a log, and encloses it."""


def without_secrets(text: str) -> str:
    """``text``, the passwords and queries of the addresses in it cut off."""
    return _ADDRESS.sub(lambda address: _within(address[0]), text)


def _within(text: str) -> str:
    """An address in a line of a log, with what encloses it."""
    address = text.rstrip(_CLOSING)
    return shown(address) + text[len(address) :]


def shown(address: str) -> str:
    """One address without them."""
    scheme, mark, rest = address.partition("://")
    server = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in server:  # a password may hold some too: the last is the end of it
        rest = server.rpartition("@")[2] + rest[len(server) :]
    elif "@" in rest and not is_server(server):  # a password with a slash or the like, which nothing can be asked by
        rest = rest.rpartition("@")[2]
    return scheme + mark + _QUERY.sub("?…", rest)


def is_server(address: str) -> bool:
    """Whether what follows the scheme begins with a host and, if there is a colon, a port."""
    try:
        _ = urlsplit(f"//{address}").port
    except ValueError:
        return False
    return True
