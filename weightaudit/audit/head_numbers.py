"""The numbers of the heads of one attention that share keys and values.

Products of two matrices of a head are never formed: `LowRank` measures them by their factors. Gains of a norm multiply
columns in float64, which is exact for weights of 32 bits or fewer; of others the rounding is far below what the bound
of a product allows for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weightaudit.architecture.attention_plan import AttentionPlan, Gains
from weightaudit.arrays import Array
from weightaudit.config import AuditConfig
from weightaudit.errors import UsageError
from weightaudit.records import HeadNorms, HeadRow, RoleMatrix, Spectrum
from weightaudit.spectral import LowRank, measure
from weightaudit.spectral.rounding import UNIT
from weightaudit.spectral.team import ThreadTeam

ROUNDING = 1.0 + 1e-9
"""Factor that covers the rounding of the lengths of vectors and of products of bounds, whose relative error is far
smaller."""
COPIES = 10
"""Copies in float64 of the rows of one head that are held at once: those of its queries, keys and values with the gains
of a norm, and of both factors of a product, as they are, scaled, and decomposed."""
Float = NDArray[np.float64]


class HeadGroup:
    """A head of keys and values, and the heads of queries that read it."""

    def __init__(
        self, plan: AttentionPlan, kv_head: int, stored: Mapping[str, Array], config: AuditConfig, team: ThreadTeam
    ) -> None:
        self.plan, self.attention, self.kv_head = plan, plan.attention, kv_head
        self._stored, self._config, self._team = stored, config, team
        self._nope = self.attention.head_dim - plan.rotary

    @property
    def bytes_beside(self) -> int:
        """Bytes that the work takes beside the weights, at most."""
        sides = [side for matrix in self.plan.matrices.values() for side in matrix.shape]
        return 8 * COPIES * max(self.attention.head_dim, self.attention.value_dim) * max(sides, default=0)

    def rows(self) -> Iterator[HeadRow]:
        """A row for each head of queries."""
        plan, attention = self.plan, self.attention
        key, value = self._rows_of("K", self.kv_head, self._nope), self._rows_of("V", self.kv_head, attention.value_dim)
        k, v = self._norms(key, f"K{self.kv_head}"), self._norms(value, f"V{self.kv_head}")
        key, value = self._folded(key, plan.kv_in), self._folded(value, plan.kv_in)
        folded_k = self._norms(key, f"DK{self.kv_head}") if plan.kv_in is not None and plan.kv_in.tensor else k
        share = attention.heads // attention.kv_heads
        for head in range(self.kv_head * share, (self.kv_head + 1) * share):
            query = self._rows_of("Q", head, attention.head_dim)
            q = self._norms(query, f"Q{head}")
            out = self._columns_of_o(head)
            o = self._norms(out, f"O{head}")
            meeting = None if query is None else self._folded(query[: self._nope], plan.q_in)
            same = not plan.rotary and (plan.q_in is None or not plan.q_in.tensor)
            folded_q = q if same else self._norms(meeting, f"DQ{head}")
            logit = self._product(meeting, key, f"QK{head}", attention.scale)
            yield HeadRow(
                stack=attention.stack,
                layer=attention.layer,
                attention=attention.attention,
                head=head,
                kv_head=self.kv_head,
                q=q,
                k=k,
                v=v,
                o=o,
                logit=logit,
                logit_any_distance=_times(attention.scale, folded_q, folded_k),
                logit_bound=self._bound(query, folded_q, folded_k, logit, head),
                ov=self._product(None if out is None else out.T, value, f"OV{head}", 1.0),
            )

    def _rows_of(self, part: str, head: int, size: int) -> Array | None:
        matrix = self.plan.matrices.get(part)
        return None if matrix is None or not size else rows_of(matrix, self._stored, head * size, size)

    def _columns_of_o(self, head: int) -> Array | None:
        matrix, size = self.plan.matrices.get("O"), self.attention.value_dim
        if matrix is None:
            return None
        blocks = [part.cut(self._stored[part.tensor])[:, head * size : (head + 1) * size] for part in matrix.parts]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _folded(self, rows: Array | None, gains: Gains | None) -> Array | None:
        """``rows``, their columns multiplied by the gains of a norm."""
        if rows is None or gains is None or not gains.tensor:
            return rows
        by = self._vector(gains.tensor) + gains.plus
        return rows.astype(np.float64) * by if by.size == rows.shape[1] else rows * math.nan

    def _vector(self, name: str) -> Float:
        return self._stored[name].reshape(-1).astype(np.float64)

    def _measured(self, what: object, name: str) -> Spectrum:
        config, key = self._config, f"{self.plan.key}/{name}"
        return measure(
            what,
            tol=config.tol,
            delta=config.delta,
            method=config.method,
            seed=config.seed,
            name=key,
            device="cpu",
            team=self._team,
        )

    def _norms(self, rows: Array | None, name: str) -> HeadNorms | None:
        return None if rows is None else _record(self._measured(rows, name))

    def _product(self, left: Array | None, right: Array | None, name: str, scale: float) -> HeadNorms | None:
        """Of scale·leftᵀ·right; NaN where that leaves the range of float64."""
        if left is None or right is None:
            return None
        try:
            return _record(self._measured(LowRank(left.T, right, scale), name))
        except UsageError:
            return HeadNorms(math.nan, math.nan, math.nan, math.nan)

    def _bound(
        self,
        query: Array | None,
        folded_q: HeadNorms | None,
        folded_k: HeadNorms | None,
        logit: HeadNorms | None,
        head: int,
    ) -> float:
        """On every logit at any distance; NaN where something that stands between is not known."""
        plan, scale = self.plan, self.attention.scale
        if not plan.bounded or query is None or folded_q is None or folded_k is None or logit is None:
            return math.nan
        if plan.q_norm is not None and plan.k_norm is not None:
            lengths = self._after(plan.q_norm, "Q", head), self._after(plan.k_norm, "K", self.kv_head)
            return scale * lengths[0] * lengths[1] * ROUNDING
        if plan.rotary:
            q_length, latent = math.sqrt(query.shape[1]), math.sqrt(plan.matrices["K"].shape[1])
            return (
                scale * q_length * self._shared_key(query) + q_length * latent * logit.spectral_norm_upper
            ) * ROUNDING
        length = math.sqrt(query.shape[1])
        q_bias, k_bias = self._bias("Q", head, plan.q_in), self._bias("K", self.kv_head, plan.kv_in)
        q_length = length * folded_q.spectral_norm_upper + q_bias
        k_length = length * folded_k.spectral_norm_upper + k_bias
        return scale * q_length * k_length * ROUNDING

    def _after(self, norm: Gains, part: str, head: int) -> float:
        """Bound on the length of a head's queries or keys after their norm, over one head or over all."""
        size, count = self.attention.head_dim, self.attention.heads if part == "Q" else self.attention.kv_heads
        if not norm.tensor:
            return math.sqrt(size)
        gains = self._vector(norm.tensor) + norm.plus
        bias = self._vector(norm.bias) if norm.bias else np.zeros(gains.size)
        if gains.size not in (size, size * count) or bias.size != gains.size:
            return math.nan
        alone = plain = gains.size == size
        own = slice(0, size) if plain else slice(head * size, (head + 1) * size)
        # Gains of (heads, rows) normalise each head by itself; a vector as long as all heads, all of them together.
        alone = alone or self._stored[norm.tensor].ndim == 2
        return math.sqrt(size if alone else size * count) * _largest(gains[own]) + _length(bias[own])

    def _shared_key(self, query: Array) -> float:
        """Bound on the product of a head's rotated rows of queries with the key that all heads share, for inputs of
        the queries as they are: ‖W_Q·D‖₂·√n·‖W_K·D‖₂."""
        plan = self.plan
        latents = plan.matrices.get("KV_A")
        if latents is None:
            return math.nan
        shared = rows_of(latents, self._stored, latents.shape[0] - plan.rotary, plan.rotary)
        turned = self._norms(self._folded(query[self._nope :], plan.q_in), "rotary Q")
        key = self._norms(self._folded(shared, plan.hidden_in), "rotary K")
        if turned is None or key is None:
            return math.nan
        return math.sqrt(shared.shape[1]) * turned.spectral_norm_upper * key.spectral_norm_upper

    def _bias(self, part: str, head: int, norm: Gains | None) -> float:
        """Length of what biases add to a head's queries or keys: its own, and what W makes of the norm's."""
        matrix, size = self.plan.matrices[part], self.attention.head_dim
        total = np.zeros(size)
        if part in self.plan.biases:
            bias = self._stored[self.plan.biases[part]].reshape(-1, 1)
            alone = replace(matrix, parts=tuple(replace(p, tensor="bias", transposed=False) for p in matrix.parts))
            if bias.shape[0] < (head + 1) * size:
                return math.nan
            total = total + rows_of(alone, {"bias": bias}, head * size, size)[:, 0].astype(np.float64)
        if norm is not None and norm.bias:
            beta, rows = self._vector(norm.bias), rows_of(matrix, self._stored, head * size, size)
            if beta.size != rows.shape[1]:
                return math.nan
            total = total + rows.astype(np.float64) @ beta
            # Rounding of that product: n terms, each at most |w||β|.
            slack = UNIT * 2 * beta.size * _length(beta) * _length(rows.astype(np.float64).reshape(-1))
            return _length(total) + slack
        return _length(total)


