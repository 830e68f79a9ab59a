"""What transformers' configuration classes say where a config.json is silent, as ``class_defaults.json`` has it.

The file is written by ``python -m tests.architecture.class_defaults``. What it says counts, whichever version of
transformers is installed, so that a model has the same numbers everywhere, and no scan imports the library for it. A
class is asked for what is not there alone: a model type of a newer version, or a key that no spec of ours reads.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

FILE = "class_defaults.json"


def default_of(model_type: str, key: str) -> Any:
    """The default value of a key of the model type's configuration class; None where it has none.

    Example:
        >>> default_of("llama", "hidden_size")
        4096
    """
    known = _read()["types"].get(model_type)
    if known is not None and key in _keys():
        return known.get(key)
    if not key.isidentifier():  # it lies in a nested config, of which a class says nothing
        return None
    return asked_of_class(model_type).get(key)


def tower_type(model_type: str, key: str) -> str:
    """The model type of the tower whose config is ``key`` (``vision_config``) in a model; "" where its class leaves it
    open.
    """
    if model_type in _read()["types"]:
        found = _read()["towers"].get(model_type, {})
        return str(found.get(key, ""))
    return tower_of_class(model_type, key)


def asked_of_class(model_type: str) -> Mapping[str, Any]:
    """Default values of the class that the installed transformers has for a model type; {} where it has none."""
    from transformers import CONFIG_MAPPING

    if model_type not in CONFIG_MAPPING:
        return {}
    parameters = inspect.signature(CONFIG_MAPPING[model_type].__init__).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}


def tower_of_class(model_type: str, key: str) -> str:
    """The model type of a tower by the class of the installed transformers; "" where that leaves it open."""
    from transformers import CONFIG_MAPPING, AutoConfig

    if model_type not in CONFIG_MAPPING:
        return ""
    inner = (getattr(CONFIG_MAPPING[model_type], "sub_configs", None) or {}).get(key)
    return "" if inner is None or inner is AutoConfig else str(inner.model_type)


@cache
def _read() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(files(__package__).joinpath(FILE).read_text("utf-8"))
    return read


@cache
def _keys() -> frozenset[str]:
    return frozenset(_read()["keys"])
