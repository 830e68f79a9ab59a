"""Which tensor of each model is added to which: by their names, whatever a wrapper has added to these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from weightaudit.audit.opening import map_of
from weightaudit.checkpoint import Checkpoint
from weightaudit.checkpoint.codecs.low_rank import MAGNITUDE
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import CheckpointError, MappingError
from weightaudit.merging.linear.shards import Planned
from weightaudit.pairs.names import plain_names
from weightaudit.records import TensorInfo
from weightaudit.text import listed, plural, printable

MOST_NAMED = 4
UNQUANTISED = "Merge the models that these were made from, and quantise the merge"


@dataclass(frozen=True)
class Term:
    """A tensor of the ``ground``, the base or the first model, and what each other model has in its place; None of an
    adapter that does not change it. ``copied`` where it is no sum: whole numbers and truth values.
    """

    ground: TensorInfo
    others: tuple[TensorInfo | None, ...]
    planned: Planned
    copied: bool


def plan(
    ground: Checkpoint, others: Sequence[tuple[str, Checkpoint]], *, dtype: str | None
) -> tuple[list[Term], list[str]]:
    """Every tensor of the merge in the order in which those of the ``ground`` lie in its files, and sentences on what is
    not in it. ``others`` are called so in errors; ``dtype`` is that of all floats, None as the ground has them.

    CheckpointError for quantised tensors and those that cannot be read, MappingError where a model lacks one or has it
    of another shape.
    """
    called = f"model {printable(ground.identity.name)}"
    for info in ground.tensors.values():
        _check_plain(info, called)
    names = [_by_plain_name(model, what) for what, model in others]
    known = {plain: info for plain, info in _plain(ground)}
    notes = [
        note for (what, model), own in zip(others, names, strict=True) for note in _left_over(known, own, what, model)
    ]
    terms = []
    for plain, info in sorted(known.items(), key=lambda item: (item[1].file, item[1].offset, item[0])):
        found = tuple(_found(own, plain, info, what, model) for (what, model), own in zip(others, names, strict=True))
        copied = BY_NAME[info.dtype].kind in ("integer", "bool")
        written = info.dtype if copied or dtype is None else dtype
        terms.append(Term(info, found, Planned(info.name, written, info.shape), copied))
    return terms, notes


def _plain(checkpoint: Checkpoint) -> Iterator[tuple[str, TensorInfo]]:
    """Its tensors by the names that a loader expects."""
    adapter = checkpoint.identity.adapter is not None
    plain = {} if adapter else plain_names(map_of(checkpoint))
    yield from ((plain.get(name, name), info) for name, info in checkpoint.tensors.items())


def _by_plain_name(checkpoint: Checkpoint, called: str) -> dict[str, TensorInfo]:
    for info in checkpoint.tensors.values():
        if not info.factored:
            _check_plain(info, called)
        elif info.alone or MAGNITUDE in dict(info.encoding.parts):
            why = info.alone or "DoRA scales the rows of the whole matrix"
            hint = "Merge the adapter into the base first (merge_and_unload), and name that"
            raise CheckpointError(
                f"{called}: {printable(info.name)}", f"it is no change that can be added: {why}", hint
            )
    return dict(_plain(checkpoint))


def _check_plain(info: TensorInfo, called: str) -> None:
    thing = f"{called}: {printable(info.name)}"
    if info.why_unread:
        raise CheckpointError(thing, info.why_unread, UNQUANTISED)
    if info.encoded or BY_NAME[info.dtype].kind not in ("float", "integer", "bool"):
        raise CheckpointError(thing, "it is quantised, and sums of codes mean nothing", UNQUANTISED)


def _found(
    own: Mapping[str, TensorInfo], plain: str, info: TensorInfo, called: str, model: Checkpoint
) -> TensorInfo | None:
    found = own.get(plain)
    if found is None:
        if model.identity.adapter is not None:
            return None
        raise MappingError(
            f"{called}", f"it has no tensor {printable(plain)}", "Name models that were made from the same one"
        )
    if found.shape != info.shape:
        shapes = " and ".join(" × ".join(map(str, one.shape)) or "a scalar" for one in (found, info))
        raise MappingError(
            f"{called}: {printable(found.name)}",
            f"its shape is another than the first's: {shapes}",
            "Give both the same vocabulary (resize_token_embeddings) and architecture first",
        )
    return found


def _left_over(
    known: Mapping[str, TensorInfo], own: Mapping[str, TensorInfo], called: str, model: Checkpoint
) -> Iterator[str]:
    """What a model has beyond the ground: an adapter's changes of nothing are an error, the rest is left out."""
    rest = [name for name in own if name not in known]
    if not rest:
        return
    names = listed(map(printable, rest), MOST_NAMED)
    if model.identity.adapter is not None:
        raise MappingError(
            called, f"it changes what the base does not have: {names}", "Name the base that it was made for"
        )
    yield f"Not in the merge, for {plural(len(rest), 'tensor')} of {called} {'is' if len(rest) == 1 else 'are'} in it alone: {names}."
