"""Heads of attention, one by one: what each of them can do to its input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["self", "cross"]
"""What an attention attends to: the states of its own stack, or those of the encoder."""


@dataclass(frozen=True)
class HeadNorms:
    """Norms of one head's share of a matrix, or of a product of two such.

    ``spectral_norm`` and ``spectral_norm_upper`` are the ends of a certified interval; ``stable_rank`` is the upper end
    of its own, as a matrix's row has it. NaN where an entry is not finite.
    """

    frobenius_norm: float
    spectral_norm: float
    spectral_norm_upper: float
    stable_rank: float


@dataclass(frozen=True)
class HeadRow:
    """One head of queries, and the head of keys and values that it reads.

    Attributes
    ----------
    stack, layer, attention
        Where it is; `Attention` says how its numbers are made.
    head
        Number of the queries' head, from 0.
    kv_head
        Number of the head of keys and values: the same for every query of a group.
    q, k, v
        Of the head's rows of Q, K and V, as they are stored; None where these were not read, or not found.
    o
        Of the head's columns of O.
    logit
        Of s·D·W_Qᵀ·W_K·D: the logit that two inputs of length 1 give at the same position.
    logit_any_distance
        Bound on the norm of that map whatever rotation stands between W_Qᵀ and W_K: s·‖W_Q·D‖₂·‖W_K·D‖₂.
    logit_bound
        Bound on the magnitude of every logit at any distance, biases included; NaN where nothing bounds the inputs.
    ov
        Of W_O·W_V·D: what attending to one input adds to the output.
    nearest
        Number of the head of the same attention whose Q, K and V are closest; None where there is none.
    distance
        Of it, the largest of ‖A − B‖_F over the larger norm, for A and B the two heads' rows of Q, K and V.
    """

    stack: str
    layer: int
    attention: Kind
    head: int
    kv_head: int
    q: HeadNorms | None = None
    k: HeadNorms | None = None
    v: HeadNorms | None = None
    o: HeadNorms | None = None
    logit: HeadNorms | None = None
    logit_any_distance: float = math.nan
    logit_bound: float = math.nan
    ov: HeadNorms | None = None
    nearest: int | None = None
    distance: float = math.nan


@dataclass(frozen=True)
class Attention:
    """One attention that was taken apart into heads, and how the numbers of its heads are made.

    Attributes
    ----------
    stack, layer, attention
        Where it is.
    heads, kv_heads
        Of queries, and of keys and values.
    head_dim, value_dim
        Rows of a head's queries, and of its values.
    scale
        s, which the model multiplies the product of a query and a key by.
    scale_source
        Where s comes from, in words.
    norm
        Norm before the attention whose gains D are folded into Q, K and V; "" where none is.
    head_norm
        Norm of queries and keys after W_Q and W_K; "" where there is none. Then ``logit`` is of the weights alone.
    left_out
        What ``logit`` and ``ov`` leave out, in words.
    """

    stack: str
    layer: int
    attention: Kind
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    scale: float
    scale_source: str
    norm: str = ""
    head_norm: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class SkippedAttention:
    """An attention whose heads are not known, and why, in words that follow its place."""

    stack: str
    layer: int
    attention: Kind
    why: str


@dataclass(frozen=True)
class Heads:
    """The heads of a model, in report order, and the attentions that were not taken apart."""

    attentions: tuple[Attention, ...] = ()
    rows: tuple[HeadRow, ...] = ()
    skipped: tuple[SkippedAttention, ...] = ()
