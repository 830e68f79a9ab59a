"""Which rows of a table of tokens stand out, taken while it is in memory, in one pass over all of it."""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from weightaudit.arrays import Array, as_array
from weightaudit.audit.digests import cut
from weightaudit.audit.reading import ReadGroup
from weightaudit.records import RoleMatrix, TableFacts, Vocabulary

ROLES = ("EMBED", "HEAD")
"""Tables of tokens. Those of positions and segments have few rows, each of which is used."""
LEAST_ROWS, LEAST_COLUMNS = 256, 32
"""Of a smaller table nothing is said: its head is of few classes, or its rows have too few entries to tell them apart."""
CHUNK = 1 << 18
"""Entries looked at at once: what is made of them is 1 MB, which stays in a core's cache."""
SAMPLE = 1 << 12
"""Rows, evenly spaced, that the mean of all is estimated from; its error is 1/64 of how far rows lie from it."""
PREFIX = 16
"""Bytes of a row, from entries evenly spaced, by which rows that may be equal are found."""
NEAR_MEAN = 0.05
"""Distance of a row from the mean, over the median distance, up to which it is the mean."""
AGREE = 0.8
"""Cosine that nine in ten of the rows without training must have to their mean direction, for it to mean something."""
ALIKE = 0.95
"""Cosine to that direction from which on a row is like them, unless they are less alike than that themselves."""
SEVERAL = 3
"""Rows without training that such a direction is made of, at least."""
LIMIT = 5.0
"""Standard deviations within which a row of random numbers lies: 3 in ten million are beyond."""
FIT = 1 << 10
"""Rows, evenly spaced in the first half, that the leading directions of a table are found from; as many others show how much they hold."""
MOST_DIRECTIONS = 128
"""Leading directions, at most: one for 16 columns."""
ANY_SCALE = 8
"""Random rows of any scale are told from this many on; fewer, where it is the one that config.json starts with."""

_UNUSED = re.compile(r"\W{0,3}(unused|reserved|dummy|placeholder|madeupword)[\w-]{0,40}?\d+\W{0,3}", re.IGNORECASE)
"""Tokens that a vocabulary is filled up with: [unused17], <|reserved_special_token_3|>, madeupword0001."""


class Tables:
    """What stands out in the tables of a scan, by the key of the matrix; taken by the thread that reads."""

    def __init__(self, config: Mapping[str, Any] | None, vocabulary: Vocabulary | None) -> None:
        self.taken: dict[str, TableFacts] = {}
        self._start = _initial_scale(config or {})
        self._tokens = vocabulary.tokens if vocabulary else {}

    def take(self, group: ReadGroup, stored: Mapping[str, torch.Tensor]) -> None:
        """Take those of ``group``, whose tensors are ``stored``."""
        for matrix in group.matrices:
            if _is_wanted(matrix):
                (table,) = map(as_array, cut(matrix, stored))
                self.taken[matrix.key] = table_facts(table, self._known_unused(len(table)), self._start)

    def _known_unused(self, rows: int) -> list[int]:
        """Rows whose token says that nobody uses it, or, where most rows have a token, that have none."""
        named = [number for number in range(rows) if _UNUSED.fullmatch(self._tokens.get(number, "")[:64])]
        without = [number for number in range(rows) if number not in self._tokens]
        return sorted({*named, *without}) if 2 * len(without) < rows else named


def _is_wanted(matrix: RoleMatrix) -> bool:
    rows, cols = matrix.shape
    whole = len(matrix.parts) == 1 and matrix.parts[0].rows is None
    return matrix.role in ROLES and matrix.layer is None and whole and rows >= LEAST_ROWS and cols >= LEAST_COLUMNS


def _initial_scale(config: Mapping[str, Any]) -> float:
    """The standard deviation that new rows are drawn with."""
    inner = config.get("text_config")
    for of in (inner if isinstance(inner, Mapping) else {}, config):
        for key in ("initializer_range", "init_std"):
            value = of.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
                return float(value)
    return 0.02


