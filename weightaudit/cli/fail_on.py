"""``--fail-on``: from which severity on findings make the exit code 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import typer

from weightaudit.cli.terminal import tell
from weightaudit.records import SEVERITIES
from weightaudit.text import plural

NEVER: Literal["never"] = "never"
FailOn = Literal["error", "warning", "info", "never"]
FAIL_ON: tuple[FailOn, ...] = (*SEVERITIES, NEVER)


def exceeded(counts: Mapping[str, int], fail_on: str) -> str:
    """Why the exit code is to be 1, in one line; "" where no finding is at or above ``fail_on``.

    ``counts`` is severity → how many findings.

    Example:
        >>> exceeded({"error": 1, "warning": 1, "info": 7}, "warning")
        '2 findings at or above warning: exit code 1 (--fail-on)'
    """
    severities = () if fail_on == NEVER else FAIL_ON[: FAIL_ON.index(fail_on) + 1]
    number = sum(counts.get(severity, 0) for severity in severities)
    return f"{plural(number, 'finding')} at or above {fail_on}: exit code 1 (--fail-on)" if number else ""


def exit_on_findings(counts: Mapping[str, int], fail_on: str) -> None:
    """Say why and exit with code 1 where a finding is at or above ``fail_on``."""
    reason = exceeded(counts, fail_on)
    if reason:
        tell(reason)
        raise typer.Exit(1)
