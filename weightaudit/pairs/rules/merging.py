"""Whether the model is a merge: of parents that add up to it, of an adapter that is in it once, twice or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median

from weightaudit.audit.rules.wording import listed
from weightaudit.pairs.rules.rule import DiffRule
from weightaudit.pairs.rules.wording import alone, cast_of, named, typical, vectors
from weightaudit.records import Change, DiffResult, Finding, ModelIdentity
from weightaudit.text import plural, printable

OFF = 0.05
"""How far the scale of an adapter that was merged may be from 0, 1 or 2: more than rounding makes of it, far less than
a wrong alpha or rank."""
CHANCE = 20.0
"""What a fit explains of Δ, over its share of the entries, up to which that is chance: one in 100,000 exceeds it."""
VARYING = 0.01
"""Difference between weights of matrices above which a merge did not treat all alike."""


def _adapter(result: DiffResult) -> ModelIdentity | None:
    """The adapter that may have been merged."""
    return next((parent for parent in result.parents if parent.adapter is not None), None)


def _its(result: DiffResult) -> list[Change]:
    """What the adapter changes."""
    return [change for change in result.changes if change.recipe is not None] if _adapter(result) is not None else []


def _tried(result: DiffResult) -> list[Change]:
    """That of it of which it can be said whether the adapter is in it."""
    return [change for change in _its(result) if math.isfinite(_scale(change))]


def _scale(change: Change) -> float:
    return change.recipe.weights[0] if change.recipe is not None else math.nan


def _absent(change: Change) -> bool:
    """Whether the adapter is not in it: its scale is 0, or what it explains is no more than chance does."""
    recipe, entries = change.recipe, change.entries
    if recipe is None or abs(_scale(change)) <= OFF:
        return True
    return entries is not None and (1.0 - recipe.unexplained) * entries.entries <= CHANCE


def _present(result: DiffResult) -> list[Change]:
    return [change for change in _tried(result) if not _absent(change)]


def _near(changes: Sequence[Change], scale: float) -> list[Change]:
    return [change for change in changes if _at(change, scale)]


def _at(change: Change, scale: float) -> bool:
    return abs(_scale(change) - scale) <= OFF


def _not_merged(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in _tried(result) if _absent(change)]
    if found:
        same = sum(change.kind == "unchanged" for change in found)
        how = f" {same:,} of them are the base's to the last bit." if same else ""
        yield rule.of(
            found,
            f"The change that the {_called(result)} makes is not in {_of(found, result)}.{how}",
            value=float(len(found)),
        )


def _merged_twice(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = _near(_present(result), 2.0)
    if found:
        yield rule.of(
            found,
            f"The {_called(result)} is in {_of(found, result)} twice: its scale is {_scales(found)}.",
            value=2.0,
        )


def _other_scale(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in _present(result) if not _at(change, 1.0) and not _at(change, 2.0)]
    if found:
        yield rule.of(
            found,
            f"The {_called(result)} is in {_of(found, result)} at another scale than its own: {_scales(found)} "
            "times that.",
            value=median(map(_scale, found)),
        )


def _beside(result: DiffResult) -> list[Change]:
    """What changed, and not by a cast, where the adapter changes nothing."""
    same = ("unchanged", "cast")
    others = (change for change in result.changes if change.recipe is None)
    return [change for change in others if change.kind not in same or change.resized]


def _residue(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    present = _present(result)
    more = [change for change in present if change.recipe is not None and not change.recipe.exact]
    beside = _beside(result) if present else []
    lone = result.one_sided if present else ()
    if not more and not beside and not lone:
        return
    said = []
    if more:
        rests = typical(change.recipe.rest for change in more if change.recipe)
        share = typical(change.recipe.unexplained for change in more if change.recipe)
        said.append(
            f"In {_of(more, result)} something is left beside the {_called(result)}: {rests} times what rounding "
            f"comes to, {share} of the change's square."
        )
    if beside:
        said.append(f"Elsewhere these changed: {named(beside)}.")
    if lone:
        said.append(alone(lone))
    yield rule.of([*more, *beside], " ".join(said), value=max(map(_rest, more), default=None))


def _rest(change: Change) -> float:
    return change.recipe.rest if change.recipe is not None else 0.0


def _merged(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    present = _present(result)
    if not present or len(_near(present, 1.0)) < len(_tried(result)):
        return
    cast = cast_of(present)
    then = f", then a cast to {cast}" if cast else ""
    yield rule.of(
        present,
        f"The {_called(result)} is in {_of(present, result)} once, and nothing else{then}: what is left is "
        f"{typical(map(_rest, present))} times what rounding comes to.{_all_else(result)}{_untold(result)}",
        value=max(map(_rest, present)),
    )


def _all_else(result: DiffResult) -> str:
    """That it is as it was, which is known where nothing but a cast is `_beside`."""
    others = [change for change in result.changes if change.recipe is None]
    if not others:
        return ""
    rounded = ", rounded" if any(change.kind == "cast" for change in others) else ""
    number = sum(not change.is_matrix for change in others)
    too = f", {vectors(number)} too" if number and number < len(others) else ""
    return f" All else{' that was compared' if result.partial else ''} is the base's{rounded}{too}."


def _untold(result: DiffResult) -> str:
    """Of what it cannot be said whether the adapter is in it, and why."""
    unknown = [change for change in _its(result) if not math.isfinite(_scale(change))]
    lost = [change for change in unknown if change.entries is not None and change.entries.nonfinite]
    swallowed = [change for change in unknown if change.entries is None or not change.entries.nonfinite]
    why = ((swallowed, "rounding swallows the change"), (lost, "it has entries that are no numbers"))
    return "".join(f" Of {named(some)} it cannot be told: {reason}." for some, reason in why if some)


def _called(result: DiffResult) -> str:
    adapter = _adapter(result)
    return f"adapter {printable(adapter.name)}" if adapter is not None else "adapter"


def _of(some: Sequence[Change], result: DiffResult) -> str:
    """How many of the weights that the adapter changes, and which."""
    its = _its(result)
    how_many = "all" if len(some) == len(its) else f"{len(some):,} of"
    noun = "matrices" if all(change.is_matrix for change in its) else "matrices and vectors"
    its_own = "that it changes and that were compared" if result.partial else "that it changes"
    return f"{how_many} {len(its):,} {'matrix' if len(its) == 1 else noun} {its_own} ({named(some)})"


def _scales(changes: Sequence[Change]) -> str:
    low, high = (f"{number:.3g}" for number in (min(map(_scale, changes)), max(map(_scale, changes))))
    return low if low == high else f"{low} to {high}"


def _recipe(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    parents = [parent for parent in result.parents if parent.adapter is None]
    known = [change.recipe for change in result.matrices if change.recipe is not None]
    if len(parents) < len(result.parents) or not known or not result.summary.recipe_exact or result.summary.identical:
        return
    *of_parents, of_base = (
        list(filter(math.isfinite, weights)) for weights in zip(*(one.weights for one in known), strict=True)
    )
    told, vary = [], False
    for parent, weights in zip(parents, of_parents, strict=True):
        if weights:
            low, high = min(weights), max(weights)
            varies = high - low > VARYING
            vary = vary or varies
            spread = f" ({low:.3f} to {high:.3f})" if varies else ""
            told.append(f"{median(weights):.4g} × {printable(parent.name)}{spread}")
    if told:
        weight = "weights differ between matrices" if vary else "weights are the same in all"
        own = median(of_base) if of_base else 0.0
        share = f" Beside these {own:.2g} of the base." if abs(own) > 1e-3 else ""
        yield rule.finding(
            f"Exactly a linear merge: what it changed is {listed(told, len(told))} of what these have changed of the "
            f"base; {weight} of {plural(len(known), 'matrix', 'matrices')}, and what is left is "
            f"{typical(recipe.rest for recipe in known)} times what rounding comes to.{share}{_no_sum(result)}",
            value=max(recipe.rest for recipe in known),
        )


def _no_sum(result: DiffResult) -> str:
    """What is no such sum in a model whose matrices are."""
    others = [
        change
        for change in result.changes
        if change.resized
        or (change.kind != "unchanged" and (change.recipe is None or not change.recipe.exact) and not change.is_matrix)
    ]
    said = [f"Not so {named(others)}."] if others else []
    if result.one_sided:
        said.append(alone(result.one_sided))
    return "".join(f" {one}" for one in said)


info = partial(DiffRule, severity="info")
warning = partial(DiffRule, severity="warning")
_FIT = (
    "Least squares of the change on what the adapter's factors make, over every entry; what is left is held against "
    "the rounding of stored numbers."
)
TOLD_MERGES = ("diff-merged", "diff-merged-twice", "diff-merge-scale", "diff-merge-residue", "diff-not-merged")
"""Rules that tell where an adapter is."""

RULES = (
    DiffRule(
        id="diff-not-merged",
        title="The adapter was not merged",
        severity="error",
        measures="What the adapter changes and of whose change it is no part. What would not survive "
        "rounding is not judged.",
        threshold=0.0,
        source=_FIT,
        advice="Merge again and save what merge_and_unload() returns, not the model that it was called on; see that "
        "the adapter was made for this base and that its modules were found.",
        check=_not_merged,
    ),
    warning(
        id="diff-merged-twice",
        title="The adapter was merged twice",
        measures="Matrices that have twice the adapter's change.",
        threshold=2.0 - OFF,
        source=_FIT,
        advice="Merge into the base again: an adapter was merged and then loaded and merged once more, or the base had "
        "it already.",
        check=_merged_twice,
    ),
    warning(
        id="diff-merge-scale",
        title="The adapter was merged at another scale",
        measures="The multiple of the adapter's change that a matrix has, where it is neither 0, 1 nor 2.",
        threshold=OFF,
        source=_FIT,
        advice="Compare lora_alpha, r and use_rslora of adapter_config.json with what was trained and with what merged "
        "it; a weight that was given to the merge on purpose is no fault.",
        check=_other_scale,
    ),
    warning(
        id="diff-merge-residue",
        title="More changed than the adapter does",
        measures="What is left of the changes without the adapter's, over what rounding comes to; and what changed "
        "where it changes nothing.",
        source=_FIT,
        advice="Look for a second adapter, for modules that were trained whole (modules_to_save), for a merge in a "
        "coarser precision, or for another base than the one the adapter was trained on.",
        check=_residue,
    ),
    info(
        id="diff-merged",
        title="The adapter is merged, and nothing else",
        measures="Matrices that have the adapter's change once, but for rounding, where all else is the base's.",
        source=_FIT,
        advice="Nothing to do: base and adapter make this model.",
        check=_merged,
        suppressed_by=("diff-not-merged", "diff-merged-twice", "diff-merge-scale", "diff-merge-residue"),
    ),
    info(
        id="diff-recipe",
        title="A linear merge of the parents",
        measures="Weights of the parents' changes that fit best, and what they leave over what rounding comes to: in "
        "every matrix no more than that.",
        source="Least squares over every entry, on the parents' changes and on the base, of which an interpolation on "
        "a sphere (slerp) keeps a little.",
        advice="The weights reproduce these matrices from the parents. Merge in float32 for the closest.",
        check=_recipe,
    ),
)
