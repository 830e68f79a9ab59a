"""A rank for each module that LoRA trains, from how many directions its weight acts in, at the same cost."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from weightaudit.advice.modules import By, check_measure, modules_of
from weightaudit.errors import UsageError
from weightaudit.records import ScanResult
from weightaudit.text import plural

RANK = 8
"""PEFT's default rank."""
RULE = (
    "The rank of a module is proportional to its {by}, between the least and the largest allowed, rounded, and scaled "
    "so that the mean rank over all modules is r."
)


@dataclass(frozen=True)
class RankPattern:
    """Ranks of LoRA, module by module.

    Attributes
    ----------
    r, alpha
        Rank and ``lora_alpha`` of a module that no pattern names; alpha/r is the scaling of all.
    ranks
        Module → its rank, in report order.
    by
        What they follow.
    notes
        Sentences for the reader.
    also
        Module → what it is called in the model that transformers makes of the files, where that is another name.
    short
        Module → the end of its name that it has in a model of that family as such and in one with a head, where the
        name in the files has more.
    """

    r: int
    alpha: float
    ranks: dict[str, int]
    by: str
    notes: tuple[str, ...] = ()
    also: dict[str, str] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)

    def for_peft(self) -> dict[str, Any]:
        """Keywords of `peft.LoraConfig`: the modules by their names, both where they have two, the short one where
        they have one, and patterns for those whose rank is not r.

        A pattern is a regular expression that PEFT matches with the end of a module's name, the first that fits; so
        longer names come first.
        """
        names = {own: (own, self.also[own]) if own in self.also else (self.short.get(own, own),) for own in self.ranks}
        keyed = [own for own, rank in self.ranks.items() if rank != self.r]
        ends = tuple(f".{name}" for own in keyed for name in names[own])
        keyed += [
            own for own, rank in self.ranks.items() if rank == self.r and any(n.endswith(ends) for n in names[own])
        ]
        keyed.sort(key=lambda own: -own.count("."))
        keys = {own: _pattern(names[own]) for own in keyed}
        return {
            "r": self.r,
            "lora_alpha": _whole(self.alpha),
            "target_modules": [name for own in self.ranks for name in names[own]],
            "rank_pattern": {key: self.ranks[own] for own, key in keys.items()},
            "alpha_pattern": {key: _whole(self.alpha * self.ranks[own] / self.r) for own, key in keys.items()},
        }

    def to_json(self) -> str:
        """`for_peft` as JSON: ``LoraConfig(**json.loads(text))``."""
        return json.dumps(self.for_peft(), indent=1) + "\n"


def rank_pattern(
    result: ScanResult,
    *,
    r: int = RANK,
    by: str = "stable_rank",
    min_rank: int | None = None,
    max_rank: int | None = None,
    alpha: float | None = None,
    roles: Sequence[str] | None = None,
) -> RankPattern:
    """Ranks of LoRA for the modules of the layers, or those that hold ``roles``, by `RULE`.

    ``by`` is "stable_rank", "entropy_effective_rank" or "alpha"; ranks lie between ``min_rank`` (a quarter of ``r``)
    and ``max_rank`` (four times it), and never above a module's smaller side. ``alpha`` is ``lora_alpha``, ``r`` by
    default. UsageError for options that make no sense, and where the scan did not measure it.
    """
    known: By = check_measure(result, by)
    least, most, scale = check_ranks(r, min_rank, max_rank, alpha)
    modules = modules_of(result, roles)
    numbers = [module.measure(known) for module in modules.found]
    finite = [number for number in numbers if math.isfinite(number) and number > 0]
    if not finite:
        raise UsageError(f"advice by {known}", "no module has such a number", "Go by stable_rank")
    unknown = len(numbers) - len(finite)
    middle = median(finite)
    weights = [number if math.isfinite(number) and number > 0 else middle for number in numbers]
    largest = [min(most, *module.shape) for module in modules.found]
    ranks = allocate(weights, [min(least, own) for own in largest], largest, r * len(weights))
    notes = [RULE.format(by=known), *modules.notes]
    if unknown:
        notes.append(f"{plural(unknown, 'module')} of {len(numbers)} had no {known}: the median stood in.")
    if sum(ranks) < r * len(ranks):
        notes.append(f"The mean rank is {sum(ranks) / len(ranks):.3g}: the modules are too small for more.")
    named = {module.name: rank for module, rank in zip(modules.found, ranks, strict=True)}
    also = {module.name: module.loaded for module in modules.found if module.loaded != module.name}
    short = {module.name: module.short for module in modules.found if module.short != module.loaded}
    return RankPattern(r, scale, named, known, tuple(notes), also, short)


def check_ranks(r: int, min_rank: int | None, max_rank: int | None, alpha: float | None) -> tuple[int, int, float]:
    """The least and the largest rank and alpha, those that are None by ``r``. UsageError where they make no sense."""
    least = max(1, r // 4) if min_rank is None else min_rank
    most = 4 * r if max_rank is None else max_rank
    if not 1 <= least <= r <= most:
        raise UsageError(
            f"ranks from {least} to {most} around {r}", "they must rise, from 1 on", "Change --rank or these"
        )
    scale = float(r) if alpha is None else alpha
    if not (math.isfinite(scale) and scale > 0):
        raise UsageError(f"alpha {scale:g}", "it is no positive number", "Write for example --lora-alpha 16")
    return least, most, scale


def allocate(weights: Sequence[float], least: Sequence[int], most: Sequence[int], total: int) -> list[int]:
    """Whole numbers in proportion to the positive ``weights``, each between its ``least`` and ``most``, that add up to
    ``total``, or as near as these allow.

    Example:
        >>> allocate([1.0, 2.0, 9.0], [1, 1, 1], [8, 8, 8], 12)
        [1, 3, 8]
    """
    total = min(max(total, sum(least)), sum(most))

    def shares(scale: float) -> list[float]:
        return [min(max(scale * w, low), high) for w, low, high in zip(weights, least, most, strict=True)]

    low, high = 0.0, max(most, default=1) / min(weights, default=1.0)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(shares(middle)) < total else (low, middle)
    exact = shares(high)
    found = [math.floor(share + 1e-9) for share in exact]
    order = sorted(range(len(exact)), key=lambda i: found[i] - exact[i])
    while sum(found) < total:  # largest remainders first
        for i in order:
            if sum(found) < total and found[i] < most[i]:
                found[i] += 1
    return found


def _pattern(names: Sequence[str]) -> str:
    """A regular expression that fits each of ``names``; one, for PEFT warns of a pattern that fits nothing."""
    escaped = [re.escape(name) for name in names]
    return escaped[0] if len(escaped) == 1 else f"(?:{'|'.join(escaped)})"


def _whole(number: float) -> float | int:
    return int(number) if number == int(number) else number
