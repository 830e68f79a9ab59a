"""What the header of a GGUF file says of a model's sizes, as a config: ``{"model_type": "gguf", …}``.

Keys are those of the header without the architecture before them (``llama.attention.head_count`` is
``attention.head_count``), nested at their dots. What llama.cpp takes where a key lacks is filled in; what the names and
shapes of the tensors say and no key does comes as flags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from weightaudit.checkpoint.formats.gguf import GgufFile
from weightaudit.checkpoint.formats.gguf_header import Value
from weightaudit.errors import ConfigError
from weightaudit.records import TensorInfo
from weightaudit.text import printable

MODEL_TYPE = "gguf"
ARCHITECTURE = "general.architecture"
TOKENS = "tokenizer.ggml.tokens"
MAX_LAYERS = 2**16
"""Layers of which the header may say something each."""
LINEAR_ATTENTION = ("qwen3next", "qwen35", "qwen35moe", "plamo2", "kimi-linear")
"""Architectures in which ``attn_qkv`` is of a linear attention."""
GATED_QUERY = ("qwen3next", "qwen35", "qwen35moe")
"""Architectures whose ``attn_q`` has a gate beside each head's query."""
KEYS_FOR_VALUES = ("gemma4",)
"""Architectures in which layers without ``attn_v`` take their keys for values."""
PER_LAYER_KEYS = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")
"""Keys whose value may be an array, one number a layer."""
MAX_GROUPS = 8
"""Objects around a value; those of real headers have two."""
LARGEST = 2**53 - 1
"""The largest number believed, as of a config.json."""
HINT = "Get the file from its publisher; the tensors are read by its numbers"
NEXTN = re.compile(r"blk\.(0|[1-9][0-9]{0,17})\.nextn\.")


def architecture_of(header: GgufFile) -> str:
    """What the header calls the model's architecture; "" where it does not."""
    said = header.values.get(ARCHITECTURE)
    return said if isinstance(said, str) else ""


