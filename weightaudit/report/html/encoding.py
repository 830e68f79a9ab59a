"""Columns of text for the page, stored briefly: each in the shape that makes it shortest; `decoding.js` reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

# A number that str(int(…)) gives back, small enough for JavaScript's own integers.
_NUMBER = re.compile(r"(?<![0-9])(0|[1-9][0-9]{0,14})(?![0-9])")

Encoded = str | list[str] | dict[str, Any]


def encoded(texts: Sequence[str]) -> Encoded:
    """``texts`` as one of these, whichever is shortest as JSON:

    - the text itself, where all are equal;
    - ``{"values": […], "at": […]}``: the distinct texts, and which of them each is;
    - ``{"pieces": [[…], …], "at": […], "numbers": […]}``: texts that differ in their whole numbers, as tensor names
      do; the numbers of each go between its pieces;
    - ``{"joined": "a b c"}``: texts without spaces;
    - a list of the texts.

    Example:
        >>> encoded(["h.0.attn", "h.1.attn", "h.2.attn", "h.3.attn", "h.4.attn", "h.5.attn"])
        {'pieces': [['h.', '.attn']], 'at': [0, 0, 0, 0, 0, 0], 'numbers': [0, 1, 2, 3, 4, 5]}
    """
    if texts and len(set(texts)) == 1:
        return texts[0]
    shapes: list[Encoded] = [list(texts), _distinct(texts), _numbered(texts)]
    if texts and not any(" " in text for text in texts):
        shapes.append({"joined": " ".join(texts)})
    return min(shapes, key=_length)


def _length(shape: Encoded) -> int:
    return len(json.dumps(shape, separators=(",", ":")))


def _distinct(texts: Sequence[str]) -> Encoded:
    places = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return {"values": list(places), "at": [places[text] for text in texts]}


def _numbered(texts: Sequence[str]) -> Encoded:
    places: dict[tuple[str, ...], int] = {}
    at: list[int] = []
    numbers: list[int] = []
    for text in texts:
        split = _NUMBER.split(text)
        at.append(places.setdefault(tuple(split[::2]), len(places)))
        numbers += map(int, split[1::2])
    return {"pieces": [list(pieces) for pieces in places], "at": at, "numbers": numbers}
