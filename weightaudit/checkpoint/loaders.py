"""How transformers comes to a model's weights, where that is another way than by the names of its files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from weightaudit.errors import CheckpointError
from weightaudit.source import safe_name
from weightaudit.source.base import STANDARD_WEIGHTS
from weightaudit.text import printable

WEIGHTS_KEY = "transformers_weights"
"""The entry of config.json that names the weights."""
NAMEABLE = (".safetensors", ".safetensors.index.json")
ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.bin", "adapter_config.json"
OTHER_CONFIGS = "configuration_files"
"""The entry of config.json that names the files to read in its place, by versions of transformers."""
OTHER_CONFIG = re.compile(r"config\..+\.json")
DISTRIBUTED = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")


def named_weights(config: Mapping[str, Any] | None, files: Collection[str], *, where: str) -> str | None:
    """The weight file or index among ``files`` that ``config`` names, as transformers 5 takes it; None for none.

    Raises CheckpointError where transformers would not take it either, or it lies in a folder.
    """
    named = (config or {}).get(WEIGHTS_KEY)
    if named is None:
        return None
    shown = f"its config.json names {printable(repr(named), 100)} as its weights ({WEIGHTS_KEY})"
    if not isinstance(named, str) or not (named.endswith(NAMEABLE) or named == ADAPTER_WEIGHTS):
        raise CheckpointError(where, f"{shown}, which is no safetensors file", f"Correct or remove {WEIGHTS_KEY}")
    safe_name(named, said_by=where)
    if named not in files:
        raise CheckpointError(where, f"{shown}, which is missing", f"Download it too, or correct {WEIGHTS_KEY}")
    return named


def loaded_otherwise(config: Mapping[str, Any] | None, files: Collection[str], weights: str) -> Iterator[str]:
    """Why a program may load other weights than ``weights``, which were taken among ``files``; a sentence each."""
    config = config or {}
    usual = next((name for names in STANDARD_WEIGHTS for name in names if name in files), weights)
    if config.get(WEIGHTS_KEY) is not None and usual != weights:
        yield (
            f"config.json names {printable(weights)} as the weights ({WEIGHTS_KEY}), which was read. Programs that do "
            f"not know this entry load {usual}."
        )
    for part, inner in config.items():
        if isinstance(inner, Mapping) and inner.get(WEIGHTS_KEY) not in (None, weights):
            yield (
                f"config.json names other weights in '{printable(part, 50)}': transformers loads "
                f"{printable(str(inner[WEIGHTS_KEY]))} where it takes this part for the config."
            )
    others = config.get(OTHER_CONFIGS)
    if isinstance(others, list) and any(isinstance(name, str) and OTHER_CONFIG.fullmatch(name) for name in others):
        yield (
            f"config.json sends transformers to another config, by its version ({OTHER_CONFIGS}): "
            f"{printable(', '.join(map(str, others)))}. That may name other weights, or another model for these."
        )
    if ADAPTER_CONFIG in files:
        yield f"{ADAPTER_CONFIG} lies beside the weights: where PEFT is installed, transformers adds that adapter."
    if distributed := sorted(filter(DISTRIBUTED.fullmatch, files)):
        yield f"transformers loads the distributed checkpoint {distributed[0]} and the like, not {printable(weights)}."
