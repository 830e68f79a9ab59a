"""Text for people: names made harmless, numbers with nouns, shares, lists cut short, the nearest known word, slugs."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable


def printable(text: str, limit: int = 200) -> str:
    """``text`` fit for a terminal or a page: at most ``limit`` characters, none of them able to steer either.

    Names inside a model's files are a stranger's words. Control, bidirectional and other unprintable
    characters come out as escapes (``\\x1b``), so no message can clear a screen or read backwards.

    Example:
        >>> printable("wte\\x1b[2J")
        'wte\\\\x1b[2J'
    """
    safe = escaped(text[:limit])
    return safe if len(text) <= limit and len(safe) <= limit else safe[: limit - 1] + "…"


def escaped(text: str) -> str:
    """``text`` with each character that cannot be printed as an escape.

    Example:
        >>> escaped("a\\nb")
        'a\\\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plural(number: int, one: str, many: str = "") -> str:
    """``number`` and its noun, ``many`` where adding an s does not make its plural.

    Example:
        >>> plural(1, "warning"), plural(1234, "rule"), plural(2, "matrix", "matrices")
        ('1 warning', '1,234 rules', '2 matrices')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """``share`` with two decimals at most, never rounded up: what is not whole is never 100 %.

    Example:
        >>> percent(0.99999), percent(0.57), percent(1.0), percent(2e-6)
        ('99.99 %', '57 %', '100 %', '< 0.01 %')
    """
    hundredths = math.floor(round(1e4 * share, 8))  # 0.57 is a little less in binary
    return "< 0.01 %" if hundredths == 0 and share > 0 else f"{hundredths / 100:g} %"


def shortened(things: Iterable[str], most: int, *, spare: int = 0, noun: str = "") -> list[str]:
    """The first ``most`` of ``things``, and how many more there are, in words of the same list.

    Up to ``spare`` more are named too: "1 more" would take as much room as its name.

    Example:
        >>> shortened(["a", "b", "c", "d"], 2, noun="files")
        ['a', 'b', '2 more files']
    """
    names = list(things)
    if len(names) <= most + spare:
        return names
    return [*names[:most], f"{len(names) - most:,} more{f' {noun}' if noun else ''}"]


def listed(things: Iterable[str], most: int | None = None, *, spare: int = 0, noun: str = "") -> str:
    """``things`` as a list in a sentence, cut as by `shortened` where there are more than ``most``.

    Example:
        >>> listed(["a", "b", "c"]), listed(["a", "b", "c", "d"], 2)
        ('a, b and c', 'a, b and 2 more')
    """
    names = list(things) if most is None else shortened(things, most, spare=spare, noun=noun)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as an option takes them.

    Example:
        >>> ranges([0, 1, 2, 5])
        '0-2,5'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def in_order(name: str) -> tuple[tuple[str, int, str], ...]:
    """Sort key of ``name`` in which numbers count as such.

    Example:
        >>> sorted(["layer.10", "layer.2", "head"], key=in_order)
        ['head', 'layer.2', 'layer.10']
    """
    words, numbers = re.split("[0-9]+", name), [number.lstrip("0") for number in re.findall("[0-9]+", name)]
    # Of two numbers the longer one is the larger: so none need be read, however long.
    return tuple((word, len(number), number) for word, number in zip(words, [*numbers, ""], strict=True))


def did_you_mean(word: str, known: Iterable[str], *, most: int = 1) -> str:
    """``Did you mean method? `` for a ``word`` like one of ``known``, or like several; "" where none is near.

    Example:
        >>> did_you_mean("mehtod", ["method", "tol"])
        'Did you mean method? '
    """
    near = difflib.get_close_matches(word, list(known), n=most)
    return f"Did you mean {' or '.join(near)}? " if near else ""


def slug(text: str, *, longest: int) -> str:
    """``text`` as a file's name that every system takes; a Hub id's slash becomes two hyphens, which no id has. The
    scheme of an address is left out.

    Example:
        >>> slug("openai/gpt2 (large)", longest=100)
        'openai--gpt2-large'
    """
    bare = re.sub(r"^[a-z][a-z0-9]+://", "", text)
    return re.sub(r"[^A-Za-z0-9._@-]+", "-", bare.replace("/", "--"))[:longest].strip("-")
