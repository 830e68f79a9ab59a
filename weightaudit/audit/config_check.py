"""What can be said of options before a model is opened; torch is not imported for it."""

from __future__ import annotations

from weightaudit.audit.rules import RULES, make_policy
from weightaudit.config import AuditConfig
from weightaudit.spectral import check_options


def check_config(config: AuditConfig, *, check_device: bool = True) -> None:
    """Raise UsageError for options that no model could be scanned with, before a byte is read.

    ``check_device=False`` lets devices pass that this machine does not have.
    """
    make_policy(config.severity, config.ignore, RULES)
    check_options(
        tol=config.tol,
        delta=config.delta,
        method=config.method,
        seed=config.seed,
        device=config.device if check_device else "cpu",
    )
