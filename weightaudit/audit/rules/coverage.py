"""Where config, checkpoint and map do not fit together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from weightaudit.audit.rules.context import RuleContext, Subject
from weightaudit.audit.rules.needs import Unmet, all_shards, known_roles, unpacked, whole_scan
from weightaudit.audit.rules.rule import TENSORS, Match, Rule
from weightaudit.audit.rules.unmeasured import is_matrix, measured_share, packed, unread
from weightaudit.audit.rules.wording import listed, where
from weightaudit.records import Contradiction
from weightaudit.text import percent, printable

SEVERAL = 3
"""Layers and experts beyond the config's that are told one by one."""


def _told_by_map(kind: Contradiction, rule: Rule, context: RuleContext) -> Iterator[Match]:
    for one in context.map.discrepancies:
        if one.kind == kind:
            yield rule.of_discrepancy(one)


def _missing(rule: Rule, context: RuleContext) -> Iterator[Match]:
    # The map is made of all headers, so it tells what is missing in a restricted scan too.
    if context.shards is None and not context.map.guessed and not packed(context):
        yield from _told_by_map("missing", rule, context)


def _extra(rule: Rule, context: RuleContext) -> Iterator[Match]:
    """One finding for each, or one for all where they are many: a config of half the layers is one mistake."""
    matches = list(_told_by_map("extra", rule, context))
    if len(matches) <= SEVERAL:
        yield from matches
        return
    first, *others = [match.finding for match in matches]
    more = listed(where(one) for one in others)
    tensors = tuple(name for match in matches for name in match.finding.tensors)
    match = rule.of_model(f"{first.detail} So are {len(others):,} more: {more}.")
    subjects = frozenset().union(*(match.subjects for match in matches))
    yield replace(match, finding=replace(match.finding, tensors=tensors[:TENSORS]), subjects=subjects)


def _unmapped(rule: Rule, context: RuleContext) -> Iterator[Match]:
    left = [entry for entry in context.unmapped if is_matrix(entry)]
    if not left:
        return
    total = sum(entry.parameters for entry in context.coverage_entries if not entry.buffer and entry.status != "tied")
    share = sum(entry.parameters for entry in left) / total
    names = [entry.tensor for entry in left]
    said = f"{len(left):,} tensor{'s' * (len(left) > 1)} with {percent(share)} of the parameters: {listed(names)}."
    if method := _not_known(context):
        said += f" The config says that weights are quantised ({printable(method, 60)}): such are not measured."
    match = rule.of_model(said + _not_read(context), value=share)
    about: frozenset[Subject] = frozenset(("tensor", name) for name in names)
    yield replace(match, finding=replace(match.finding, tensors=tuple(names[:TENSORS])), subjects=about)


def _not_known(context: RuleContext) -> str:
    """The method that config.json names, where integers are left that no format explains."""
    return "" if unread(context) else packed(context)


def _not_read(context: RuleContext) -> str:
    """Which formats nothing decodes, a sentence each."""
    told = list(unread(context).items())
    said = "".join(f" {printable(name, 60)} is not read: {printable(why, 200)}." for name, why in told[:SEVERAL])
    return said + (f" Nor are {len(told) - SEVERAL} more formats." if len(told) > SEVERAL else "")


def _low_coverage(rule: Rule, context: RuleContext) -> Iterator[Match]:
    if any(_judged_as_a_whole(context)):
        return
    least = rule.threshold if context.min_coverage is None else context.min_coverage
    share = measured_share(context)
    if least is None or share >= least:
        return
    said = f"{percent(share)} of the parameters of all matrices were measured; at least {100 * least:.4g} % must be."
    names = [entry.tensor for entry in context.unmapped if is_matrix(entry)]
    if names:
        method = _not_known(context)
        kind = f" The config says that weights are quantised ({printable(method, 60)})." if method else ""
        kind += _not_read(context)
        which = "Not measured" if unread(context) else "Without a role"
        said += f"{kind} {which} are {listed(names)}."
    match = rule.of_model(said, value=share)
    about: frozenset[Subject] = frozenset(("tensor", name) for name in names)
    finding = replace(match.finding, threshold=least, tensors=tuple(names[:TENSORS]))
    yield replace(match, finding=finding, subjects=about)


