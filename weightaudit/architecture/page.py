"""docs/architectures.md, from the specs: ``python -m weightaudit.architecture.page > docs/architectures.md``."""

from __future__ import annotations

from weightaudit.architecture.registry import families, multimodal, not_mapped
from weightaudit.architecture.schema import Family

_HEAD = """# Architectures

Generated from the specs in `weightaudit/architecture/specs` by `python -m weightaudit.architecture.page`; do not edit.

A model is read by the `model_type` of its config.json. `weightaudit archs NAME` prints a family's whole map, and
`weightaudit archs --check MODEL` says from headers alone how each tensor of a model would be read. Any other model type
is mapped by common projection names, and its roles are marked as guessed. How to add one:
[adding-a-family.md](adding-a-family.md).

The test suite builds a tiny random model of every model type below that transformers has, saves it, maps it and proves
each role by execution on one token (`python -m tests.architecture.proofs` prints the table). The code of model types
marked * is not transformers' but lies beside their weights: the tests prove them against a small re-implementation of
what that code publishes, not against the code itself.
"""

_MULTIMODAL = """Of these the language model is mapped, by the family of the type that config.json says
(`text_config.model_type`) or, where it does not, of the type below. Towers for images and sound are mapped
too, as stacks of their own (`vision`, `video`, `audio`), where their layers have the plain layout: q, k and v apart or
fused one after the other, an output map, an MLP with or without a gate (`weightaudit/architecture/towers.toml`). What
else a tower has, towers of another layout, and what joins them to the language model are ignored, each by a rule that
names it. Multimodal models of a layout of their own stand in the table above."""


def page() -> str:
    """The page as Markdown."""
    known = families()
    count = sum(len(family.model_types) for family in known)
    lines = [_HEAD, f"## Families ({len(known)}, of {count} model types)", ""]
    lines += ["| family | model types | roles | fused tensors |", "|---|---|---|---|"]
    lines += [_row(family) for family in known]
    within = multimodal().types
    lines += ["", f"## Multimodal models ({len(within)})", "", _MULTIMODAL, ""]
    lines += ["| model type | language model |", "|---|---|"]
    lines += [f"| {name} | {inner} |" for name, inner in sorted(within.items())]
    lines += ["", f"## Not mapped ({len(not_mapped())})", "", "| model type | why |", "|---|---|"]
    lines += [f"| {name} | {why} |" for name, why in sorted(not_mapped().items())]
    return "\n".join(lines) + "\n"


def _row(family: Family) -> str:
    fused = ", ".join(f"`{packing}`" for packing in family.packings)
    types = ", ".join(f"{name}*" if name in family.remote else name for name in family.model_types)
    return f"| {family.name} | {types} | {' '.join(family.roles)} | {fused} |"


if __name__ == "__main__":
    print(page(), end="")