def table_facts(table: Array, unused: Iterable[int] = (), start: float = 0.02) -> TableFacts:
    """What stands out among the rows of ``table`` (rows, cols), of any floating-point dtype.

    ``unused`` are rows that are known to have no training, ``start`` is the standard deviation of new rows. Nothing is
    said of a table with entries that are not finite or whose squares are no float32.
    """
    number = len(table)
    centre = _plain(table[_spaced(number, SAMPLE)]).mean(axis=0, dtype=np.float64)
    groups = _equal(table)
    known = np.array(sorted({*unused, *(row for group in groups for row in group)}), dtype=np.intp)
    direction = _direction(table, known, centre)
    sides = np.stack([centre, direction], axis=1).astype(np.float32)
    squares, along = np.empty(number), np.empty((number, 2))
    for at, rows in _chunks(table):
        squares[at] = np.einsum("ij,ij->i", rows, rows)
        along[at] = rows @ sides
    total = squares.sum()
    if not (0 < total < np.finfo(np.float32).max):
        return TableFacts()
    there = squares > 0
    distances = np.sqrt(np.maximum(squares - 2 * along[:, 0] + centre @ centre, 0.0))
    usual = float(np.median(distances[there]))
    mean = _mean_rows(table, np.flatnonzero(there & (distances <= 2 * NEAR_MEAN * usual)), usual)
    random = _random_tail(table, np.sqrt(squares), start)
    fresh = {*mean, *random}
    known = known[there[known] & ~np.isin(known, list(fresh))]
    cosines = (along[:, 1] - centre @ direction) / np.maximum(distances, 1e-30)
    least = _least_likeness(cosines[known])
    alike = np.zeros(number, dtype=bool) if least is None else there & (cosines >= least)
    alike[known] = False
    alike[list(fresh)] = False
    named = set(unused)
    kept = (tuple(row for row in group if there[row] and row not in fresh) for group in groups)
    return TableFacts(
        equal=tuple(group for group in kept if len(group) > 1 and not named.issuperset(group)),
        mean=mean,
        random=random,
        unused=() if least is None else tuple(known.tolist()),
        alike=tuple(np.flatnonzero(alike).tolist()),
        likeness=float(cosines[alike].min()) if alike.any() else 0.0,
    )


