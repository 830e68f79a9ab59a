"""What the reader of a report should know before believing it, in plain sentences. Findings are another thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from weightaudit.errors import printable
from weightaudit.records import LayerRow, ModelMap

MOST = 8
"""Matrices named one by one."""


def notes(model_map: ModelMap, broken_ties: Iterable[tuple[str, str]], rows: Iterable[LayerRow]) -> Iterator[str]:
    """Of the map (guessed, incomplete), of declared ties that do not hold, and of matrices without sure numbers."""
    yield from _of_guesses(model_map)
    yield from model_map.notes
    yield from _of_ties(model_map, broken_ties)
    yield from _of_numbers(rows)


def _of_guesses(model_map: ModelMap) -> Iterator[str]:
    if model_map.guessed:
        known = f"Nearest known families: {', '.join(model_map.nearest)}. " if model_map.nearest else ""
        what = f"Model type '{printable(model_map.model_type)}' is not known" if model_map.model_type else "No config"
        yield (
            f"{what}: roles were GUESSED from tensor names. {known}Check the coverage table before relying on a role."
        )


def _of_ties(model_map: ModelMap, broken: Iterable[tuple[str, str]]) -> Iterator[str]:
    if model_map.guessed:
        return  # there a tie is only possible, and two different matrices are nothing odd
    for tensor, original in broken:
        yield (
            f"The config ties {printable(tensor)} to {printable(original)}, but the file stores different values; both "
            "were analysed. A loader that follows the config will use only the second."
        )


def _of_numbers(rows: Iterable[LayerRow]) -> Iterator[str]:
    said = [note for row in rows if (note := _of_number(row))]
    yield from said[:MOST]
    if len(said) > MOST:
        yield f"So have {len(said) - MOST} more matrices no sure numbers; the table marks each."


def _of_number(row: LayerRow) -> str:
    place = "" if row.matrix.layer is None else f"layer {row.matrix.layer} "
    which = f"{place}{row.matrix.role} ({printable(', '.join(row.matrix.tensors))})"
    if row.spectrum.nonfinite:
        return f"{which} has {row.spectrum.nonfinite} entries that are NaN or infinite; its norms are undefined."
    if not row.spectrum.converged:
        way = "a larger --tol" if row.spectrum.method == "exact" else "--method exact, or a larger --tol"
        return f"{which}: the interval is wider than the tolerance asked for; it still holds. Try {way}."
    return ""
