"""What an address that is none of the Hub means: files of a web server, or a prefix of a bucket."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote, urlsplit

from weightaudit.errors import UsageError
from weightaudit.model_files import WEIGHT_SUFFIXES
from weightaudit.source.base import safe_name
from weightaudit.source.hub_place import hub_place
from weightaudit.source.schemes import BUCKETS, WEB, is_address, safely, scheme_of


def is_this_machine(host: str) -> bool:
    """Whether a server of that name can only be on this machine, so that nobody is between it and us."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def web_file(address: str) -> str | None:
    """The file that an address of a web server names; None for a folder. UsageError where it cannot be read."""
    shown = safely(address)
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise UsageError(shown, "it is no address of a server", "It looks like https://example.org/model.safetensors")
    if parts.scheme.lower() == "http" and not is_this_machine(host):
        raise UsageError(
            shown,
            "http:// is not encrypted: whoever is on the way could change what is scanned",
            "Write https://, or download the file and scan that",
        )
    name = unquote(parts.path).rpartition("/")[2]
    if not name:
        return None
    if not name.lower().endswith(WEIGHT_SUFFIXES):
        raise UsageError(
            shown,
            "it names no weight file",
            "Give that of a .safetensors, .bin, .pt or .gguf file or of an index, or of a folder, with / at its end",
        )
    return safe_name(name, said_by=shown)


def bucket_path(address: str) -> str:
    """Bucket and prefix, "bucket/a/b". UsageError where there is no bucket."""
    path = address.partition("://")[2].rstrip("/")
    bucket = path.partition("/")[0]
    if not bucket or "@" in bucket or ":" in bucket:
        hint = f"It looks like {scheme_of(address)}://bucket/prefix; credentials are not written in it"
        raise UsageError(safely(address), "it names no bucket", hint)
    return path


def check_address(address: str) -> None:
    """UsageError, or CheckpointError for an unsafe name, where an address cannot be read."""
    if hub_place(address) is None:
        _ = bucket_path(address) if scheme_of(address) in BUCKETS else web_file(address)


def is_elsewhere(model: str) -> bool:
    """Whether it is an address, and none of the Hub."""
    return is_address(model) and hub_place(model) is None


def names_a_file(address: str) -> bool:
    """Whether an address that is none of the Hub is, by its ending, that of a file."""
    return parts_of(address)[-1].lower().endswith(WEIGHT_SUFFIXES)


def parts_of(address: str) -> list[str]:
    """What a web server's or a bucket's address is made of, from the server on: what two of them differ in."""
    rest = address.partition("://")[2]
    if scheme_of(address) in WEB:
        parts = urlsplit(address)
        rest = f"{parts.netloc.rpartition('@')[2]}{unquote(parts.path)}"
    return [part for part in rest.split("/") if part]