def rows_of(matrix: RoleMatrix, stored: Mapping[str, Array], start: int, size: int) -> Array:
    """Rows ``start`` to ``start + size`` of a matrix, a view where they lie in one run of one tensor."""
    found, at = [], 0
    for part in matrix.parts:
        whole = replace(part, rows=None).cut(stored[part.tensor])
        total = whole.shape[0] if part.rows is None else part.rows.total
        low, high = max(start - at, 0), min(start + size - at, total)
        at += total
        if low >= high:
            continue
        if part.rows is None:
            found.append(whole[low:high])
        elif part.rows.count == 1:
            found.append(whole[part.rows.start + low : part.rows.start + high])
        else:
            run, inside = np.divmod(np.arange(low, high), part.rows.size)
            found.append(whole[part.rows.start + run * part.rows.stride + inside])
    return found[0] if len(found) == 1 else np.concatenate(found)


def _record(known: Spectrum) -> HeadNorms:
    return HeadNorms(known.frobenius_norm, known.spectral_norm, known.spectral_norm_upper, known.stable_rank)


def _times(scale: float, first: HeadNorms | None, second: HeadNorms | None) -> float:
    if first is None or second is None:
        return math.nan
    return scale * first.spectral_norm_upper * second.spectral_norm_upper * (1.0 + 8.0 * UNIT)


def _length(vector: Float) -> float:
    return float(np.linalg.norm(vector))


def _largest(vector: Float) -> float:
    return float(np.abs(vector).max(initial=0.0))
