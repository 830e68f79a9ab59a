"""Which model of the Hub an address means: a page there, a file there, or hf://.

Nothing is asked of anybody here, and nothing is needed of the Hub's client (see `addresses`).
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from weightaudit.errors import UsageError
from weightaudit.model_files import LABEL, WEIGHT_SUFFIXES, split_label
from weightaudit.source.schemes import HUB, WEB, is_address, safely, scheme_of
from weightaudit.text import printable

HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_PAGE = re.compile(r"(?P<model>[^/]+(?:/[^/]+)??)(?:/(?P<verb>tree|blob|resolve|raw)(?:/(?P<rest>.*))?)?")
"""The path of a page or a file of a model on the Hub."""
_NAMED = re.compile(r"(?P<model>[^/@]+(?:/[^/@]+)?)(?:@(?P<rest>[^/].*)|/(?P<file>.*))?")
"""What follows ``hf://``."""
_NO_MODELS = (
    "api",
    "blog",
    "collections",
    "datasets",
    "docs",
    "models",
    "organizations",
    "papers",
    "settings",
    "spaces",
)
"""What the Hub has in the place of an organisation, and is none."""
_REFERENCE = re.compile(r"(refs/(?:pr|convert)/[^/]+|[^/]+)(?:/(.*))?", re.DOTALL)
"""A revision and what follows it. Of those with slashes only these are written with them in addresses of the Hub."""
_ID = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?", re.ASCII)
WRITE = "Write for example https://huggingface.co/org/name, hf://org/name@main or hf://org/name/model.safetensors"


@dataclass(frozen=True)
class HubPlace:
    """A model of the Hub, as an address names it: which of its files, and which quantisation, "" where neither."""

    model: str
    revision: str | None = None
    file: str = ""
    label: str = ""

    @property
    def name(self) -> str:
        """What it is called, without the revision: its id, or an address where a file is meant."""
        if self.file:
            return f"hf://{self.model}/{quote(self.file)}"
        return f"{self.model}:{self.label}" if self.label else self.model

    def at(self, revision: str | None) -> str:
        """The same at another revision, as people write it."""
        if not revision:
            return self.name
        return (
            f"hf://{self.model}@{quote(revision, safe='')}/{quote(self.file)}"
            if self.file
            else (f"{self.name}@{revision}")
        )


def hub_place(address: str) -> HubPlace | None:
    """The Hub's model that ``address`` names; None where it is not of the Hub. UsageError for other pages there."""
    scheme = scheme_of(address)
    if scheme == HUB:
        return _named(address)
    path = _path_at_hub(address) if scheme in WEB else None
    if path is None:
        return None
    path = path.strip("/")
    page = _PAGE.fullmatch(path)
    if page is None or path.split("/")[0] in _NO_MODELS:
        raise UsageError(safely(address), "it is no address of a model on the Hub", WRITE)
    model, label, revision = _parts(unquote(page["model"]))
    written, rest = _reference(page["rest"] or "")
    if revision and written and revision != written:
        raise _two_revisions(address, revision, written)
    if page["verb"] == "tree" and rest:
        raise UsageError(
            safely(address), "it is a folder of a repository, which is not entered", _download(model, rest)
        )
    if page["verb"] not in (None, "tree") and not rest:
        raise UsageError(safely(address), "it names no file", WRITE)
    return _checked(address, HubPlace(model, revision or written, rest, label))


def _named(address: str) -> HubPlace:
    """`hub_place` of hf://org/name@revision/file, as the Hub's own tools write it."""
    written = _NAMED.fullmatch(address.partition("://")[2].rstrip("/"))
    if written is None or written["model"].split("/")[0] in _NO_MODELS:
        raise UsageError(safely(address), "it is no address of a model on the Hub", WRITE)
    model, label, _ = _parts(written["model"])
    file = written["file"] or ""
    organisation, slash, name = model.partition("/")
    if slash and name.lower().endswith(WEIGHT_SUFFIXES):  # a file of a model whose id is one word
        model, file = organisation, f"{name}/{file}" if file else name
    revision, rest = _reference(written["rest"] or "")
    return _checked(address, HubPlace(model, revision, rest or unquote(file), label))


def _parts(model: str) -> tuple[str, str, str | None]:
    """Id, quantisation and revision of ``id:label@revision``."""
    named, _, revision = model.partition("@")
    named, colon, label = named.partition(":")
    return named, (label if colon else ""), revision or None


def _reference(text: str) -> tuple[str | None, str]:
    """The revision and the path that follow one another in an address."""
    found = _REFERENCE.fullmatch(text.strip("/"))
    return (unquote(found[1]), unquote(found[2] or "")) if found is not None else (None, "")


def _checked(address: str, place: HubPlace) -> HubPlace:
    if not _ID.fullmatch(place.model) or (place.label and not LABEL.fullmatch(place.label)):
        raise UsageError(safely(address), "it is no address of a model on the Hub", WRITE)
    if place.file and place.label:
        raise UsageError(safely(address), "it names a file and a quantisation", "Give one of the two")
    if "/" in place.file:
        folder = place.file.rpartition("/")[0]
        raise UsageError(
            safely(address),
            "the file lies in a folder of a repository, which is not entered",
            _download(place.model, folder),
        )
    return place


def _download(model: str, folder: str) -> str:
    if not re.fullmatch(r"[\w./-]{1,300}", folder):
        return "Download it and scan that"
    return (
        f"Download it and scan that: `hf download {model} --include '{folder}/*' --local-dir MODEL`, then "
        f"`weightaudit scan MODEL/{folder}`"
    )


def agreed(address: str, written: str | None, asked: str | None) -> str | None:
    """The revision of an address that has ``written``, where ``asked`` was asked for. UsageError where they differ."""
    if written is not None and asked is not None and written != asked:
        raise _two_revisions(address, written, asked)
    return written if written is not None else asked


def _two_revisions(address: str, one: str, other: str) -> UsageError:
    cause = f"it names the revision '{printable(one)}', and '{printable(other)}' was asked for"
    return UsageError(safely(address), cause, "Give one of the two")


def _path_at_hub(address: str) -> str | None:
    """The path of an https address on the Hub, or below HF_ENDPOINT; None for other servers."""
    try:
        parts = urlsplit(address)
        if (parts.hostname or "") in HUB_HOSTS:
            return parts.path
        home = urlsplit(_endpoint())
        if (parts.scheme, parts.hostname, parts.port) != (home.scheme, home.hostname, home.port):
            return None
    except ValueError:  # a port that is none
        return None
    inside = home.path.rstrip("/") + "/"
    return parts.path.removeprefix(inside) if parts.path.startswith(inside) else None


def _endpoint() -> str:
    """HF_ENDPOINT as the Hub's client has it or, where that is not loaded, would have it."""
    constants = sys.modules.get("huggingface_hub.constants")
    return str(getattr(constants, "ENDPOINT", "")) or os.environ.get("HF_ENDPOINT", "")


def hub_id(model: str) -> str:
    """The id of a Hub model that is called as in `HubPlace.name`."""
    place = hub_place(model) if is_address(model) else None
    return place.model if place is not None else split_label(model)[0]


def at_revision(model: str, revision: str | None) -> str:
    """A Hub model, called as in `HubPlace.name`, at a revision, as people write it."""
    if (place := hub_place(model) if is_address(model) else None) is not None:
        return place.at(revision)
    return f"{model}@{revision}" if revision else model


def without_revision(model: str) -> str:
    """What was asked for, to be asked for at the commit that was read: an address of the Hub may name another."""
    place = hub_place(model) if is_address(model) else None
    return place.name if place is not None else model
