"""What a page's HTML and its scripts must agree on, written once: the scripts get it with the page's data."""

from __future__ import annotations

from typing import Any

from weightaudit.records import SEVERITIES, Severity
from weightaudit.report.markup import UNITS
from weightaudit.report.verdict import severity_count

BETWEEN = " · "
"""Between the words of a place in the page."""
TABLE_LINES = 100
"""Lines of a table at a time."""
PRINTED_LINES = 5000
"""The same on paper, where nobody turns the page of a table."""
SEVERITY_CSS: dict[Severity, str] = {"error": "bad", "warning": "warn", "info": "info"}
"""Class of the colours of a severity."""


def page_constants() -> dict[str, Any]:
    """As every page's data has them: see ``page_types/common.d.ts``."""
    return {
        "between": BETWEEN,
        "units": list(UNITS),
        "severities": [
            {"name": name, "plural": severity_count(2, name).partition(" ")[2], "css": SEVERITY_CSS[name]}
            for name in SEVERITIES
        ],
        "lines": TABLE_LINES,
        "printed": PRINTED_LINES,
    }
