"""The numbers by which models are compared: the columns of a batch's summary.csv and of the comparison table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weightaudit.report.columns import number_text

Metric = float | int | str | None


@dataclass(frozen=True)
class SummaryColumn:
    """One number a model: its name, what it means, and how a head of a table calls it."""

    name: str
    meaning: str
    title: str
    kind: Literal["float", "int", "text"] = "float"

    def text(self, value: Metric) -> str:
        """As a CSV has it: 9 significant digits, None and NaN empty."""
        if value is None:
            return ""
        return number_text(float(value)) if self.kind == "float" else str(value)


RANKED_ROLES = ("Q", "K", "V", "O", "QKV", "M1", "M2")

SUMMARY_COLUMNS: tuple[SummaryColumn, ...] = (
    SummaryColumn("layers", "layers that the config tells of", "layers", "int"),
    SummaryColumn("hidden", "model dimension", "hidden", "int"),
    SummaryColumn("parameters", "elements of all tensors, tied copies and buffers left out", "parameters", "int"),
    SummaryColumn("parameters_analysed", "those of the matrices analysed", "analysed", "int"),
    SummaryColumn("share_analysed", "the second over the first", "share analysed"),
    SummaryColumn("matrices", "matrices measured", "matrices", "int"),
    SummaryColumn("dtypes", "stored data types, by parameters; joined by ;", "dtypes", "text"),
    SummaryColumn("stable_rank", "harmonic mean of stable ranks over the layers' matrices", "stable rank"),
    *(
        SummaryColumn(f"stable_rank_{role}", f"the same over the layers' {role}", f"stable rank of {role}")
        for role in RANKED_ROLES
    ),
    SummaryColumn(
        "norm_preservation_median",
        "largest over smallest Frobenius norm of QKV, M1 and M2 in a layer; median over layers",
        "norm ratio in a layer, median",
    ),
    SummaryColumn("norm_preservation_max", "the same, largest over layers", "norm ratio in a layer, largest"),
    SummaryColumn("nonfinite", "entries that are NaN or infinite", "non-finite", "int"),
    SummaryColumn("zeros", "entries that are exactly zero", "zeros", "int"),
    SummaryColumn("not_converged", "matrices whose interval is wider than asked for", "not converged", "int"),
)

SUMMARY_NAMES: tuple[str, ...] = tuple(column.name for column in SUMMARY_COLUMNS)
