"""The options of every command that scans, spelt once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from weightaudit.cli import options
from weightaudit.config import DEFAULTS, AuditConfig


@dataclass(frozen=True)
class Scanning:
    """The options as they were typed."""

    token: options.Token = DEFAULTS.token
    offline: options.Offline = DEFAULTS.offline
    download: options.Download = DEFAULTS.download
    memory: options.Memory = None
    max_wait: options.MaxWait = DEFAULTS.max_wait
    roles: options.Roles = None
    layers: options.Layers = None
    method: options.MethodName = DEFAULTS.method
    tol: options.Tol = DEFAULTS.tol
    delta: options.Delta = DEFAULTS.delta
    seed: options.Seed = DEFAULTS.seed
    spectrum: options.Spectrum = DEFAULTS.spectrum
    ignore: options.Ignore = None
    device: options.Device = DEFAULTS.device

    def config(self, **others: Any) -> AuditConfig:
        """What they ask for, with ``others``. Raises UsageError for what cannot be read as its option."""
        from weightaudit.audit.findings import check_ignored
        from weightaudit.audit.selection import parse_layers, parse_roles
        from weightaudit.audit.sizes import parse_bytes

        typed = {known.name: getattr(self, known.name) for known in fields(self)}
        read = {
            "memory": parse_bytes(self.memory),
            "roles": parse_roles(self.roles),
            "layers": parse_layers(self.layers),
            "ignore": check_ignored(",".join(self.ignore or ())),
        }
        return AuditConfig(**{**typed, **read, **others})


def with_scanning(command: Callable[..., None]) -> Callable[..., None]:
    """``command(…, scanning, …)`` as a function that has, in that parameter's place, one for each of `Scanning`'s
    fields; typer reads its signature.
    """
    hints = get_type_hints(Scanning, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(known.name, keyword, default=known.default, annotation=hints[known.name])
        for known in fields(Scanning)
    ]
    own = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [
        each.replace(kind=keyword)
        for parameter in own
        for each in (shared if parameter.name == "scanning" else [parameter])
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(scanning=Scanning(**{one.name: given.pop(one.name) for one in shared}), **given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect looks for
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
