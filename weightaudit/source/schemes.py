"""How an address of a model begins, and how it is shown."""

from __future__ import annotations

import re

from weightaudit.errors import UsageError
from weightaudit.redact import shown
from weightaudit.text import printable

HUB = "hf"
WEB = ("https", "http")
BUCKETS = ("s3", "gs")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""Two letters at least: one before a colon is a drive of Windows."""


def is_address(model: str) -> bool:
    """Whether it begins as an address does: with a scheme. No file here is ever meant by one."""
    return SCHEME.match(model) is not None


def scheme_of(address: str) -> str:
    """Its scheme, in small letters; UsageError for one that is not read."""
    found = SCHEME.match(address)
    scheme = found[1].lower() if found is not None else ""
    if scheme not in (HUB, *WEB, *BUCKETS):
        hint = "Give its path" if scheme == "file" else "An address begins with https://, hf://, s3:// or gs://"
        raise UsageError(safely(address), f"addresses of {printable(scheme)}:// are not read", hint)
    return scheme


def safely(address: str) -> str:
    """An address as messages and reports have it: no password, no query, nothing that cannot be printed."""
    return printable(shown(address), limit=1000)