def _judged_as_a_whole(context: RuleContext) -> Iterator[Unmet]:
    """That the scan is of the whole model, unless a share was asked for by name."""
    if context.min_coverage is None:
        yield from whole_scan(context)
        yield from all_shards(context)


_CONFIG = "What config.json says of sizes and numbers of layers, against the names and shapes in the file's headers."

RULES = (
    Rule(
        id="missing",
        title="Weights that the config describes and the file lacks",
        severity="error",
        measures="Tensors of the model that config.json and its `architectures` describe and that are not there: "
        "layers, matrices, experts, norms, biases, heads, towers. Where one shard of several was named the rest "
        "is not missed, nor anything where weights are quantised in a way that is not known; where roles were "
        "guessed it is a note.",
        threshold=0.0,
        source=_CONFIG,
        advice="A loader fills them with random numbers. Look for a shard or file left out, or correct config.json.",
        check=_missing,
        needs=(known_roles, unpacked, all_shards),
    ),
    Rule(
        id="placeholder",
        title="Empty placeholders instead of weights",
        severity="error",
        measures="Tensors of shape (0,) that config.json makes larger, where there are several.",
        threshold=0.0,
        source="Training that shards every parameter (DeepSpeed's ZeRO-3) leaves such of what other processes hold if "
        "the model is saved without gathering.",
        advice="Gather the weights: run zero_to_fp32.py, which DeepSpeed puts into its checkpoints, or set "
        "stage3_gather_16bit_weights_on_model_save and save again.",
        check=partial(_told_by_map, "placeholder"),
    ),
    Rule(
        id="misshapen",
        title="Weights of another shape than the config says",
        severity="error",
        measures="Tensors whose shape is not the one that config.json makes it, or whose dtype is that of no weight.",
        threshold=0.0,
        source=_CONFIG,
        advice="A loader refuses them or fills them with random numbers. Put config.json and weights of one model "
        "together.",
        check=partial(_told_by_map, "misshapen"),
        needs=(known_roles,),
        of_adapters=True,
    ),
    Rule(
        id="extra",
        title="Weights beyond those that the config describes",
        severity="warning",
        measures="Tensors of layers or experts numbered beyond those of config.json.",
        threshold=0.0,
        source=_CONFIG,
        advice="A loader drops them in silence. Correct config.json if they belong to the model, else remove them.",
        check=_extra,
        needs=(known_roles,),
        of_adapters=True,
    ),
    Rule(
        id="low-coverage",
        title="Too little of the model was measured",
        severity="error",
        measures="The share of the parameters of all matrices that was measured. Quantised weights count as many as "
        "they stand for; where their format is not known, by the number of bits that config.json tells. Partial scans "
        "(--roles, --layers, one of several shards) are judged only where --min-coverage says how much it must be.",
        threshold=0.5,
        source="A choice: below, what was found speaks of the lesser part. --min-coverage sets another.",
        advice="Take no comfort from a verdict on the rest: audit the checkpoint that this one was quantised from, or "
        "have the coverage table say why so much has no role.",
        check=_low_coverage,
        needs=(_judged_as_a_whole,),
        of_adapters=True,
    ),
    Rule(
        id="unmapped",
        title="Unmapped tensors",
        severity="warning",
        measures="Tensors of two or more dimensions that have no role and are no buffers; their share of the "
        "parameters.",
        threshold=0.0,
        source="What has no role is not measured, and so is in none of the other findings.",
        advice="The coverage table says why each has none. Until it has, take this audit as one of the rest only.",
        check=_unmapped,
        suppressed_by=("placeholder", "misshapen", "extra", "low-coverage"),
        needs=(),
        of_adapters=True,
    ),
)
