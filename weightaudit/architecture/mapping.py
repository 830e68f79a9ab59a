"""Names, shapes and config values → the model's matrices and the account of every tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from weightaudit.architecture.absences import Account
from weightaudit.architecture.adapters import place_the_rest
from weightaudit.architecture.assembly import Piece
from weightaudit.architecture.canonical import canonical
from weightaudit.architecture.completeness import ALL_EXPERTS, Role
from weightaudit.architecture.conventions import common_rule, scale_rule
from weightaudit.architecture.coverage import Coverage, is_packed, why_not_a_matrix
from weightaudit.architecture.dimensions import Dimensions, embeddings_tied, flag, inner_config, resolve
from weightaudit.architecture.expressions import evaluate
from weightaudit.architecture.fallback import guess
from weightaudit.architecture.layouts import PACKINGS
from weightaudit.architecture.matching import Match, Matcher, repeated_prefix
from weightaudit.architecture.mismatches import HINT, Contradictions
from weightaudit.architecture.modules import split_modules, with_modules
from weightaudit.architecture.other import with_other
from weightaudit.architecture.own_spec import not_fitting, own_family, read_by
from weightaudit.architecture.registry import for_model_type, layers_of_towers, multimodal
from weightaudit.architecture.schema import ANY, Family, IgnoreRule, MatrixRule
from weightaudit.architecture.storage import settled
from weightaudit.architecture.wrapping import as_stored, unwrap
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import ConfigError, MappingError
from weightaudit.parse import SpecFile
from weightaudit.records import ModelMap, Part, Place, Rows, TensorInfo
from weightaudit.text import printable

CONFIG = "config.json"
MAX_MODEL_TYPE = 200
"""Characters; the longest known to transformers has some 40. Similar names are searched for, which takes time."""

FEW_STACKED = 4096
"""Matrices that a checkpoint may stack in tensors, however small."""
LEAST_STACKED = 256
"""Elements of tensors for each further one. Models have millions; without a bound a file of 100 kB holds 100,000
matrices, each of which takes the time and the lines in reports of a large one.
"""

TOO_MANY = f"the checkpoint stacks more than {FEW_STACKED:,} matrices, and more than one for {LEAST_STACKED} elements"

AHEAD = "layer that predicts further tokens"
"""The rule for multi-token prediction layers: they are no layers of the model that a loader runs."""


def map_model(
    config: Mapping[str, Any] | None,
    tensors: Mapping[str, TensorInfo],
    *,
    adapter: bool = False,
    everything: bool = False,
    spec: SpecFile | None = None,
) -> ModelMap:
    """What each tensor of a checkpoint is.

    ``spec`` is a family of the user's own, by which the model is read whatever is known of it; ``everything`` gives
    each matrix that has no role the role OTHER. With either of them the config may name no model type.

    A known ``model_type`` goes by its family's spec; any other, and a checkpoint without config, by structure
    (``guessed``). Where tensors and config contradict each other, what fits is mapped and ``discrepancies`` say the
    rest. Of an ``adapter`` nothing is missing, all that it changes has a place, and the config is its base's. Raises
    ConfigError for an unusable config, and MappingError where two tensors claim one role, where nothing could be
    mapped, or where the config is another model's: not one matrix of a layer fits it; of an adapter the first alone.
    """
    model_type, inner = types_of(config, unnamed=everything or spec is not None)
    if spec is None:
        family = for_model_type(model_type, inner) if model_type else None
        mapped = _map_plain(config or {}, model_type, family, tensors, adapter, empty=adapter or everything)
    else:
        mapped = _map_by(spec, own_family(spec, model_type, inner), config or {}, model_type, tensors, adapter)
    return with_other(mapped, tensors, empty=adapter) if everything else mapped


def types_of(config: Mapping[str, Any] | None, *, unnamed: bool = True) -> tuple[str, str]:
    """The model type that a config names, and that of the language model within, "" where it names none.

    ConfigError for what is no model type, and where it need be there and is not: not ``unnamed``.
    """
    if config is None:
        return "", ""
    named = not unnamed or config.get("model_type") not in (None, "")
    return _model_type(config) if named else "", inner_config(config, "")[1]


def _map_by(
    spec: SpecFile,
    family: Family,
    config: Mapping[str, Any],
    model_type: str,
    tensors: Mapping[str, TensorInfo],
    adapter: bool,
) -> ModelMap:
    """The map by the ``family`` that a ``spec`` of the user's own describes, which says so."""
    try:
        mapped = _map_plain(config, model_type, family, tensors, adapter, empty=adapter, by_user=True)
    except MappingError as error:
        raise not_fitting(error, spec, tensors) from error
    return read_by(spec, mapped)


