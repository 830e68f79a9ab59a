"""What the changes of all matrices and vectors say of the model."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import partial

from weightaudit.audit.rules.wording import listed
from weightaudit.pairs.rules.merging import TOLD_MERGES
from weightaudit.pairs.rules.rule import DiffRule
from weightaudit.pairs.rules.shape import TABLES
from weightaudit.pairs.rules.wording import VECTORS, changed, counted, named, of_kind
from weightaudit.pairs.summary import as_numbers
from weightaudit.records import Change, DiffResult, Finding, Kind
from weightaudit.records.change import NEW
from weightaudit.text import plural

UNRELATED = 0.5
"""Share of unrelated matrices from which on the models are."""
SOME = 0.2
"""Share of the changed matrices from which on it is told that they are noise, or at the resolution of their numbers."""
TURNED = 0.1
"""Share of the matrices from which on new directions are told."""
TRAINED: tuple[Kind, ...] = ("dense", "noise", "sparse", "few rows", "low rank", "at the resolution")
"""Kinds that training leaves: beside these it matters what was left alone."""


def _identical(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    if not result.summary.identical or not result.changes:
        return
    if result.derived.adapter is not None:
        yield rule.finding(f"The adapter changes nothing: {listed(_of_no_use(result.changes))}.", value=0.0)
        return
    numbers = ((len(result.matrices), "matrix", "matrices"), (len(result.vectors), *VECTORS))
    both = listed(plural(number, one, many) for number, one, many in numbers if number)
    part = f" Compared was a part only ({listed(result.partial)})." if result.partial else ""
    yield rule.finding(f"No entry of {both} differs.{part}", value=0.0)


def _of_no_use(changes: Sequence[Change]) -> Iterator[str]:
    """What an adapter has that changes nothing."""
    zero = sum(change.entries is None for change in changes)
    if zero:
        yield f"{plural(zero, 'product')} of it {'is' if zero == 1 else 'are'} zero"
    made = len(changes) - zero
    if made:
        yield f"{plural(made, 'weight')} that it makes or has whole {'is' if made == 1 else 'are'} the base's"


def _unrelated(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = _strange(result)
    if found and len(found) >= UNRELATED * len(result.matrices):
        share = len(found) / len(result.matrices)
        yield rule.of(found, _unlike(found, result), value=share)


def _replaced(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = _strange(result)
    if found:
        yield rule.of(found, _unlike(found, result))


def _strange(result: DiffResult) -> list[Change]:
    """Matrices that are unrelated to the base's, and are not this with what parents or an adapter have changed: a large
    change hides the base."""
    return [change for change in of_kind(result, "unrelated") if change.recipe is None or not change.recipe.exact]


def _unlike(found: list[Change], result: DiffResult) -> str:
    most = max((abs(change.entries.cosine) for change in found if change.entries), default=0.0)
    return (
        f"{counted(found, result.matrices, '')} have nothing to do with those in their places in the base: the cosine "
        f"between them is {most:.2g} at most."
    )


def _nonfinite(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    lost = {id(change): _lost(change) for change in result.changes}
    found = [change for change in result.changes if lost[id(change)]]
    if found:
        total = sum(lost.values())
        of_products = any(change.entries is None for change in found)  # of which no base has been seen
        before = "" if of_products else "; in the base all are numbers"
        are = "is" if total == 1 else "are"
        yield rule.of(
            found,
            f"{plural(total, 'entry', 'entries')} of {named(found)} {are} NaN or infinite{before}.",
            value=float(total),
        )


def _lost(change: Change) -> int:
    """Entries that are no number where all of the base's are; of an adapter's product, of the change."""
    if change.entries is None:
        return change.spectrum.nonfinite if change.spectrum is not None else 0
    return 0 if change.entries.nonfinite_base else change.entries.nonfinite_derived


def _vocabulary(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    resized = [change for change in result.matrices if change.resized]
    for change in resized:
        rows, before = change.shape[0], change.shape_base[0]
        done = f"{rows - before:,} rows were added" if rows > before else f"{before - rows:,} rows were cut off"
        rest = "unchanged" if change.kind == "unchanged" else f"compared ({change.kind})"
        yield rule.of(
            [change],
            f"{named([change])} has {rows:,} rows, in the base {before:,}: {done}{_new_rows(change)}. The first "
            f"{min(rows, before):,} are {rest}.",
            value=float(rows - before),
        )
    reordered = [change for change in result.matrices if change.kind == "rows permuted" and change.place.role in TABLES]
    if reordered:
        yield rule.of(reordered, f"{named(reordered)} has the base's rows in another order.")


def _new_rows(change: Change) -> str:
    """What the rows are that were added, where they show it."""
    facts = change.added
    if facts is None:
        return ""
    equal = sum(map(len, facts.equal))
    said = (
        (equal, "equal to one another"),
        (len(facts.mean), "the mean of all"),
        (len(facts.random), "random numbers, as before any training"),
    )
    words = [f"{number:,} of them {'is' if number == 1 else 'are'} {what}" for number, what in said if number]
    return f", {listed(words)}" if words else ""


def _partial(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    moved = changed(result)
    if not moved or result.derived.adapter is not None or not any(map(_trained, moved)):
        return
    of_layer, of_role = ({key(change) for change in moved} for key in (_layer, _role))
    frozen = [
        change
        for change in result.matrices
        if change.kind == "unchanged" and (_layer(change) not in of_layer or _role(change) not in of_role)
    ]
    if frozen:
        yield rule.of(
            frozen,
            f"{counted(frozen, result.matrices, '')} are the base's to the last bit, as frozen layers and roles are, "
            f"beside {plural(len(moved), 'matrix', 'matrices')} that changed.",
            value=len(frozen) / len(result.matrices),
        )


def _trained(change: Change) -> bool:
    return change.kind in TRAINED and as_numbers(change)


def _layer(change: Change) -> Hashable:
    place = change.place
    return (place.stack, place.layer) if place.layer is not None else (place.stack, place.role)


def _role(change: Change) -> Hashable:
    return change.place.stack, change.place.role


def _decay(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    decay = result.summary.decay
    if decay is not None and result.derived.adapter is None:
        way = "shrunk" if decay > 0 else "grown"
        yield rule.finding(
            f"Trained matrices have {way} alike, by {abs(decay):.3g} of their size in the median, beside what else "
            f"changed{': Π(1 − ηλ) over all steps is ' + format(1 - decay, '.6g') if decay > 0 else ''}.",
            value=decay,
        )


def _resolution(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in result.matrices if change.kind == "at the resolution"]
    if found and len(found) >= SOME * len(changed(result)):
        dtypes = listed(sorted({change.entries.precision_derived for change in found if change.entries}))
        yield rule.of(
            found,
            f"The change of {counted(found, changed(result))} is at or below what {dtypes} holds: rounding has "
            "swallowed part of it.",
            value=result.summary.resolution,
        )


def _noise(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    found = [change for change in of_kind(result, "noise") if as_numbers(change)]
    if found and len(found) >= SOME * len(changed(result)):
        least = min((change.ranks.flatness for change in found if change.ranks), default=0.0)
        over = f"{1 / least - 1 if least else 0:.0%}"
        above = "" if over.startswith(("-", "0%")) else f", or at most {over} above"
        yield rule.of(
            found,
            f"The change of {counted(found, changed(result))} looks like white noise: its largest singular value is "
            f"that of noise of its size{above}.",
            value=len(found) / len(changed(result)),
        )


def _new_directions(rule: DiffRule, result: DiffResult) -> Iterator[Finding]:
    asked = [change for change in result.matrices if change.directions is not None]
    found = [change for change in asked if change.directions is not None and change.directions.new]
    if found and len(found) >= TURNED * len(asked):
        total = sum(change.directions.new for change in found if change.directions)
        most = max(found, key=lambda change: change.directions.new if change.directions else 0)
        number = most.directions.new if most.directions else 0
        yield rule.of(
            found,
            f"In {counted(found, asked, 'examined')} leading singular values come mostly from the change, {total:,} in "
            f"all, most of them in {named([most])} with {number:,}.",
            value=len(found) / len(asked),
        )


info = partial(DiffRule, severity="info")
warning = partial(DiffRule, severity="warning")
_KINDS = "docs/diff.md says how each kind is told."
_LORA = ("diff-lora", *TOLD_MERGES)

RULES = (
    DiffRule(
        id="diff-nonfinite",
        title="Entries that became NaN or infinite",
        severity="error",
        measures="Entries that are no finite number in matrices and vectors all of whose entries in the base are.",
        threshold=0.0,
        source="Every entry is looked at.",
        advice="Do not use these weights. Training that diverged makes NaN, a cast to float16 infinity: save again "
        "from the last good step, or cast to bfloat16.",
        check=_nonfinite,
    ),
    warning(
        id="diff-identical",
        title="Nothing differs",
        measures="Entries of matrices and vectors that differ in value, and what one of the two has alone.",
        threshold=0.0,
        source="Every entry is compared.",
        advice="If something was to be trained or merged, it is not in this file: look at what was saved, and from "
        "which model in memory. If it is a copy, use the base.",
        check=_identical,
        suppressed_by=("diff-not-merged",),
    ),
    DiffRule(
        id="diff-unrelated",
        title="Weights that were not made from the base",
        severity="error",
        measures="Share of the matrices with a cosine below 0.1 to the base's, and that are it in no other order, "
        "place or rotation.",
        threshold=UNRELATED,
        source=_KINDS,
        advice="Name another base: of two models that were trained apart the difference says nothing, and neither "
        "merging nor adapters work across them.",
        check=_unrelated,
    ),
    warning(
        id="diff-replaced",
        title="Matrices that were replaced",
        measures="Matrices with a cosine below 0.1 to the base's, where the others were made from the base.",
        threshold=0.0,
        source=_KINDS,
        advice="Look whether they were meant to begin anew, as a new output head is. Else a tensor was not loaded and "
        "was filled with random numbers: see what the loader said of missing weights.",
        check=_replaced,
        suppressed_by=("diff-unrelated",),
    ),
    warning(
        id="diff-vocabulary",
        title="A vocabulary of another size or order",
        measures="Rows of embeddings and output heads that one of the two has alone, or that stand elsewhere.",
        threshold=0.0,
        source="The shapes, and equality of rows.",
        advice="Use the tokenizer that belongs to this model. To merge it with others, bring all to one vocabulary "
        "first: rows are matched by number.",
        check=_vocabulary,
    ),
    warning(
        id="diff-resolution",
        title="A change as small as rounding",
        measures="Share of the changed matrices whose change is below 6 times what rounding comes to.",
        threshold=SOME,
        source=_KINDS,
        advice="Save in float32, or merge in float32 and cast once at the end: part of the update is lost here.",
        check=_resolution,
    ),
    warning(
        id="diff-noise",
        title="A change that looks like noise",
        measures="Share of the changed matrices whose change has the largest singular value of such noise.",
        threshold=SOME,
        source="Real fine-tunes are far from it: 0.16 to 0.32 of the flatness of noise. " + _KINDS,
        advice="Look for noise that was added on purpose (as for privacy), for gradients of one step, or for weights "
        "that were damaged.",
        check=_noise,
        suppressed_by=("diff-recipe",),
    ),
    info(
        id="diff-partial",
        title="Layers or roles that did not change",
        measures="Matrices that are unchanged in a whole layer, or in all layers of a role, where others changed.",
        source="Every entry is compared.",
        advice="If all was to be trained, look at what was frozen and at the optimiser's parameter groups.",
        check=_partial,
        suppressed_by=("diff-unrelated", *_LORA),
    ),
    info(
        id="diff-decay",
        title="Weights shrunk alike, as weight decay leaves them",
        measures="The median of −⟨Δ, W₀⟩/‖W₀‖² over trained matrices, where it exceeds one and a half interquartile "
        "ranges, and four over the root of their number.",
        source="Decoupled weight decay multiplies all alike, by Π(1 − ηλ) over the steps (Loshchilov & Hutter 2019).",
        advice="In a sum of updates the shrinkage adds up: take it out before merging, or average instead.",
        check=_decay,
        suppressed_by=("diff-recipe", "diff-merged"),
    ),
    info(
        id="diff-new-directions",
        title="Leading directions that the base does not have",
        measures=f"Of the leading singular values of each matrix those of which the base has less than {NEW:.0%}; "
        "share of the matrices with one.",
        threshold=TURNED,
        source="σ = u·W₀v + u·Δv, exactly; compare the intruder dimensions of Shuttleworth et al. 2024.",
        advice="Such models have been seen to forget more of what the base knew: evaluate it on the base's tasks. A "
        "smaller learning rate or scale leaves fewer.",
        check=_new_directions,
    ),
)
