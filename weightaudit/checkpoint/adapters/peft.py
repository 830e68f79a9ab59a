"""All tensors of an adapter's files, grouped by the module that they change."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from weightaudit.arrays import Array
from weightaudit.checkpoint.adapters import keys, kinds
from weightaudit.checkpoint.adapters.factors import change
from weightaudit.checkpoint.adapters.parameters import parameters_of
from weightaudit.checkpoint.adapters.peft_config import MAX_NUMBER, PeftConfig
from weightaudit.dtypes import BY_NAME
from weightaudit.records import Adapter, TensorInfo, unread
from weightaudit.text import plural, printable

Values = Callable[[Sequence[TensorInfo]], list[Array]]
"""Reads a few small tensors."""


@dataclass(frozen=True)
class AdapterTensors:
    """An adapter: what it is, its logical tensors by name, and what a reader of a report should know."""

    adapter: Adapter
    tensors: dict[str, TensorInfo]
    notes: tuple[str, ...]


def adapter_tensors(
    stored: Mapping[str, TensorInfo], read_config: Callable[[], PeftConfig | None], values: Values, *, named: bool
) -> AdapterTensors | None:
    """The adapter that ``stored`` is; None where it is none, and then the config is not read.

    It is one where it is ``named`` so (its file is called adapter_model) and there is a config, or names of tensors
    say so. Elsewhere most of its elements must be factors: there are models with adapters within.
    """
    found = {name: key for name, info in stored.items() if (key := keys.key_of(info)) is not None}
    factors = [key for key in found.values() if key.slot != keys.ALPHA]
    last = None if named else 2  # a module of a model may have any name; what it holds is called by the last two
    marks = {} if factors else {name: kinds.marked(name, last=last) for name in stored}
    others = {name: mark for name, mark in marks.items() if mark is not None}
    if not named:
        own = sum(stored[name].parameters for name in {**found, **others})
        if not (factors or others) or 2 * own <= sum(info.parameters for info in stored.values()):
            return None
    config = read_config()
    if not factors and not others and config is None:
        return None
    peft_type = config.kind if config is not None else ""
    variant = config.variant if config is not None else ""
    if variant or peft_type not in kinds.MEASURED or (not factors and others):
        notes: tuple[str, ...] = ()
        other = peft_type if peft_type not in kinds.MEASURED else next((kind for _, kind in others.values()), "")
        kind = variant or kinds.called(other)
        logical = list(_unmeasured(stored, kind))
    else:
        kind, logical, notes = _products(stored, found, config, values)
    tensors = named_apart(logical)
    said = config.notes if config is not None else ()
    return AdapterTensors(_described(kind, config), tensors, (*said, *notes))


def _described(kind: str, config: PeftConfig | None) -> Adapter:
    if config is None:
        return Adapter(kind)
    return Adapter(kind, config.base, config.rank, config.alpha, (*config.modules, *config.parameters))


def named_apart(logical: Sequence[TensorInfo]) -> dict[str, TensorInfo]:
    """``logical`` by name, those that come later under a name of their own where theirs is taken."""
    tensors: dict[str, TensorInfo] = {}
    times: Counter[str] = Counter()
    for info in logical:
        name = info.name
        while name in tensors:
            times[info.name] += 1
            name = f"{info.name}-{times[info.name] + 1}"
        tensors[name] = info if name == info.name else replace(info, name=name)
    return dict(sorted(tensors.items()))


def _products(
    stored: Mapping[str, TensorInfo], found: Mapping[str, keys.Key], config: PeftConfig | None, values: Values
) -> tuple[str, list[TensorInfo], tuple[str, ...]]:
    """The kind of the adapter, its changes and what it holds besides, and notes."""
    modules: dict[tuple[str, str], dict[str, TensorInfo]] = {}
    plain: list[TensorInfo] = []
    for name in sorted(stored):
        info, key = stored[name], found.get(name)
        if key is None:
            plain.append(info)
            continue
        slots = modules.setdefault((key.path, key.adapter), {})
        slots[key.slot if key.slot not in slots else f"{key.slot} of {name}"] = info
    with_names = {path: (path, adapter) for path, adapter in modules if adapter}
    for place in [place for place, slots in modules.items() if slots.keys() == {keys.ALPHA}]:
        if (beside := with_names.get(place[0])) not in (None, place):
            modules[beside] |= modules.pop(place)
    alphas = _own_alphas({path: slots[keys.ALPHA] for path, slots in modules.items() if keys.ALPHA in slots}, values)
    parameters = parameters_of(modules, () if config is None else config.parameters)
    logical: list[TensorInfo] = []
    magnitudes = False
    for (path, adapter), slots in modules.items():
        if slots.keys() == {keys.ALPHA}:
            plain.append(slots[keys.ALPHA])
            continue
        module, parameter = parameters.get((path, adapter), (path, ""))
        name = f"{module}.{parameter}" if parameter else f"{module}.weight"
        magnitudes = magnitudes or keys.MAGNITUDE in slots
        target = name if parameter else module
        rank = None if config is None else config.ranks.of(target)
        logical.append(
            change(
                name,
                slots,
                _kind(config, slots),
                alpha=alphas[path, adapter] if (path, adapter) in alphas else _alpha(config, target),
                rank=(config.rank if rank is None else int(rank)) if config is not None else None,
                rslora=config is not None and config.rslora,
                experts=bool(parameter),
            )
        )
    every = [info.encoding.scheme.format for info in logical if info.encoding.scheme is not None]
    kind = max(dict.fromkeys(every), key=every.count) if every else "LoRA"
    notes = list(_notes(config, alphas, magnitudes=magnitudes))
    whole = [replace(info, name=keys.own_name(info.name)) for info in plain]
    saved = [info for info in whole if len(info.shape) > 1 and not info.name.endswith(f".{keys.BASE_LAYER}.weight")]
    if saved:
        others = f" and {plural(len(saved) - 1, 'more tensor')} are" if len(saved) > 1 else " is"
        notes.append(
            f"{printable(saved[0].name)}{others} stored whole: what is told there is of the matrix itself, not of a "
            "change."
        )
    return kind, [*logical, *whole], tuple(notes)


def _kind(config: PeftConfig | None, slots: Mapping[str, TensorInfo]) -> str:
    if keys.E in slots:
        return "AdaLoRA"
    if keys.MAGNITUDE in slots:
        return "DoRA"
    return "rsLoRA" if config is not None and config.rslora else "LoRA"


def _alpha(config: PeftConfig | None, path: str) -> float | None:
    if config is None:
        return None
    own = config.alphas.of(path)
    return config.alpha if own is None else own


def _own_alphas(tensors: Mapping[tuple[str, str], TensorInfo], values: Values) -> dict[tuple[str, str], float]:
    """The alpha that is stored beside the factors; of what is no number within bounds none."""
    readable = {
        place: info
        for place, info in tensors.items()
        if info.dtype in BY_NAME and BY_NAME[info.dtype].kind in ("float", "integer")
    }
    numbers = values(list(readable.values())) if readable else []
    read = {place: float(number.reshape(-1)[0]) for place, number in zip(readable, numbers, strict=True)}
    return {place: alpha for place, alpha in read.items() if math.isfinite(alpha) and abs(alpha) <= MAX_NUMBER}


def _notes(config: PeftConfig | None, alphas: Mapping[tuple[str, str], float], *, magnitudes: bool) -> Iterator[str]:
    if (config is None or config.alpha is None) and not alphas:
        yield "Nothing says the adapter's alpha: the scale was taken to be 1, so norms are those of B·A."
    if magnitudes:
        yield (
            "The adapter is a DoRA: it also sets the norm of each row of the changed matrix, which takes the base's "
            "weights. Its own norms and spectra are those of s·B·A alone; what is told against a base is of the whole "
            "change."
        )


def _unmeasured(stored: Mapping[str, TensorInfo], kind: str) -> Iterator[TensorInfo]:
    """The tensors of a ``kind`` that is not measured, together by module; what is saved whole stands for itself."""
    modules: dict[str, list[TensorInfo]] = {}
    for name in sorted(stored):
        info = stored[name]
        own = keys.own_name(name)
        key = keys.key_of(info)
        mark = kinds.marked(own)
        path = mark[0] if mark is not None else key.path if key is not None else None
        if path is None and own.endswith((".weight", ".bias")):
            yield replace(info, name=own)
        else:
            modules.setdefault(own if path is None else path, []).append(info)
    for path, infos in modules.items():
        parts = tuple((f"part {number}", info) for number, info in enumerate(infos))
        name = f"{path}.weight" if path else infos[0].name
        yield unread(name, infos[0].shape, parts, kinds.scheme_of(kind), kinds.WHY)
