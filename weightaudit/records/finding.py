"""What a rule finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weightaudit.records.place import Place

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""Most severe first."""


@dataclass(frozen=True)
class Finding:
    """Something a person should know or do about the weights.

    ``id`` and ``title`` are the rule's; ``detail`` says in one sentence what was found here, with its numbers;
    ``value`` is what the rule measures and ``threshold`` the limit of that; ``advice`` is what to do. A finding
    about the whole model has no place.
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

    @property
    def place(self) -> Place:
        """Where in the model it is."""
        return Place(self.stack, self.layer, self.expert, self.role)
