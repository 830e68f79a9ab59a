"""The command line's options of a scan, made from `AuditConfig`'s."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from weightaudit.cli import completion
from weightaudit.cli.settings import FAIL_ON_KEY, FILE, KEYS, PROJECT, find_settings
from weightaudit.cli.terminal import tell
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.options import Option, options_of, types_of
from weightaudit.text import printable

CONFIG_FILE = "config_file"
RULES = "weightaudit.audit.rules"
"""Module of the rules of a scan."""


def with_scan_options(
    *,
    only: Collection[str] = tuple(options_of(AuditConfig)),
    without: Collection[str] = (),
    models: Callable[[Mapping[str, Any]], Iterable[str]] | None = None,
    rules: str = RULES,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give ``command(…, config, …)`` an option for each of `AuditConfig`'s in that parameter's place, or for ``only``
    some, and none for those named in ``without``; the command is called with the config that they make. Typer reads its
    signature.

    ``models`` says which models the command will scan, of what it was given; then what the command line leaves open is
    taken from a file of settings, its ``fail_on`` too: see `settings`. A UsageError of it is raised.

    ``rules`` is the module whose `RULES` make the findings that options judge.
    """
    shared = [scan_option(name) for name in only if name not in without]
    beside = [_config_file()] if models is not None else []

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = dict(inspect.signature(command, eval_str=True).parameters)
        if models is not None:
            default_fail_on = own[FAIL_ON_KEY].default
            own[FAIL_ON_KEY] = _left_open(own[FAIL_ON_KEY])
        parameters = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in own.values()
            for each in ([*shared, *beside] if parameter.name == "config" else [parameter])
        ]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            written = {one.name: given.pop(one.name) for one in shared}
            if models is not None:
                chosen = _with_settings(
                    given.pop(CONFIG_FILE), {**written, FAIL_ON_KEY: given[FAIL_ON_KEY]}, models(given)
                )
                given[FAIL_ON_KEY] = chosen.pop(FAIL_ON_KEY) or default_fail_on
                written = {name: value for name, value in chosen.items() if name in written}
            config = DEFAULTS.with_written(written)
            if config.ignore or config.severity:
                from weightaudit.audit.rules import make_policy

                make_policy(config.severity, config.ignore, import_module(rules).RULES)
            command(config=config, **given)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect looks for
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _with_settings(named: Path | None, written: dict[str, Any], models: Iterable[str]) -> dict[str, Any]:
    """``written``, and where it has None what the file of settings says, which is told."""
    settings = find_settings(named)
    if model := settings.in_folder_of(models):
        tell(
            f"note: {settings.path} was not read, since it lies in the folder of {printable(model, 1000)}; "
            f"--config-file {settings.path} reads it"
        )
        return written
    in_force = {name: value for name, value in settings.values.items() if written.get(name, ()) is None}
    if in_force:
        said = "; ".join(f"{name} = {printable(_words(value), 1000)}" for name, value in in_force.items())
        tell(f"settings from {printable(settings.path, 1000)}: {said}")
    return {**written, **in_force}


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={word}" for key, word in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _config_file() -> inspect.Parameter:
    option = typer.Option(
        f"--{CONFIG_FILE.replace('_', '-')}",
        rich_help_panel="Findings",
        help=f"TOML file that sets {', '.join(KEYS)} where the command line does not.",
        show_default=f"{FILE}, or tool.weightaudit of {PROJECT}, here",
    )
    return inspect.Parameter(
        CONFIG_FILE, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, option]
    )


def _left_open(parameter: inspect.Parameter) -> inspect.Parameter:
    """The option with None for what is not given; its help shows the default that it has then."""
    kind, option = get_args(parameter.annotation)
    option = copy.copy(option)
    option.show_default = parameter.default
    return parameter.replace(default=None, annotation=Annotated[kind | None, option])


def scan_option(name: str) -> inspect.Parameter:
    """The option ``name`` of `AuditConfig` as a parameter that typer understands."""
    known, default = options_of(AuditConfig)[name], getattr(DEFAULTS, name)
    typed = _typed(known, types_of(AuditConfig)[name])
    unset = default is None or default == () or bool(known.may_have)
    shown: bool | str = known.default_text or not (unset or default is False)
    details: dict[str, Any] = {
        "help": known.help,
        "rich_help_panel": known.panel,
        "envvar": known.envvar,
        "show_envvar": known.envvar is not None,
        "show_default": shown,
        "min": known.least,
        "metavar": f"[{'|'.join(known.may_have)}]" if known.may_have else "|".join(known.choices) or None,
        "autocompletion": completion.OF_OPTIONS.get(name),
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
