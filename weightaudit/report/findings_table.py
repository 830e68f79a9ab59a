"""Findings as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weightaudit.records import Reported
from weightaudit.report.table_files import storable

if TYPE_CHECKING:
    import pandas as pd


def findings_frame(result: Reported) -> pd.DataFrame:
    """One row a finding, in the report's order; ``layer`` and ``expert`` are nullable Int64, ``tensors`` are joined
    by ``;``.
    """
    import pandas as pd

    findings = result.findings

    def texts(name: str) -> pd.Series[str]:
        return pd.Series([storable(getattr(one, name)) for one in findings], dtype="string")

    return pd.DataFrame(
        {
            "severity": texts("severity"),
            "id": texts("id"),
            "title": texts("title"),
            "stack": texts("stack"),
            "layer": pd.Series([one.layer for one in findings], dtype="Int64"),
            "expert": pd.Series([one.expert for one in findings], dtype="Int64"),
            "role": texts("role"),
            "tensors": pd.Series([storable(";".join(one.tensors)) for one in findings], dtype="string"),
            "value": pd.Series([one.value for one in findings], dtype="float64"),
            "threshold": pd.Series([one.threshold for one in findings], dtype="float64"),
            "detail": texts("detail"),
            "advice": texts("advice"),
            "baseline_state": texts("baseline_state"),
        }
    )
