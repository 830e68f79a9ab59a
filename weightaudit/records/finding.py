"""What a rule finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weightaudit.records.place import OTHER, Place

Severity = Literal["error", "warning", "info"]
BaselineState = Literal["", "new", "unchanged"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""Most severe first."""


@dataclass(frozen=True)
class Finding:
    """Something a person should know or do about the weights.

    Attributes
    ----------
    id, title
        Those of the rule.
    severity
        "error", "warning" or "info".
    stack
        Where it is, as in `RoleMatrix`; a finding about the whole model has no place.
    layer
        The same: None where it is of several layers, or of none.
    expert
        The same.
    role
        The same: "" where it is of several roles, or of none.
    tensors
        Names of stored tensors that it is about.
    value
        What the rule measures, None where that is no number.
    threshold
        What ``value`` is compared with.
    advice
        What to do.
    detail
        What was found here, one sentence with its numbers.
    baseline_state
        "new" or "unchanged" beside the baseline, "" where there is none.
    """

    id: str
    severity: Severity
    title: str
    stack: str = ""
    layer: int | None = None
    expert: int | None = None
    role: str = ""
    tensors: tuple[str, ...] = ()
    value: float | None = None
    threshold: float | None = None
    advice: str = ""
    detail: str = ""
    baseline_state: BaselineState = ""

    @property
    def place(self) -> Place:
        """Where in the model it is."""
        alone = self.role == OTHER and len(self.tensors) == 1
        return Place(self.stack, self.layer, self.expert, self.role, self.tensors[0] if alone else "")


@dataclass(frozen=True)
class Suppressed:
    """A finding that does not count, and the option that says so, as it was written: ``by``."""

    finding: Finding
    by: str


@dataclass(frozen=True)
class NotJudged:
    """A rule that could not judge, for a ``reason``: a sentence that may end in what would let it.

    ``partly`` says that it did judge the rest of what it looks at.
    """

    rule: str
    reason: str
    partly: bool
