"""The command line's options of a scan, made from `AuditConfig`'s."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal

import typer

from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.options import Option, options_of, types_of


def with_scan_options(
    *, only: Collection[str] = tuple(options_of(AuditConfig)), without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give ``command(…, config, …)`` an option for each of `AuditConfig`'s in that parameter's place, or for ``only``
    some, and none for those named in ``without``; the command is called with the config that they make. Typer reads its
    signature.
    """
    shared = [scan_option(name) for name in only if name not in without]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in own
            for each in (shared if parameter.name == "config" else [parameter])
        ]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            written = {one.name: given.pop(one.name) for one in shared}
            config = DEFAULTS.with_written(written)
            if config.ignore:
                from weightaudit.audit.rules import check_ignored

                check_ignored(config.ignore)
            command(config=config, **given)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect looks for
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def scan_option(name: str) -> inspect.Parameter:
    """The option ``name`` of `AuditConfig` as a parameter that typer understands."""
    known, default = options_of(AuditConfig)[name], getattr(DEFAULTS, name)
    typed = _typed(known, types_of(AuditConfig)[name])
    unset = default is None or default == ()
    shown: bool | str = known.default_text or not (unset or default is False)
    details: dict[str, Any] = {
        "help": known.help,
        "rich_help_panel": known.panel,
        "envvar": known.envvar,
        "show_envvar": known.envvar is not None,
        "show_default": shown,
        "min": known.least,
        "metavar": "|".join(known.choices) or None,
    }
    option = typer.Option(f"--{name.replace('_', '-')}", **details)
    annotation = Annotated[typed | None if unset else typed, option]  # type: ignore[valid-type]  # made as it runs
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None if unset else default, annotation=annotation
    )


def _typed(known: Option, kind: type) -> Any:
    """The type of what is typed for it."""
    if known.choices:
        return Literal[known.choices]
    if known.parse is None:
        return kind
    return list[str] if known.many else str
