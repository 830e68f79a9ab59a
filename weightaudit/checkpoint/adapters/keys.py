"""Names of an adapter's tensors: which module they change, and which of its factors they are.

PEFT's: ``base_model.model.PATH.lora_A.weight``, older files with the adapter's name, ``.lora_A.default.weight``.
kohya's: ``lora_unet_PATH.lora_down.weight`` and ``.alpha``, where ``_`` stands for ``.`` too. diffusers':
``PATH.lora.down.weight``, and older, ``PATH.processor.to_q_lora.down.weight``. llama.cpp's: ``NAME.lora_a``.
"""

from __future__ import annotations

from dataclasses import dataclass

from weightaudit.records import TensorInfo

A, B, E = "A", "B", "E"
EMBEDDING_A, EMBEDDING_B = "embedding A", "embedding B"
MAGNITUDE, MID, ALPHA = "magnitude", "mid", "alpha"
SLOTS = {
    "lora_A": A,
    "lora_B": B,
    "lora_E": E,
    "lora_embedding_A": EMBEDDING_A,
    "lora_embedding_B": EMBEDDING_B,
    "lora_magnitude_vector": MAGNITUDE,
    "lora_down": A,
    "lora_up": B,
    "lora_mid": MID,
    "dora_scale": MAGNITUDE,
}
"""What a component of a name makes of the tensor."""
_DIFFUSERS = {"down": A, "up": B}
_PREFIX = "base_model.model."
_SAVED = "modules_to_save"
BASE_LAYER = "base_layer"
"""Within a path: the module that a layer of PEFT's own wraps."""


@dataclass(frozen=True)
class Key:
    """``path`` is the module's in the base model, ``slot`` which factor of its change; ``adapter`` its own name."""

    path: str
    slot: str
    adapter: str = ""


def own_name(name: str) -> str:
    """``name`` without what PEFT puts before it, and without the layer that it wraps modules saved whole into."""
    parts = name.removeprefix(_PREFIX).split(".")
    if _SAVED in parts[:-2]:
        at = parts.index(_SAVED)
        saved = parts[at + 2 :] if len(parts) - at > 2 else parts[at + 1 :]
        parts = parts[:at] + saved
    return ".".join(parts)


def key_of(info: TensorInfo) -> Key | None:
    """What the tensor is by its name; None where it is no factor."""
    parts = info.name.removeprefix(_PREFIX).split(".")
    if len(parts) > 1 and parts[-1] == "alpha" and info.parameters == 1:
        return _key(parts[:-1], ALPHA)
    for at in range(len(parts) - 1, 0, -1):
        slot = SLOTS.get(parts[at])
        rest = parts[at + 1 :]
        if slot is not None:
            if rest[-1:] == ["bias"] or len(rest) - (rest[-1:] == ["weight"]) > 1:
                return None
            return _key(parts[:at], slot, rest[0] if rest and rest[0] != "weight" else "")
        if parts[at] in _DIFFUSERS and rest == ["weight"]:
            return _of_diffusers(parts[:at], _DIFFUSERS[parts[at]])
    return None


def _key(path: list[str], slot: str, adapter: str = "") -> Key | None:
    joined = ".".join(path)
    return Key(joined, slot, adapter) if joined.strip(".") else None


def _of_diffusers(path: list[str], slot: str) -> Key | None:
    *before, last = path
    if last in ("lora", "lora_linear_layer"):
        return _key(before, slot)
    if last.endswith("_lora"):
        own = before[:-1] if before[-1:] == ["processor"] else before
        module = last.removesuffix("_lora")
        return _key([*own, *(["to_out", "0"] if module == "to_out" else [module])], slot)
    return None
