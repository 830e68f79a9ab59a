"""Templates of tensor names, and the anchored patterns they stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Bounded, because a name in a file may carry any number of digits; 18 fit every integer type.
LAYER = r"(?P<layer>0|[1-9][0-9]{0,17})"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_WORDS = re.compile(r"[\w.]+(\|[\w.]+)+")


def check(template: str) -> str:
    """What is wrong with a template; "" if nothing."""
    for inner in _PLACEHOLDER.findall(template):
        if inner not in ("prefix", "layer") and not _WORDS.fullmatch(inner):
            return f"'{{{inner}}}' in '{template}' is no placeholder"
    rest = _PLACEHOLDER.sub("", template)
    if not re.fullmatch(r"[\w.]*", rest):
        return f"'{template}' has characters that no tensor name has"
    if template.count("{layer}") > 1 or template.count("{prefix}") > 1:
        return f"'{template}' repeats a placeholder"
    return ""


def compile_template(template: str, prefixes: Sequence[str]) -> re.Pattern[str]:
    """Pattern for `re.Pattern.fullmatch`; its group ``layer`` is there where the template has ``{layer}``.

    Prefixes may repeat (``bert.bert.encoder``) or be missing: checkpoints on the Hub do both.
    """
    pieces = []
    for position, text in enumerate(_PLACEHOLDER.split(template)):
        if position % 2 == 0:
            pieces.append(re.escape(text))
        elif text == "prefix":
            pieces.append(f"(?:{'|'.join(map(re.escape, prefixes))})*" if prefixes else "")
        elif text == "layer":
            pieces.append(LAYER)
        else:
            pieces.append(f"(?:{'|'.join(map(re.escape, text.split('|')))})")
    return re.compile("".join(pieces))
