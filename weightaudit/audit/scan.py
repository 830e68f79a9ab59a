"""Scan one model: join the rooms, from bytes to a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from weightaudit.audit.aggregates import overlapping_keys, summarise
from weightaudit.audit.base import Comparison, opened_base
from weightaudit.audit.baseline import Baseline, read_baseline
from weightaudit.audit.config_check import check_config
from weightaudit.audit.groups import ReadGroup, plan_groups
from weightaudit.audit.heads import HeadPlans, chosen_heads, pairs_of, with_heads
from weightaudit.audit.matching import Reference
from weightaudit.audit.measuring import measure_groups
from weightaudit.audit.notes import notes
from weightaudit.audit.on_the_way import neighbours_together, with_others
from weightaudit.audit.opening import AnyModel, adopt_names, map_of, open_model
from weightaudit.audit.others import to_be_looked_at
from weightaudit.audit.progress import Progress, check_progress, reporting
from weightaudit.audit.rules import RULES, Other, RuleContext, asked_for, judge, make_policy
from weightaudit.audit.selection import select
from weightaudit.audit.tables import Tables
from weightaudit.audit.ties import Ties, classify_ties
from weightaudit.checkpoint import Checkpoint
from weightaudit.config import AuditConfig, as_json
from weightaudit.records import CoverageEntry, ModelMap, RoleMatrix, ScanResult, TensorInfo
from weightaudit.spectral.threads import compute_threads, usable_threads
from weightaudit.text import plural
from weightaudit.version import versions_of

VERSIONED = ("torch", "numpy", "numba", "safetensors", "huggingface_hub", "transformers")


def scan_model(model: AnyModel, config: AuditConfig, progress: bool | Progress = False) -> ScanResult:
    """Measure every weight matrix of a model, and check what was found against the rules.

    Raises UsageError for options that make no sense and ModelError for a model that cannot be read.
    """
    check_config(config)  # before a byte is read, let alone downloaded
    check_progress(progress)
    known = None if config.baseline is None else read_baseline(config.baseline)
    with (
        compute_threads(config.threads),
        open_model(model, config.revision, config) as checkpoint,
        opened_base(config) as base,
    ):
        return _scan(checkpoint, base, config, progress, known)


def read_map(model: AnyModel, config: AuditConfig) -> ModelMap:
    """What the model's names, shapes and config say of its tensors; no weights are read."""
    with open_model(model, config.revision, config) as checkpoint:
        return map_of(checkpoint, options=config)


def model_matrices(model: AnyModel, config: AuditConfig) -> Iterator[RoleMatrix]:
    """Every matrix of a model with its role, in report order; a matrix is read only by its ``load()``."""
    checkpoint = open_model(model, config.revision, config)
    model_map = map_of(checkpoint, options=config)
    return (replace(matrix, reader=checkpoint.read) for matrix in model_map.matrices)


