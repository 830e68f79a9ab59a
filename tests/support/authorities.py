"""Fewer certificate authorities than a system's hundred and more: to load those, as each new client does, takes several
times longer than a test's requests.
"""

from __future__ import annotations

import ssl
import tempfile
from functools import cache
from pathlib import Path

import pytest


def trust_few(patch: pytest.MonkeyPatch) -> None:
    """Have clients trust one of the system's authorities alone, in the way that a user would say so."""
    if (file := _one_authority()) is not None:
        patch.setenv("SSL_CERT_FILE", file)


@cache
def _one_authority() -> str | None:
    known = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not known:  # a folder's are loaded one by one, when they are needed
        return None
    file = Path(_folder().name) / "authority.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(known[0]))
    return str(file)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Gone with the process."""
    return tempfile.TemporaryDirectory()
