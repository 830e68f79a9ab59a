"""The columns of a difference: one table, read by the DataFrame, CSV, JSON, Parquet and the page alike.

Ends of intervals are rounded outwards, as those of a scan are (see `weightaudit.report.columns`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from weightaudit.records import (
    Change,
    Directions,
    EntryChanges,
    Explained,
    Grid,
    ModelIdentity,
    Place,
    RankFacts,
    Spectrum,
)
from weightaudit.report.columns import Column, Value, number_text, place_columns

Facts = TypeVar("Facts")
Told = Callable[[ModelIdentity, Change], Value]


def _of(part: Callable[[Change], Facts | None], told: Callable[[Facts], Value], unknown: Value = None) -> Told:
    """What ``told`` says of a ``part`` of a change, ``unknown`` where it was not looked for."""

    def value(m: ModelIdentity, c: Change) -> Value:
        found = part(c)
        return unknown if found is None else told(found)

    return value


def _of_entries(told: Callable[[EntryChanges], Value], unknown: Value = None) -> Told:
    return _of(lambda c: c.entries, told, unknown)


def _of_spectrum(told: Callable[[Spectrum], Value], unknown: Value = None) -> Told:
    return _of(lambda c: c.spectrum, told, unknown)


def _of_ranks(told: Callable[[RankFacts], Value], unknown: Value = None) -> Told:
    return _of(lambda c: c.ranks, told, unknown)


def _of_directions(told: Callable[[Directions], Value], unknown: Value = None) -> Told:
    return _of(lambda c: c.directions, told, unknown)


def _of_grid(told: Callable[[Grid], Value]) -> Told:
    return _of(lambda c: c.grid, told)


def _of_recipe(told: Callable[[Explained], Value], unknown: Value = None) -> Told:
    return _of(lambda c: c.recipe, told, unknown)


def _size(shape: tuple[int, ...], axis: int) -> int | None:
    return shape[axis] if axis < len(shape) else None


def change_norm(change: Change) -> float:
    """‖Δ‖_F: of the entries, or of an adapter's product; NaN where neither is known."""
    if change.entries is not None:
        return math.sqrt(change.entries.change_sq)
    return math.nan if change.spectrum is None else change.spectrum.frobenius_norm


def floor_relative(entries: EntryChanges) -> float:
    """What rounding alone comes to, as a share of ‖W₀‖_F; NaN where W₀ is zero or not finite."""
    return math.sqrt(entries.floor / entries.base_sq) if entries.base_sq > 0 else math.nan


def place_words(place: Place | None) -> str:
    """The place in words; "" of none."""
    return "" if place is None else place.words()


def _place(change: Change) -> Place:
    return change.place


