"""What the numbers of a merge check are worth: said wherever they are shown."""

from __future__ import annotations

TRUST = "TRUST"
WHY = ("WHY",)
