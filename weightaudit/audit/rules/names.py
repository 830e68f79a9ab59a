"""What tensors are called, against what a loader calls them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.rule import TENSORS, Match, Rule
from weightaudit.text import plural, printable

RENAME = (
    "import re; from safetensors.torch import load_file, save_file; "
    "save_file({{re.sub(r'{pattern}', '', name): tensor for name, tensor in load_file('OLD.safetensors').items()}}, "
    "'NEW.safetensors', {{'format': 'pt'}})"
)
"""Python that renames the tensors of a file; ``pattern`` is made of words only, whatever the names of the file hold."""


def _wrapped(rule: Rule, context: RuleContext) -> Iterator[Match]:
    wrapping = context.map.wrapping
    if wrapping is None:
        return
    carrying, of = len(wrapping.names), len(context.coverage_entries)
    detail = (
        f"{carrying:,} of {plural(of, 'name')}, such as '{printable(wrapping.names[0])}' for "
        f"'{printable(wrapping.plain[0])}'. The plain names were read here. To rename: "
        f"{RENAME.format(pattern=wrapping.pattern)}"
    )
    match = rule.of_model(detail, value=carrying / of)
    yield replace(match, finding=replace(match.finding, tensors=wrapping.names[:TENSORS]))


RULES = (
    Rule(
        id="wrapped-names",
        title="Names that carry what a wrapper of the model left",
        severity="error",
        measures="The share of tensors whose names are those of the model's family only without a prefix or a part "
        "within them: what compiling (`_orig_mod.`), data parallelism (`module.`), sharding, adapters or a trainer "
        "that holds the model as one of its parts put there, or a prefix of the class repeated. A prefix of the class "
        "itself may be there or not, as for loaders.",
        threshold=0.0,
        source="transformers 5, core_model_loading.py: but for the prefix of its class, a loader compares names as "
        "they are.",
        advice="A loader takes none of these tensors and starts the model's at random. Save the model inside the "
        "wrapper (`model._orig_mod`, `model.module`), or rename the tensors: in every shard, and so the keys of "
        "weight_map in the index.",
        check=_wrapped,
    ),
)
