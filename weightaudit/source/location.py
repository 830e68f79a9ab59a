"""Where the bytes of one file of the Hub are at this moment, and by which marks it is known to be the same file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote

from huggingface_hub import constants

from weightaudit.errors import ModelUnreachable
from weightaudit.source.ask import ask
from weightaudit.source.retry import Patience
from weightaudit.source.web import SOMEBODY_ELSE, Access


@dataclass(frozen=True)
class Place:
    """``url`` may be signed and expire. ``size`` in bytes and ``etag``, the Hub's, say which file it is.

    ``sha256`` is what the Hub says that the file's SHA-256 is, in hexadecimal, or None.
    """

    url: str = field(repr=False)
    size: int
    etag: str | None
    sha256: str | None

    @property
    def marks(self) -> tuple[int, str | None]:
        """What must not change while the file is read."""
        return self.size, self.etag


def file_url(model: str, commit: str, name: str) -> str:
    """The Hub's address of a file of that commit."""
    return constants.HUGGINGFACE_CO_URL_TEMPLATE.format(
        repo_id=model, revision=quote(commit, safe=""), filename=quote(name, safe="")
    )


def locate(url: str, commit: str, patience: Patience, access: Access) -> Place:
    """Ask the Hub, with one HEAD, where the file of that commit is. Raises as `ask` does."""
    reply = ask("HEAD", url, patience, access)
    said = reply.headers
    size = said.get("x-linked-size") or ("" if reply.elsewhere else said.get("content-length", ""))
    if not re.fullmatch(r"[0-9]{1,18}", size):
        raise ModelUnreachable(patience.thing, "the Hub does not say how large the file is", SOMEBODY_ELSE)
    linked = bare_etag(said.get("x-linked-etag"))
    etag = linked or bare_etag(said.get("etag"))
    sha256 = linked if linked is not None and re.fullmatch(r"[0-9a-f]{64}", linked) else None
    if reply.commit not in (None, commit):
        raise ModelUnreachable(patience.thing, "the Hub serves another commit than the one asked for", SOMEBODY_ELSE)
    return Place(reply.url, int(size), etag, sha256)


def bare_etag(etag: str | None) -> str | None:
    """An ETag without the mark of weak ones and the quotes: a proxy on the way may add or take the mark."""
    return etag.removeprefix("W/").strip('"') if etag else None