def _map_plain(
    config: Mapping[str, Any],
    model_type: str,
    family: Family | None,
    tensors: Mapping[str, TensorInfo],
    adapter: bool,
    *,
    empty: bool,
    by_user: bool = False,
) -> ModelMap:
    """The map by the names that a loader expects, told in those that the checkpoint has."""
    own, modules = split_modules(tensors)
    plain, wrapping = unwrap(own, family)
    try:
        if family is not None:
            mapped = _map_family(family, model_type, config, plain, adapter, empty=empty, by_user=by_user)
        else:
            mapped = guess(config, model_type, plain, adapter=adapter, empty=empty)
    except (ConfigError, MappingError) as error:
        raise _as_called(error, family.config_name if family else CONFIG) from error
    return with_modules(as_stored(mapped, wrapping), modules)


def _as_called(error: ConfigError | MappingError, config_name: str) -> ConfigError | MappingError:
    """``error`` where the sizes stand in ``config_name``, and not in config.json."""
    thing, cause, hint = (said.replace(CONFIG, config_name) for said in (error.thing, error.cause, error.hint))
    return type(error)(thing, cause, hint)


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
    family: Family,
    model_type: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, TensorInfo],
    adapter: bool,
    *,
    empty: bool,
    by_user: bool,
) -> ModelMap:
    towers = layers_of_towers().of(config, model_type)
    numbers = resolve(family, model_type, config)
    both = ({**numbers.values, **towers.values}, {**numbers.origins, **towers.origins})
    dimensions = Dimensions(*both, numbers.layers)
    tied = embeddings_tied(family, model_type, config)
    told = _with_towers(_as_told(family, numbers), towers.matrices)
    holds, before = partial(flag, config=config, model_type=model_type), repeated_prefix(tensors, family.prefixes)
    matcher = Matcher(told, holds, before, tensors)
    here = settled(told, matcher, tensors, dimensions)
    if here is not told:
        matcher = Matcher(here, holds, before, tensors)
    coverage = Coverage(tensors)
    room = max(FEW_STACKED, sum(info.parameters for info in tensors.values()) // LEAST_STACKED)
    contradictions = Contradictions(dimensions)
    claimed: dict[tuple[Place, str], tuple[str, str]] = {}  # (place, role) → the tensor, and the role it is tied to
    present: set[Role] = set()  # measurable or not
    held = {canonical(name, family.prefixes): tensors[name] for name in coverage.names()}
    for name in coverage.names():
        found = matcher.match(name)
        if found is None:
            plain = scale_rule(tensors[name], tensors) or (common_rule(tensors[name]) if family.vectors else "")
            if plain:
                coverage.ignore(name, plain, buffer=plain.startswith("buffer"))
                contradictions.not_floating(tensors[name], plain)
            else:
                coverage.leave(name, f"no pattern of family {family.name} fits")
            continue
        if _looks_ahead(found, dimensions):
            coverage.ignore(name, AHEAD)
            continue
        beyond = contradictions.beyond(name, found)
        if beyond:
            coverage.leave(name, beyond)
            continue
        if isinstance(found.rule, IgnoreRule):
            coverage.ignore(name, found.rule.rule, buffer=found.rule.buffer)
            contradictions.not_floating(tensors[name], found.rule.rule)
            continue
        expert = ALL_EXPERTS if found.rule.experts else found.expert
        present.update((found.stack, found.layer, expert, role) for role in found.rule.roles)
        own = dimensions.of(found.stack, found.layer)
        why = why_not_a_matrix(tensors[name], stacked=bool(found.rule.experts), flat=found.rule.flat)
        if why:
            packed = is_packed(tensors[name])
            if packed and _is_whole(found, tensors[name], own, dimensions):
                packed, why = False, f"a weight has floating-point numbers, it is stored as {tensors[name].dtype}"
            if not packed:
                contradictions.misshapen(tensors[name], found, found.rule.roles, why)
            coverage.leave(name, why)
            continue
        sizes = _sizes(found.rule, tensors[name], own)
        why = _misfit(sizes, found, found.rule, tensors[name], dimensions)
        if why:
            contradictions.misshapen(tensors[name], found, found.rule.roles, why)
            coverage.leave(name, why)
            continue
        if found.rule.experts:
            stacked = sizes.experts * len(found.rule.roles)
            if stacked > room:
                coverage.leave(name, TOO_MANY)
                continue
            room -= stacked
        for piece in _pieces(found, found.rule, tensors[name], sizes, own):
            _claim(claimed, piece, name, found.rule.tied_to)
            coverage.pieces.append(piece)
    if adapter:
        place_the_rest(coverage)
    else:
        contradictions.refuse_another_model(coverage.pieces)
    ties = [
        (name, claimed[Place(), tied_to][0])
        for name, tied_to in claimed.values()
        if tied and not adapter and tied_to and (Place(), tied_to) in claimed
    ]
    if tied:  # a loader takes either of the two for both
        stored = {role for *_, role in present}
        standing_in = (rule.tied_to for rule in family.matrices if rule.tied_to and stored & set(rule.roles))
        present.update(("", None, None, role) for role in standing_in)
    told_by = "" if by_user else model_type  # whose inventory; a spec of the user's own may know other layouts
    account = Account(family, told_by, config, dimensions, tied, held, matcher, present)
    for info, shape in account.misshapen():
        contradictions.odd(info, shape)
    return coverage.close(
        family.name,
        model_type,
        dimensions={**numbers.values, **towers.told_of({piece.place.stack for piece in coverage.pieces})},
        ties=ties,
        notes=(family.note,) if family.note else (),
        tied=tied,
        discrepancies=(*contradictions.told(), *(() if adapter else account.missing())),
        empty=empty,
    )


def _as_told(family: Family, numbers: Dimensions) -> Family:
    """``family`` with its sizes any where an open dimension is not told."""
    untold = [known.name for known in family.dimensions if known.open and known.name not in numbers.values]
    return replace(family, matrices=tuple(rule.without(untold) for rule in family.matrices)) if untold else family


def _with_towers(family: Family, layers: Sequence[MatrixRule]) -> Family:
    """``family`` with the rules for the ``layers`` of towers, and those that name what else a tower has."""
    if not layers:
        return family
    named = (rule for rule in multimodal().ignored if rule not in family.ignored)
    return replace(family, matrices=(*layers, *family.matrices), ignored=(*named, *family.ignored))


def _looks_ahead(found: Match, dimensions: Dimensions) -> bool:
    """Whether the layer is one of those that follow the model's own and predict further tokens (DeepSeek-AI 2024)."""
    numbers = dimensions.of(found.stack)
    ahead = numbers.get("ahead", 0)
    return found.layer is not None and ahead > 0 and numbers["layers"] <= found.layer < numbers["layers"] + ahead


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


@dataclass(frozen=True)
class _Sizes:
    """A stored tensor in numbers: ``stored`` is (out, in) of it, or of each of the ``experts`` that it stacks; the
    config makes it the sum of ``rows`` by ``cols``.
    """

    experts: int
    stored: tuple[int, int]
    rows: tuple[int, ...]
    cols: int


def _sizes(rule: MatrixRule, info: TensorInfo, numbers: Mapping[str, int]) -> _Sizes:
    experts = _size(rule.experts, numbers) if rule.experts else 1
    stored = _one_of(rule, info, experts)
    share = stored[0] // len(rule.rows)
    rows = tuple(share if size == ANY else _size(size, numbers) for size in rule.rows)
    return _Sizes(experts, stored, rows, stored[1] if rule.cols == ANY else _size(rule.cols, numbers))


def _is_whole(found: Match, info: TensorInfo, numbers: Mapping[str, int], dimensions: Dimensions) -> bool:
    """Whether a tensor of integers wider than a byte has the shape of the weight itself: nothing is packed so."""
    dtype = BY_NAME.get(info.dtype)
    if dtype is None or dtype.kind != "integer" or dtype.bits <= 8 or info.why_unread:
        return False
    rule = found.rule
    if not isinstance(rule, MatrixRule) or len(info.shape) != (3 if rule.experts and not rule.flat else 2):
        return False
    return not _misfit(_sizes(rule, info, numbers), found, rule, info, dimensions)


def _misfit(sizes: _Sizes, found: Match, rule: MatrixRule, info: TensorInfo, dimensions: Dimensions) -> str:
    """How the tensor's shape contradicts the config; "" where it does not."""
    rows, cols = sum(sizes.rows), sizes.cols
    if sizes.stored == (rows, cols) and (not rule.experts or _stacks(rule, info, sizes.experts)):
        return ""
    expected = (cols, rows) if _turned(rule, info) else (rows, cols)
    each = f"{sizes.experts} matrices of {expected}" if rule.experts else f"it {expected}"
    why = dimensions.explain(*rule.rows, rule.cols, stack=found.stack, layer=found.layer)
    return f"its shape is {info.shape}, the config makes {each} ({why})"


def _stacks(rule: MatrixRule, info: TensorInfo, experts: int) -> bool:
    """Whether it holds the matrices of so many experts, in a dimension of their own or as equal parts of its rows."""
    first = info.shape[0]
    if len(info.shape) == 3 and not rule.flat:
        return first == experts
    return 0 < experts <= first and first % experts == 0 and not (rule.flat and first == experts)


def _pieces(found: Match, rule: MatrixRule, info: TensorInfo, sizes: _Sizes, numbers: Mapping[str, int]) -> list[Piece]:
    """The matrices in one stored tensor that fits the config."""
    layout: Mapping[str, tuple[Rows | None, ...]] = {rule.roles[0]: (None,)}
    if rule.packing:
        try:
            layout = PACKINGS[rule.packing](rule.roles, sizes.rows, numbers)
        except ValueError as error:
            where = printable(info.name)
            raise ConfigError("config.json", f"{where} cannot be split: {error}", HINT) from error
    pieces = []
    for expert in range(sizes.experts):
        several = rule.experts and not (rule.flat and sizes.experts == 1)
        place = Place(found.stack, found.layer, expert if several else found.expert)
        stacked = (expert, sizes.experts) if several else (None, 1)
        for role, size in zip(rule.roles, sizes.rows, strict=True):
            parts = tuple(Part(info.name, _turned(rule, info), ranges, *stacked) for ranges in layout[role])
            pieces.append(
                Piece(place, role, parts, (size, sizes.cols), info.dtype, sizes.stored[0], info.encoding.scheme)
            )
    return pieces


def _one_of(rule: MatrixRule, info: TensorInfo, experts: int) -> tuple[int, int]:
    """(out, in) of the matrix that the tensor holds, or of one of those that it stacks."""
    first, last = info.shape[0], info.shape[-1]
    if len(info.shape) > 2 and (rule.flat or not rule.experts):
        last = info.parameters // first
    if rule.experts:
        apart = len(info.shape) == 3 and not rule.flat
        first = info.shape[1] if apart else first // experts if experts else 0
    return (last, first) if _turned(rule, info) else (first, last)


def _turned(rule: MatrixRule, info: TensorInfo) -> bool:
    """Whether the tensor is (in, out)."""
    return rule.transposed and not info.out_first


def _size(expression: str, numbers: Mapping[str, int]) -> int:
    try:
        return evaluate(expression, numbers)
    except KeyError as error:
        raise ConfigError("config.json", f"a shape does not follow: it has no {error.args[0]}", HINT) from error
    except ValueError as error:
        raise ConfigError("config.json", f"a shape does not follow: {error}", HINT) from error
