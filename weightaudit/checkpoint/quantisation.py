"""What the files beside a model's weights say of how these are quantised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightaudit.checkpoint.small_reads import read_all
from weightaudit.errors import CheckpointError
from weightaudit.source import Repository
from weightaudit.source.base import MAX_CONFIG
from weightaudit.strict_json import parse_object

KEYS = ("quantization_config", "compression_config", "quantization")
"""Keys of config.json, or of the language model's config within it, in the order in which they are believed."""
NESTED = ("text_config", "llm_config", "language_config")
FILES = {"quantize_config.json": "gptq", "quant_config.json": "awq", "hf_quant_config.json": "modelopt"}
"""Of AutoGPTQ, AutoAWQ and ModelOpt, and the method that is theirs: read where config.json says nothing."""


def read_method(repository: Repository, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The quantisation that config.json, or a file beside it, describes; {} for none.

    What cannot be read says nothing: the tensors decide, and the config only tells what they leave open.
    """
    for part in (config or {}, *((config or {}).get(key) for key in NESTED)):
        for key in KEYS:
            said = part.get(key) if isinstance(part, Mapping) else None
            if isinstance(said, Mapping):
                return dict(said)
    if repository.chosen is not None:
        return {}
    for name, method in FILES.items():
        if name in repository.files():
            try:
                repository.fetch([name])
                source = repository.open(name)
                try:
                    data = read_all(source, limit=MAX_CONFIG, error=CheckpointError)
                finally:
                    source.close()
                said = parse_object(data, thing=source.label, error=CheckpointError, hint="", machine_made=False)
            except CheckpointError as error:
                if error.temporary:
                    raise
                continue
            inner = said.get("quantization")
            return {"quant_method": method} | (inner if isinstance(inner, dict) else said)
    return {}
