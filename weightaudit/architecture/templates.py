"""Templates of tensor names, and the anchored patterns they stand for."""

from __future__ import annotations

import re
from functools import cache

from weightaudit.text import listed

# Bounded, because a name in a file may carry any number of digits; 18 fit every integer type.
_NUMBER = r"0|[1-9][0-9]{0,17}"
_GROUPS = {
    "layer": rf"(?P<layer>{_NUMBER})",
    "expert": rf"(?P<expert>{_NUMBER})",
    "pair": rf"(?P<pair>{_NUMBER})",
    "stack": r"(?P<stack>encoder|decoder|patcher)",
    "enc": r"(?P<stack>enc|dec)",
    "module": r"(?P<stack>[HL]_module)",
    "number": rf"(?:{_NUMBER})",
    "rest": r".+",
}

_SAME = (("stack", "enc", "module"), ("layer", "pair"))
"""Placeholders that say the same, so that a template has one of them."""
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_WORDS = re.compile(r"[\w.]+(\|[\w.]+)+")
MOST_ENDINGS = 64
"""Ways that a template may end which are written out."""


def check(template: str) -> str:
    """What is wrong with a template; "" if nothing."""
    for inner in _PLACEHOLDER.findall(template):
        if inner != "prefix" and inner not in _GROUPS and not _WORDS.fullmatch(inner):
            return f"'{{{inner}}}' in '{template}' is no placeholder"
    rest = _PLACEHOLDER.sub("", template)
    if not re.fullmatch(r"[\w.]*", rest):
        return f"'{template}' has characters that no tensor name has"
    if any(template.count(f"{{{inner}}}") > 1 for inner in ("prefix", *_GROUPS)):
        return f"'{template}' repeats a placeholder"
    for same in _SAME:
        if sum(f"{{{inner}}}" in template for inner in same) > 1:
            return f"'{template}' has more than one of {listed(f'{{{inner}}}' for inner in same)}"
    return ""


@cache
def endings_of(template: str, enough: int) -> tuple[str, ...]:
    """What names that fit a template end in: each does in one of these. Words are written out from behind until every
    ending has ``enough`` characters, or there would be more than `MOST_ENDINGS`.

    Example:
        >>> endings_of("{prefix}h.{layer}.mlp.{c_fc|c_proj}.weight", 9)
        ('c_fc.weight', 'c_proj.weight')
    """
    endings: tuple[str, ...] = ("",)
    for position, text in reversed(list(enumerate(_PLACEHOLDER.split(template)))):
        words = text.split("|") if position % 2 else [text]
        told = position % 2 == 0 or _WORDS.fullmatch(text)
        if not told or len(endings) * len(words) > MOST_ENDINGS or all(len(ending) >= enough for ending in endings):
            break
        endings = tuple(word + ending for word in words for ending in endings)
    return endings


@cache
def compile_template(template: str, prefixes: tuple[str, ...]) -> re.Pattern[str]:
    """Pattern for `re.Pattern.fullmatch`; it has a group ``layer`` where the template has ``{layer}``, and so for
    ``pair``, ``expert`` and ``stack``.

    Prefixes may repeat (``bert.bert.encoder``) or be missing: checkpoints on the Hub do both. Kept, because templates
    are those of the specs, and a model that none of them knows is held against all.
    """
    pieces = []
    for position, text in enumerate(_PLACEHOLDER.split(template)):
        if position % 2 == 0:
            pieces.append(re.escape(text))
        elif text == "prefix":
            pieces.append(f"(?:{'|'.join(map(re.escape, prefixes))})*" if prefixes else "")
        elif text in _GROUPS:
            pieces.append(_GROUPS[text])
        else:
            pieces.append(f"(?:{'|'.join(map(re.escape, text.split('|')))})")
    return re.compile("".join(pieces))
