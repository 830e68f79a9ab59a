"""One matrix of two models: what differs, how much, and what was done."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from weightaudit.arrays import Array, Product
from weightaudit.audit.base import effective_weights, scratch_for
from weightaudit.audit.held import Held, Stored
from weightaudit.audit.matching import first_rows
from weightaudit.audit.pieces import cut, cut_products
from weightaudit.audit.products import operator_of
from weightaudit.audit.tables import is_table, table_facts
from weightaudit.config import AuditConfig
from weightaudit.pairs.explain import explain
from weightaudit.pairs.kinds import WITHOUT_SPECTRUM, Verdict, kind_of_entries, kind_of_spectrum, kind_without_spectrum
from weightaudit.pairs.opening import Pair
from weightaudit.pairs.permutations import digests_of_values
from weightaudit.records import Change, RankFacts, RoleMatrix, Spectrum, TableFacts
from weightaudit.spectral import Difference, LowRank, ThreadTeam, digest, measure
from weightaudit.spectral.directions import directions
from weightaudit.spectral.entry_changes import entry_changes
from weightaudit.spectral.measurement import frobenius_norm
from weightaudit.spectral.operators.difference import pair_digest
from weightaudit.spectral.ranks import flatness, rank_facts

SMALLEST = 3
"""Rows and columns from which on singular values say something."""
RANK_OF_PRODUCT = 1e-6
"""Share of the largest singular value of a product below which another is rounding of its factors."""

Blocks = Sequence[Array]


@dataclass
class Digests:
    """By which matrices of the base are found again: of both models, by the keys of those of the derived one."""

    base: dict[str, str] = field(default_factory=dict)
    derived: dict[str, str] = field(default_factory=dict)


class Comparer:
    """Compares matrices that have been read, as ``config`` says; ``directions`` and ``intruders`` say what else is
    looked for. Thread-safe.
    """

    def __init__(self, config: AuditConfig, team: ThreadTeam, *, directions: bool, intruders: bool) -> None:
        self._team, self._directions, self._intruders = team, directions or intruders, intruders
        self._seed = config.seed
        self._measure = partial(
            measure,
            tol=config.tol,
            delta=config.delta,
            method=config.method,
            seed=config.seed,
            device=config.device,
            team=team,
        )
        self.digests = Digests()

    def change(self, pair: Pair, held: Held) -> Change:
        """What became of the matrix of ``pair``, for which ``held`` has been read."""
        W0 = first_rows(cut(pair.base.matrix, held.beside[0].arrays), pair.base.rows)
        factors = cut_products(pair.matrix, held.own.products)
        if factors and not any(product.magnitude is not None for product in factors):
            return self._of_product(pair, W0, operator_of(factors))
        if factors:
            W1: Blocks = [effective_weights(W0, factors, held.spare(scratch_for(pair.base.matrix)))]
        else:
            W1 = first_rows(cut(pair.matrix, held.own.arrays), pair.base.rows)
        return self._of_arrays(pair, W0, W1, partial(_others, pair, held), _added(pair, held))

    def _of_arrays(
        self,
        pair: Pair,
        W0: Blocks,
        W1: Blocks,
        others: Callable[[], list[Blocks | list[Product]] | None],
        added: TableFacts | None,
    ) -> Change:
        name, (before, after) = pair.matrix.key, (digest(W0), digest(W1))
        facts = entry_changes(W0, W1, team=self._team)
        self.digests.base[name], self.digests.derived[name] = digests_of_values(W0, W1, facts) or (before, after)

        def norms() -> tuple[Spectrum, Spectrum]:
            of_base = self._measure(W0, name=pair.base.matrix.key, digest=before, spectrum=True)
            return of_base, self._measure(W1, name=name, digest=after, spectrum=True)

        verdict = Verdict("unchanged") if before == after else kind_of_entries(W0, W1, facts, norms)
        spectrum = ranks = pointing = None
        if _worth_a_spectrum(verdict, pair.matrix):
            difference, both = Difference(W1, W0), pair_digest(after, before)
            spectrum = self._measure(difference, name=name, digest=both, spectrum=True)
            if verdict is None:
                ranks = rank_facts(
                    difference, facts, spectrum, seed=self._seed, name=name, digest=both, team=self._team
                )
                verdict = kind_of_spectrum(facts, spectrum, ranks)
            if verdict.kind in WITHOUT_SPECTRUM:
                spectrum = ranks = None
            elif self._directions:
                pointing = directions(
                    W0,
                    W1,
                    intruders=self._intruders,
                    seed=self._seed,
                    name=name,
                    digest=both,
                    team=self._team,
                )
        verdict = verdict or kind_without_spectrum(facts)
        known = others()
        return _of(pair)(
            kind=verdict.kind,
            entries=facts,
            relative=facts.relative,
            spectrum=spectrum,
            ranks=ranks,
            directions=pointing,
            grid=verdict.grid,
            block=verdict.block,
            recipe=explain(W0, W1, known, facts, base_too=pair.adapter is None) if known else None,
            added=added,
        )

    def _of_product(self, pair: Pair, W0: Blocks, product: LowRank) -> Change:
        """Of an adapter: Δ is a product, of which the rank and all singular values are known."""
        spectrum = self._measure(product, name=pair.matrix.key, digest=product.digest(), spectrum=True)
        values = np.sort(product.singular_values())[::-1]
        known = values[values > RANK_OF_PRODUCT * values.max(initial=0.0)]
        size, base = spectrum.frobenius_norm, frobenius_norm(W0, team=self._team)
        lost = not math.isfinite(size) or not math.isfinite(base)
        return _of(pair)(
            kind="not finite" if lost else "low rank" if size else "unchanged",
            entries=None,
            relative=math.nan if lost else size / base if base else size * math.inf if size else 0.0,
            spectrum=spectrum if size else None,
            ranks=None
            if lost or not size
            else RankFacts(len(known), 0.0, tuple(known.tolist()), 0.0, flatness(spectrum, *product.shape)),
        )


def _of(pair: Pair) -> Callable[..., Change]:
    """A change of which all is known but what was measured."""
    return partial(
        Change,
        place=pair.matrix.place,
        tensors=pair.matrix.tensors,
        tensors_base=pair.base.matrix.tensors,
        shape=pair.matrix.shape,
        shape_base=pair.base.matrix.shape,
        dtype=_stored_as(pair.matrix),
        dtype_base=_stored_as(pair.base.matrix),
    )


def _stored_as(matrix: RoleMatrix) -> str:
    """Its dtype, or the format that it is quantised in."""
    quantised = matrix.scheme is not None and not matrix.scheme.adapter
    return matrix.scheme.name if matrix.scheme is not None and quantised else matrix.dtype


def _added(pair: Pair, held: Held) -> TableFacts | None:
    """What stands out among the rows that the derived model has more than the base; None where it has no more."""
    if pair.matrix.shape[0] <= pair.base.rows or pair.base.changed or not is_table(pair.matrix):
        return None
    (table,) = cut(pair.matrix, held.own.arrays)
    found, first = table_facts(table), pair.base.rows
    groups = (tuple(row for row in group if row >= first) for group in found.equal)
    return TableFacts(
        equal=tuple(group for group in groups if len(group) > 1),
        mean=tuple(row for row in found.mean if row >= first),
        random=tuple(row for row in found.random if row >= first),
    )


def _worth_a_spectrum(verdict: Verdict | None, matrix: RoleMatrix) -> bool:
    return min(matrix.shape) >= SMALLEST and (verdict is None or verdict.kind not in WITHOUT_SPECTRUM)


def _others(pair: Pair, held: Held) -> list[Blocks | list[Product]] | None:
    """What Δ may be made of: the matrices of parents, the product that an adapter has; None where one is not there."""
    _, *beside = held.beside
    others: list[Blocks | list[Product]] = []
    for found, stored in zip(pair.parents, beside, strict=False):
        if found is None:
            return None
        others.append(first_rows(cut(found.matrix, stored.arrays), pair.base.rows))
    if pair.adapter is not None:
        others.append(_of_adapter(pair, held, beside[-1]))
    return others or None


def _of_adapter(pair: Pair, held: Held, stored: Stored) -> Blocks | list[Product]:
    """The product, or, of one with magnitudes and of weights that the adapter has whole, the matrix that it makes."""
    assert pair.adapter is not None
    factors = cut_products(pair.adapter, stored.products)
    if not factors:
        return first_rows(cut(pair.adapter, stored.arrays), pair.base.rows)
    if any(product.magnitude is not None for product in factors):
        whole = cut(pair.base.matrix, held.beside[0].arrays)
        made = effective_weights(whole, factors, held.spare(scratch_for(pair.base.matrix)))
        return first_rows([made], pair.base.rows)
    return factors
