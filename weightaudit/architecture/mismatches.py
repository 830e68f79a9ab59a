"""Tensors that contradict the config: collected while a checkpoint is mapped, told as discrepancies."""

from __future__ import annotations

from collections.abc import Sequence

from weightaudit.architecture.assembly import Piece
from weightaudit.architecture.dimensions import Dimensions
from weightaudit.architecture.matching import Match
from weightaudit.errors import MappingError
from weightaudit.records import TOWERS, Discrepancy
from weightaudit.text import printable

HINT = "Check that config.json and the weights belong together."
MAX_DISCREPANCIES_PER_KIND = 100
"""Discrepancies of one kind told one by one; a hostile header could make a million. The coverage has every tensor."""


class Contradictions:
    """What the config rules out, each tensor noted once."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._misshapen: list[Discrepancy] = []
        self._beyond: dict[tuple[str, int | None, int | None], tuple[str, list[str]]] = {}  # place → (why, tensors)
        self._first: tuple[str, str] | None = None  # tensor, why
        self._of_layers = False

    def beyond(self, name: str, found: Match) -> str:
        """Why there can be no such layer or expert, which is noted; "" where the config has it."""
        numbers = self._dimensions.of(found.stack)
        for kind, number in (("layer", found.layer), ("expert", found.expert)):
            if number is None or number < numbers.get(f"{kind}s", number + 1):
                continue
            where = self._dimensions.explain(f"{kind}s", stack=found.stack)
            why = f"{kind} {number} is beyond the {kind}s of the config ({where}, counted from 0)"
            place = (found.stack, found.layer, None if kind == "layer" else number)
            self._beyond.setdefault(place, (why, []))[1].append(name)
            self._note(name, why, found)
            return why
        return ""

    def misshapen(self, name: str, found: Match, roles: Sequence[str], why: str) -> None:
        """``name`` has another shape than the config makes it: ``why``."""
        says = f"{printable(name)}: {why}."
        layers = () if found.layer is None else (found.layer,)
        self._note(name, why, found)
        self._misshapen.append(
            Discrepancy("misshapen", says, found.stack, layers, found.expert, " ".join(roles), (name,))
        )

    def refuse_another_model(self, pieces: Sequence[Piece]) -> None:
        """Raises MappingError where the config is another model's: of the matrices of layers not one fits it.

        Where the file holds no layers (a shard of embeddings), where nothing fits at all.
        """
        if self._first is None or any(p.place.layer is not None and p.place.stack not in TOWERS for p in pieces):
            return
        if self._of_layers or not pieces:
            name, why = self._first
            raise MappingError(f"tensor {printable(name)}", why, HINT)

    def told(self) -> tuple[Discrepancy, ...]:
        """At most `MAX_DISCREPANCIES_PER_KIND` of each kind and how many more there are, in the order of the names."""
        extra = [_extra(place, why, tensors) for place, (why, tensors) in self._beyond.items()]
        return (
            *_bounded(extra, "more layers or experts are beyond those of the config"),
            *_bounded(self._misshapen, "more tensors have other shapes than the config makes them"),
        )

    def _note(self, name: str, why: str, found: Match) -> None:
        self._first = self._first or (name, why)
        self._of_layers = self._of_layers or found.layer is not None


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
