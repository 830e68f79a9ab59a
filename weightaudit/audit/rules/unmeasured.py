"""What of a model's matrices was not measured, and why; of quantised ones as many parameters as they stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from weightaudit.audit.rules.context import RuleContext
from weightaudit.records import CoverageEntry

_BITS = ("bits", "w_bit", "num_bits", "nbits", "weight_bits", "wbits")
"""Keys under which methods of quantisation say how many bits a weight has."""
_LOADED_IN = {"load_in_4bit": 4, "load_in_8bit": 8}
_BY_METHOD = {"mxfp4": 4}
_STORED = {"int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "uint64": 64}
"""Bits of the integers that weights are packed into."""
MAX_NESTED = 8
"""Objects within one another that are looked into for the number of bits."""


def packed(context: RuleContext) -> str:
    """How weights are quantised that are stored under names of the method's own, where some are: "" where not.

    Several weights in each integer: the map cannot know what stands for what. What a codec knows by name and does not
    decode is no such weight: it stands under the name that it has unquantised.
    """
    formats = dict.fromkeys(
        entry.scheme.name
        for entry in context.unmapped
        if entry.scheme and not entry.detail.startswith(entry.scheme.unread)
    )
    said = (context.config or {}).get("quantization_config")
    if isinstance(said, Mapping) and any(is_packed(entry) for entry in context.unmapped):
        formats[str(said.get("quant_method") or "an unnamed method")] = None
    return " and ".join(formats)


def unread(context: RuleContext) -> dict[str, str]:
    """The formats of weights that nothing here decodes, and why, that of most parameters first."""
    parameters: Counter[tuple[str, str]] = Counter()
    for entry in context.unmapped:
        if entry.scheme is not None:
            why = entry.detail.removeprefix(entry.scheme.unread)
            parameters[entry.scheme.name, why] += entry.parameters
    found: dict[str, str] = {}
    for (name, why), _ in parameters.most_common():
        found.setdefault(name, why)
    return found


def kinds(context: RuleContext) -> str:
    """The formats of quantised weights that were not measured: "EXL2 and AQLM"; "" for none."""
    return " and ".join(dict.fromkeys((*unread(context), *filter(None, [packed(context)]))))


def is_packed(entry: CoverageEntry) -> bool:
    """Whether it holds integers in two dimensions or more. bitsandbytes stores (n, 1), which is a matrix all the
    same.
    """
    return len(entry.shape) >= 2 and "int" in entry.dtype


def is_matrix(entry: CoverageEntry) -> bool:
    """Whether it is packed or quantised, or has two dimensions that are larger than 1."""
    return entry.scheme is not None or is_packed(entry) or sum(size > 1 for size in entry.shape) >= 2


def measured_share(context: RuleContext) -> float:
    """Of the parameters of all matrices that are there, the share that was measured; 1 where there are none."""
    measured = sum(entry.parameters for entry in context.coverage_entries if entry.status == "analysed")
    bits = _bits(context)
    left = sum(_stands_for(entry, bits) for entry in unmeasured(context.coverage_entries))
    return measured / (measured + left) if measured + left else 1.0


def unmeasured(entries: Iterable[CoverageEntry]) -> Iterator[CoverageEntry]:
    """The matrices among ``entries`` that were not measured: without a role, or not selected."""
    for entry in entries:
        if entry.status == "not selected" or (entry.status == "unmapped" and not entry.buffer and is_matrix(entry)):
            yield entry


def _stands_for(entry: CoverageEntry, bits: int) -> int:
    """The parameters of ``entry``: where they are packed, more than it has elements."""
    stored = _STORED.get(entry.dtype, 0) if entry.status == "unmapped" and is_packed(entry) else 0
    return entry.parameters * stored // bits if 0 < bits < stored else entry.parameters


def _bits(context: RuleContext) -> int:
    """Bits of a quantised weight as config.json tells them; 0 where it does not."""
    said = (context.config or {}).get("quantization_config")
    if not isinstance(said, Mapping):
        return 0
    return _told_bits(said, MAX_NESTED) or _BY_METHOD.get(str(said.get("quant_method")), 0)


def _told_bits(said: Mapping[str, Any], depth: int) -> int:
    for key, bits in _LOADED_IN.items():
        if said.get(key) is True:
            return bits
    for key in _BITS:
        value = said.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 64:
            return value
    inner = (value for value in said.values() if isinstance(value, Mapping)) if depth else ()
    return next(filter(None, (_told_bits(value, depth - 1) for value in inner)), 0)
