"""Names, shapes and config values → the model's matrices and the account of every tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightaudit.architecture.assembly import Piece, Place
from weightaudit.architecture.completeness import absences
from weightaudit.architecture.dimensions import Dimensions, embeddings_tied, resolve
from weightaudit.architecture.expressions import evaluate
from weightaudit.architecture.fallback import guess
from weightaudit.architecture.ledger import Ledger, why_not_a_matrix
from weightaudit.architecture.matching import Match, Matcher
from weightaudit.architecture.registry import for_model_type
from weightaudit.architecture.schema import ANY, Family, IgnoreRule, MatrixRule
from weightaudit.architecture.views import PACKINGS
from weightaudit.errors import ConfigError, MappingError, printable
from weightaudit.records import ModelMap, Part, Rows, TensorInfo

MAX_MODEL_TYPE = 200
"""Characters; the longest known to transformers has some 40. Similar names are searched for, which takes time."""
_CONTRADICTION = "Check that config.json and the weights belong together."


def map_model(config: Mapping[str, Any] | None, tensors: Mapping[str, TensorInfo]) -> ModelMap:
    """What each tensor of a checkpoint is.

    A known ``model_type`` goes by its family's spec; any other, and a checkpoint without config, by structure
    (``guessed``). Tensors that a family has and the checkpoint lacks are absent, which ``notes`` say: a single
    shard is a valid input. Raises ConfigError for an unusable config, and MappingError where stored shapes or layer
    numbers contradict it, where two tensors claim one role, or where nothing could be mapped.
    """
    if config is None:
        return guess({}, "", tensors)
    model_type = _model_type(config)
    family = for_model_type(model_type)
    if family is None:
        return guess(config, model_type, tensors)
    return _map_family(family, model_type, config, tensors)


def _model_type(config: Mapping[str, Any]) -> str:
    hint = 'Add the family, for example "model_type": "gpt2"; `weightaudit archs` lists the known ones.'
    value = config.get("model_type")
    if value is None or value == "":
        raise ConfigError("config.json", "it has no model_type", hint)
    if not isinstance(value, str):
        shown = printable(repr(value), 40)
        raise ConfigError("config.json", f"model_type must be a text, it is {shown}", hint)
    if len(value) > MAX_MODEL_TYPE:
        cause = f"model_type has {len(value)} characters, more than {MAX_MODEL_TYPE}"
        raise ConfigError("config.json", cause, hint)
    return value


def _map_family(
    family: Family, model_type: str, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]
) -> ModelMap:
    dimensions = resolve(family, model_type, config)
    tied = embeddings_tied(family, config)
    matcher = Matcher(family)
    ledger = Ledger(tensors)
    claimed: dict[tuple[Place, str], tuple[str, str]] = {}  # (place, role) → the tensor, and the role it is tied to
    present: set[tuple[int | None, str]] = set()  # (layer, role), measurable or not
    for name in ledger.names():
        found = matcher.match(name)
        if found is None:
            ledger.leave(name, f"no pattern of family {family.name} fits")
            continue
        _check_layer(name, found, dimensions)
        if isinstance(found.rule, IgnoreRule):
            ledger.ignore(name, found.rule.rule, buffer=found.rule.buffer)
            continue
        present.update((found.layer, role) for role in found.rule.roles)
        why = why_not_a_matrix(tensors[name])
        if why:
            ledger.leave(name, why)
            continue
        for piece in _pieces(found.rule, Place(layer=found.layer), tensors[name], dimensions):
            _claim(claimed, piece, name, found.rule.tied_to)
            ledger.pieces.append(piece)
    ties = [
        (name, claimed[Place(), tied_to][0])
        for name, tied_to in claimed.values()
        if tied and tied_to and (Place(), tied_to) in claimed
    ]
    notes = absences(family, dimensions.values["layers"], present)
    return ledger.close(family.name, model_type, dimensions=dimensions.values, ties=ties, notes=notes)


def _check_layer(name: str, found: Match, dimensions: Dimensions) -> None:
    if found.layer is not None and found.layer >= dimensions.values["layers"]:
        raise MappingError(
            f"tensor {printable(name)}",
            f"layer {found.layer} is beyond the layers of the config ({dimensions.explain('layers')}, counted from 0)",
            _CONTRADICTION,
        )


def _claim(claimed: dict[tuple[Place, str], tuple[str, str]], piece: Piece, name: str, tied_to: str) -> None:
    key = (piece.place, piece.role)
    if key in claimed:
        where = "" if piece.place.layer is None else f" of layer {piece.place.layer}"
        raise MappingError(
            f"tensor {printable(name)}",
            f"{printable(claimed[key][0])} is {piece.role}{where} already",
            "The checkpoint seems to hold two models; keep one of them.",
        )
    claimed[key] = (name, tied_to)


def _pieces(rule: MatrixRule, place: Place, info: TensorInfo, dimensions: Dimensions) -> list[Piece]:
    """The matrices in one stored tensor, whose shape is held against the config's."""
    stored = (info.shape[1], info.shape[0]) if rule.transposed else (info.shape[0], info.shape[1])
    rows = [stored[0] if size == ANY else _size(size, dimensions) for size in rule.rows]
    cols = stored[1] if rule.cols == ANY else _size(rule.cols, dimensions)
    if stored != (sum(rows), cols):
        expected = (cols, sum(rows)) if rule.transposed else (sum(rows), cols)
        raise MappingError(
            f"tensor {printable(info.name)}",
            f"its shape is {info.shape}, the config makes it {expected} ({dimensions.explain(*rule.rows, rule.cols)})",
            _CONTRADICTION,
        )
    if not rule.packing:
        whole = (Part(info.name, rule.transposed),)
        return [Piece(place, rule.roles[0], whole, stored, info.dtype, stored[0])]
    try:
        layout = PACKINGS[rule.packing](rule.roles, rows, dimensions.values)
    except ValueError as error:
        raise ConfigError("config.json", f"{printable(info.name)} cannot be split: {error}", _CONTRADICTION) from error
    return [
        Piece(place, role, _cut(info.name, rule, layout[role]), (size, cols), info.dtype, stored[0])
        for role, size in zip(rule.roles, rows, strict=True)
    ]


def _cut(name: str, rule: MatrixRule, ranges: tuple[Rows, ...]) -> tuple[Part, ...]:
    return tuple(Part(name, rule.transposed, rows) for rows in ranges)


def _size(expression: str, dimensions: Dimensions) -> int:
    try:
        return evaluate(expression, dimensions.values)
    except ValueError as error:
        raise ConfigError("config.json", f"a shape does not follow: {error}", _CONTRADICTION) from error
