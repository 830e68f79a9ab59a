"""What a scan says of heads of attention, where it was asked: in the JSON, and as a table of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from weightaudit.records import HeadNorms, HeadRow, ModelIdentity, ScanResult
from weightaudit.report.columns import Column, Rounding, Value
from weightaudit.report.table_files import frame

if TYPE_CHECKING:
    import pandas as pd

_PARTS = {
    "q": "the head's rows of Q",
    "k": "the head's rows of K, which a group of heads shares",
    "v": "the head's rows of V, which a group of heads shares",
    "o": "the head's columns of O",
    "logit": "s·D·W_Qᵀ·W_K·D, what two inputs of length 1 make of a logit at the same position",
    "ov": "W_O·W_V·D, what attending to one input adds to the output",
}
_STORED = ("q", "k", "v", "o")
"""Parts whose norms are in the unit of the entries."""
_NUMBERS: dict[str, tuple[str, Rounding]] = {
    "frobenius_norm": ("Frobenius norm", "nearest"),
    "spectral_norm": ("Lower end of the certified interval on the spectral norm", "down"),
    "spectral_norm_upper": ("Upper end of the certified interval on the spectral norm", "up"),
    "stable_rank": ("Upper end of the stable rank", "up"),
}


def _number(part: str, field: str) -> Callable[[ModelIdentity, HeadRow], Value]:
    def value(_: ModelIdentity, row: HeadRow) -> float:
        norms: HeadNorms | None = getattr(row, part)
        return math.nan if norms is None else float(getattr(norms, field))

    return value


def _columns() -> Iterator[Column[HeadRow]]:
    yield Column("model", "Model", "as in the rows of matrices", "string", lambda m, r: m.name)
    yield Column("revision", "Revision", "commit of a Hub model, else empty", "string", lambda m, r: m.revision)
    yield Column("stack", "Stack", "encoder or decoder, else empty", "string", lambda m, r: r.stack)
    yield Column("layer", "Layer", "number of the layer, from 0", "int64", lambda m, r: r.layer)
    yield Column("attention", "Attention", "self, or cross for attention to the encoder", "string", _attention)
    yield Column("head", "Head", "number of the queries' head, from 0", "int64", lambda m, r: r.head)
    yield Column("kv_head", "K/V head", "head of keys and values that it reads", "int64", lambda m, r: r.kv_head)
    for part, of in _PARTS.items():
        for field, (name, rounding) in _NUMBERS.items():
            yield Column(
                f"{part}_{field}",
                f"{part.upper()}: {name}",
                f"{name} of {of}",
                "float64",
                _number(part, field),
                rounding,
                unit="weight" if part in _STORED and field != "stable_rank" else "",
            )
    yield Column(
        "logit_any_distance",
        "Logit at any distance",
        "bound on the same whatever rotation stands between: s·‖W_Q·D‖₂·‖W_K·D‖₂",
        "float64",
        lambda m, r: r.logit_any_distance,
        "up",
    )
    yield Column(
        "logit_bound",
        "Bound on logits",
        "bound on the magnitude of every logit, biases included; empty where nothing bounds the inputs",
        "float64",
        lambda m, r: r.logit_bound,
        "up",
    )
    yield Column(
        "nearest", "Nearest", "head of the same attention with the closest Q, K and V", "Int64", lambda m, r: r.nearest
    )
    yield Column(
        "distance",
        "Distance",
        "the largest, over Q, K and V, of the norm of the difference to it over the larger norm",
        "float64",
        lambda m, r: r.distance,
    )


def _attention(_: ModelIdentity, row: HeadRow) -> str:
    return row.attention


HEAD_COLUMNS: tuple[Column[HeadRow], ...] = tuple(_columns())
"""The columns of the table of heads."""


def heads_json(report: ScanResult) -> dict[str, Any]:
    """The section of the JSON; {} where heads were not asked for."""
    return {} if report.heads is None else {"heads": asdict(report.heads)}


def heads_frame(report: ScanResult) -> pd.DataFrame:
    """One row a head of queries, numbers in full double precision; no rows where heads were not asked for."""
    rows = () if report.heads is None else report.heads.rows
    return frame(HEAD_COLUMNS, [[column.value(report.identity, row) for column in HEAD_COLUMNS] for row in rows])
