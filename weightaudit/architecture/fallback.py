"""The structural fallback: roles of a model no spec knows, guessed from what projections are commonly called.

Everything here is a guess and marked so. A fused tensor is measured whole and never split: nothing in its
name tells which rows are which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weightaudit.architecture import conventions
from weightaudit.architecture.adapters import place_the_rest
from weightaudit.architecture.assembly import Piece
from weightaudit.architecture.conventions import Convention
from weightaudit.architecture.coverage import Coverage, why_not_a_matrix
from weightaudit.architecture.dimensions import MAX_SIZE
from weightaudit.architecture.nearest import nearest_families
from weightaudit.records import ModelMap, Part, Place, TensorInfo
from weightaudit.text import printable

FUSED = "gate and up fused in an unknown layout"
"""Why a matrix that holds both is left."""
FAMILY = "structural guess"
"""What a guessed map calls its family."""

_STACKED = "experts stacked in one 3-D tensor"
_CROSS_ROLES = {"Q": "XQ", "K": "XK", "V": "XV", "O": "XO"}


@dataclass(frozen=True)
class _Claim:
    """A tensor that by its name is ``role``; ``trunk`` is its stack of layers ("model.layers")."""

    name: str
    trunk: str
    place: Place
    role: str


def guess(
    config: Mapping[str, Any],
    model_type: str,
    tensors: Mapping[str, TensorInfo],
    *,
    adapter: bool = False,
    empty: bool = False,
) -> ModelMap:
    """Map a checkpoint by structure. Raises MappingError where not one matrix was found; never of an ``adapter``, nor
    where the map may be ``empty``.

    No layer is said to be missing: a model that nobody knows may count its layers otherwise than it names them.
    ``ties`` holds head and embedding where both are stored in one shape and the config does not deny that
    they are tied.
    """
    coverage = Coverage(tensors)
    claims = [claim for name in coverage.names() if (claim := _read_name(tensors, name, coverage)) is not None]
    kept = _settle(claims, tensors, coverage)
    hidden = _hidden(config, kept, tensors)
    conv1d = _stores_conv1d(kept, tensors, hidden)
    coverage.pieces += _fitting([_piece(claim, tensors[claim.name], conv1d) for claim in kept], coverage)
    if adapter:
        place_the_rest(coverage)
    # Without a single numbered layer the config is all there is to go by: ALBERT stores one for all.
    count = len(_layers(coverage.pieces)) or _whole_number(config, conventions.LAYER_KEYS)
    return coverage.close(
        FAMILY,
        model_type,
        dimensions={name: value for name, value in (("layers", count), ("hidden", hidden)) if value},
        ties=() if adapter else _ties(config, kept, tensors),
        guessed=True,
        nearest=() if adapter else nearest_families(model_type, {name: tensors[name] for name in coverage.names()}),
        empty=adapter or empty,
    )


def _read_name(tensors: Mapping[str, TensorInfo], name: str, coverage: Coverage) -> _Claim | None:
    """What the name alone claims; None after telling the coverage why it claims nothing."""
    info = tensors[name]
    rule = _ignoring_rule(info) or conventions.scale_rule(info, tensors)
    if rule:
        coverage.ignore(name, rule, buffer=rule.startswith("buffer"))
        return None
    found = conventions.LAYER_PATH.fullmatch(name)
    inside = found["inside"] if found else name
    table = conventions.LAYER_CONVENTIONS if found else conventions.OUTSIDE_CONVENTIONS
    role = next((c.role for c in table if c.pattern.fullmatch(inside) and _has_sibling(c, name, tensors)), "")
    if not role:
        coverage.leave(name, _why_no_role(info))
        return None
    if found and conventions.CROSS_ATTENTION.search(inside):
        if role not in _CROSS_ROLES and role == "QKV":
            coverage.leave(name, "fused cross-attention in an unknown layout")
            return None
        role = _CROSS_ROLES.get(role, role)
    why = _STACKED if _stacks_experts(info) else why_not_a_matrix(info)
    if why:
        coverage.leave(name, why)
        return None
    if found is None:
        return _Claim(name, "", Place(), role)
    expert = conventions.EXPERT_PATH.fullmatch(inside)
    place = Place(layer=int(found["layer"]), expert=int(expert["expert"]) if expert else None)
    return _Claim(name, found["trunk"], place, role)


def _why_no_role(info: TensorInfo) -> str:
    if _stacks_experts(info):
        return _STACKED
    return FUSED if conventions.FUSED_UNKNOWN.fullmatch(info.name) else "no common name fits"


def _stacks_experts(info: TensorInfo) -> bool:
    return len(info.shape) == 3 and conventions.STACKED_EXPERTS.fullmatch(info.name) is not None


def _ignoring_rule(info: TensorInfo) -> str:
    for pattern, rule in conventions.BUFFERS:
        if pattern.fullmatch(info.name):
            return rule
    if len(info.shape) > 1 and conventions.CAUSAL_MASK.fullmatch(info.name):
        return "buffer: causal mask"
    if conventions.RELATIVE_BIAS.fullmatch(info.name):
        return "relative position bias"
    if len(info.shape) < 2:
        return "vector (not a matrix)" if info.shape else "scalar (not a matrix)"
    return ""


def _has_sibling(convention: Convention, name: str, tensors: Mapping[str, TensorInfo]) -> bool:
    if not convention.siblings:
        return True
    parent = name.rsplit(".", 2)[0]
    return any(f"{parent}.{sibling}.weight" in tensors for sibling in convention.siblings)


def _settle(claims: Iterable[_Claim], tensors: Mapping[str, TensorInfo], coverage: Coverage) -> list[_Claim]:
    """One claim for each (place, role): the largest stack of layers first, and whole stacks only.

    A model may have several stacks that use the same names (a vision tower beside the language model); mixing
    them layer by layer would be worse than leaving the smaller one out. An encoder and a decoder are kept
    apart by `stack`.
    """
    trunks: dict[str, list[_Claim]] = {}
    for claim in claims:
        trunks.setdefault(claim.trunk, []).append(claim)
    stacks = _stacks(trunks)
    kept: dict[tuple[Place, str], _Claim] = {}
    size = {trunk: sum(tensors[c.name].parameters for c in group) for trunk, group in trunks.items()}
    for trunk in sorted(trunks, key=lambda trunk: (-size[trunk], trunk)):
        own: dict[tuple[Place, str], _Claim] = {}
        clashing = False
        for claim in trunks[trunk]:
            place = Place(stacks[trunk], claim.place.layer, claim.place.expert)
            key = (place, claim.role)
            clashing = clashing or key in kept
            if key in own:
                coverage.leave(claim.name, f"{printable(own[key].name)} was taken for {claim.role} already")
            else:
                own[key] = _Claim(claim.name, trunk, place, claim.role)
        if clashing:
            for claim in own.values():
                coverage.leave(claim.name, f"a second stack of layers ({printable(trunk)}) beside a larger one")
        else:
            kept |= own
    return list(kept.values())


def _stacks(trunks: Iterable[str]) -> dict[str, str]:
    """Trunk → "encoder" or "decoder" where the checkpoint has a pair of them, else ""."""
    found = {trunk: next((word for word in trunk.split(".") if word in ("encoder", "decoder")), "") for trunk in trunks}
    paired = {"encoder", "decoder"} <= set(found.values())
    return found if paired else dict.fromkeys(found, "")


def _hidden(config: Mapping[str, Any], claims: Iterable[_Claim], tensors: Mapping[str, TensorInfo]) -> int | None:
    said = _whole_number(config, conventions.HIDDEN_KEYS)
    return said or next((tensors[claim.name].shape[1] for claim in claims if claim.role == "EMBED"), None)


def _whole_number(config: Mapping[str, Any], keys: Iterable[str]) -> int | None:
    """The first of ``keys`` that the config gives as a positive whole number of believable size."""
    values = (config.get(key) for key in keys)
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool) and 0 < v <= MAX_SIZE), None)


def _layers(pieces: Iterable[Piece]) -> set[int]:
    """Numbers of the layers, of the larger stack where there is an encoder and a decoder."""
    numbers: dict[str, set[int]] = {}
    for piece in pieces:
        if piece.place.layer is not None:
            numbers.setdefault(piece.place.stack, set()).add(piece.place.layer)
    return max(numbers.values(), key=len, default=set())


def _leaf(name: str) -> str:
    return name.rsplit(".", 2)[-2] if name.count(".") >= 2 else ""


def _stores_conv1d(claims: Iterable[_Claim], tensors: Mapping[str, TensorInfo], hidden: int | None) -> bool:
    """Whether c_attn, c_fc and c_proj lie (in, out): the input side of c_attn and c_fc is the hidden size."""
    for claim in claims:
        rows, cols = tensors[claim.name].shape
        if _leaf(claim.name) in conventions.CONV1D and claim.role in ("QKV", "M1") and rows == hidden != cols:
            return True
    return False


def _piece(claim: _Claim, info: TensorInfo, conv1d: bool) -> Piece:
    transposed = conv1d and _leaf(claim.name) in conventions.CONV1D and not info.out_first
    rows, cols = info.shape
    shape = (cols, rows) if transposed else (rows, cols)
    return Piece(
        claim.place, claim.role, (Part(info.name, transposed),), shape, info.dtype, shape[0], info.encoding.scheme
    )


def _ties(
    config: Mapping[str, Any], claims: Iterable[_Claim], tensors: Mapping[str, TensorInfo]
) -> list[tuple[str, str]]:
    names = {claim.role: claim.name for claim in claims if claim.role in ("EMBED", "HEAD")}
    if len(names) < 2 or config.get("tie_word_embeddings") is False:
        return []
    same = tensors[names["HEAD"]].shape == tensors[names["EMBED"]].shape
    return [(names["HEAD"], names["EMBED"])] if same else []


def _fitting(pieces: Sequence[Piece], coverage: Coverage) -> list[Piece]:
    """The pieces, less those that cannot be what they were guessed to be; ``coverage`` gets the reason.

    M2 reads what M1 writes, so M1 has as many rows as M2 has columns. Twice as many are a gate and an up projection
    in one tensor.
    """
    at: dict[Place, dict[str, Piece]] = {}
    for piece in pieces:
        at.setdefault(piece.place, {})[piece.role] = piece
    kept = []
    for piece in pieces:
        why = _misfit(piece, at[piece.place])
        if why:
            coverage.leave(piece.parts[0].tensor, why)
        else:
            kept.append(piece)
    return kept


def _misfit(piece: Piece, beside: dict[str, Piece]) -> str:
    second = beside.get("M2")
    if piece.role not in ("M1", "GATE") or second is None or piece.shape[0] == second.shape[1]:
        return ""
    if piece.role == "M1" and piece.shape[0] == 2 * second.shape[1] and "GATE" not in beside:
        return FUSED
    return "its rows do not fit M2's columns"
