"""How attentions compute with their matrices, as data: which norm comes before, and what scales a logit."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from weightaudit.architecture.class_defaults import default_of
from weightaudit.architecture.dimensions import lookup

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Gains = Literal["weight", "1 + weight", "none"]
_FILE = "attention.toml"
STRETCHED = ("yarn", "longrope", "su")
"""Kinds of rotary embeddings that also multiply queries and keys; su is what Phi-3 called LongRoPE first."""


@dataclass(frozen=True)
class Attends:
    """What attention.toml says of the model types of one table.

    ``norm`` is the module in the layer whose output Q, K and V read, or several names for it with | between; "" where
    that is no norm of the layer. ``when`` is the flag of the config with which it is so. ``gains`` is what the norm
    multiplies by, of queries' and keys' own norms too. ``scale`` names one of `SCALES`, and ``key`` is the value of the
    config that it asks for. ``normalised`` says that queries and keys have a norm without gains, ``value_norm`` that
    values have one; ``unbounded`` why nothing that is known bounds the logits, ``unlike`` why heads of this type are
    not what is measured here.
    """

    model_types: tuple[str, ...] = ()
    norm: str = ""
    when: str = ""
    gains: Gains = "weight"
    scale: str = "root"
    key: str = ""
    normalised: bool = False
    value_norm: bool = False
    unbounded: str = ""
    unlike: str = ""

    @property
    def norms(self) -> tuple[str, ...]:
        """The names that the norm may have."""
        return tuple(self.norm.split("|")) if self.norm else ()


@cache
def _tables() -> dict[str, Attends]:
    """Model type → its table."""
    read = tomllib.loads(files(__package__).joinpath(_FILE).read_text("utf-8"))
    found = [Attends(**{**table, "model_types": tuple(table["model_types"])}) for table in read["attention"]]
    return {model_type: table for table in found for model_type in table.model_types}


def attends(model_type: str) -> Attends | None:
    """What is known of the attentions of a model type; None where it is not listed."""
    return _tables().get(model_type)


def model_types() -> tuple[str, ...]:
    """All that are listed."""
    return tuple(_tables())


@dataclass(frozen=True)
class Asked:
    """What a scale may depend on: the config of the language model, its type, the layer, and rows of a head."""

    config: Mapping[str, Any]
    model_type: str
    layer: int
    head_dim: int
    key: str = ""

    def number(self, key: str, default: float | None = None) -> float | None:
        """A positive, finite number of the config, or of the configuration class where that is silent."""
        value = lookup(self.config, key)
        if value is None:
            value = default_of(self.model_type, key)
            value = default if value is None else value
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if good and 0.0 < value < 2.0**53 else None

    def flag(self, key: str, default: bool) -> bool:
        """A true-or-false value of the config, or of the configuration class."""
        value = lookup(self.config, key)
        value = default_of(self.model_type, key) if value is None else value
        return value if isinstance(value, bool) else default


def rotary(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a config, or the header of a GGUF file, says of its rotary embedding."""
    keys = ("rope_parameters", "rope_scaling", "rope.scaling")
    said = next(filter(None, (lookup(config, key) for key in keys)), None)
    return said if isinstance(said, Mapping) else {}


def _kind(said: Mapping[str, Any]) -> str:
    """How it is stretched to longer texts; "default" where it is not."""
    return str(said.get("rope_type", said.get("type", "default")))


def stretched(config: Mapping[str, Any]) -> bool:
    """Whether it multiplies queries and keys, in all layers or in those of one type, which may have their own."""
    said = rotary(config)
    own = (each for each in said.values() if isinstance(each, Mapping))
    return any(_kind(each) in STRETCHED for each in (said, *own))


Scale = tuple[float, str]
"""s, and where it comes from."""


def root(asked: Asked) -> Scale:
    """1/√d for heads of d rows."""
    return asked.head_dim**-0.5, "1/√head_dim"


def one(asked: Asked) -> Scale:
    """No scale: it is in the weights (T5, GPT-Neo, Gemma 3n and 4)."""
    return 1.0, "1"


def from_key(asked: Asked) -> Scale:
    """A value of the config itself (Granite)."""
    value = asked.number(asked.key)
    return root(asked) if value is None else (value, asked.key)


def root_of_key(asked: Asked) -> Scale:
    """1/√ of a value of the config (Gemma 2 and 3)."""
    value = asked.number(asked.key)
    return root(asked) if value is None else (value**-0.5, f"1/√{asked.key}")


def half_root(asked: Asked) -> Scale:
    """1/√(d/2) (Zamba, whose attention reads two states side by side)."""
    return (asked.head_dim / 2) ** -0.5, "1/√(head_dim/2)"


def gpt2(asked: Asked) -> Scale:
    """1/√d unless scale_attn_weights is false, and by the layer's number where scale_attn_by_inverse_layer_idx."""
    scale, source = root(asked) if asked.flag("scale_attn_weights", True) else one(asked)
    if asked.flag("scale_attn_by_inverse_layer_idx", False):
        return scale / (asked.layer + 1), f"{source}, divided by the layer's number from 1"
    return scale, source


def disentangled(asked: Asked) -> Scale:
    """1/√(d·t) for t kinds of terms, those of positions and that of contents (DeBERTa)."""
    terms = lookup(asked.config, "pos_att_type")
    kinds = terms if isinstance(terms, list) else str(terms or "").split("|")
    count = 1 + sum(kind in ("c2p", "p2c") for kind in dict.fromkeys(map(str, kinds)))
    return (asked.head_dim * count) ** -0.5, f"1/√({count}·head_dim)"


def yarn(asked: Asked) -> Scale:
    """1/√d, by the square of YaRN's factor where the config has mscale_all_dim (multi-head latent attention)."""
    scale, source = root(asked)
    said = rotary(asked.config)
    each = [said.get(name) for name in ("factor", "mscale_all_dim")]
    if _kind(said) == "default" or not all(isinstance(x, (int, float)) and 0 < x < 2.0**53 for x in each):
        return scale, source
    factor, mscale = float(each[0]), float(each[1])  # type: ignore[arg-type]  # numbers, as was just seen
    turned = 0.1 * mscale * math.log(factor) + 1.0 if factor > 1.0 else 1.0
    return scale * turned**2, f"{source}, by YaRN's factor {turned**2:.4g}"


SCALES: dict[str, Callable[[Asked], Scale]] = {
    rule.__name__: rule for rule in (root, one, from_key, root_of_key, half_root, gpt2, disentangled, yarn)
}
