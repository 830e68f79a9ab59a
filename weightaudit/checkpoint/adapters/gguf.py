"""Adapters in GGUF files, as llama.cpp's converter writes them: ``NAME.lora_a`` and ``NAME.lora_b`` of each weight.

llama.cpp splits any file, an adapter's too: the first has all that is said, and factors of one weight may be in two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from weightaudit.checkpoint.adapters import keys
from weightaudit.checkpoint.adapters.factors import change
from weightaudit.checkpoint.adapters.peft import AdapterTensors, named_apart
from weightaudit.checkpoint.adapters.peft_config import MAX_NUMBER
from weightaudit.checkpoint.formats.gguf import GgufFile
from weightaudit.checkpoint.gguf_config import architecture_of
from weightaudit.checkpoint.gguf_model import stored_together
from weightaudit.checkpoint.gguf_tensors import ATTENTION, PERMUTED
from weightaudit.errors import CheckpointError
from weightaudit.records import Adapter, TensorInfo
from weightaudit.text import printable

TYPE, ALPHA = "adapter.type", "adapter.lora.alpha"
EMBEDDING = "token_embd.weight"
"""Its A lies as its rows are looked up: (vocabulary, r)."""
NO_ORDER = "nothing says how many heads their rows are those of, which llama.cpp stores in another order"
_ENDINGS = {".lora_a": keys.A, ".lora_b": keys.B}


def gguf_adapter(files: Mapping[str, GgufFile]) -> AdapterTensors:
    """The adapter in ``files``, in their order, by what messages call each.

    CheckpointError for another kind of it, and where they do not belong together.
    """
    label, header = next(iter(files.items()))
    kind = header.values.get(TYPE)
    if kind != "lora":
        cause = f"it holds an adapter of type {printable(repr(kind), 60)}, and is not read"
        raise CheckpointError(label, cause, "Scan the adapter as PEFT saved it")
    alpha = header.values.get(ALPHA)
    known = isinstance(alpha, float) and math.isfinite(alpha) and abs(alpha) <= MAX_NUMBER
    modules: dict[str, dict[str, TensorInfo]] = {}
    logical: list[TensorInfo] = []
    for info in stored_together(files).values():
        slot = next((slot for ending, slot in _ENDINGS.items() if info.name.endswith(ending)), None)
        if slot is None or len(info.name) == len(".lora_a"):
            logical.append(info)
        else:
            modules.setdefault(info.name[: -len(".lora_a")], {})[slot] = info
    scale = float(alpha) if known and isinstance(alpha, float) else None
    for name, slots in modules.items():
        found = change(name, slots, "LoRA", alpha=scale, turned_right=name == EMBEDDING)
        logical.append(_by_heads(found, header))
    return AdapterTensors(
        Adapter("LoRA", _base(header), alpha=scale), named_apart(logical), tuple(_notes(scale, logical))
    )


def _base(header: GgufFile) -> str:
    said = header.values.get("general.base_model.0.repo_url") or header.values.get("general.base_model.0.name")
    return said.removeprefix("https://huggingface.co/") if isinstance(said, str) else ""


def _heads(header: GgufFile, what: str) -> int:
    key = "head_count" if what == "q" else "head_count_kv"
    said = header.values.get(f"{architecture_of(header)}.attention.{key}")
    return said if isinstance(said, int) and not isinstance(said, bool) and said > 0 else 0


def _by_heads(info: TensorInfo, header: GgufFile) -> TensorInfo:
    """``info`` with the rows of Q and K in the order that the model's own names mean, where the header tells heads."""
    found = ATTENTION.fullmatch(info.name)
    if found is None or found["what"] not in ("q", "k") or architecture_of(header) not in PERMUTED or info.why_unread:
        return info
    heads = _heads(header, found["what"])
    known = heads and not info.shape[0] % (2 * heads)
    if not known:
        return info.with_parameters(heads=0, alone=NO_ORDER)
    return info.with_parameters(heads=heads)


def _notes(alpha: float | None, tensors: Iterable[TensorInfo]) -> Iterator[str]:
    if alpha is None:
        yield "Nothing says the adapter's alpha: the scale was taken to be 1, so norms are those of B·A."
    if any(info.alone == NO_ORDER for info in tensors):
        yield (
            "The file stores rows of Q and K in llama.cpp's order and does not say how many heads there are: norms "
            "and spectra are those of the change, rows of these two are in the model's own order only where a base "
            "tells its heads."
        )
