"""Model-level numbers from the rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import Any

from weightaudit.means import harmonic_mean
from weightaudit.records import CoverageEntry, LayerRow, Place, RoleMatrix

NORM_PRESERVATION_ROLES = ("QKV", "M1", "M2")
STACKED_ROLES = frozenset({"Q", "K", "V"})
"""What QKV stacks."""


def summarise(rows: Sequence[LayerRow], coverage: Sequence[CoverageEntry]) -> dict[str, Any]:
    """Numbers of the whole model, JSON-ready; a mean of nothing is None.

    - ``parameters``: elements of all tensors but buffers and tied copies; ``share_analysed`` is of these.
    - ``dtypes``: how many of these are stored in which data type, or quantised in which format.
    - ``stable_rank_harmonic_mean``: 1 / mean(1/stable rank) by role and over ``"all"`` layer matrices. No weight
      counts twice there: QKV counts only where Q, K and V are not all rows of their own, and then in their place.
    - ``norm_spread``: Frobenius norm of one role over the layers; ``ratio`` is max/min.
    - ``norm_preservation``: max/min of the Frobenius norms of QKV, M1 and M2 in one layer; median and max over layers.
    """
    counted = [entry for entry in coverage if not entry.buffer and entry.status != "tied"]
    parameters = sum(entry.parameters for entry in counted)
    analysed = sum(entry.parameters for entry in counted if entry.status == "analysed")
    dtypes: dict[str, int] = defaultdict(int)
    for entry in counted:
        dtypes[entry.dtype if entry.scheme is None else entry.scheme.name] += entry.parameters
    layered = [row for row in rows if row.matrix.layer is not None]
    distinct = each_weight_once(rows)
    by_role: dict[str, list[LayerRow]] = defaultdict(list)
    for row in layered:
        by_role[_role(row)].append(row)
    return {
        "parameters": parameters,
        "parameters_analysed": analysed,
        "share_analysed": analysed / parameters if parameters else None,
        "tensors": len(coverage),
        "matrices": len(rows),
        "dtypes": dict(sorted(dtypes.items())),
        "stable_rank_harmonic_mean": {
            "all": harmonic_mean(row.spectrum.stable_rank for row in distinct if row.matrix.layer is not None),
            **{role: harmonic_mean(row.spectrum.stable_rank for row in group) for role, group in by_role.items()},
        },
        "norm_spread": {role: _spread(group) for role, group in by_role.items()},
        "norm_preservation": _norm_preservation(layered),
        "nonfinite": _sum_of(distinct, "nonfinite"),
        "zeros": _sum_of(distinct, "zeros"),
        "not_converged": sum(not row.spectrum.converged for row in rows),
    }


def _role(row: LayerRow) -> str:
    return f"{row.matrix.stack} {row.matrix.role}".strip()


def overlapping_keys(matrices: Iterable[RoleMatrix]) -> frozenset[str]:
    """Keys of the ``matrices`` to be left out so that each weight counts once.

    QKV stacks Q, K and V: it is left out where all three are there, and stands for them where one is missing.
    """
    modules: dict[Place, dict[str, str]] = defaultdict(dict)
    for matrix in matrices:
        modules[matrix.place.module][matrix.role] = matrix.key
    overlapping = []
    for keys in modules.values():
        if "QKV" in keys:
            overlapping += (
                [keys["QKV"]]
                if keys.keys() >= STACKED_ROLES
                else [key for role, key in keys.items() if role in STACKED_ROLES]
            )
    return frozenset(overlapping)


def each_weight_once(rows: Sequence[LayerRow]) -> list[LayerRow]:
    """The rows but for those that repeat others: see `overlapping_keys`."""
    overlapping = overlapping_keys(row.matrix for row in rows)
    return [row for row in rows if row.matrix.key not in overlapping]


def _sum_of(rows: Sequence[LayerRow], count: str) -> int:
    """Of products no zeros are counted."""
    return sum(getattr(row.spectrum, count) or 0 for row in rows)


def _spread(rows: Sequence[LayerRow]) -> dict[str, float | None]:
    norms = [row.spectrum.frobenius_norm for row in rows if math.isfinite(row.spectrum.frobenius_norm)]
    if not norms:
        return {"min": None, "max": None, "mean": None, "ratio": None}
    low, high = min(norms), max(norms)
    return {"min": low, "max": high, "mean": fmean(norms), "ratio": high / low if low > 0 else None}


def norm_ratios(rows: Sequence[LayerRow]) -> list[float]:
    """max/min of the Frobenius norms of QKV, M1 and M2, of each layer that has all three."""
    norms: dict[Place, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.matrix.role in NORM_PRESERVATION_ROLES and row.spectrum.frobenius_norm > 0:
            norms[row.matrix.place.module][row.matrix.role] = row.spectrum.frobenius_norm
    return [max(n.values()) / min(n.values()) for n in norms.values() if len(n) == len(NORM_PRESERVATION_ROLES)]


def _norm_preservation(rows: Sequence[LayerRow]) -> dict[str, float | None]:
    ratios = norm_ratios(rows)
    return {"median": median(ratios) if ratios else None, "max": max(ratios, default=None)}
