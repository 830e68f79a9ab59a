"""Default values of transformers' configuration classes, for the keys that specs and attentions read:

python -m tests.architecture.class_defaults

writes ``weightaudit/architecture/class_defaults.json``. Of each class its numbers, true and false are written down:
nothing else is a size, a scale or a condition.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import transformers

from weightaudit.architecture import attention, class_defaults, heads
from weightaudit.architecture.registry import families, layers_of_towers, model_types, multimodal

FILE = Path(class_defaults.__file__).with_name(class_defaults.FILE)
OTHER_KEYS = ("tie_word_embeddings", "scale_attn_weights", "scale_attn_by_inverse_layer_idx")
"""Keys that code reads."""


@cache
def keys() -> list[str]:
    """Every key that a class may be asked for; those of nested configs are not a class's own."""
    dimensions = [*(one for family in families() for one in family.dimensions), *layers_of_towers().dimensions]
    flags = (flag for family in families() for rule in family.matrices for flag in rule.when)
    tables = filter(None, map(attention.attends, attention.model_types()))
    asked = {key for dimension in dimensions for key in dimension.keys}
    asked |= {flag.removeprefix("not ") for flag in flags} | {
        key for table in tables for key in (table.key, table.when)
    }
    asked |= {*heads.HEAD_KEYS, *(key for keys in heads.STACK_KEYS.values() for key in keys), *OTHER_KEYS}
    return sorted(key for key in asked if key.isidentifier())


def types() -> list[str]:
    """All that transformers has, a tower's among them, and those of ours of which it has no class."""
    own = (*model_types(), *attention.model_types(), *multimodal().types.values())
    return sorted({*transformers.CONFIG_MAPPING.keys(), *own})


def defaults(model_type: str) -> dict[str, Any]:
    """What is written down of one model type."""
    said = class_defaults.asked_of_class(model_type)
    return {key: said[key] for key in keys() if isinstance(said.get(key), (int, float)) and math.isfinite(said[key])}


def towers(model_type: str) -> dict[str, str]:
    """The towers whose types the class names, by the key of their config."""
    every = dict.fromkeys(key for tower in layers_of_towers().towers for key in tower.configs)
    found = {key: class_defaults.tower_of_class(model_type, key) for key in every}
    return {key: own for key, own in found.items() if own}


def page() -> str:
    """The file, a model type a line."""
    said: Mapping[str, Mapping[str, Any]] = {
        "types": {name: defaults(name) for name in types()},
        "towers": {name: own for name in types() if (own := towers(name))},
    }
    tables = [f'"{name}": {{\n{_lines(table)}\n}}' for name, table in said.items()]
    head = f'"transformers": "{transformers.__version__}",\n"keys": {json.dumps(keys())}'
    return f"{{{head},\n" + ",\n".join(tables) + "}\n"


def _lines(table: Mapping[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in table.items())


if __name__ == "__main__":
    FILE.write_text(page(), "utf-8")
