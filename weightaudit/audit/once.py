"""Which matrices only repeat the weights of others, so that no weight counts twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from weightaudit.records import Place, RoleMatrix

WHOLE = frozenset({"Q", "K", "V"})


def repeated(matrices: Iterable[RoleMatrix]) -> frozenset[str]:
    """Keys of the ``matrices`` to be left out so that each weight counts once.

    QKV stacks Q, K and V: it is left out where all three are there, and stands for them where one is missing.
    """
    modules: dict[Place, dict[str, str]] = defaultdict(dict)
    for matrix in matrices:
        modules[matrix.place.module][matrix.role] = matrix.key
    again = []
    for keys in modules.values():
        if "QKV" in keys:
            again += [keys["QKV"]] if keys.keys() >= WHOLE else [key for role, key in keys.items() if role in WHOLE]
    return frozenset(again)
