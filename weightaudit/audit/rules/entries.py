"""Entries that are wrong by themselves: not finite, all zero, clipped, or too small for their format."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from weightaudit.audit.rules.causes import Weight, by_cause, matrices, named, of_all, others
from weightaudit.audit.rules.context import SCALES, TOKEN_ROLES, RuleContext
from weightaudit.audit.rules.needs import every_matrix, every_vector
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.scales import scales_like
from weightaudit.audit.rules.wording import listed, where
from weightaudit.dtypes import BY_NAME
from weightaudit.records import DEAD, OTHER, CoverageEntry, LayerRow

LEAST_ENTRIES = 8
"""A row or column of fewer entries is never dead: so few numbers may be small by chance."""
MOSTLY, SEVERAL = 0.5, 10
"""Share and number of matrices from which on dead rows or columns and subnormals are told of the model as a whole."""
MAY_BE_ZERO = ("bias", "beta", "zero", "idx", "index", "ids", "perm", "mask", "shape", "position")
"""Words in the last part of the name of a tensor without a role that may well be all zero: a bias, a zero point."""
MARLIN_SCALES = "s"
"""What Marlin calls the scales that lie beside its codes."""
ZERO_CENTRED = frozenset(
    (
        *("gemma", "gemma2", "gemma3", "gemma3n", "paligemma", "recurrent_gemma", "t5gemma", "t5gemma2", "vaultgemma"),
        *("minimax_m3_vl", "muse_glimmer", "muse_spark", "nemotron", "qwen3_5", "qwen3_5_moe", "qwen3_next"),
        *("qwen4_exp", "step3p7"),
    )
)
"""Model types whose norms multiply by 1 + weight, so that a weight of zero is how one starts."""


def _nonfinite(rule: Rule, context: RuleContext) -> Iterator[Match]:
    judged = [*matrices(context, context.weights), *(one for one in others(context) if not _is_integer(one))]
    counts = {one.subject: _not_finite(one) for one in judged}
    for group in by_cause([one for one in judged if counts[one.subject]], judged):
        count, of = sum(counts[one.subject] for one in group), sum(one.entries for one in group)
        what = f"{count:,} of {of:,} entries of"
        if len(group) > 1:
            said = f"{what} {of_all(group, judged)} are NaN or infinite: {named(group)}."
        else:
            are = "is" if count == 1 else "are"
            then = "; its norms are undefined" if group[0].row else ""
            then += _of_scales(group[0])
            said = f"{what} {named(group)} {are} NaN or infinite{then}."
        yield rule.of_weights(group, said, value=float(count))


def _of_scales(one: Weight) -> str:
    """That its scales are why, where they are."""
    if one.codes is None or not one.codes.nonfinite_scales:
        return ""
    return f"; {one.codes.nonfinite_scales:,} of its {one.codes.scales:,} scales are NaN or infinite"


def _not_finite(one: Weight) -> int:
    if one.other is None:
        return one.row.spectrum.nonfinite if one.row else 0
    entry, facts = one.other.entry, one.other.facts
    # Minus infinity beside zeros is how masks are stored.
    mask = entry.buffer or (facts.zeros > 0 and facts.max_abs == 0)
    return facts.nan if mask else facts.nonfinite


def _is_integer(one: Weight) -> bool:
    return one.other is not None and "int" in one.other.entry.dtype


def _zero(rule: Rule, context: RuleContext) -> Iterator[Match]:
    judged = [one for one in (*matrices(context, context.weights), *others(context)) if _is_never_zero(one, context)]
    for group in by_cause([one for one in judged if _is_zero(one)], judged):
        said = f"All {sum(one.entries for one in group):,} entries of"
        if len(group) > 1:
            yield rule.of_weights(group, f"{said} {of_all(group, judged)} are zero: {named(group)}.")
        else:
            yield rule.of_weights(group, f"{said} {named(group)} are zero.")


def _zero_scales(rule: Rule, context: RuleContext) -> Iterator[Match]:
    yield from scales_like(rule, context, lambda codes: codes.zero_scales, "zero")
    looked_at = (other.entry for other in context.others.values())
    codes = {entry.tensor for entry in (*context.coverage_entries, *looked_at) if _is_quantised(entry)}
    modules = codes | {name.rpartition(".")[0] for name in codes}
    judged = [one for one in others(context) if not _is_integer(one) and _is_scale_in(one, modules)]
    for group in by_cause([one for one in judged if _zeros(one)], judged):
        zeros, of = sum(map(_zeros, group)), sum(one.entries for one in group)
        what = f"{zeros:,} of {of:,} scales of"
        are = "is" if zeros == 1 else "are"
        where_ = (
            f"{of_all(group, judged)} {are} zero: {named(group)}" if len(group) > 1 else f"{named(group)} {are} zero"
        )
        yield rule.of_weights(group, f"{what} {where_}.", value=float(zeros))


def _is_quantised(entry: CoverageEntry) -> bool:
    dtype = BY_NAME.get(entry.dtype)
    return len(entry.shape) > 1 and dtype is not None and dtype.kind in ("integer", "small float")


def _is_scale_in(one: Weight, modules: Collection[str]) -> bool:
    """Whether it is what codes in one of the ``modules`` are multiplied by: beside them, or named after them."""
    module, _, last = one.tensors[0].rpartition(".")
    return module in modules and (last == MARLIN_SCALES or any(word in last.lower() for word in SCALES))


def _zeros(one: Weight) -> int:
    return one.other.facts.zeros if one.other else 0


def _is_zero(one: Weight) -> bool:
    if one.other:
        return one.other.facts.zeros == one.entries
    return one.row is not None and one.row.spectrum.nonfinite == 0 and one.row.spectrum.max_abs == 0


def _is_never_zero(one: Weight, context: RuleContext) -> bool:
    """Whether training leaves no such weight all zero."""
    if one.other is None:
        odd = one.place.role == OTHER and any(word in _last_part(one.tensors[0]) for word in MAY_BE_ZERO)
        return one.place.role != "TOKEN_TYPE" and one.entries > 0 and not odd
    entry = one.other.entry
    name = _last_part(entry.tensor)
    if entry.buffer or any(word in name for word in MAY_BE_ZERO):
        return False
    if any(word in name for word in SCALES):
        return True
    if sum(size > 1 for size in entry.shape) < 2 and not _is_integer(one):
        return entry.detail == "norm" and not _zero_centred(context)
    return True


def _last_part(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _zero_centred(context: RuleContext) -> bool:
    config = context.config or {}
    inner = config.get("text_config")
    types = (
        context.map.model_type,
        config.get("model_type"),
        inner.get("model_type") if isinstance(inner, dict) else "",
    )
    return any(isinstance(one, str) and one.removesuffix("_text") in ZERO_CENTRED for one in types)


def _dead_rows(rule: Rule, context: RuleContext) -> Iterator[Match]:
    large = [row for row in _known(context) if row.matrix.shape[1] >= LEAST_ENTRIES]
    judged = [row for row in large if row.matrix.role not in TOKEN_ROLES]
    matches = [
        (row, _dead(rule, row, "rows (outputs)", facts.dead_rows, row.matrix.shape[0], facts.first_dead_row))
        for row in judged
        if (facts := row.spectrum.entries) and facts.dead_rows
    ]
    yield from _each_or_all(rule, matches, len(judged), "have dead rows (outputs)")


def _dead_columns(rule: Rule, context: RuleContext) -> Iterator[Match]:
    judged = [row for row in _known(context) if row.matrix.shape[0] >= LEAST_ENTRIES]
    matches = [
        (row, _dead(rule, row, "columns (inputs)", facts.dead_cols, row.matrix.shape[1], facts.first_dead_col))
        for row in judged
        if (facts := row.spectrum.entries) and facts.dead_cols
    ]
    yield from _each_or_all(rule, matches, len(judged), "have dead columns (inputs)")


def _known(context: RuleContext) -> list[LayerRow]:
    return [row for row in context.measured if row.spectrum.entries]


def _plain(context: RuleContext) -> list[LayerRow]:
    """Those measured whose entries are stored in the data type that they have."""
    plain = {row.matrix.key for row in context.plain}
    return [row for row in context.measured if row.matrix.key in plain]


def _dead(rule: Rule, row: LayerRow, kind: str, dead: int, of: int, first: int | None) -> Match:
    are = "is" if dead == 1 else "are"
    start = "" if first is None else f", {'the first is ' * (dead > 1)}number {first} counted from 0"
    return rule.of_row(row, f"{dead:,} of {of:,} {kind} of {where(row.matrix)} {are} dead{start}.", value=float(dead))


def _each_or_all(rule: Rule, matches: list[tuple[LayerRow, Match]], judged: int, have: str) -> Iterator[Match]:
    """A finding for each matrix, or one of them all where most of those ``judged`` have it: then the model was pruned
    or cast as a whole, which is one thing to know.
    """
    rows = [row for row, _ in matches]
    if len(rows) < SEVERAL or len(rows) <= MOSTLY * judged:
        yield from (match for _, match in matches)
        return
    yield rule.of_rows(
        rows,
        f"{len(rows):,} of {judged:,} matrices {have}: {listed(where(row.matrix) for row in rows)}.",
        value=max(match.finding.value or 0.0 for _, match in matches),
    )


def _unused_tokens(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for row in context.measured:
        facts = row.spectrum.entries
        if facts and row.matrix.role in TOKEN_ROLES and facts.dead_rows > 1 and row.matrix.shape[1] >= LEAST_ENTRIES:
            first = "" if facts.first_dead_row is None else f", from number {facts.first_dead_row} on"
            yield rule.of_row(
                row,
                f"{facts.dead_rows:,} of the {row.matrix.shape[0]:,} rows of {where(row.matrix)} are zero or nearly "
                f"so{first}.",
                value=float(facts.dead_rows),
            )


def _at_limit(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for row in _plain(context):
        facts = row.spectrum.entries
        if facts and facts.at_limit:
            are = "entry of {} is" if facts.at_limit == 1 else "entries of {} are"
            yield rule.of_row(
                row,
                f"{facts.at_limit:,} {are.format(where(row.matrix))} ±{row.spectrum.max_abs:g}, the largest number of "
                f"{row.matrix.dtype}.",
                value=float(facts.at_limit),
            )


def _subnormals(rule: Rule, context: RuleContext) -> Iterator[Match]:
    judged = [row for row in _plain(context) if row.spectrum.entries]
    matches = []
    for row in judged:
        facts = row.spectrum.entries
        share = facts.subnormals / (row.matrix.parameters - (row.spectrum.zeros or 0)) if facts else 0.0
        if rule.threshold is not None and share > rule.threshold:
            said = f"{share:.0%} of the non-zero entries of {where(row.matrix)} are subnormal in {row.matrix.dtype}."
            matches.append((row, rule.of_row(row, said, value=share)))
    have = f"have more than {rule.threshold:.0%} of their non-zero entries subnormal"
    yield from _each_or_all(rule, matches, len(judged), have)


_CAUSE = "What befell most of the model, a shard, layers, experts or roles in the same layers is one finding."
_TOGETHER = f"Where at least {SEVERAL} matrices and more than {MOSTLY:.0%} of all have it, it is one finding."

RULES = (
    Rule(
        id="nonfinite",
        title="Entries that are NaN or infinite",
        severity="error",
        measures="Entries that are no finite number, of matrices and, where no --roles or --layers is given, of every "
        "other floating-point tensor: norms, biases, what has no role, scales of quantised weights. Infinity is no "
        f"fault of buffers, and of nothing that holds only it and zeros, as masks do. {_CAUSE}",
        threshold=0.0,
        source="No computation with such weights gives a number.",
        advice="Do not use or release this file. Take an earlier checkpoint, and look for a loss that diverged, a cast "
        "that overflowed or a damaged download.",
        check=_nonfinite,
        needs=(every_matrix, every_vector),
        of_adapters=True,
    ),
    Rule(
        id="zero-matrix",
        title="Weights that are all zero",
        severity="error",
        measures="Whether the largest magnitude of the entries is zero, of matrices and, where no --roles or --layers "
        "is given, of tensors without a role that have two dimensions or more, of norms' weights, and of the integers "
        "and scales of quantised weights; biases, zero points and buffers may be zero. TOKEN_TYPE tables are left out: "
        "RoBERTa and its descendants were converted with a zero one, since they have no segments; so are norms that "
        f"multiply by 1 + weight, and the zeros of a model that is untrained as a whole. {_CAUSE}",
        threshold=0.0,
        source="What multiplies by zero gives nothing, and no training leaves it so.",
        advice="Look whether the tensor was created and never loaded, or overwritten in a conversion or merge.",
        check=_zero,
        suppressed_by=("untrained-model",),
    ),
    Rule(
        id="zero-scales",
        title="Quantised weights whose scale is zero",
        severity="warning",
        measures="Scales of quantised weights that are zero; of weights that could not be read, floating-point "
        "numbers called scales that are zero beside others that are not, of integers or numbers of 8 bits in the same "
        "module.",
        threshold=0.0,
        source="Weights are their codes times the scale of their group: where it is zero all of the group are. "
        "Quantisers keep it above zero; a group of zeros, as pruning or padding leaves it, or one so small that its "
        "scale is none in float16, may have such a one.",
        advice="Compare with the weights that these were quantised from: where the group is not zero there, quantise "
        "again, and keep the scales in float32 or bfloat16.",
        check=_zero_scales,
        suppressed_by=("nonfinite", "zero-matrix"),
        needs=(every_vector,),
    ),
    Rule(
        id="dead-rows",
        title="Outputs that are dead",
        severity="warning",
        measures=f"Rows whose norm is at most {DEAD:g} of the root mean square of all rows' norms, of matrices other "
        f"than tables of tokens or positions, with at least {LEAST_ENTRIES} columns. {_TOGETHER}",
        threshold=0.0,
        source=f"{DEAD:g} is where rounding in float32 hides a row beside the others. Rows of {LEAST_ENTRIES} random "
        "normal entries come that low with a probability of about 1e-47; MiniLM-L6 and a trained ALBERT have none.",
        advice="If nobody pruned the model, look for a failed copy or padding; if somebody did, these outputs can be "
        "cut out for good.",
        check=_dead_rows,
        suppressed_by=("zero-matrix", "magnitude"),
    ),
    Rule(
        id="dead-columns",
        title="Inputs that are dead",
        severity="warning",
        measures=f"Columns whose norm is at most {DEAD:g} of the root mean square of all columns' norms, of matrices "
        f"with at least {LEAST_ENTRIES} rows. {_TOGETHER}",
        threshold=0.0,
        source="As for dead-rows.",
        advice="If nobody pruned the model, look for a failed copy or padding; if somebody did, these inputs can be "
        "cut out for good.",
        check=_dead_columns,
        suppressed_by=("zero-matrix", "magnitude"),
    ),
    Rule(
        id="at-limit",
        title="Entries clipped at the limit of their format",
        severity="warning",
        measures="Entries of the largest finite magnitude that the stored dtype has (65,504 in float16). Quantised "
        "weights have none.",
        threshold=0.0,
        source="No weight is that large: casts that saturate leave this number in the place of a larger or an infinite "
        "one.",
        advice="Look for the cast that clipped; convert again from the original, to bfloat16 or float32.",
        check=_at_limit,
        suppressed_by=("magnitude",),
    ),
    Rule(
        id="subnormals",
        title="Entries too small for their format",
        severity="warning",
        measures="The share of the entries other than zero that lie below the smallest normal magnitude of the stored "
        "dtype (6.1e-5 in float16), where digits are lost and some hardware takes them for zero; quantised weights "
        "have none. "
        f"{_TOGETHER}",
        threshold=0.10,
        source="Normal entries of standard deviation 0.02 in float16 have 0.24 % by nature, of 0.0014 (the scaled "
        "initialisation of 96 layers) 3.5 %. 10 % takes a deviation below 0.0005; hardware that flushes them to zero "
        "then drops 0.05 % of the matrix's energy, and soon more.",
        advice="Convert again from the original, to bfloat16 or float32, which have room below.",
        check=_subnormals,
        suppressed_by=("dead-rows", "dead-columns", "magnitude"),
    ),
    Rule(
        id="unused-tokens",
        title="Rows of a table that no token uses",
        severity="info",
        measures=f"Rows of an embedding, a table of positions or an output head whose norm is at most {DEAD:g} of the "
        "root mean square of all; one is the padding row of many models and is not told.",
        threshold=1.0,
        source="As for dead-rows.",
        advice="Nothing, where the vocabulary was padded to a round size; else compare it with the tokenizer's.",
        check=_unused_tokens,
        suppressed_by=("zero-matrix", "magnitude"),
    ),
)
