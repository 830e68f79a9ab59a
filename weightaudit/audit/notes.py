"""What the reader of a report should know before believing it, in plain sentences. Findings are another thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from weightaudit.audit.rules.context import lone_shard
from weightaudit.audit.rules.wording import where
from weightaudit.config import Spectra
from weightaudit.records import LayerRow, ModelIdentity, ModelMap, TensorInfo
from weightaudit.spectral.full.values import LARGEST_SIDE
from weightaudit.text import printable

MAX_MATRICES_NAMED = 8
"""Matrices named one by one."""


def notes(
    identity: ModelIdentity,
    model_map: ModelMap,
    rows: Sequence[LayerRow],
    too_large: Iterable[TensorInfo] = (),
    spectrum: Spectra = False,
) -> Iterator[str]:
    """Of a shard read alone, of the map (guessed, incomplete), of tensors without a role that were ``too_large`` to be
    looked at, of intervals that stayed wide, and of matrices too large for the whole ``spectrum`` that was asked for.
    """
    yield from _of_shards(identity)
    yield from _of_guesses(model_map)
    yield from model_map.notes
    yield from (
        f"{printable(info.name)} takes {info.nbytes:,} bytes at once: it was not looked at for NaN and zeros. A larger "
        "--memory may allow it."
        for info in too_large
    )
    yield from _of_intervals(rows)
    if spectrum == "full":
        yield from _of_whole_spectra(rows)


def _of_shards(identity: ModelIdentity) -> Iterator[str]:
    if count := lone_shard(identity):
        yield (
            f"{printable(identity.files[0].name)} is one of {count} shards and was read alone: what the others hold is "
            "not missed. Name the directory to audit the whole model."
        )


def _of_guesses(model_map: ModelMap) -> Iterator[str]:
    if model_map.guessed:
        known = f"Nearest known families: {', '.join(model_map.nearest)}. " if model_map.nearest else ""
        what = f"Model type '{printable(model_map.model_type)}' is not known" if model_map.model_type else "No config"
        yield (
            f"{what}: roles were GUESSED from tensor names. {known}Check the coverage table before relying on a role."
        )
        # What a known family lacks is a finding; here the layers may only be counted otherwise.
        yield from (one.says for one in model_map.discrepancies if one.kind == "missing")


def _of_intervals(rows: Iterable[LayerRow]) -> Iterator[str]:
    wide = [row for row in rows if not row.spectrum.converged and not row.spectrum.nonfinite]
    for row in wide[:MAX_MATRICES_NAMED]:
        way = "a larger --tol" if row.spectrum.method == "exact" else "--method exact, or a larger --tol"
        tensors = printable(", ".join(row.matrix.tensors))
        yield (
            f"{where(row.matrix)} ({tensors}): the interval is wider than the tolerance asked for; it still holds. Try "
            f"{way}."
        )
    if len(wide) > MAX_MATRICES_NAMED:
        yield f"So are {len(wide) - MAX_MATRICES_NAMED} more intervals; the table marks each."


def _of_whole_spectra(rows: Sequence[LayerRow]) -> Iterator[str]:
    large = [row for row in rows if row.adapter is None and min(row.matrix.shape) > LARGEST_SIDE]
    if large:
        names = [where(row.matrix) for row in large[:MAX_MATRICES_NAMED]]
        more = f" and {len(large) - MAX_MATRICES_NAMED} more" if len(large) > MAX_MATRICES_NAMED else ""
        yield (
            f"Not all singular values were computed of {', '.join(names)}{more}: both sides are longer than "
            f"{LARGEST_SIDE}. Their leading ones, density and effective ranks are there."
        )
