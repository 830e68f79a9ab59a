"""The confusion table of kinds: derivatives made in known ways, and what `weightaudit diff` says of each.

    python -m benchmarks.kinds /tmp/derivatives/0/llama /tmp/derivatives/0/bert --json /tmp/kinds.json

Each folder was made by `benchmarks.derivatives`. Prints Markdown: true kinds by told kinds, of matrices and of vectors;
ranks told against true ones; then every wrong verdict with the facts that it was told from.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown
from weightaudit.config import AuditConfig
from weightaudit.errors import WeightauditError
from weightaudit.pairs.diff import diff_models
from weightaudit.records import PERMUTED, Change, DiffResult

RECIPE = 2e-3
"""How far a weight of a recipe may be off."""
DECAY = 0.1
"""How far a decay may be off, of itself."""

MOST = 0.8
"""Share of the changed matrices of one kind, from which a finding must name it."""
FINDING_OF = {
    "cast": "diff-cast",
    "low rank": "diff-lora",
    "pruned": "diff-pruned",
    "quantised": "diff-quantised",
    "rows permuted": "diff-permuted",
    "moved": "diff-moved",
    "rotated": "diff-rotated",
    "scaled": "diff-scaled",
    "sparse": "diff-sparse",
    "unrelated": "diff-unrelated",
    "noise": "diff-noise",
    "at the resolution": "diff-resolution",
    "not finite": "diff-nonfinite",
}

KINDS_OF = {
    "diff-permuted": PERMUTED,
    "diff-scaled": ("scaled", "rows scaled", "columns scaled"),
    "diff-pruned": ("pruned", "pruned and changed"),
}
"""Kinds that one finding tells, where there are several."""

SAID_BY = {
    "diff-lora": frozenset({"diff-merged", "diff-merged-twice", "diff-merge-scale", "diff-merge-residue"}),
    "diff-identical": frozenset({"diff-not-merged"}),
    "diff-unrelated": frozenset({"diff-replaced"}),
    "diff-permuted": frozenset({"diff-vocabulary"}),
}
"""Findings that say another in passing."""


@dataclass(frozen=True)
class Row:
    """One tensor's role: what is true of it, and what was told."""

    model: str
    derivative: str
    place: str
    matrix: bool
    true: tuple[str, ...]
    told: str
    rank: int | None
    must: bool
    told_rank: int | None
    why: str
    details: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> bool:
        return self.told not in self.true

    @property
    def wrong_rank(self) -> bool:
        """A rank is claimed that is not the true one, or none where one is sure."""
        return (self.told_rank is not None and self.told_rank != self.rank) or (self.must and self.told_rank is None)

    @property
    def label(self) -> str:
        return self.true[0] if len(self.true) == 1 else f"{self.true[0]} …"


@dataclass(frozen=True)
class Told:
    """What was told of a whole derivative: ``wrong`` sentences, and the ids of the ``findings``."""

    model: str
    derivative: str
    seconds: float
    findings: tuple[str, ...]
    wrong: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--only", nargs="+", default=["*"], help="names of derivatives")
    parser.add_argument("--json", type=Path, help="every row, for a closer look")
    chosen = parser.parse_args()
    rows: list[Row] = []
    models: list[Told] = []
    for folder in chosen.folders:
        for truth in sorted(folder.glob("*.json")):
            if any(fnmatch.fnmatch(truth.stem, pattern) for pattern in chosen.only):
                told, own = compare(truth)
                rows += own
                models.append(told)
    print(report(rows, models))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def compare(truth_file: Path) -> tuple[Told, list[Row]]:
    """What is told of one derivative, beside what is true."""
    truth = json.loads(truth_file.read_text())
    folder, name = truth_file.parent, truth_file.stem
    parents = tuple(str(folder / parent) for parent in truth["parents"])
    adapter = str(folder / truth["adapter"]) if truth["adapter"] else None
    config = AuditConfig(threads=2)
    started = time.perf_counter()
    try:
        result = diff_models(str(folder / truth["base"]), str(folder / name), config, parents=parents, adapter=adapter)
    except WeightauditError as error:
        lines = () if truth["refused"] else (f"refused: {error}",)
        return Told(folder.name, name, time.perf_counter() - started, (), lines), []
    seconds = time.perf_counter() - started
    rows = list(_rows(truth, result, folder.name, name))
    findings = tuple(one.id for one in result.findings)
    return Told(folder.name, name, seconds, findings, tuple(_model_level(truth, result, rows))), rows


