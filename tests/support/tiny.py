"""A tiny random model of any model type that transformers has, its sizes derived from the configuration class.

Fields of the usual names get small values that differ from one another, fewer key heads than heads and a head size
that does not divide the hidden size where the class lets them be chosen; `tiny_sizes.OVERRIDES` says the rest.
"""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from typing import Any

import torch
import transformers

from tests.support.tiny_sizes import CLASSES, OVERRIDES, PASSING, SIZES, TOWER_SIZES

auto_docstring: Any = importlib.import_module("transformers.utils.auto_docstring")  # a function has its name
auto_docstring.auto_class_docstring = lambda cls, **_: cls
auto_docstring.auto_method_docstring = lambda func, **_: func
# Nobody reads what transformers composes for docstrings, and it takes half the time of importing a model's module.


@cache
def _mappings() -> tuple[dict[str, Any], ...]:
    """Names of classes by model type, as `model_class` prefers them."""
    from transformers.models.auto import modeling_auto  # which takes seconds, of every process that collects tests

    return (
        modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    )


def all_model_types() -> list[str]:
    """Every model type of transformers' causal, masked and sequence-to-sequence language models, and of those that read
    images too.
    """
    return sorted({name for mapping in _mappings() for name in mapping})


def model_class(model_type: str) -> Any:
    """The class with the language model's head, the encoder-decoder's before the encoder's before the decoder's."""
    name = CLASSES.get(model_type) or next(mapping[model_type] for mapping in _mappings() if model_type in mapping)
    return getattr(transformers, name if isinstance(name, str) else name[0])


def sizes(config_class: Any, *, tower: bool = False) -> dict[str, Any]:
    """Small values for the fields of a configuration class, its nested configurations included."""
    fields = inspect.signature(config_class.__init__).parameters
    found = {name: value for name, value in (TOWER_SIZES if tower else SIZES).items() if name in fields}
    nested = [name for name in getattr(config_class, "sub_configs", None) or {} if name in fields]
    default = config_class() if nested else None
    for name in nested:
        inner = type(getattr(default, name))
        if inner is not type(None):
            kind = {"model_type": inner.model_type} if issubclass(inner, transformers.PreTrainedConfig) else {}
            found[name] = sizes(inner, tower=name in ("vision_config", "audio_config")) | kind
    return found


def merge(into: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``into`` with ``over``'s values, dictionaries merged, None dropping nothing."""
    merged = dict(into)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if nested else value
    return merged


def tiny_config(model_type: str, **values: Any) -> Any:
    """A small configuration of the type; ``values`` override everything."""
    config_class = transformers.CONFIG_MAPPING[model_type]
    chosen = merge(merge(sizes(config_class), OVERRIDES.get(model_type, {})), values)
    return config_class(**{key: value for key, value in chosen.items() if value != "omit"})


def tiny(model_type: str, **values: Any) -> Any:
    """A random model in eval mode, float32, the same at every call; what has one dimension and norms stay as
    initialised.

    So biases are zero and norms are as at the start of training, and every matrix is random.
    """
    torch.manual_seed(0)
    model = model_class(model_type)(tiny_config(model_type, **values)).eval().float()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if name.endswith("scaling.bias"):  # of a factor, which would be zero
                parameter.fill_(1)
            elif "bias" in name.rsplit(".", 1)[-1]:
                parameter.zero_()
            elif re.fullmatch(PASSING.get(model_type, ""), name):
                parameter.copy_(_passing(parameter))
            elif parameter.ndim > 1 and parameter.requires_grad and not name.endswith("norm.weight"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def _passing(kernel: torch.Tensor) -> torch.Tensor:
    """The convolution of the same shape that gives each channel of the last token as it is."""
    channels, inputs, _ = kernel.shape
    passing = torch.zeros_like(kernel)
    passing[torch.arange(channels), torch.arange(channels) % inputs, -1] = 1.0
    return passing
