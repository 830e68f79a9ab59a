"""Which tensor of each model is added to which: by their names, whatever a wrapper has added to these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weightaudit.audit.opening import map_of
from weightaudit.checkpoint import Checkpoint
from weightaudit.checkpoint.codecs.low_rank import MAGNITUDE
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import CheckpointError, ConfigError, MappingError
from weightaudit.merging.linear.shards import METADATA, Planned
from weightaudit.pairs.names import in_words_of_base, plain_names
from weightaudit.records import ModelMap, TensorInfo
from weightaudit.text import listed, printable

MOST_NAMED = 4
UNQUANTISED = "Merge the models that these were made from, and quantise the merge"


@dataclass(frozen=True)
class Term:
    """A tensor of the ground, the base or the first model, and what each other model has in its place; None of an
    adapter that does not change it. ``copied`` where it is no sum: whole numbers and truth values, which all have
    alike, and buffers (masks, rotary frequencies), which are the ground's whatever the others have. ``turned`` where it
    is stored (in, out), and an adapter's product, which is (out, in), has to be turned.
    """

    ground: TensorInfo
    others: tuple[TensorInfo | None, ...]
    planned: Planned
    copied: bool
    turned: bool


def plan(
    ground: Checkpoint, others: Sequence[tuple[str, Checkpoint]], *, called: str, dtype: str | None
) -> tuple[list[Term], list[str]]:
    """Every tensor of the merge, in the order in which those of the ``ground``, which is ``called`` so, lie in its
    files; and sentences on what is not in it. ``others`` have the names that errors call them; ``dtype`` is that of all
    floats, None as the ground has them.

    CheckpointError for quantised tensors and those that cannot be read, MappingError where a model lacks one or has it
    of another shape.
    """
    ground_map = _mapped(ground)
    plain = plain_names(ground_map) if ground_map is not None else {}
    buffers = {entry.tensor for entry in ground_map.coverage if entry.buffer} if ground_map is not None else set()
    known = {plain.get(name, name): info for name, info in ground.tensors.items()}
    for info in known.values():
        _check_plain(info, called)
        if info.name == METADATA:
            hint = "Rename it in the models first"
            raise CheckpointError(f"{called}: {info.name}", "safetensors files keep that name for themselves", hint)
    ties = dict(ground_map.ties) if ground_map is not None and not ground_map.guessed else {}
    matrices = ground_map.matrices if ground_map is not None else ()
    turned = {part.tensor for matrix in matrices for part in matrix.parts if part.transposed}
    found = [(what, model, _in_words_of(ground_map, ground, model, what)) for what, model in others]
    notes = [note for what, model, own in found for note in _left_over(known, own, what, model)]
    terms = []
    repeats: list[str] = []
    for name, info in sorted(known.items(), key=lambda item: (item[1].file, item[1].offset, item[0])):
        if info.name in ties and _is_left_out(name, found):
            repeats.append(info.name)
            continue
        buffer = info.name in buffers
        copied = buffer or BY_NAME[info.dtype].kind != "float"
        beside = [
            None if buffer else _found(own, name, info, info.name in turned, what, model) for what, model, own in found
        ]
        terms.append(
            Term(
                info,
                tuple(beside),
                Planned(info.name, info.dtype if copied or dtype is None else dtype, info.shape),
                copied,
                info.name in turned,
            )
        )
    if repeats:
        names = listed(map(printable, repeats), MOST_NAMED)
        why = (
            f"the config ties {'it' if len(repeats) == 1 else 'them'} to another tensor, and not all models store both"
        )
        notes.append(f"Not in the merge, for {why}: {names}.")
    return terms, notes


def _is_left_out(name: str, models: Sequence[tuple[str, Checkpoint, Mapping[str, TensorInfo]]]) -> bool:
    """Whether a whole model lacks the tensor, and no adapter changes it."""
    return not any(model.identity.adapter is not None and name in own for _, model, own in models) and any(
        model.identity.adapter is None and name not in own for _, model, own in models
    )


def _mapped(checkpoint: Checkpoint, base_config: Mapping[str, Any] | None = None) -> ModelMap | None:
    """Which matrix is which; None of a model whose names say nothing: it can be added to others of these names."""
    try:
        return map_of(checkpoint, base_config)
    except (ConfigError, MappingError):
        return None


def _in_words_of(
    ground_map: ModelMap | None, ground: Checkpoint, model: Checkpoint, called: str
) -> dict[str, TensorInfo]:
    """The model's tensors by the plain names that the ground has for them; each is one that can be added up."""
    for info in model.tensors.values():
        if info.factored:
            _check_addable(info, called)
        else:
            _check_plain(info, called)
    own_map = _mapped(model, ground.config)
    if ground_map is None or own_map is None:
        return dict(model.tensors)
    there = {matrix.key: matrix for matrix in ground_map.matrices}
    pairs = [(matrix, there[matrix.key]) for matrix in own_map.matrices if matrix.key in there]
    own = plain_names(own_map)
    plain = {own.get(name, name): info for name, info in model.tensors.items()}
    known = {*plain_names(ground_map).values()} | {*ground.tensors}
    names = in_words_of_base([name for name in plain if name not in known], own_map, ground_map, pairs)
    renamed = {names.get(name, name): info for name, info in plain.items()}
    return renamed if len(renamed) == len(plain) else plain


def _check_addable(info: TensorInfo, called: str) -> None:
    why = info.alone or ("DoRA scales the rows of the whole matrix" if MAGNITUDE in dict(info.encoding.parts) else "")
    if not why and len(info.shape) != 2:
        why = "it is of several matrices in one tensor"
    if why:
        hint = "Merge the adapter into the base first (merge_and_unload), and name that"
        raise CheckpointError(f"{called}: {printable(info.name)}", f"its change cannot be added: {why}", hint)


def _check_plain(info: TensorInfo, called: str) -> None:
    thing = f"{called}: {printable(info.name)}"
    if info.why_unread:
        raise CheckpointError(thing, info.why_unread, UNQUANTISED)
    if BY_NAME[info.dtype].kind == "complex":
        raise CheckpointError(thing, f"it is stored as {info.dtype}", "Only real numbers are added up here")
    if info.encoded or BY_NAME[info.dtype].kind not in ("float", "integer", "bool"):
        raise CheckpointError(thing, "it is quantised, and sums of codes mean nothing", UNQUANTISED)


def _found(
    own: Mapping[str, TensorInfo], name: str, info: TensorInfo, turned: bool, called: str, model: Checkpoint
) -> TensorInfo | None:
    found = own.get(name)
    if found is None:
        if model.identity.adapter is not None:
            return None
        hint = "Name models that were made from the same one"
        raise MappingError(called, f"it has no tensor {printable(name)}", hint)
    shape = found.shape[::-1] if found.factored and turned else found.shape
    if shape != info.shape:
        shapes = " and ".join(" × ".join(map(str, one)) or "a scalar" for one in (shape, info.shape))
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
        hint = "Name the base that it was made for"
        raise MappingError(called, f"it changes what the base does not have: {names}", hint)
    yield f"Not in the merge, for {called} alone has {'it' if len(rest) == 1 else 'them'}: {names}."
