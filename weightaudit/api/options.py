"""The options of `AuditConfig` as keywords of a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, TypeVar

from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.errors import UsageError
from weightaudit.options import options_of

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = "    **options\n        Those of `AuditConfig`.\n"
"""Of a docstring, as it is read in the source."""


def with_options(
    *, panels: Collection[str] = (), only: Collection[str] = (), without: Collection[str] = ()
) -> Callable[[F], F]:
    """Give a function that takes ``**options`` the keywords of `AuditConfig`, or of its ``panels`` alone, or ``only``
    those, but for those named in ``without``.

    Its signature shows them with their defaults, its docstring has the help of each, and a name that is none is a
    TypeError.
    """

    def with_signature(function: F) -> F:
        own, hints = inspect.signature(function), AuditConfig.__annotations__
        taken = {
            name: known
            for name, known in options_of(AuditConfig).items()
            if (not panels or known.panel in panels) and (not only or name in only) and name not in without
        }
        keywords = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=getattr(DEFAULTS, name), annotation=hints[name]
            )
            for name in taken
        ]
        *others, _ = own.parameters.values()
        signature = own.replace(parameters=[*others, *keywords])

        described = "".join(f"    {name}\n        {known.description}\n" for name, known in taken.items())
        function.__doc__ = (function.__doc__ or "").replace(_OPTIONS, described)

        def check_config(config: object) -> None:
            if not isinstance(config, AuditConfig):
                hint = "Write weightaudit.AuditConfig(tol=1e-3)"
                raise UsageError("config", f"a {type(config).__name__} is no AuditConfig", hint)
            for name in options_of(AuditConfig).keys() - taken.keys():
                if getattr(config, name) != getattr(DEFAULTS, name):
                    raise UsageError(f"config: {name}", f"{function.__name__} has no such option", "Leave it out")

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            check_config(kwargs.get("config", DEFAULTS))
            return function(*args, **kwargs)

        checked.__signature__ = signature  # type: ignore[attr-defined]  # what inspect looks for
        return checked  # type: ignore[return-value]  # the same but for its signature

    return with_signature