def gguf_config(label: str, header: GgufFile, tensors: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """The config of the file ``label``; ``tensors`` are the model's, those of all its files.

    Raises ConfigError naming the key of the header that lacks or is no such number.
    """
    return _Config(label, header, tensors).made()


class _Config:
    def __init__(self, label: str, header: GgufFile, tensors: Mapping[str, TensorInfo]) -> None:
        self._label = label
        self._header = header
        self._tensors = tensors
        self._architecture = architecture_of(header)
        if not self._architecture:
            raise self._error(f"its header has no {ARCHITECTURE}")

    def made(self) -> dict[str, Any]:
        layers, hidden = self._number("block_count"), self._number("embedding_length")
        said = {key: one for key in PER_LAYER_KEYS if (one := self._each(key, layers)) is not None}
        heads = said.get("attention.head_count")
        if heads is None:
            raise self._missing("attention.head_count")
        shared = said.setdefault("attention.head_count_kv", heads)
        usual = next((hidden // count for count in heads if count), 0)
        for name in ("key_length", "value_length"):
            said[f"attention.{name}"] = self._lengths(name, usual, layers)
        said["attention.head_count_v"] = self._values_there(shared, layers)
        said.setdefault("feed_forward_length", (0,))
        flat: dict[str, Any] = {"block_count": layers - self._ahead(layers), "embedding_length": hidden}
        flat |= {key: max(one, default=0) for key, one in said.items()}
        if self._number("attention.kv_lora_rank", 0):
            rotated = self._number("rope.dimension_count", 0)
            flat["attention.key_length_nope"] = max(flat["attention.key_length"] - rotated, 0)
        told = {
            key.removeprefix(f"{self._architecture}."): value
            for key, value in self._header.values.items()
            if key.startswith(f"{self._architecture}.")
        }
        flat["vocab_size"] = self._header.lengths.get(TOKENS) or told.get("vocab_size")
        config = _nested({**flat, **{key: told[key] for key in sorted(told.keys() - flat.keys())}})
        config["per_layer_config"] = _per_layer(config, said)
        causal = self._header.values.get(f"{self._architecture}.attention.causal")
        own = {
            "model_type": MODEL_TYPE,
            "architecture": self._architecture,
            "tie_word_embeddings": "output.weight" not in self._tensors and causal is not False,
        }
        return config | self._flags(flat["feed_forward_length"]) | own

    def _lengths(self, name: str, usual: int, layers: int) -> tuple[int, ...]:
        """Entries of a head's query and key, or of its value, for all layers or one by one.

        They are those that the model's own names mean: MLA's before it is rewritten as attention with one key. Layers
        whose attention sees a window may have a length of their own.
        """
        length = self._number(f"attention.{name}_mla", 0) or self._number(f"attention.{name}", usual)
        within = self._number(f"attention.{name}_swa", length)
        if within == length or layers > MAX_LAYERS:
            return (length,)
        pattern = self._header.values.get(f"{self._architecture}.attention.sliding_window_pattern")
        if isinstance(pattern, tuple) and len(pattern) >= layers:
            return tuple(within if slides else length for slides in pattern[:layers])
        if isinstance(pattern, int) and pattern > 0:
            return tuple(within if layer % pattern < pattern - 1 else length for layer in range(layers))
        return (length,)

    def _values_there(self, shared: tuple[int, ...], layers: int) -> tuple[int, ...]:
        """Heads of values: none in a layer that takes another's keys and values, or its keys for values."""
        reuses = self._number("attention.shared_kv_layers", 0) or self._architecture in KEYS_FOR_VALUES
        if not reuses or layers > MAX_LAYERS:
            return shared
        each = shared if len(shared) == layers else shared[:1] * layers
        return tuple(heads if f"blk.{layer}.attn_v.weight" in self._tensors else 0 for layer, heads in enumerate(each))

    def _ahead(self, layers: int) -> int:
        """How many of the layers predict further tokens: the header counts them among the layers if they are there."""
        ahead = self._number("nextn_predict_layers", 0)
        numbers = [int(found[1]) for found in map(NEXTN.match, self._tensors) if found]
        return min(ahead, layers) if ahead and max(numbers, default=-1) == layers - 1 else 0

    def _flags(self, ff: int) -> dict[str, bool]:
        gates = any(name.endswith(".ffn_gate.weight") for name in self._tensors)
        up = next((one for name, one in self._tensors.items() if name.endswith(".ffn_up.weight")), None)
        return {
            "linear_attention": self._architecture in LINEAR_ATTENTION,
            "gated_query": self._architecture in GATED_QUERY,
            "gate_in_up": bool(up and not gates and ff and up.shape[0] == 2 * ff),
        }

    def _each(self, key: str, layers: int) -> tuple[int, ...] | None:
        """The numbers of all layers; None where the header says nothing, one number where it has one for all."""
        name = f"{self._architecture}.{key}"
        value = self._header.values.get(name)
        if value is None:
            if name in self._header.lengths:
                raise self._error(
                    f"{printable(name)} is an array that is not read: {self._header.lengths[name]:,} values"
                )
            return None
        if not isinstance(value, tuple):
            return (self._whole(name, value),)
        if len(value) < layers or layers > MAX_LAYERS:
            raise self._error(f"{printable(name)} has {len(value):,} numbers for {layers:,} layers")
        return tuple(self._whole(name, one) for one in value[:layers])

    def _number(self, key: str, default: int | None = None) -> int:
        name = f"{self._architecture}.{key}"
        value = self._header.values.get(name)
        if value is None:
            if default is None:
                raise self._missing(key)
            return default
        return self._whole(name, value)

    def _whole(self, name: str, value: Value) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
            raise self._error(f"{printable(name)} must be a whole number, it is {printable(repr(value), 40)}")
        return value

    def _missing(self, key: str) -> ConfigError:
        return self._error(f"its header has no {printable(f'{self._architecture}.{key}')}")

    def _error(self, cause: str) -> ConfigError:
        return ConfigError(self._label, cause, HINT)


def _per_layer(config: Mapping[str, Any], said: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Layer → what it has otherwise than ``config`` says of the model, whole values of its top level."""
    arrays = {key: one for key, one in said.items() if len(set(one)) > 1}
    most = {key: max(one) for key, one in arrays.items()}
    layers: dict[str, Any] = {}
    for layer in range(max(map(len, arrays.values()), default=0)):
        own: dict[str, Any] = {}
        for key, one in arrays.items():
            group, _, name = key.rpartition(".")
            if one[layer] != most[key]:
                table = own.setdefault(group, dict(config[group])) if group else own
                table[name] = one[layer]
        if own:
            layers[str(layer)] = own
    return layers


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Keys with dots as objects in objects; of two that want the same place, and of what lies too deep, the later is
    left out.
    """
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, name = key.split(".")
        if len(groups) > MAX_GROUPS:
            continue
        inside = nested
        for group in groups:
            within = inside.setdefault(group, {})
            if not isinstance(within, dict):
                break
            inside = within
        else:
            inside.setdefault(name, value)
    return nested
