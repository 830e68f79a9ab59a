"""A line of a model list as words: blanks separate them, double quotes hold them together, # starts a comment."""

from __future__ import annotations

import re

_WORD = re.compile(r'[ \t]*(?:(?P<comment>#.*)|(?P<word>(?:"[^"]*"|[^ \t"])+)|(?P<end>$))')


def split_words(line: str) -> list[str]:
    """The words of ``line``; ValueError where a quote is not closed. A # inside a word is part of it.

    Example:
        >>> split_words('gpt2@main roles="Q, K"  # small')
        ['gpt2@main', 'roles=Q, K']
    """
    words: list[str] = []
    at = 0
    while at < len(line):
        found = _WORD.match(line, at)
        if found is None:
            raise ValueError("a quote is not closed")
        if found["word"] is None:
            break
        words.append(found["word"].replace('"', ""))
        at = found.end()
    return words