def _rows(truth: dict[str, Any], result: DiffResult, model: str, derivative: str) -> Iterator[Row]:
    expected = truth["tensors"]
    for change in result.changes:
        name = change.tensors[0]
        one = (
            expected.get(f"{name}#{change.place.role}")
            or expected.get(name)
            or (
                {"kinds": ["unchanged"], "rank": None, "must": False, "why": ""}
                if truth["renamed"] or truth["facts"].get("adapter")
                else None
            )
        )
        if one is None:
            continue
        ranks = change.ranks.rank if change.ranks and change.kind == "low rank" else None
        yield Row(
            model=model,
            derivative=derivative,
            place=change.place.words() if change.is_matrix else change.tensors[0],
            matrix=change.is_matrix,
            true=tuple(one["kinds"]),
            told=change.kind,
            rank=one["rank"],
            must=one["must"],
            told_rank=ranks,
            why=one["why"],
            details=tuple(_details(one, change)),
            facts=_facts(change),
        )


def _details(one: dict[str, Any], change: Change) -> Iterator[str]:
    """What else is told otherwise than it is."""
    if one.get("block") is not None and change.kind in one["kinds"] and change.block != one["block"]:
        yield f"block {change.block}, not {one['block']}"
    if one.get("origin") and change.kind == "moved":
        told = change.moved_from.words() if change.moved_from else "nowhere"
        yield f"moved from {told}: {one['origin']}"
    if change.kind == "quantised" and change.grid:
        if one.get("bits") is not None and change.grid.bits != one["bits"]:
            yield f"{change.grid.bits} bits, not {one['bits']}"
        if one.get("group") is not None and change.grid.group != one["group"]:
            yield f"group {change.grid.group}, not {one['group']}"


def _facts(change: Change) -> dict[str, Any]:
    facts: dict[str, Any] = {"shape": change.shape, "relative": change.relative}
    if change.entries:
        own = asdict(change.entries)
        facts |= own | {"above_floor": change.entries.above_floor, "cosine": change.entries.cosine}
    if change.ranks:
        facts |= asdict(change.ranks)
        facts["singular_values"] = facts["singular_values"][:12]
    if change.spectrum:
        facts |= {"spectral_norm": change.spectrum.spectral_norm, "frobenius_norm": change.spectrum.frobenius_norm}
    return facts


def _model_level(truth: dict[str, Any], result: DiffResult, rows: list[Row]) -> Iterator[str]:
    summary = result.summary
    seen = {name for change in result.changes for name in change.tensors}
    lost = [name for name in truth["tensors"] if name.split("#")[0] not in seen]
    if lost:
        yield f"not compared: {', '.join(lost[:4])}{' …' if len(lost) > 4 else ''} ({len(lost)})"
    changed = any(row.true != ("unchanged",) for row in rows)
    identical = truth["identical"] if truth["identical"] is not None else not changed
    if summary.identical != identical:
        yield f"identical: {summary.identical}, truly {identical}"
    if truth["decay"] is not None and (summary.decay is None or abs(summary.decay / truth["decay"] - 1) > DECAY):
        yield f"decay {summary.decay}, truly {truth['decay']:.4g}"
    if truth["decay"] is None and summary.decay is not None and not _shrinks(rows):
        yield f"decay {summary.decay:.3g}, where there was none"
    ranks = {row.rank for row in rows if row.matrix and row.must}
    if len(ranks) == 1 and summary.rank != next(iter(ranks)):
        yield f"rank {summary.rank}, truly {next(iter(ranks))}"
    if not ranks and summary.rank is not None and not any(row.rank for row in rows):
        yield f"rank {summary.rank}, where there is none"
    if truth["recipe"] and (
        len(summary.recipe) < len(truth["recipe"])
        or any(abs(a - b) > RECIPE for a, b in zip(summary.recipe, truth["recipe"], strict=False))
    ):
        yield f"recipe {summary.recipe}, truly {truth['recipe']}"
    if truth["recipe_exact"] is not None and summary.recipe_exact != truth["recipe_exact"]:
        yield f"recipe exact: {summary.recipe_exact}, truly {truth['recipe_exact']}"
    yield from _findings(truth, result, rows)
    if truth["facts"].get("vocabulary") and not any(change.resized for change in result.changes):
        yield "a resized vocabulary that is not told"


