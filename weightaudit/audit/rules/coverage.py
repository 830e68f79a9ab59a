"""Where config, checkpoint and map do not fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from weightaudit.audit.rules.context import RuleContext, Subject
from weightaudit.audit.rules.rule import TENSORS, Match, Rule
from weightaudit.audit.rules.wording import listed, where
from weightaudit.records import Contradiction, CoverageEntry, ModelIdentity
from weightaudit.source.base import SHARD
from weightaudit.text import printable

SEVERAL = 3
"""Layers and experts beyond the config's that are told one by one."""


def lone_shard(identity: ModelIdentity) -> int | None:
    """Of how many shards the one file that was read is one; None where that is the whole model.

    Who names "model-00001-of-00003.safetensors" wants that file looked at, and misses nothing.
    """
    named = [SHARD.fullmatch(file.name) for file in identity.files]
    if len(named) != 1 or named[0] is None:
        return None
    count = int(named[0]["count"])
    return count if count > 1 else None


def _told_by_map(kind: Contradiction, rule: Rule, context: RuleContext) -> Iterator[Match]:
    for one in context.map.discrepancies:
        if one.kind == kind:
            yield rule.of_discrepancy(one)


def _missing(rule: Rule, context: RuleContext) -> Iterator[Match]:
    # The map is made of all headers, so it tells what is missing in a restricted scan too.
    if lone_shard(context.identity) is None and not context.map.guessed and not _packed(context):
        yield from _told_by_map("missing", rule, context)


def _packed(context: RuleContext) -> str:
    """How config.json says that weights are quantised, where some are: "" where not.

    Several weights in each integer, under names of the method's own: the map cannot know what stands for what.
    """
    said = (context.config or {}).get("quantization_config")
    if not isinstance(said, Mapping) or not any(_is_packed(entry) for entry in context.unmapped):
        return ""
    return str(said.get("quant_method") or "an unnamed method")


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


def _is_packed(entry: CoverageEntry) -> bool:
    # bitsandbytes stores (n, 1), which is a matrix all the same.
    return len(entry.shape) >= 2 and "int" in entry.dtype


def _is_matrix(entry: CoverageEntry) -> bool:
    return _is_packed(entry) or sum(size > 1 for size in entry.shape) >= 2


def _unmapped(rule: Rule, context: RuleContext) -> Iterator[Match]:
    left = [entry for entry in context.unmapped if _is_matrix(entry)]
    if not left:
        return
    total = sum(entry.parameters for entry in context.coverage_entries if not entry.buffer and entry.status != "tied")
    share = sum(entry.parameters for entry in left) / total
    names = [entry.tensor for entry in left]
    said = f"{len(left):,} tensor{'s' * (len(left) > 1)} with {share:.2%} of the parameters: {listed(names)}."
    if method := _packed(context):
        said += f" The config says that weights are quantised ({printable(method, 60)}): such are not measured."
    match = rule.of_model(said, value=share)
    about: frozenset[Subject] = frozenset(("tensor", name) for name in names)
    yield replace(match, finding=replace(match.finding, tensors=tuple(names[:TENSORS])), subjects=about)


_CONFIG = "What config.json says of sizes and numbers of layers, against the names and shapes in the file's headers."

RULES = (
    Rule(
        id="missing",
        title="Weights that the config describes and the file lacks",
        severity="error",
        measures="Tensors of the model that config.json and its `architectures` describe and that are not there: "
        "layers, matrices, experts, norms, biases, heads, towers. Where one shard of several was named the rest "
        "is not missed, nor anything where weights are quantised and packed under names of their own; where roles were "
        "guessed it is a note.",
        threshold=0.0,
        source=_CONFIG,
        advice="A loader fills them with random numbers. Look for a shard or file left out, or correct config.json.",
        check=_missing,
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
        suppressed_by=("placeholder", "misshapen", "extra"),
    ),
)
