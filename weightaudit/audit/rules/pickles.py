"""What the model's files are, apart from what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import listed

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def _pickle(rule: Rule, context: RuleContext) -> Iterator[Match]:
    identity = context.identity
    read = [file.name for file in identity.files] if "torch" in identity.format else []
    beside = [file.name for file in identity.skipped_files if file.name.endswith(PICKLED)]
    said = []
    if read:
        said.append(f"Read here as data only: {listed(read)} ({_count(read)}).")
    if beside:
        said.append(f"Beside what was read: {listed(beside)} ({_count(beside)}).")
    if said:
        yield rule.of_model(" ".join(said), value=float(len(read) + len(beside)))


def _loaded_otherwise(rule: Rule, context: RuleContext) -> Iterator[Match]:
    yield from map(rule.of_model, context.identity.loaded_otherwise)


def _count(names: Sequence[str]) -> str:
    return "a pickle" if len(names) == 1 else f"{len(names):,} pickles"


RULES = (
    Rule(
        id="loaded-otherwise",
        title="Other weights may be loaded than were audited",
        severity="error",
        measures="What makes transformers, with its defaults, load something else than the files that were read, or "
        "than programs load that go by the usual names: transformers_weights (also in a part of config.json), "
        "configuration_files, an adapter_config.json beside the weights, a distributed checkpoint.",
        source="transformers 5: modeling_utils.py, configuration_utils.py, integrations/peft.py and "
        "distributed/checkpoint.py.",
        advice="Do not rely on this audit for a program that loads those. Before release, leave one set of weights "
        "under the usual name. Before use, name the file that you load and audit that.",
        check=_loaded_otherwise,
        needs=(),
        of_adapters=True,
    ),
    Rule(
        id="pickle",
        title="Files that can run code when they are loaded",
        severity="warning",
        measures="Files in PyTorch's pickle format that were read, or that lie beside those that were "
        f"({' '.join(PICKLED)}).",
        threshold=0.0,
        source="Unpickling runs what the file says (Python's documentation of pickle); safetensors holds data only.",
        advice="Before release, save as safetensors and remove the pickles. Before use, load only safetensors "
        "(use_safetensors=True), or with weights_only=True.",
        check=_pickle,
        needs=(),
        of_adapters=True,
    ),
)
