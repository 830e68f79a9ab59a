"""How the model's files belong together, apart from what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.rule import TENSORS, Match, Rule


def _told_by_files(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for fault in context.identity.faults:
        if fault.rule == rule.id:
            match = rule.of_model(fault.says)
            yield replace(match, finding=replace(match.finding, tensors=fault.tensors[:TENSORS]))


REINDEX = (
    "import glob, json, pathlib; from safetensors import safe_open; "
    "files = sorted(glob.glob('model-*-of-*.safetensors')); "
    "names = {name: file for file in files for name in safe_open(file, 'pt').keys()}; "
    "index = json.dumps({'metadata': {}, 'weight_map': names}); "
    "pathlib.Path('model.safetensors.index.json').write_text(index)"
)
"""Python that writes the index of the shards in its directory."""
_INDEX = "The index of the shards (weight_map), against the names in the shards' headers."

RULES = (
    Rule(
        id="shards",
        title="Shards and their index contradict each other",
        severity="error",
        measures="Tensors that the index lists and no shard holds, that are in another shard than it says, or in "
        "several; shards without any index.",
        source=_INDEX,
        advice="A loader that goes by the index does not find these, and which of two copies it takes is chance. "
        "Take shards and index of one save, or write the index of the shards that are there: "
        f"`{REINDEX}`.",
        check=_told_by_files,
        of_adapters=True,
    ),
    Rule(
        id="unlisted",
        title="Tensors that the index of the shards leaves out",
        severity="warning",
        measures="Tensors that a shard holds and the index does not list. The index decides: they are not audited.",
        source=_INDEX,
        advice="Programs differ in whether they load them. Add them to the index if they belong to the model, else "
        "save the shards without them.",
        check=_told_by_files,
        of_adapters=True,
    ),
    Rule(
        id="two-sets",
        title="Two sets of weights that differ",
        severity="error",
        measures="Other weights under the usual names (model.safetensors, pytorch_model.bin, or shards of these) "
        "beside those that were read: shapes and number of their matrices, and where the data type is the same the "
        "first bytes of each tensor. Repeated (tied) tensors and other names for as many numbers are no difference. "
        "What cannot be read is not compared, nor what is not on this machine (a model that is streamed from the Hub).",
        source="transformers takes the first of model.safetensors, its index, pytorch_model.bin and its index; other "
        "loaders take all *.safetensors, or the index first.",
        advice="Which weights are run depends on the loader. Keep the set that is meant and remove the other.",
        check=_told_by_files,
    ),
    Rule(
        id="modules",
        title="Modules of the model that are not there",
        severity="error",
        measures="Modules with weights (Dense and the like) that modules.json lists and that have no weight file in "
        "their folder; those that have one are measured with the model.",
        threshold=0.0,
        source="sentence-transformers runs the modules of modules.json one after the other.",
        advice="Download the whole repository, or correct modules.json.",
        check=_told_by_files,
    ),
)
