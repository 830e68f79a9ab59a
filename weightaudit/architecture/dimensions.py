"""Config values → the numbers a family's shapes are written in.

What config.json leaves out is what transformers' configuration class for the model type says (`class_defaults`); where
that too is silent, or the value is null, the spec's rule. Nothing is guessed, and no code of the model's own is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from weightaudit.architecture.class_defaults import default_of
from weightaudit.architecture.expressions import evaluate, names_in
from weightaudit.architecture.schema import Dimension, Family, Otherwise
from weightaudit.errors import ConfigError
from weightaudit.records import TOWERS
from weightaudit.text import printable

NESTED = ("text_config", "llm_config", "language_config")
"""Keys under which multimodal models keep the language model's config."""
MAX_SIZE = 2**53 - 1
"""The largest number believed of a config.json; every reader of JSON keeps it exactly, and products of a few print."""
PER_LAYER = "per_layer_config"
"""Key under which a config keeps what it says otherwise of single layers: ``{"05": {"head_dim": 512}}``."""
MOST_UNLIKE = 2**16
"""Layers that a rule of the spec says to differ, at most: a hostile config may claim any number."""
_LAYER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Dimensions:
    """The numbers, and for errors where each came from (``"n_embd = 768"``); ``layers`` has those of the layers of the
    language model of which the config says them otherwise.
    """

    values: dict[str, int]
    origins: dict[str, str]
    layers: Mapping[int, Dimensions] = field(default_factory=dict)
    _asked: dict[tuple[str, int | None], Mapping[str, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of(self, stack: str, layer: int | None = None) -> Mapping[str, int]:
        """The numbers as they hold in a stack: in the decoder ``ff`` is ``decoder_ff`` where the family has that.

        A tower's are its own only. Every tensor asks, so each answer is made once.
        """
        where = (stack, layer if layer in self.layers and not stack else None)
        if where not in self._asked:
            self._asked[where] = self._of(*where)
        return self._asked[where]

    def _of(self, stack: str, layer: int | None) -> Mapping[str, int]:
        if not stack:
            return {**self.values, **self._at(layer).values}
        own = _of_stack(self.values, stack)
        return own if stack in TOWERS else {**self.values, **own}

    def explain(self, *expressions: str, stack: str = "", layer: int | None = None) -> str:
        """Where the numbers in the expressions, as they hold in a stack, came from; for a message."""
        own = _of_stack(self.origins, stack) if stack else self._at(layer).origins
        origins = own if stack in TOWERS else {**self.origins, **own}
        names = dict.fromkeys(name for expression in expressions for name in names_in(expression))
        return ", ".join(dict.fromkeys(origins[name] for name in names if name in origins))

    def _at(self, layer: int | None) -> Dimensions:
        return self if layer is None else self.layers.get(layer, self)


T = TypeVar("T")


def _of_stack(table: Mapping[str, T], stack: str) -> dict[str, T]:
    prefix = f"{stack}_"
    return {name.removeprefix(prefix): x for name, x in table.items() if name.startswith(prefix)}


def resolve(family: Family, model_type: str, config: Mapping[str, Any]) -> Dimensions:
    """All dimensions of ``family``. Raises ConfigError naming the key that is missing or no whole number."""
    config, model_type = inner_config(config, model_type)
    everywhere = _resolve_all(family, model_type, config)
    layers = {
        layer: _resolve_all(family, model_type, {**config, **own}) for layer, own in layers_changed(config).items()
    }
    if family.otherwise is not None:
        unlike = _unlike(family.otherwise, everywhere, config)
        layers |= {layer: _with(family.otherwise, layers.get(layer, everywhere)) for layer in unlike}
    return replace(everywhere, layers=layers)


def _unlike(otherwise: Otherwise, numbers: Dimensions, config: Mapping[str, Any]) -> list[int]:
    """The layers that the rule is about."""
    layers = range(min(numbers.values.get("layers", 0), MOST_UNLIKE))
    said = config.get(otherwise.key)
    if isinstance(said, list):
        return [layer for layer, flag in zip(layers, said, strict=False) if not flag]
    every = _follow(otherwise.key, otherwise.every, numbers.values)
    return [layer for layer in layers if (layer + 1) % every == 0] if every else []


def _with(otherwise: Otherwise, numbers: Dimensions) -> Dimensions:
    """The numbers of a layer that the rule is about."""
    values, origins = dict(numbers.values), dict(numbers.origins)
    for name, rule in otherwise.values:
        followed = _follow(name, rule, numbers.values)
        if followed is not None:
            values[name], origins[name] = followed, f"{name} = {rule} where {otherwise.key} has 0"
    return Dimensions(values, origins)


def layers_changed(config: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Layer → the values that a language model's config says otherwise of it; what is no such table is left out."""
    said = config.get(PER_LAYER)
    layers = said.items() if isinstance(said, Mapping) else ()
    return {int(key): own for key, own in layers if _LAYER.fullmatch(key) and isinstance(own, Mapping)}


def _resolve_all(family: Family, model_type: str, config: Mapping[str, Any]) -> Dimensions:
    values: dict[str, int] = {}
    origins: dict[str, str] = {}
    for dimension in family.dimensions:
        found = _resolve(dimension, model_type, config, values)
        if found is not None:
            values[dimension.name], origins[dimension.name] = found
    return Dimensions(values, origins)


def inner_config(config: Mapping[str, Any], model_type: str) -> tuple[Mapping[str, Any], str]:
    """The language model's part of a config and its model type: a multimodal model's is nested.

    A nested config that does not name its type leaves to the outer one what it does not say.
    """
    for key in NESTED:
        inner = config.get(key)
        if isinstance(inner, Mapping):
            own = inner.get("model_type")
            return (inner, own) if isinstance(own, str) and own else ({**config, **inner}, model_type)
    return config, model_type


def flag(key: str, config: Mapping[str, Any], model_type: str) -> bool:
    """A true-or-false value of the config, or of the configuration class where it is silent; no value is false."""
    config, model_type = inner_config(config, model_type)
    value = lookup(config, key)
    return bool(default_of(model_type, key) if value is None else value)


def lookup(config: Mapping[str, Any], key: str) -> Any:
    """The value of a key, ``decoder.hidden_size`` in a nested config, of ``#layer_types`` the length of the list; None
    where there is none.
    """
    if key.startswith("#"):
        listed = config.get(key[1:])
        return len(listed) if isinstance(listed, list) else None
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _resolve(
    dimension: Dimension, model_type: str, config: Mapping[str, Any], earlier: Mapping[str, int]
) -> tuple[int, str] | None:
    for key in dimension.keys:
        value = lookup(config, key)
        if dimension.open and isinstance(value, list):
            return None
        if value is not None:
            return _whole_number(key, value), f"{key} = {value}"
    if dimension.keys and not dimension.rule_if_missing and not any(key in config for key in dimension.keys):
        for key in dimension.keys:
            value = default_of(model_type, key)
            if isinstance(value, int) and not isinstance(value, bool):
                return value, f"{key} = {value} by default"
    if dimension.rule:
        followed = _follow(dimension.name, dimension.rule, earlier)
        return None if followed is None else (followed, dimension.followed)
    if dimension.optional or dimension.open:
        return None
    raise ConfigError("config.json", f"it has no {' or '.join(dimension.keys)}", _HINT)


def _follow(name: str, rule: str, numbers: Mapping[str, int]) -> int | None:
    """What a rule makes of the numbers; None where it follows from what the model has not."""
    try:
        followed = evaluate(rule, numbers)
    except KeyError:
        return None
    except ValueError as error:
        raise ConfigError("config.json", f"{name} does not follow: {error}", _HINT) from error
    if followed > MAX_SIZE:
        raise ConfigError("config.json", f"{name} follows to be absurdly large: more than 2**53 - 1", _HINT)
    return followed


_HINT = "Take config.json from the model's own repository; the tensors are read by its numbers."


def _whole_number(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        shown = printable(repr(value), 40)
        raise ConfigError("config.json", f"{key} must be a whole number, it is {shown}", _HINT)
    if value > MAX_SIZE:
        raise ConfigError("config.json", f"{key} is absurdly large: more than 2**53 - 1", _HINT)
    return value


def embeddings_tied(family: Family, model_type: str, config: Mapping[str, Any]) -> bool:
    """Whether the config ties head and embedding. Raises ConfigError for a value that is no boolean."""
    inner, inner_type = inner_config(config, model_type)
    value = config.get("tie_word_embeddings", inner.get("tie_word_embeddings"))
    if value is None:
        return _tied_by_default(model_type, inner_type) if family.tied is None else family.tied
    if not isinstance(value, bool):
        shown = printable(repr(value), 40)
        raise ConfigError("config.json", f"tie_word_embeddings must be true or false, it is {shown}", _HINT)
    return value


def _tied_by_default(model_type: str, inner_type: str) -> bool:
    """What the configuration class says, or the class of the language model within; transformers ties where neither."""
    for known in (model_type, inner_type):
        value = default_of(known, "tie_word_embeddings")
        if isinstance(value, bool):
            return value
    return True
