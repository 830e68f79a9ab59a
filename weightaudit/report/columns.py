"""The columns of the report: one table, read by the DataFrame, CSV, JSON, Parquet and the page alike.

Directed rounding: a printed interval must still hold the truth, so lower ends are rounded down and upper ends
up. That makes ``stable_rank`` round up and ``stable_rank_lower`` down, for ``stable_rank`` is the upper end
(it divides by the lower end of the spectral norm).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from functools import cache
from typing import Generic, Literal, TypeVar

from weightaudit.records import LayerRow, ModelIdentity, Place

Value = str | int | float | bool | None
Rounding = Literal["nearest", "down", "up"]
Row = TypeVar("Row")
"""What a line of a table is about: a matrix that was measured, or what became of one."""

DIGITS = 9
"""Significant digits of a printed number."""

_MODES = {"nearest": ROUND_HALF_EVEN, "down": ROUND_FLOOR, "up": ROUND_CEILING}


Unit = Literal["", "weight", "bits"]


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column: its name, its head in the page's table, what it means, its pandas dtype, where it comes from, how it
    is rounded when printed, whether a product, of which no entry is read, has nothing there, and its unit: "weight" is
    that of the entries, "" none.
    """

    name: str
    label: str
    meaning: str
    dtype: Literal["string", "Int64", "int64", "float64", "bool", "boolean"]
    value: Callable[[ModelIdentity, Row], Value]
    rounding: Rounding = "nearest"
    of_entries: bool = False
    unit: Unit = ""

    def text(self, value: Value) -> str:
        """``value`` as the CSV prints it: NaN and None are empty, flags are ``true``/``false``."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return number_text(value, self.rounding)
        return str(value)


@cache
def _context(digits: int, rounding: Rounding) -> Context:
    return Context(prec=digits, rounding=_MODES[rounding])


def number_text(value: float, rounding: Rounding = "nearest", digits: int = DIGITS) -> str:
    """``value`` with ``digits`` significant digits, rounded in the stated direction, trailing zeros dropped;
    NaN is empty.

    Exact decimal arithmetic: rounding a float after ``format`` would round twice.

    Example:
        >>> number_text(2 / 3, "down"), number_text(2 / 3, "up")
        ('0.666666666', '0.666666667')
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    rounded = _context(digits, rounding).plus(Decimal(value)).normalize()
    plain = -5 <= rounded.adjusted() < DIGITS
    return f"{rounded:f}" if plain else f"{rounded:e}"


def place_columns(place: Callable[[Row], Place]) -> tuple[Column[Row], ...]:
    """Stack, layer and expert of what a row is about."""
    return (
        Column(
            "stack",
            "Stack",
            "encoder or decoder in encoder-decoder models, else empty",
            "string",
            lambda m, r: place(r).stack,
        ),
        Column(
            "layer",
            "Layer",
            "number of the layer, from 0; empty outside the layers",
            "Int64",
            lambda m, r: place(r).layer,
        ),
        Column(
            "expert", "Expert", "number of the expert in a mixture, else empty", "Int64", lambda m, r: place(r).expert
        ),
    )


def place_said(place: Place) -> dict[str, Value]:
    """The place as JSON has it; of its tensor nothing where the role tells what it is."""
    return {name: value for name, value in asdict(place).items() if name != "tensor" or value}


def _place(row: LayerRow) -> Place:
    return row.matrix.place


COLUMNS: tuple[Column[LayerRow], ...] = (
    Column(
        "model", "Model", "Hub id of the model, or the name of its directory or file", "string", lambda m, r: m.name
    ),
    Column("revision", "Revision", "commit of a Hub model, else empty", "string", lambda m, r: m.revision),
    *place_columns(_place),
    Column("role", "Role", "what the matrix does: Q K V O QKV M1 M2 and others", "string", lambda m, r: r.matrix.role),
    Column(
        "tensors",
        "Tensors",
        "the stored tensors it was cut from, joined by ;",
        "string",
        lambda m, r: ";".join(r.matrix.tensors),
    ),
    Column("rows", "Rows", "output features", "int64", lambda m, r: r.matrix.shape[0]),
    Column("cols", "Cols", "input features", "int64", lambda m, r: r.matrix.shape[1]),
    Column("dtype", "Type", "stored data type", "string", lambda m, r: r.matrix.dtype),
    Column("parameters", "Parameters", "rows times cols", "int64", lambda m, r: r.matrix.parameters),
    Column(
        "frobenius_norm",
        "‖W‖ Frobenius",
        "square root of the sum of squared entries",
        "float64",
        lambda m, r: r.spectrum.frobenius_norm,
        unit="weight",
    ),
    Column(
        "spectral_norm",
        "σ₁ lower",
        "largest singular value, certified lower end",
        "float64",
        lambda m, r: r.spectrum.spectral_norm,
        "down",
        unit="weight",
    ),
    Column(
        "spectral_norm_upper",
        "σ₁ upper",
        "largest singular value, upper end",
        "float64",
        lambda m, r: r.spectrum.spectral_norm_upper,
        "up",
        unit="weight",
    ),
    Column(
        "stable_rank",
        "Stable rank upper",
        "squared Frobenius norm over squared spectral norm, upper end",
        "float64",
        lambda m, r: r.spectrum.stable_rank,
        "up",
    ),
    Column(
        "stable_rank_lower",
        "Stable rank lower",
        "the same, lower end",
        "float64",
        lambda m, r: r.spectrum.stable_rank_lower,
        "down",
    ),
    Column(
        "norm_ratio",
        "Norm ratio",
        "Frobenius norm over the spectral norm's lower end",
        "float64",
        lambda m, r: r.spectrum.norm_ratio,
    ),
    Column("method", "Method", "exact or krylov", "string", lambda m, r: r.spectrum.method),
    Column("passes", "Passes", "reads of the whole matrix", "int64", lambda m, r: r.spectrum.passes),
    Column(
        "converged",
        "Converged",
        "whether the interval is as narrow as tol asks",
        "bool",
        lambda m, r: r.spectrum.converged,
    ),
    Column("nonfinite", "NaN or ∞", "entries that are NaN or infinite", "int64", lambda m, r: r.spectrum.nonfinite),
    Column(
        "zeros",
        "Zeros",
        "entries that are exactly zero",
        "int64",
        lambda m, r: r.spectrum.zeros,
        of_entries=True,
    ),
    Column(
        "max_abs",
        "Largest |w|",
        "largest finite absolute value of an entry",
        "float64",
        lambda m, r: r.spectrum.max_abs,
        unit="weight",
    ),
)

NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)


def values(identity: ModelIdentity, row: Row, columns: Sequence[Column[Row]]) -> list[Value]:
    """The values of one row, in the order of the columns, numbers in full precision."""
    return [column.value(identity, row) for column in columns]


def texts(identity: ModelIdentity, row: Row, columns: Sequence[Column[Row]]) -> list[str]:
    """The same as printed text."""
    return [column.text(column.value(identity, row)) for column in columns]
