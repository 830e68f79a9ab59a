"""What became of one model, as its folder says it and as it travels from a worker."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

OUTCOME = "outcome.json"
SCHEMA = 1


@dataclass(frozen=True)
class Outcome:
    """The end of one model's scan.

    ``key`` says of which scan (see `identity`), ``run`` in which run; ``reason`` why it failed; ``files`` the sizes of
    what it left; ``entry`` what the comparison page and summary.csv say of it, and ``verdict`` what the scan's findings
    come to: "" for none, as in outcomes of before there were verdicts.
    """

    key: str
    status: Literal["done", "failed"]
    title: str
    revision: str = ""
    reason: str = ""
    files: dict[str, int] = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)
    run: str = ""
    verdict: str = ""

    def to_json(self) -> bytes:
        """As the folder keeps it."""
        fields = {
            "schema": SCHEMA,
            "key": self.key,
            "status": self.status,
            "title": self.title,
            "revision": self.revision,
            "reason": self.reason,
            "files": self.files,
            "entry": self.entry,
            "run": self.run,
            "verdict": self.verdict,
        }
        return (json.dumps(fields, allow_nan=False) + "\n").encode()


def read_outcome(folder: Path) -> Outcome | None:
    """What ``folder`` says; None where its model is not finished: no outcome, or files that are not those it left."""
    try:
        said: Any = json.loads((folder / OUTCOME).read_bytes())
        if not isinstance(said, dict) or said.pop("schema", None) != SCHEMA:
            return None
        outcome = Outcome(**said)
        if any((folder / name).stat().st_size != nbytes for name, nbytes in outcome.files.items()):
            return None
    except (OSError, ValueError, TypeError):
        return None
    return outcome
