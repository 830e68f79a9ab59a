"""What config.json says of ties and dtypes, against what is stored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.needs import a_config, every_matrix, known_roles, whole_scan
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import listed, where
from weightaudit.dtypes import BY_NAME
from weightaudit.records import LayerRow
from weightaudit.text import percent, printable

ALIASES = {"half": "float16", "float": "float32", "double": "float64"}
"""torch's other names of its dtypes."""


def _tie_broken(rule: Rule, context: RuleContext) -> Iterator[Match]:
    if context.map.guessed:
        return  # there a tie is only possible, and two different matrices are nothing odd
    scheme = {entry.tensor: entry.scheme for entry in context.coverage_entries}
    for tensor, original in context.broken_ties:
        if scheme.get(tensor) != scheme.get(original):
            continue  # quantised in two ways, equal weights differ
        match = rule.of_model(
            f"The config ties {printable(tensor)} to {printable(original)}, and the file stores different values; both "
            "were analysed."
        )
        yield replace(match, finding=replace(match.finding, tensors=(tensor, original)))


def _tie_undeclared(rule: Rule, context: RuleContext) -> Iterator[Match]:
    equal: dict[str, list[LayerRow]] = defaultdict(list)
    for row in context.measured:
        if row.digest and row.matrix.role in ("EMBED", "HEAD"):
            equal[row.digest].append(row)
    for rows in equal.values():
        if len(rows) > 1:
            names = listed(name for row in rows for name in row.matrix.tensors)
            extra = sum(row.matrix.parameters for row in rows[1:])
            yield rule.of_rows(rows, f"{names} hold the same values; {extra:,} parameters are stored again.")


def _dtype_mismatch(rule: Rule, context: RuleContext) -> Iterator[Match]:
    if context.restricted:
        return  # most of what was asked for need not be most of the model
    said = _config_dtype(context.config)
    stored: Counter[str] = Counter()
    inside = [row for row in context.weights if row.matrix.layer is not None]
    plain = {row.matrix.key for row in context.plain}
    judged = [row for row in inside or context.weights if row.matrix.key in plain]
    for row in judged:
        stored[row.matrix.dtype] += row.matrix.parameters
    if said is None or not stored:
        return
    most, parameters = stored.most_common(1)[0]
    if most != said:
        share = parameters / sum(stored.values())
        yield rule.of_model(
            f"config.json says {said}, and {percent(share)} of the parameters analysed are stored as {most}.",
            value=share,
        )


def _config_dtype(config: Mapping[str, Any] | None) -> str | None:
    """The float dtype that config.json names for the weights, None where it names none that is known."""
    # "torch_dtype" before transformers 5; models of several parts say it of the language model in "text_config".
    for part in (config, (config or {}).get("text_config")):
        if isinstance(part, Mapping):
            for key in ("dtype", "torch_dtype"):
                name = str(part.get(key)).removeprefix("torch.")
                name = ALIASES.get(name, name)
                if name in BY_NAME and BY_NAME[name].analysable:
                    return name
    return None


def _mixed_dtypes(rule: Rule, context: RuleContext) -> Iterator[Match]:
    groups: dict[tuple[str, str, str], list[LayerRow]] = defaultdict(list)
    for row in context.plain:
        groups[row.matrix.place.population].append(row)
    for rows in groups.values():
        counts = Counter(row.matrix.dtype for row in rows)
        if len(counts) < 2:
            continue
        (usual, number), *others = counts.most_common()
        odd = [row for row in rows if row.matrix.dtype != usual]
        said = ", ".join(f"{count:,} as {dtype}" for dtype, count in others)
        yield rule.of_rows(
            odd,
            f"{number:,} of {len(rows):,} matrices of this role are stored as {usual}, {said}: "
            f"{listed(where(row.matrix) for row in odd)}.",
            value=float(len(odd)),
        )


RULES = (
    Rule(
        id="tie-broken",
        title="A tie of the config that the values do not hold",
        severity="warning",
        measures="Tensors that config.json ties and whose stored bytes differ; not where the two are quantised in "
        "different ways, or one is not.",
        threshold=0.0,
        source="Loaders differ here: one that follows config.json drops the first tensor, transformers 5 keeps both "
        "and warns. So one file gives two models.",
        advice="If the head was trained apart, set tie_word_embeddings to false; if not, drop the copy and save again.",
        check=_tie_broken,
        needs=(known_roles, every_matrix),
    ),
    Rule(
        id="dtype-mismatch",
        title="Stored in another dtype than the config says",
        severity="warning",
        measures="The dtype in config.json (`dtype` or `torch_dtype`) against that of most parameters of the layers; "
        "quantised weights are stored in none and not counted.",
        source="A comparison of names; no threshold.",
        advice="Loading with the config's dtype casts every weight. Set it to what is stored, or store what it says.",
        check=_dtype_mismatch,
        needs=(a_config, whole_scan, every_matrix),
    ),
    Rule(
        id="mixed-dtypes",
        title="One role stored in several dtypes",
        severity="warning",
        measures="Matrices of one role whose dtype is not that of most of the role's matrices in the same stack; "
        "quantised ones are left out, as formats mix several on purpose.",
        threshold=0.0,
        source="Tools cast a role as a whole, so several dtypes in one are what a conversion or merge left half done.",
        advice="Look whether the odd ones come from another checkpoint; save them all in one dtype.",
        check=_mixed_dtypes,
    ),
    Rule(
        id="tie-undeclared",
        title="Embedding and head equal, and not tied",
        severity="info",
        measures="Embeddings and output heads that hold the same values, where the config does not tie them.",
        source="A comparison of digests; no threshold.",
        advice="Set tie_word_embeddings to true to store them once. Fine-tuning will part them as long as it is false.",
        check=_tie_undeclared,
    ),
)
