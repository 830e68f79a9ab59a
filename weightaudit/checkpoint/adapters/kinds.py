"""Kinds of adapters whose change is no product of two thin matrices: told by name, and not measured."""

from __future__ import annotations

from weightaudit.records import Scheme

NAMES = {
    "LORA": "LoRA",
    "ADALORA": "AdaLoRA",
    "LOHA": "LoHa",
    "LOKR": "LoKr",
    "IA3": "IA³",
    "VERA": "VeRA",
    "OFT": "OFT",
    "BOFT": "BOFT",
    "HRA": "HRA",
    "POLY": "Poly",
    "LN_TUNING": "layer-norm tuning",
    "BONE": "Bone",
    "PROMPT_TUNING": "prompt tuning",
    "P_TUNING": "P-tuning",
    "PREFIX_TUNING": "prefix tuning",
    "XLORA": "X-LoRA",
    "MULTITASK_PROMPT_TUNING": "multitask prompt tuning",
    "ADAPTION_PROMPT": "LLaMA-Adapter",
    "CPT": "CPT",
    "FOURIERFT": "FourierFT",
    "VBLORA": "VB-LoRA",
    "TRAINABLE_TOKENS": "trainable tokens",
    "SHIRA": "SHiRA",
    "RANDLORA": "RandLoRA",
    "C3A": "C³A",
    "MISS": "MiSS",
    "ROAD": "RoAd",
    "WAVEFT": "WaveFT",
    "DELORA": "DeLoRA",
    "OSF": "OSF",
    "GRALORA": "GraLoRA",
    "CARTRIDGE": "Cartridge",
    "LILY": "Lily",
    "PVERA": "PVeRA",
}
"""peft_type → what people call it."""
MEASURED = ("", "LORA", "ADALORA")
"""Values of peft_type whose changes are products; "" where the names of tensors have to tell."""
MARKS = {
    "hada_": "LOHA",
    "lokr_": "LOKR",
    "ia3_": "IA3",
    "vera_": "VERA",
    "boft_": "BOFT",
    "oft_": "OFT",
    "hra_": "HRA",
    "bone_": "BONE",
    "miss_": "MISS",
    "fourierft_": "FOURIERFT",
    "vblora_": "VBLORA",
    "randlora_": "RANDLORA",
    "c3a_": "C3A",
    "road_": "ROAD",
    "shira_": "SHIRA",
    "trainable_tokens_": "TRAINABLE_TOKENS",
    "poly_": "POLY",
    "prompt_embeddings": "PROMPT_TUNING",
    "adaption_": "ADAPTION_PROMPT",
    "waveft_": "WAVEFT",
    "delora_": "DELORA",
    "osf_": "OSF",
    "gralora_": "GRALORA",
    "ln_tuning_": "LN_TUNING",
    "oft_blocks": "OFT",
}
"""How a component of a tensor's name begins that such a kind has."""
_MARKS = tuple(MARKS)
WHY = "its change is no product of two thin matrices"


def called(peft_type: str) -> str:
    """What people call adapters of this peft_type."""
    return NAMES.get(peft_type, peft_type)


def scheme_of(kind: str) -> Scheme:
    """How the change of an adapter of the ``kind``, as people call it, is stored."""
    return Scheme(kind, adapter=True)


def marked(name: str, *, last: int | None = None) -> tuple[str, str] | None:
    """The path of the module that a tensor of another kind changes, and the kind's peft_type; None where it is none.

    The mark is one of the ``last`` components; None: of all.
    """
    parts = name.split(".")
    first = 0 if last is None else max(0, len(parts) - last)
    for at, part in enumerate(parts[first:], first):
        if not part.startswith(_MARKS):  # as nearly all do not
            continue
        for mark, kind in MARKS.items():
            if part.startswith(mark):
                return ".".join(parts[:at]), kind
    return None
