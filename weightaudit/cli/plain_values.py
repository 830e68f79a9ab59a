"""Values that are what they should be as they were typed, so that nothing need be imported to make them.

Later versions of typer make each value of a command by pydantic, typed or not, whose import takes longer than numpy's.
Here it is left to what may be wrong, so that the messages are its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

_MADE_OTHERWISE = object()


def spare(parameters: Iterable[Any]) -> None:
    """Have each of a command's ``parameters`` make its plain values itself. Where typer has another way, or one does
    already, nothing is done.
    """
    for parameter in parameters:
        usual = getattr(parameter, "get_runtime_param", None)
        if usual is not None and not isinstance(usual, _Making):
            parameter.get_runtime_param = _Making(parameter, usual)


class _Making:
    """In place of the method by which typer's ``parameter`` gets what makes its values, and of that, too."""

    def __init__(self, parameter: Any, usual: Callable[[], Any]) -> None:
        self._parameter, self._usual = parameter, usual

    def __call__(self) -> _Making:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of what was typed, or of a default."""
        several = self._parameter.multiple or self._parameter.nargs == -1
        if value is None:
            return () if several else None
        made = plain(self._parameter.type_descriptor.annotation, value)
        return self._usual().coerce(value, param=param, ctx=ctx) if made is _MADE_OTHERWISE else made


def plain(kind: Any, value: Any) -> Any:
    """``value`` as the type ``kind`` has it, where that takes no conversion that could fail; else `_MADE_OTHERWISE`."""
    if get_origin(kind) is list and isinstance(value, (list, tuple)):
        items = [plain(get_args(kind)[0], item) for item in value]
        return _MADE_OTHERWISE if _MADE_OTHERWISE in items else items
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else _MADE_OTHERWISE
    if kind is Path and isinstance(value, str):
        return Path(value) if _may_be_named(value) else _MADE_OTHERWISE
    # A text that is no ASCII may be no text to pydantic, as names of files may hold bytes that are none.
    if type(value) is not kind or (kind is str and not value.isascii()):
        return _MADE_OTHERWISE
    return value


def _may_be_named(path: str) -> bool:
    """Whether typer takes the path: whatever is there must be readable."""
    return path.isascii() and "\0" not in path and (not os.path.exists(path) or os.access(path, os.R_OK))