def _findings(truth: dict[str, Any], result: DiffResult, rows: list[Row]) -> Iterator[str]:
    """Findings that should be there, and those of kinds of which there is none."""
    told = {one.id for one in result.findings}
    changed = [row for row in rows if row.matrix and row.true != ("unchanged",)]
    due = set(truth["findings"])
    for kind, finding in FINDING_OF.items():
        kinds = KINDS_OF.get(finding, (kind,))
        true = [row for row in changed if set(row.true) & set(kinds)]
        sure = [row for row in changed if set(row.true) <= set(kinds) and (kind != "low rank" or row.must)]
        if changed and len(sure) >= MOST * len(changed):
            due.add(finding)
        if finding in told and not true:
            yield f"{finding}, where there is none"
    for finding in sorted(one for one in due - told if not told & SAID_BY.get(one, frozenset())):
        yield f"no {finding}"


def _shrinks(rows: list[Row]) -> bool:
    return any("scaled" in row.true for row in rows if row.matrix)


def _table(rows: list[Row]) -> str:
    counts = Counter((row.label, row.told) for row in rows)
    trues = sorted({true for true, _ in counts})
    tolds = sorted({told for _, told in counts})
    wrong = Counter(row.label for row in rows if row.wrong)
    body = [[true, *(str(counts[true, told] or "·") for told in tolds), str(wrong[true])] for true in trues]
    return markdown(["true \\ told", *tolds, "wrong"], body)


def report(rows: list[Row], models: list[Told]) -> str:
    """Markdown of all."""
    matrices, vectors = [row for row in rows if row.matrix], [row for row in rows if not row.matrix]
    must = [row for row in matrices if row.must]
    claimed = [row for row in matrices if row.told_rank is not None]
    lines = [
        f"{len(models)} derivatives, {len(matrices)} matrices ({sum(row.wrong for row in matrices)} of another kind"
        f" than is true), {len(vectors)} vectors ({sum(row.wrong for row in vectors)}).",
        f"Ranks: {sum(row.told_rank == row.rank for row in must)} of {len(must)} exact where they must be told;"
        f" {len(claimed)} told, {sum(row.told_rank != row.rank for row in claimed)} false;"
        f" {sum(row.told_rank is not None for row in matrices if row.rank is None)} of"
        f" {sum(row.rank is None for row in matrices)} matrices that have none.",
        "",
        "## Matrices",
        _table(matrices),
        "",
        "## Vectors",
        _table(vectors),
        "",
        "## Wrong",
        *(_line(row) for row in rows if row.wrong or row.wrong_rank),
        "",
        "## Other details",
        *(
            f"- {model} {derivative}: {detail} ({count} ×)"
            for (model, derivative, detail), count in Counter(
                (row.model, row.derivative, detail)
                for row in rows
                for detail in row.details
                if "moved from" not in detail
            ).items()
        ),
        "",
        "## Models",
        markdown(
            ["derivative", "s", "findings", "wrong"],
            [
                [f"{one.model} {one.derivative}", f"{one.seconds:.1f}", " ".join(one.findings), "; ".join(one.wrong)]
                for one in models
            ],
        ),
    ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    told = f"{row.told}" + (f" (rank {row.told_rank})" if row.told_rank is not None else "")
    true = " or ".join(row.true[:3]) + (f" (rank {row.rank})" if row.rank else "")
    keep = (
        *("shape", "relative", "cosine", "above_floor", "changed", "entries", "rows_changed", "within_ulp"),
        *("zeros_base", "zeros_derived", "precision_base", "precision_derived", "scaled_rest", "rows_scaled_rest"),
        *("cols_scaled_rest", "floor", "change_sq", "rank", "rest", "flatness"),
    )
    facts = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key in keep
        if (value := row.facts.get(key)) is not None
    )
    return (
        f"- {row.model} {row.derivative} {row.place}: {told}; truly {true}{f' [{row.why}]' if row.why else ''}: {facts}"
    )


if __name__ == "__main__":
    main()
