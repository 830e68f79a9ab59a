"""Tensors that contradict the config: collected while a checkpoint is mapped, told as discrepancies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from weightaudit.architecture.assembly import Piece
from weightaudit.architecture.dimensions import Dimensions
from weightaudit.architecture.matching import Match
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import MappingError
from weightaudit.records import TOWERS, Discrepancy, TensorInfo
from weightaudit.text import plural, printable

HINT = "Check that config.json and the weights belong together."
GATHER = (
    "They are placeholders of sharded training. Gather the weights: run zero_to_fp32.py, which DeepSpeed puts into its "
    "checkpoints, or set stage3_gather_16bit_weights_on_model_save before you train."
)
VECTORS = ("norm", "bias")
"""Rules for parameters that no method of quantisation packs."""
EMPTY = (0,)
"""The shape of what DeepSpeed's ZeRO-3 leaves of a parameter whose parts lie with other processes."""
NAMED = 3
"""Empty tensors named."""
MAX_DISCREPANCIES_PER_KIND = 100
"""Discrepancies of one kind told one by one; a hostile header could make a million. The coverage has every tensor."""

_NUMBER = re.compile(r"(?<![^.])[0-9]+(?![^.])")
"""A part of a name that is a number: of a layer, an expert."""


class Contradictions:
    """What the config rules out, each tensor noted once."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._misshapen: dict[tuple[str, str], list[Discrepancy]] = {}  # (name, its numbers apart; why) → each tensor
        self._empty: list[Discrepancy] = []
        self._beyond: dict[tuple[str, int | None, int | None], tuple[str, list[str]]] = {}  # place → (why, tensors)
        self._first: tuple[str, str] | None = None  # tensor, why
        self._of_layers = False
        self._told: set[str] = set()  # tensors

    def beyond(self, name: str, found: Match) -> str:
        """Why there can be no such layer or expert, which is noted; "" where the config has it."""
        numbers = self._dimensions.of(found.stack, found.layer)
        for kind, number in (("layer", found.layer), ("expert", found.expert)):
            if number is None or number < numbers.get(f"{kind}s", number + 1):
                continue
            where = self._dimensions.explain(f"{kind}s", stack=found.stack, layer=found.layer)
            why = f"{kind} {number} is beyond the {kind}s of the config ({where}, counted from 0)"
            place = (found.stack, found.layer, None if kind == "layer" else number)
            self._beyond.setdefault(place, (why, []))[1].append(name)
            self._note(name, why, found)
            return why
        return ""

    def misshapen(self, info: TensorInfo, found: Match, roles: Sequence[str], why: str) -> None:
        """A tensor of another shape or dtype than one with a role has: ``why``."""
        layers = () if found.layer is None else (found.layer,)
        if BY_NAME[info.dtype].analysable:  # of another dtype are all of a file that is not another model's
            self._note(info.name, why, found)
        self._tell(info, why, Discrepancy("misshapen", "", found.stack, layers, found.expert, " ".join(roles)))

    def odd(self, info: TensorInfo, shape: tuple[int | None, ...]) -> None:
        """A tensor whose shape is not the ``shape`` (None for any size) that one of its name has; told once."""
        if info.name not in self._told:
            wanted = ", ".join("any" if size is None else str(size) for size in shape) + "," * (len(shape) == 1)
            self._tell(info, f"its shape is {info.shape}, the config makes it ({wanted})", Discrepancy("misshapen", ""))

    def not_floating(self, info: TensorInfo, rule: str) -> None:
        """A norm or a bias, by the ``rule`` that it is ignored by, of integers, truth values or complex numbers."""
        dtype = BY_NAME.get(info.dtype)
        if rule in VECTORS and dtype is not None and dtype.kind in ("integer", "bool", "complex"):
            why = f"a {rule} has floating-point numbers, it is stored as {info.dtype}"
            self._tell(info, why, Discrepancy("misshapen", ""))

    def _tell(self, info: TensorInfo, why: str, one: Discrepancy) -> None:
        self._told.add(info.name)
        whole = replace(one, says=f"{printable(info.name)}: {why}.", tensors=(info.name,))
        if info.shape == EMPTY:
            self._empty.append(whole)
        else:
            self._misshapen.setdefault((_NUMBER.sub("*", info.name), why), []).append(whole)

    def refuse_another_model(self, pieces: Sequence[Piece]) -> None:
        """Raises MappingError where the config is another model's: of the matrices of layers not one fits it.

        Where the file holds no layers (a shard of embeddings), where nothing fits at all.
        """
        if self._first is None or any(p.place.layer is not None and p.place.stack not in TOWERS for p in pieces):
            return
        if self._of_layers or not pieces:
            name, why = self._first
            raise MappingError(f"tensor {printable(name)}", why, GATHER if len(self._empty) > 1 else HINT)

    def told(self) -> tuple[Discrepancy, ...]:
        """At most `MAX_DISCREPANCIES_PER_KIND` of each kind and how many more there are, in the order of the names."""
        extra = [_extra(place, why, tensors) for place, (why, tensors) in self._beyond.items()]
        misshapen = [_alike(name, why, each) for (name, why), each in self._misshapen.items()]
        alone = self._empty if len(self._empty) == 1 else []
        return (
            *(_placeholders(self._empty) if not alone else ()),
            *_bounded(extra, "more layers or experts are beyond those of the config"),
            *_bounded([*alone, *misshapen], "more tensors have other shapes than the config makes them"),
        )

    def _note(self, name: str, why: str, found: Match) -> None:
        self._first = self._first or (name, why)
        self._of_layers = self._of_layers or found.layer is not None


def _placeholders(empty: Sequence[Discrepancy]) -> list[Discrepancy]:
    """One for all tensors that are empty."""
    if not empty:
        return []
    tensors = tuple(name for one in empty for name in one.tensors)
    shown = ", ".join(printable(name) for name in tensors[:NAMED])
    more = f" and {len(tensors) - NAMED} more" if len(tensors) > NAMED else ""
    says = f"{len(tensors)} tensors are empty, of shape {EMPTY}: {shown}{more}."
    return [Discrepancy("placeholder", says, tensors=tensors)]


def _alike(name: str, why: str, each: Sequence[Discrepancy]) -> Discrepancy:
    """One for all tensors of one name, but for its numbers, whose shape or dtype is wrong in one way."""
    first = each[0]
    if len(each) == 1:
        return first
    return replace(
        first,
        says=f"{plural(len(each), 'tensor')} {printable(name)}: {why}.",
        layers=tuple(sorted({layer for one in each for layer in one.layers})),
        expert=first.expert if len({one.expert for one in each}) == 1 else None,
        tensors=tuple(name for one in each for name in one.tensors),
    )


def _extra(place: tuple[str, int | None, int | None], why: str, tensors: Sequence[str]) -> Discrepancy:
    stack, layer, expert = place
    where = [stack] if stack else []
    where += [f"layer {layer}"] if expert is not None and layer is not None else []
    says = f"{', '.join(where)}: {why}" if where else why
    says = f"{says[0].upper()}{says[1:]}; the checkpoint has {_count(tensors)} of it."
    return Discrepancy("extra", says, stack, () if layer is None else (layer,), expert, tensors=tuple(tensors))


def _count(tensors: Sequence[str]) -> str:
    return f"one tensor ({printable(tensors[0])})" if len(tensors) == 1 else f"{len(tensors)} tensors"


def _bounded(discrepancies: Sequence[Discrepancy], more: str) -> list[Discrepancy]:
    if len(discrepancies) <= MAX_DISCREPANCIES_PER_KIND:
        return list(discrepancies)
    says = f"{len(discrepancies) - MAX_DISCREPANCIES_PER_KIND} {more}."
    return [*discrepancies[:MAX_DISCREPANCIES_PER_KIND], Discrepancy(discrepancies[0].kind, says)]
