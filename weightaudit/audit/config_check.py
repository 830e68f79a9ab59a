"""What can be said of options before a model is opened; torch is not imported for it."""

from __future__ import annotations

from collections.abc import Sequence

from weightaudit.audit.rules import RULES, make_policy
from weightaudit.audit.rules.rule import AnyRule
from weightaudit.config import AuditConfig
from weightaudit.spectral import check_options


def check_config(config: AuditConfig, *, check_device: bool = True, rules: Sequence[AnyRule] = RULES) -> None:
    """Raise UsageError for options that no model could be scanned with, before a byte is read.

    ``check_device=False`` lets devices pass that this machine does not have; ``rules`` make the findings that options
    judge.
    """
    make_policy(config.severity, config.ignore, rules)
    check_options(
        tol=config.tol,
        delta=config.delta,
        method=config.method,
        seed=config.seed,
        device=config.device if check_device else "cpu",
        spectrum=config.spectrum,
    )
