"""What was done to matrices: a low-rank change, a cast, levels, zeros, another order, factors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from weightaudit.audit.rules.wording import listed
from weightaudit.dtypes import BY_NAME
from weightaudit.pairs.rules.merging import TOLD_MERGES
from weightaudit.pairs.rules.rule import DiffRule
from weightaudit.pairs.rules.wording import (
    MOSTLY,
    cast_of,
    casts_of,
    changed,
    common,
    counted,
    named,
    nothing_else,
    of_kind,
    prevailing,
    typical,
)
from weightaudit.records import PERMUTED, Change, DiffResult, Finding, Grid, Kind

TABLES = ("EMBED", "HEAD")
"""Roles whose rows are tokens: where these are in another order the vocabulary is."""
THREE_OF_FOUR = 0.75
"""Share of zeros from which on two of every four is not the pattern."""
TOLD = 8
"""Moves that are told one by one."""


def _lora(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in prevailing(result, "low rank", beside="cast") if change.ranks is not None]
    if not found:
        return
    ranks = Counter(change.ranks.rank for change in found if change.ranks and change.ranks.rank is not None)
    if not ranks:
        return
    rank, number = ranks.most_common(1)[0]
    others = sorted(set(ranks) - {rank})
    cast = cast_of(found)
    rests = [change.ranks.rest for change in found if change.ranks and change.entries is not None]
    left = f" What those directions leave is {typical(rests)} times what rounding comes to." if rests else ""
    where = named(found)
    if 2 * number <= len(found):
        yield rule.of(
            found,
            f"A change of few directions above the resolution of the numbers, {common(ranks)} of them a matrix: "
            f"{where}. No one rank is common to most of the {len(found):,}.{left}",
            value=float(rank),
        )
        return
    rounded = [change for change in result.changes if change.kind == "cast"]
    with_them = bool(cast) and casts_of(rounded) in ([], [cast])
    alone = nothing_else(result, found, *(("cast",) if with_them else ()))
    then = f", then a cast to {cast}" if cast else ""
    said = f"{'Nothing but a' if alone else 'A'} rank-{rank:,} change, as a LoRA makes it, on {where}{then}."
    some = f" {number:,} of {len(found):,} have that rank, the others {listed(map(str, others))}." if others else ""
    others_cast = "" if with_them else _cast_too(of_kind(result, "cast"))
    yield rule.of(found, said + some + left + others_cast, value=float(rank))


def _cast_too(changes: Sequence[Change]) -> str:
    return f" {named(changes)}: the base's, cast to {listed(casts_of(changes))}." if changes else ""


def _cast(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = prevailing(result, "cast")
    if not found:
        return
    alone = "Nothing but a cast" if nothing_else(result, found, "cast") else "A cast"
    ways = casts_of(found)
    if not ways:
        told = "are finer than the base's, which are these rounded entry by entry"
        yield rule.of(found, f"{alone}, of the base: {counted(found, changed(result))} {told}.")
        return
    to = listed(ways)
    yield rule.of(found, f"{alone} to {to}: {counted(found, changed(result))} are the base's, rounded entry by entry.")


def _quantised(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in of_kind(result, "quantised") if change.dtype in BY_NAME]
    if found:
        grids = Counter(change.grid for change in found if change.grid is not None)
        which = listed((_levels(grid) for grid, _ in grids.most_common()), 3)
        yield rule.of(found, f"{counted(found, changed(result))} lie on few levels: {which}.")


def _levels(grid: Grid) -> str:
    shared = {0: "a row", -1: "a matrix"}.get(grid.group, f"{grid.group:,} neighbours")
    return f"{grid.bits} bits with one scale for {shared}, levels {'' if grid.even else 'not '}evenly spaced"


def _pruned(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in result.matrices if change.kind in ("pruned", "pruned and changed") and change.entries]
    if not found:
        return
    shares = [change.entries.zeros_derived / change.entries.entries for change in found if change.entries]
    pattern = all(change.entries.two_of_four for change in found if change.entries) and max(shares) < THREE_OF_FOUR
    moved = sum(change.kind == "pruned and changed" for change in found)
    cast = cast_of(found)
    kept = f" What is left is as it was{f', but for a cast to {cast}' if cast else ''}."
    rest = f" In {moved:,} of them what is left was changed too." if moved else kept
    rest = rest if min(shares) < 1.0 else ""
    yield rule.of(
        found,
        f"{counted(found, changed(result))} had entries set to zero; the share of zeros is now "
        f"{_shares(shares)}{', two of every four (2:4)' if pattern else ''}.{rest}",
        value=max(shares),
    )


def _shares(shares: Sequence[float]) -> str:
    low, high = (f"{share:.1%}" for share in (min(shares), max(shares)))
    return low if low == high else f"{low} to {high}"


def _permuted(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in result.matrices if change.kind in PERMUTED and not _reordered(change)]
    if not found:
        return
    ways = Counter(change.kind for change in found)
    blocks = sorted({change.block for change in found if change.block > 1})
    moved = f" They moved in blocks of {listed(map(str, blocks))}: heads, perhaps." if blocks else ""
    how = listed(f"{kind} in {number:,}" for kind, number in ways.most_common())
    yield rule.of(
        found,
        f"{counted(found, changed(result))} hold the base's numbers in another order: {how}. It is a copy, "
        f"not a fine-tune.{moved}",
    )


def _reordered(change: Change) -> bool:
    return change.kind == "rows permuted" and change.place.role in TABLES


def _moved(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in result.matrices if change.kind == "moved" and change.moved_from is not None]
    if found:
        steps = (f"{change.place.words()} was {change.moved_from.words()}" for change in found if change.moved_from)
        yield rule.of(
            found, f"{counted(found, changed(result))} are other matrices of the base: {listed(steps, TOLD)}."
        )


def _rotated(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in result.matrices if change.kind == "rotated"]
    if found:
        yield rule.of(
            found,
            f"{counted(found, changed(result))} share no direction with the base's but have its norm and its largest "
            "singular value: a copy that was turned, not a fine-tune.",
        )


def _scaled(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    kinds: tuple[Kind, ...] = ("scaled", "rows scaled", "columns scaled")
    found = [change for change in result.matrices if change.kind in kinds]
    if not found:
        return
    said = []
    for kind, by in zip(kinds, ("one factor", "a factor for each row", "a factor for each column"), strict=True):
        some = [change for change in found if change.kind == kind]
        if some:
            factors = [1.0 - change.entries.shrink for change in some if change.entries] if kind == "scaled" else []
            low, high = (f"{number:.4g}" for number in (min(factors), max(factors))) if factors else ("", "")
            which = f", {low if low == high else f'{low} to {high}'}," if factors else ""
            said.append(f"by {by}{which} in {len(some):,}")
    yield rule.of(found, f"{counted(found, changed(result))} are the base's multiplied: {listed(said)}.")


def _sparse(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in prevailing(result, "sparse") if change.entries]
    if found:
        shares = [change.entries.changed / change.entries.entries for change in found if change.entries]
        yield rule.of(
            found,
            f"Of {counted(found, changed(result))} only a part of the entries differs, {_shares(shares)}; the others "
            "are the base's to the last bit.",
            value=max(shares),
        )


def _rows(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in prevailing(result, "few rows") if change.entries]
    cast = [change for change in found if cast_of([change])]
    plain = [change for change in found if change not in cast]
    said, share = [], None
    if plain:
        touched = sum(change.entries.rows_changed for change in plain if change.entries)
        rows = sum(min(change.shape[0], change.shape_base[0]) for change in plain)
        share = touched / rows
        said.append(
            f"{touched:,} of {rows:,} rows of {counted(plain, changed(result))} differ, the others are the base's."
        )
    if cast:
        said.append(f"Of {counted(cast, changed(result))} half of the rows at least are the base's, rounded.")
    if said:
        yield rule.of(found, " ".join(said), value=share)


rule = partial(DiffRule, severity="info")
_KINDS = "docs/diff.md says how each kind is told."

RULES = (
    rule(
        id="diff-lora",
        title="A low-rank change, as a LoRA makes it",
        measures="Matrices whose change is proven to be of low rank but for rounding, of all that changed and are not "
        "casts.",
        threshold=MOSTLY,
        source="A sketch of the change finds its leading directions; what they leave is held against the rounding of "
        "stored numbers. " + _KINDS,
        advice="The change fits into an adapter of that rank: ship that, or extract it from the two models. Where more "
        "than that was meant to change, look for what did not reach this file.",
        check=_lora,
        suppressed_by=TOLD_MERGES,
    ),
    rule(
        id="diff-cast",
        title="The base in another precision",
        measures="Matrices each entry of which is the base's, rounded in one of the known ways; or the other way "
        "round.",
        threshold=MOSTLY,
        source="Equality entry by entry. " + _KINDS,
        advice="If more than a cast was meant, the change did not reach this file. Else use the base, or this to save "
        "memory.",
        check=_cast,
        suppressed_by=("diff-lora", "diff-merged"),
    ),
    rule(
        id="diff-quantised",
        title="Weights on few levels, stored as floating-point numbers",
        measures="Matrices whose entries, group by group, lie on a grid of at most 256 levels on which the base's do "
        "not, and which are stored in a dtype of more.",
        source=_KINDS,
        advice="Store it quantised: it fits into a fraction of this file without losing anything. To train or to "
        "merge, start from the base, which is more precise.",
        check=_quantised,
    ),
    rule(
        id="diff-pruned",
        title="Entries that were set to zero",
        measures="Matrices in which entries that were not zero are, and the others are as they were or zeros grew by a "
        "fifth of the entries.",
        source="Entry by entry. " + _KINDS,
        advice="Where it was not pruned on purpose, look for a mask or an unfinished save. Evaluate it: how much it "
        "lost is not to be seen here.",
        check=_pruned,
    ),
    rule(
        id="diff-permuted",
        title="The base's numbers in another order",
        measures="Matrices whose rows, columns or both are the base's in another order.",
        source="Equality of rows, columns and sorted rows. " + _KINDS,
        advice="If neighbouring matrices were permuted to match, the model does the same as the base: compare their "
        "outputs. To merge it or to apply an adapter, undo the permutation first.",
        check=_permuted,
    ),
    rule(
        id="diff-moved",
        title="Matrices that stood elsewhere in the base",
        measures="Matrices that are, entry by entry, another one of the base, rounded where they are stored in fewer "
        "bits.",
        source="Equality of digests.",
        advice="Layers that were stacked, or experts in another order: see that the router and config.json follow. "
        "Adapters of the base do not fit.",
        check=_moved,
    ),
    rule(
        id="diff-rotated",
        title="The base's singular values in other directions",
        measures="Matrices with a cosine below 0.1 to the base's, and with its norm and largest singular value.",
        source=_KINDS,
        advice="As quantisers rotate a model before they round it: compare outputs with the base's. Undo the rotation "
        "before merging or applying an adapter.",
        check=_rotated,
    ),
    rule(
        id="diff-scaled",
        title="The base's matrices, multiplied",
        measures="Matrices that are the base's but for a factor, one for each row or one for each column.",
        source="What is left of the change after the best factors, over what rounding comes to. " + _KINDS,
        advice="As norms folded into weights, or smoothing before quantisation, leave it: see that the norms beside "
        "them changed to match.",
        check=_scaled,
    ),
    rule(
        id="diff-sparse",
        title="A change of a part of the entries",
        measures="Matrices of which less than half of the entries differ, by more than rounding.",
        threshold=MOSTLY,
        source="As DARE and TIES merges and masked training leave it. " + _KINDS,
        advice="Ship the changed entries alone if size matters. Where a dense change was expected, look for a mask or "
        "for a merge that dropped the rest.",
        check=_sparse,
    ),
    rule(
        id="diff-rows",
        title="A change of few rows",
        measures="Matrices of which at most half of the rows differ.",
        threshold=MOSTLY,
        source="As embeddings have it, of which training changes the tokens that it sees. " + _KINDS,
        advice="Ship these rows alone if size matters. Where all rows were to change, look at the data's tokens.",
        check=_rows,
    ),
)
