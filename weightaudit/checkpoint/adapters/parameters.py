"""Which parameter of a module a change is of, where PEFT changes parameters and not modules (target_parameters).

PEFT wraps the parameters of one module into each other in the order in which the module has them, the first innermost,
and saves none by its name; adapter_config.json lists them sorted. So how deep a change lies says its number, and which
parameter has that number follows from what they are usually called, and from the shapes of the two maps of an MLP.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from weightaudit.checkpoint.adapters import keys
from weightaudit.records import TensorInfo

Slots = Mapping[str, TensorInfo]
LAST = ("down", "w2", "wo", "output")
"""In names of what a module has last."""
_WRAPPED = f".{keys.BASE_LAYER}"


def parameters_of(
    modules: Mapping[tuple[str, str], Slots], targets: Sequence[str]
) -> dict[tuple[str, str], tuple[str, str]]:
    """The module and the parameter of each of ``modules`` (path, adapter) that is a change of one of ``targets``."""
    if not targets:
        return {}
    by_module: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for path, adapter in modules:
        module = path
        while module.endswith(_WRAPPED):
            module = module.removesuffix(_WRAPPED)
        deep = (len(path) - len(module)) // len(_WRAPPED)
        by_module.setdefault((module, adapter), []).append((deep, path))
    split = [target.rpartition(".") for target in targets]
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for (module, adapter), wraps in by_module.items():
        own = {last for before, _, last in split if not before or f".{module}".endswith(f".{before}")}
        paths = [path for _, path in sorted(wraps, reverse=True)]
        if len(own) == len(paths):
            factors = [modules[path, adapter] for path in paths]
            for path, name in zip(paths, _in_order(own, factors), strict=True):
                found[path, adapter] = module, name
    return found


def _in_order(names: Iterable[str], factors: Sequence[Slots]) -> list[str]:
    """``names`` in the order of the ``factors`` that are theirs."""
    usual = sorted(names, key=lambda name: (any(word in name for word in LAST), name))
    if len(usual) == 2 and not _up_and_down(*factors) and _up_and_down(*reversed(factors)):
        return usual[::-1]
    return usual


def _up_and_down(up: Slots, down: Slots) -> bool:
    """Whether the two may be the first and the last map of an MLP, gate and up in one or not."""
    parts = (up.get(keys.B), up.get(keys.A), down.get(keys.B), down.get(keys.A))
    if any(info is None or len(info.shape) < 2 for info in parts):
        return False
    up_rows, up_cols, down_rows, down_cols = (_size(info, number) for number, info in enumerate(parts))
    return up_cols == down_rows and up_rows in (down_cols, 2 * down_cols)


def _size(info: TensorInfo | None, number: int) -> int:
    """Rows of a left factor, columns of a right one."""
    if info is None:
        return 0
    return math.prod(info.shape[1:]) if number % 2 else info.shape[0]
