"""What a rule needs in order to judge; where it is not there, the rule says so instead of finding nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.unmeasured import kinds, packed, unmeasured
from weightaudit.records import CoverageEntry
from weightaudit.text import percent, plural, printable


@dataclass(frozen=True)
class Unmet:
    """Why a rule could not judge; ``partly`` where that is of some of what it looks at."""

    reason: str
    partly: bool = False


Need = Callable[[RuleContext], Iterator[Unmet]]


def a_model(context: RuleContext) -> Iterator[Unmet]:
    """That these are a model's weights."""
    if context.identity.adapter is not None:
        yield Unmet("These are an adapter's changes, not a model's weights.")


def every_matrix(context: RuleContext) -> Iterator[Unmet]:
    """That all matrices of the model were measured; without some, the others are judged."""
    yield from context.once(_not_measured)  # which many rules need


def _not_measured(context: RuleContext) -> tuple[Unmet, ...]:
    return tuple(_of_matrices(context))


def _of_matrices(context: RuleContext) -> Iterator[Unmet]:
    if context.shards:
        yield Unmet(f"One of {context.shards} shards was read alone: what is in the others was not measured.", True)
    left = list(unmeasured(context.coverage_entries))
    selected = [entry for entry in left if entry.status == "not selected"]
    if selected:
        yield Unmet(f"--roles or --layers left out {_of_parameters(context, selected)}.", True)
    without_role = [entry for entry in left if entry.status == "unmapped"]
    if without_role:
        method = kinds(context)
        how = "of a kind that is not measured" if context.identity.adapter else "quantised"
        kind = f"{how} ({printable(method, 60)}), or without a role" if method else "without a role"
        yield Unmet(f"{_of_parameters(context, without_role)} are {kind}, and were not measured.", True)


def _of_parameters(context: RuleContext, entries: list[CoverageEntry]) -> str:
    total = sum(entry.parameters for entry in context.coverage_entries if not entry.buffer and entry.status != "tied")
    share = sum(entry.parameters for entry in entries) / total if total else 0.0
    return f"{plural(len(entries), 'tensor')} with {percent(share)} of the stored parameters"


def whole_scan(context: RuleContext) -> Iterator[Unmet]:
    """That neither --roles nor --layers left anything out."""
    if context.restricted:
        yield Unmet("It judges whole scans only. Scan without --roles and --layers.")


def every_vector(context: RuleContext) -> Iterator[Unmet]:
    """That norms and biases were read too."""
    if context.restricted:
        yield Unmet("With --roles or --layers norms and biases are not read.", True)


def a_config(context: RuleContext) -> Iterator[Unmet]:
    """That there is a config.json to compare with."""
    if context.config is None:
        yield Unmet("There is no config.json beside the weights.")


def known_roles(context: RuleContext) -> Iterator[Unmet]:
    """That config.json describes the model, in words of a family that is known."""
    yield from a_config(context)
    if context.config is not None and context.map.guessed:
        yield Unmet("The roles were guessed from names: what config.json describes is not known.")


def unpacked(context: RuleContext) -> Iterator[Unmet]:
    """That no weights are packed under names of their own."""
    if method := packed(context):
        yield Unmet(f"Weights are quantised ({printable(method, 60)}) and packed under names of their own.")


def all_shards(context: RuleContext) -> Iterator[Unmet]:
    """That not one of several shards was read alone."""
    if context.shards:
        yield Unmet(f"One of {context.shards} shards was read alone. Name the directory to audit the whole model.")
