"""The columns of a merge check: one table, read by the DataFrame, CSV, JSON and Parquet alike."""

from __future__ import annotations

from collections.abc import Callable

from weightaudit.records import ModelIdentity, Place
from weightaudit.report.columns import Column, Value, number_text, place_columns
from weightaudit.report.merge.lines import Line

PREDICTED_NOTHING = "shown since people ask for it; it predicted next to nothing of what merges lost"
DOUBTFUL = (
    "Cosine and sign conflict are shown since people ask for them; they predicted next to nothing of what merges lost, "
    "and, alike for both models, cannot say which one suffers. The size ratio predicted less than D does."
)
"""Said wherever these stand beside D."""


def _place(line: Line) -> Place:
    return line.meeting.place


def _of_pair(number: str) -> Callable[[ModelIdentity, Line], Value]:
    return lambda m, line: line.of_pair(number)


def weights_text(weights: tuple[float, ...]) -> str:
    """Weights joined by ``;``."""
    return ";".join(number_text(weight, digits=6) for weight in weights)


MEETINGS: tuple[Column[Line], ...] = (
    Column("victim", "Model", "the model whose matrix it is", "string", lambda m, r: r.result.names[r.victim]),
    Column(
        "others",
        "Merged with",
        "the models that are merged with it, joined by ;",
        "string",
        lambda m, r: ";".join(r.result.names[i] for i in r.others),
    ),
    Column(
        "weights",
        "Weights",
        "of all models, joined by ;, those that are not merged here 0; empty for a merge that is judged",
        "string",
        lambda m, r: "" if r.merge else weights_text(r.weights[: len(r.result.models)]),
    ),
    *place_columns(_place),
    Column("role", "Role", "what the matrix does: Q K V O QKV M1 M2 and others", "string", lambda m, r: _place(r).role),
    Column(
        "tensors",
        "Tensors",
        "the stored tensors it was cut from, joined by ;",
        "string",
        lambda m, r: ";".join(r.meeting.tensors),
    ),
    Column("rows", "Rows", "output features", "int64", lambda m, r: r.meeting.shape[0]),
    Column("cols", "Cols", "input features", "int64", lambda m, r: r.meeting.shape[1]),
    Column(
        "counted", "Counts", "whether it counts among the model's numbers", "bool", lambda m, r: not r.meeting.table
    ),
    Column(
        "retention",
        "Retention ρ",
        "the multiple of the model's own update that acts on its inputs",
        "float64",
        lambda m, r: r.effect.retention,
    ),
    Column(
        "contamination",
        "Contamination κ",
        "what else acts on its inputs, relative to its own update",
        "float64",
        lambda m, r: r.effect.contamination,
    ),
    Column(
        "disturbance",
        "Disturbance D",
        "how far the merged matrix is from the model's own on its inputs",
        "float64",
        lambda m, r: r.effect.disturbance,
    ),
    Column(
        "error",
        "Error of D",
        "standard error of D with all merged at weight 1; 0 where it is exact",
        "float64",
        lambda m, r: r.meeting.interactions.errors[r.victim],
    ),
    Column(
        "chance",
        "Chance κ₀",
        "κ if the others' updates met its inputs in random directions",
        "float64",
        lambda m, r: r.effect.chance,
    ),
    Column(
        "chance_95",
        "κ₀, 95 %",
        "below which 95 % of such κ lie, of two models",
        "float64",
        lambda m, r: r.chance_high,
    ),
    Column("lift", "Lift κ/κ₀", "contamination over chance", "float64", lambda m, r: r.effect.lift),
    Column(
        "participation",
        "Directions",
        "how many directions the model's update takes up: (Σσ²)²/Σσ⁴",
        "float64",
        lambda m, r: r.meeting.interactions.participation[r.victim],
    ),
    Column(
        "leading",
        "In 32 directions",
        "share of the update's square in its 32 leading directions, at least",
        "float64",
        lambda m, r: r.meeting.interactions.leading[r.victim],
    ),
    Column(
        "update_norm",
        "‖Δ‖",
        "Frobenius norm of the model's update",
        "float64",
        lambda m, r: r.meeting.interactions.norm(r.victim),
    ),
    Column("size_ratio", "Size ratio", "‖Δ‖ of the other over its own", "float64", _of_pair("size_ratio")),
    Column("cosine", "Cosine", f"of the two updates; {PREDICTED_NOTHING}", "float64", _of_pair("cosine")),
    Column(
        "cosine_without_base",
        "Cosine without W₀",
        "the same without what both have of the base, as weight decay leaves it",
        "float64",
        _of_pair("cosine_without_base"),
    ),
    Column(
        "sign_conflict",
        "Sign conflict",
        f"share of the entries both change that they change in opposite directions; {PREDICTED_NOTHING}",
        "float64",
        _of_pair("opposed"),
    ),
)
NAMES = tuple(column.name for column in MEETINGS)
TEXTS = tuple(i for i, column in enumerate(MEETINGS) if column.name in ("victim", "others", "role", "tensors"))
"""Columns whose texts a stranger may have written."""