def _chunks(table: Array) -> Iterable[tuple[slice, Array]]:
    """Consecutive rows, as float32, and where they stand."""
    step = max(1, CHUNK // table.shape[1])
    for start in range(0, len(table), step):
        yield slice(start, start + step), _plain(table[start : start + step])


def _plain(rows: Array) -> Array:
    """``rows`` as float32; those of bfloat16 by their bits, which is several times faster."""
    if rows.dtype.name == "bfloat16":
        return (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return rows.astype(np.float32, copy=False)


def _spaced(number: int, most: int) -> slice:
    return slice(None, None, max(1, number // most))


def _equal(table: Array) -> list[tuple[int, ...]]:
    """The rows with the same bytes, in groups; of those of zeros too."""
    entries = PREFIX // table.itemsize
    columns = np.linspace(0, table.shape[1] - 1, entries, dtype=np.intp)
    words = np.ascontiguousarray(table[:, columns]).view(np.uint64)
    order = np.lexsort(words.T)
    same = np.concatenate([[False], (words[order[1:]] == words[order[:-1]]).all(axis=1), [False]])
    candidates = np.sort(order[same[:-1] | same[1:]])
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row in candidates.tolist():
        rows[hashlib.blake2b(table[row].tobytes(), digest_size=16).digest()].append(row)
    return [tuple(group) for group in rows.values() if len(group) > 1]


def _direction(table: Array, known: Array, centre: Array) -> Array:
    """The mean direction, from ``centre``, of the ``known`` rows other than zeros; zeros for none."""
    rows = _plain(table[known]).astype(np.float64)
    rows = rows[rows.any(axis=1)] - centre
    sizes = np.linalg.norm(rows, axis=1)
    mean = (rows[sizes > 0] / sizes[sizes > 0, None]).sum(axis=0)
    size = float(np.linalg.norm(mean))
    return mean / size if size > 0 else mean


def _least_likeness(cosines: Array) -> float | None:
    """The cosine from which on a row is like those that have ``cosines``; None where these do not point one way."""
    if len(cosines) < SEVERAL:
        return None
    tenth = float(np.quantile(cosines, 0.1))
    return min(tenth, ALIKE) if tenth >= AGREE else None


def _mean_rows(table: Array, candidates: Array, usual: float) -> tuple[int, ...]:
    """Those of ``candidates`` that are the mean of all rows, which takes another pass where there are any."""
    if not len(candidates):
        return ()
    centre = np.zeros(table.shape[1])
    for _, rows in _chunks(table):
        centre += rows.sum(axis=0, dtype=np.float64)
    centre /= len(table)
    distances = np.linalg.norm(_plain(table[candidates]) - centre, axis=1)
    return tuple(candidates[distances <= NEAR_MEAN * usual].tolist())


def _random_tail(table: Array, norms: Array, start: float) -> tuple[int, ...]:
    """The last rows, but for zeros, that are normal numbers of one scale without the directions of the others.

    Each has no more of its energy in the leading directions of the table than chance gives, and a norm like that of
    the last; together they have no more of it, their sum is no longer than that of independent rows, and where they are
    fewer than `ANY_SCALE` their scale is that of ``start``.
    """
    cols = table.shape[1]
    there = np.flatnonzero(norms > 0)
    of_start = start * math.sqrt(cols)
    width = LIMIT / math.sqrt(2 * cols)  # of the logarithm of a norm
    last = there[: -ANY_SCALE - 1 : -1]
    apart = np.abs(np.log(norms[last] / norms[last[0]]))
    if abs(math.log(norms[last[0]] / of_start)) > width and apart.max() > 2 * width:
        return ()
    excess = _excess_energy(table)
    if excess is None:
        return ()
    found: list[int] = []
    while len(found) < len(there):
        some = there[len(there) - len(found) - 1 :: -1][:FIT]
        fits = (np.abs(np.log(norms[some] / norms[last[0]])) <= 2 * width) & (excess(_plain(table[some])) <= LIMIT)
        run = len(some) if fits.all() else int(np.argmin(fits))
        found += some[:run].tolist()
        if run < len(some):
            break
    if not found:
        return ()
    number = len(found)
    rows = _plain(table[found]).astype(np.float64)
    energy = float(np.einsum("ij,ij->", rows, rows))
    scale = math.sqrt(energy / rows.size)
    together = (float(np.square(rows.sum(axis=0)).sum()) / energy - 1) * math.sqrt(cols / 2)
    if excess(rows.astype(np.float32)).sum() > LIMIT * math.sqrt(number) or (number > 1 and together > LIMIT):
        return ()
    if number < ANY_SCALE and abs(math.log(scale / start)) > width / math.sqrt(number):
        return ()
    return tuple(sorted(found))


def _excess_energy(table: Array) -> Callable[[Array], Array] | None:
    """How many standard deviations more of a row's energy than chance lies in the leading directions of ``table``.

    They are those of rows of its first half, for rows that they are made of have more of it, by two steps of subspace
    iteration from a random start. None where they hold little of the energy of others: nothing tells these from random
    numbers.
    """
    cols = table.shape[1]
    number = min(MOST_DIRECTIONS, max(2, cols // 16))
    older = table[: len(table) // 2]
    sample = _unit(_plain(older[_spaced(len(older), 2 * FIT)]))
    fit, others = sample[::2], sample[1::2]
    start = np.random.default_rng(0).standard_normal((cols, number), dtype=np.float32)
    directions = np.linalg.qr(fit.T @ (fit @ start))[0]
    directions = np.linalg.qr(fit.T @ (fit @ directions))[0]
    deviation = math.sqrt(2 * number * (cols - number) / (cols * cols * (cols + 2)))

    def excess(rows: Array) -> Array:
        share: Array = np.square(_unit(rows) @ directions).sum(axis=1)
        return (share - number / cols) / deviation

    return excess if float(np.quantile(excess(others), 0.75)) > LIMIT else None


def _unit(rows: Array) -> Array:
    """``rows`` of norm 1, and those of zeros."""
    sizes = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return rows / np.maximum(sizes, 1e-30)[:, None]