def _scan(
    checkpoint: Checkpoint,
    base: Reference | None,
    config: AuditConfig,
    progress: bool | Progress,
    known: Baseline | None,
) -> ScanResult:
    if base is not None:
        adopt_names(checkpoint, base.checkpoint)
    model_map = map_of(checkpoint, None if base is None else base.config, config)
    chosen = select(model_map, config.roles, config.layers)
    asked = {name for matrix in chosen for name in matrix.tensors}
    ties = classify_ties(model_map.ties, checkpoint.tensors, asked, guessed=model_map.guessed)
    chosen = ties.without_copies(chosen)

    overlapping = overlapping_keys(chosen)
    restricted = config.roles is not None or config.layers is not None
    whole = not restricted and checkpoint.identity.adapter is None
    tensors = checkpoint.tensors if base is None else base.in_order(model_map, checkpoint.tensors)
    comparison = None
    if base is not None:
        comparison = Comparison(base.checkpoint, base.match(chosen, model_map, tensors, whole=whole))
    heads = chosen_heads(checkpoint, model_map, chosen) if config.heads else HeadPlans()
    pairs = [*ties.open, *pairs_of(heads.plans)]
    groups = plan_groups(chosen, tensors, pairs, {} if comparison is None else comparison.beside())
    looked_at: dict[str, CoverageEntry] = {}
    too_large: list[TensorInfo] = []
    if not restricted:
        wanted = {info.name: (entry, info) for entry, info in to_be_looked_at(model_map, checkpoint.tensors)}
        looked_at = {name: entry for name, (entry, _) in wanted.items()}
        groups = with_heads(groups, heads.plans, checkpoint.tensors, looked_at)
        read = {name for group in groups for name in group.looked_at}
        others = (ReadGroup((info,), ()) for name, (_, info) in wanted.items() if name not in read)
        read_from = [checkpoint, *([base.checkpoint] if base is not None else ())]
        groups, too_large = with_others(groups, others, memory=config.memory, checkpoints=read_from)
        groups = list(neighbours_together(groups, memory=config.memory))
    else:
        groups = with_heads(groups, heads.plans, checkpoint.tensors, ())
    with reporting(progress) as display:
        display.start(checkpoint.identity.name, sum(group.nbytes for group in groups))
        tables = Tables(checkpoint.config, checkpoint.vocabulary)
        seen = measure_groups(checkpoint, groups, ties, overlapping, tables, config, display, comparison)
    checkpoint.check_unchanged()
    if base:
        base.check_unchanged()
    chosen = ties.without_copies(chosen)
    ordered = tuple(seen.rows[matrix.key] for matrix in chosen)
    analysed = {name for matrix in chosen for name in matrix.tensors}
    coverage = _final_coverage(model_map, analysed, ties)
    context = RuleContext(
        identity=checkpoint.identity,
        config=checkpoint.config,
        map=model_map,
        rows=ordered,
        coverage_entries=coverage,
        broken_ties=tuple(ties.broken),
        others={
            name: Other(looked_at[name], facts, seen.codes.get(name)) for name, facts in sorted(seen.others.items())
        },
        restricted=restricted,
        min_coverage=config.min_coverage,
        vocabulary=checkpoint.vocabulary,
        peaks=seen.peaks,
        tables=seen.tables,
        heads=seen.heads.result(heads) if config.heads else None,
    )
    policy = make_policy(config.severity, config.ignore, RULES)
    judged = judge(context, policy)
    findings, suppressed, told = judged.findings, judged.suppressed, None
    if known is not None:
        findings, suppressed, told = known.compare(findings, suppressed, checkpoint.identity.name)
    return ScanResult(
        identity=checkpoint.identity,
        map=model_map,
        rows=ordered,
        coverage_entries=coverage,
        summary=summarise(ordered, coverage),
        options=_options(config),
        versions=versions_of(VERSIONED),
        findings=findings,
        notes=(
            *checkpoint.notes,
            *notes(checkpoint.identity, model_map, ordered, too_large, config.spectrum),
            *(comparison.notes if comparison else ()),
        ),
        rules=tuple(rule.id for rule in RULES if rule.id not in policy.unchecked and asked_for(rule, context)),
        partial=_partial(config, context.shards, coverage, checkpoint.tensors),
        not_judged=judged.not_judged,
        suppressed=suppressed,
        gate={**as_json(config.gate_options()), "baseline": told},
        base=None if base is None else base.identity,
        heads=context.heads,
    )


def _final_coverage(model_map: ModelMap, analysed: set[str], ties: Ties) -> tuple[CoverageEntry, ...]:
    """The map's coverage after the scan: tied copies and what the options left out are said so."""
    details = {tensor: f"tied to {original}" for tensor, original in ties.confirmed.items()}
    for tensor, original in ties.believed.items():
        details[tensor] = f"tied to {original} by the config; left out, so not compared"

    def settle(entry: CoverageEntry) -> CoverageEntry:
        if entry.tensor in details:
            return replace(entry, status="tied", detail=details[entry.tensor], roles=())
        if entry.status == "analysed" and entry.tensor not in analysed:
            return replace(entry, status="not selected", detail="left out by --roles or --layers")
        return entry

    return tuple(settle(entry) for entry in model_map.coverage)


def _options(config: AuditConfig) -> dict[str, Any]:
    """The options that numbers and findings depend on, as JSON has them, and the threads that there were."""
    options = {name: value for name, value in config.result_options().items() if name not in config.gate_options()}
    return {**as_json(options), "threads": usable_threads()}


def _partial(
    config: AuditConfig, shards: int | None, coverage: Sequence[CoverageEntry], tensors: Mapping[str, TensorInfo]
) -> tuple[str, ...]:
    """Why the scan is of a part of the model. What can be read and has no role was looked at: it is no such part."""
    chosen = (("--roles", config.roles), ("--layers", config.layers))
    alone = [] if shards is None else [f"one of {shards} shards"]
    left = [e for e in coverage if e.status == "unmapped" and not (e.scheme and e.scheme.adapter)]
    unread = sum(bool(tensors[entry.tensor].why_unread) for entry in left)
    packed = [f"{plural(unread, 'quantised tensor')} not read"] if unread else []
    return (*(name for name, value in chosen if value is not None), *alone, *packed)