CHANGES: tuple[Column[Change], ...] = (
    *place_columns(_place),
    Column(
        "role",
        "Role",
        "what the matrix does: Q K V O QKV M1 M2 and others; empty of vectors",
        "string",
        lambda m, c: c.place.role,
    ),
    Column(
        "tensors",
        "Tensors",
        "the derived model's stored tensors it was cut from, joined by ;",
        "string",
        lambda m, c: ";".join(c.tensors),
    ),
    Column(
        "tensors_base",
        "Tensors, base",
        "the base's stored tensors it was cut from, joined by ;",
        "string",
        lambda m, c: ";".join(c.tensors_base),
    ),
    Column(
        "rows",
        "Rows",
        "output features in the derived model; a vector's length",
        "Int64",
        lambda m, c: _size(c.shape, 0),
    ),
    Column("rows_base", "Rows, base", "the same in the base", "Int64", lambda m, c: _size(c.shape_base, 0)),
    Column("cols", "Cols", "input features; empty of vectors", "Int64", lambda m, c: _size(c.shape, 1)),
    Column("dtype_base", "Type, base", "stored data type in the base", "string", lambda m, c: c.dtype_base),
    Column("dtype_derived", "Type", "stored data type in the derived model", "string", lambda m, c: c.dtype),
    Column(
        "precision_base",
        "Precision, base",
        "narrowest float type that holds every entry of the base's exactly",
        "string",
        _of_entries(lambda e: e.precision_base, ""),
    ),
    Column(
        "precision_derived",
        "Precision",
        "the same of the derived model's",
        "string",
        _of_entries(lambda e: e.precision_derived, ""),
    ),
    Column("kind", "Kind", "what was done to it", "string", lambda m, c: c.kind),
    Column("changed", "Changed", "entries that differ in value", "Int64", _of_entries(lambda e: e.changed)),
    Column(
        "rows_changed", "Rows changed", "rows in which an entry differs", "Int64", _of_entries(lambda e: e.rows_changed)
    ),
    Column("frobenius_norm", "‖Δ‖ Frobenius", "Frobenius norm of the change Δ", "float64", lambda m, c: change_norm(c)),
    Column(
        "relative",
        "Relative size",
        "Frobenius norm of the change over that of the base's matrix",
        "float64",
        lambda m, c: c.relative,
    ),
    Column(
        "spectral_norm",
        "σ₁(Δ) lower",
        "largest singular value of the change, certified lower end",
        "float64",
        _of_spectrum(lambda s: s.spectral_norm, math.nan),
        "down",
    ),
    Column(
        "spectral_norm_upper",
        "σ₁(Δ) upper",
        "the same, upper end",
        "float64",
        _of_spectrum(lambda s: s.spectral_norm_upper, math.nan),
        "up",
    ),
    Column(
        "stable_rank",
        "Stable rank upper",
        "squared Frobenius norm of the change over its squared spectral norm, upper end",
        "float64",
        _of_spectrum(lambda s: s.stable_rank, math.nan),
        "up",
    ),
    Column(
        "stable_rank_lower",
        "Stable rank lower",
        "the same, lower end",
        "float64",
        _of_spectrum(lambda s: s.stable_rank_lower, math.nan),
        "down",
    ),
    Column(
        "floor_relative",
        "Rounding, relative",
        "Frobenius norm that rounding to the derived model's precision would make, over that of the base's matrix",
        "float64",
        _of_entries(floor_relative, math.nan),
    ),
    Column(
        "above_floor",
        "Above rounding",
        "squared Frobenius norm of the change over what rounding alone would make",
        "float64",
        _of_entries(lambda e: e.above_floor, math.nan),
    ),
    Column(
        "rank",
        "Rank",
        "rank of the change, where it is shown to be of that rank but for rounding; else empty",
        "Int64",
        _of_ranks(lambda r: r.rank),
    ),
    Column(
        "rank_rest",
        "Rest over rounding",
        "what the leading directions leave of the change, over what rounding leaves there",
        "float64",
        _of_ranks(lambda r: r.rest, math.nan),
    ),
    Column(
        "flatness",
        "Flatness",
        "spectral norm of white noise as large as the change, over its own: near 1 where it is such noise",
        "float64",
        _of_ranks(lambda r: r.flatness, math.nan),
    ),
    Column(
        "cosine",
        "Cosine",
        "of the angle between both matrices, taken as vectors",
        "float64",
        _of_entries(lambda e: e.cosine, math.nan),
    ),
    Column(
        "shrink",
        "Shrink",
        "c where the change is nearest to −c times the base's matrix",
        "float64",
        _of_entries(lambda e: e.shrink, math.nan),
    ),
    Column(
        "row_lift",
        "Row lift",
        "mean square of the base's matrix along the rows of the change, over that along random directions",
        "float64",
        _of_directions(lambda d: d.row_lift, math.nan),
    ),
    Column(
        "col_lift",
        "Column lift",
        "the same along its columns",
        "float64",
        _of_directions(lambda d: d.col_lift, math.nan),
    ),
    Column(
        "novelty",
        "Novelty",
        "largest share of a leading singular value of the derived matrix that the base does not have",
        "float64",
        _of_directions(lambda d: max(d.novelty, default=math.nan), math.nan),
    ),
    Column(
        "new_directions",
        "New directions",
        "leading singular values of which the base has less than half",
        "Int64",
        _of_directions(lambda d: d.new),
    ),
    Column(
        "intruders",
        "Intruders",
        "leading singular vectors that are known to be like none of the base's",
        "Int64",
        _of_directions(lambda d: d.intruders),
    ),
    Column("bits", "Bits", "bits that the levels of a quantised matrix need", "Int64", _of_grid(lambda g: g.bits)),
    Column(
        "group",
        "Group",
        "consecutive inputs that share a scale; 0: all of a row, -1: all of the matrix",
        "Int64",
        _of_grid(lambda g: g.group),
    ),
    Column("even", "Even", "whether the levels are evenly spaced", "boolean", _of_grid(lambda g: g.even)),
    Column(
        "block",
        "Block",
        "rows, or columns, that moved together where it was permuted",
        "Int64",
        lambda m, c: c.block or None,
    ),
    Column(
        "moved_from",
        "Moved from",
        "where in the base it stood, where it was moved",
        "string",
        lambda m, c: place_words(c.moved_from),
    ),
    Column("passes", "Passes", "reads of both matrices", "Int64", _of_spectrum(lambda s: s.passes)),
    Column(
        "converged",
        "Converged",
        "whether the interval is as narrow as tol asks",
        "boolean",
        _of_spectrum(lambda s: s.converged),
    ),
    Column(
        "casts",
        "Casts",
        "ways of rounding the base of which it is the result, joined by ;",
        "string",
        _of_entries(lambda e: ";".join(e.casts), ""),
    ),
    Column(
        "zeros_base", "Zeros, base", "entries that are zero in the base", "Int64", _of_entries(lambda e: e.zeros_base)
    ),
    Column(
        "zeros", "Zeros", "entries that are zero in the derived model", "Int64", _of_entries(lambda e: e.zeros_derived)
    ),
    Column(
        "nonfinite_base",
        "NaN or ∞, base",
        "entries that are NaN or infinite in the base",
        "Int64",
        _of_entries(lambda e: e.nonfinite_base),
    ),
    Column(
        "nonfinite",
        "NaN or ∞",
        "the same in the derived model",
        "Int64",
        _of_entries(lambda e: e.nonfinite_derived),
    ),
    Column(
        "recipe",
        "Recipe",
        "weights of the parents' changes, and last of the base's matrix, whose sum is nearest to the change, or the "
        "adapter's scale; joined by ;, empty for what changed nothing",
        "string",
        _of_recipe(lambda r: ";".join(number_text(weight, digits=6) for weight in r.weights), ""),
    ),
    Column(
        "recipe_rest",
        "Rest of the recipe",
        "what that sum leaves of the change, over what rounding alone would make",
        "float64",
        _of_recipe(lambda r: r.rest, math.nan),
    ),
    Column(
        "unexplained",
        "Unexplained",
        "the same over the squared Frobenius norm of the change",
        "float64",
        _of_recipe(lambda r: r.unexplained, math.nan),
    ),
)

NAMES: tuple[str, ...] = tuple(column.name for column in CHANGES)
TEXTS: tuple[int, ...] = tuple(
    i for i, column in enumerate(CHANGES) if column.dtype == "string" and column.name != "recipe"
)
"""Where the columns are that may repeat a stranger's names; a recipe has numbers, which may be negative."""
