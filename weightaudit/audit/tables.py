"""Which rows of a table of tokens stand out, taken while it is in memory.

Of each row a few bytes are looked at, of some rows all, which takes a tenth of the time of measuring it; where rows are
found that no training has shaped, all are held against these, which takes up to as long.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from weightaudit.arrays import Array
from weightaudit.records import RoleMatrix, TableFacts, Vocabulary
from weightaudit.spectral.threads import one_blas_thread

ROLES = ("EMBED", "HEAD")
"""Tables of tokens. Those of positions and segments have few rows, each of which is used."""
LEAST_ROWS, LEAST_COLUMNS = 256, 32
"""Of a smaller table nothing is said: it is a head of few classes, or its rows are too short to tell them apart."""
SAMPLE = 1 << 10
"""Rows, evenly spaced, that the mean of all is estimated from; its error is 1/32 of how far rows lie from it."""
TAIL = 1 << 10
"""Last rows that are looked at for new ones: where a vocabulary grows, its rows come last. Where all are new, more."""
PREFIX = 16
"""Bytes of a row by which those are found that may be equal."""
MIXING = np.uint64(0x9E3779B97F4A7C15)
"""An odd number that makes one key of two halves; what has the same by chance is told apart later."""
LINES, LINE = 4, 16
"""Runs of columns, and columns in one, by which rows are found that may point in a direction."""
PIECE = 1 << 22
"""Entries of the rows among which they are looked for at once."""
NEAR_MEAN = 0.05
"""Distance of a row from the mean, over the median distance, up to which it is the mean."""
GAP = 0.2
"""The same up to which no other row may lie, for else rows are of all sizes."""
AGREE = 0.8
"""Cosine that nine in ten of the rows without training must have to their mean direction, for it to mean something."""
ALIKE = 0.95
"""Cosine to that direction from which on a row is like them, unless they are less alike than that themselves."""
SEVERAL = 3
"""Rows without training that such a direction is made of, at least."""
LIMIT = 4.0
"""Standard deviations within which a row of random numbers lies: 3 in 100,000 are beyond."""
FIT = 1 << 9
"""Rows, evenly spaced in the first half, that the leading directions of a table are found from; as many others show how
much they hold."""
MOST_DIRECTIONS = 128
"""Leading directions, at most: one for 16 columns."""
ANY_SCALE = 8
"""Random rows of any scale are told from this many on; fewer, where it is the one that config.json starts with."""

_UNUSED = re.compile(r"\W{0,3}(unused|reserved|dummy|placeholder|madeupword)[\w-]{0,40}?\d+\W{0,3}", re.IGNORECASE)
"""Tokens that a vocabulary is filled up with: [unused17], <|reserved_special_token_3|>, madeupword0001."""


class Tables:
    """The tables of a model, by its config.json and the tokens that its rows are of."""

    def __init__(self, config: Mapping[str, Any] | None, vocabulary: Vocabulary | None) -> None:
        self._start = _initial_scale(config or {})
        self._tokens = vocabulary.tokens if vocabulary else {}

    def facts(self, matrix: RoleMatrix, blocks: Sequence[Array]) -> TableFacts | None:
        """What stands out in ``matrix``, whose entries ``blocks`` hold; None where it is no table to be looked at."""
        if not is_table(matrix):
            return None
        (table,) = blocks
        return table_facts(table, self._known_unused(len(table)), self._start)

    def _known_unused(self, rows: int) -> list[int]:
        """Rows whose token says that nobody uses it, or, where most rows have a token, that have none."""
        if not self._tokens:
            return []
        named = [number for number in range(rows) if _UNUSED.fullmatch(self._tokens.get(number, "")[:64])]
        without = [number for number in range(rows) if number not in self._tokens]
        return sorted({*named, *without}) if 2 * len(without) < rows else named


def is_table(matrix: RoleMatrix) -> bool:
    """Whether it is a table of tokens that is large enough to say something of its rows, and stored in one piece."""
    rows, cols = matrix.shape
    whole = len(matrix.parts) == 1 and matrix.parts[0].rows is None
    return matrix.role in ROLES and matrix.layer is None and whole and rows >= LEAST_ROWS and cols >= LEAST_COLUMNS


def _initial_scale(config: Mapping[str, Any]) -> float:
    """The standard deviation that new rows are drawn with."""
    inner = config.get("text_config")
    for of in (inner if isinstance(inner, Mapping) else {}, config):
        for key in ("initializer_range", "init_std"):
            value = of.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= sys.float_info.max:
                return float(value)
    return 0.02


def table_facts(table: Array, unused: Iterable[int] = (), start: float = 0.02) -> TableFacts:
    """What stands out among the rows of ``table`` (rows, cols), of any floating-point dtype.

    ``unused`` are rows that are known to have no training, ``start`` is the standard deviation of new rows. Of a table
    with entries that are not finite or whose squares are no float32, what is said may be incomplete.
    """
    with one_blas_thread, np.errstate(all="ignore"):
        groups = [group for group in _equal(table) if table[group[0]].any()]
        tail = _Tail(table, start)
        random = tail.random_rows()
        fresh = set(random)
        mean = tuple(row for row in tail.mean_rows() if row not in fresh)  # near a mean of about 0 all short rows are
        fresh |= set(mean)
        untouched = sorted({*unused, *(row for group in groups for row in group)} - fresh)
        known, alike, likeness = _alike(table, untouched, tail.centre)
    named = set(unused)
    kept = (tuple(row for row in group if row not in fresh) for group in groups)
    return TableFacts(
        equal=tuple(group for group in kept if len(group) > 1 and not named.issuperset(group)),
        mean=mean,
        random=random,
        unused=known,
        alike=tuple(row for row in alike if row not in fresh),
        likeness=likeness,
    )


def _plain(rows: Array) -> Array:
    """``rows`` as float32; those of 16 bits by their bits, which is several times faster, and right of finite ones."""
    if rows.dtype.name == "bfloat16":
        return (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if rows.dtype == np.float16:
        bits = rows.view(np.uint16).astype(np.uint32)
        return ((bits & 0x8000) << 16 | (bits & 0x7FFF) << 13).view(np.float32) * np.float32(2.0**112)
    return rows.astype(np.float32, copy=False)


def _spaced(number: int, most: int) -> slice:
    return slice(None, None, max(1, number // most))


def _equal(table: Array) -> list[tuple[int, ...]]:
    """The rows with the same bytes, in groups."""
    middle, entries = table.shape[1] // 2, PREFIX // table.itemsize
    words = np.ascontiguousarray(table[:, middle : middle + entries]).view(np.uint64)
    mixed = words[:, 0] * MIXING + words[:, 1]
    order = np.argsort(mixed)
    same = np.concatenate([[False], mixed[order[1:]] == mixed[order[:-1]], [False]])
    candidates = np.sort(order[same[:-1] | same[1:]])
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row in candidates.tolist():
        rows[hashlib.blake2b(table[row].tobytes(), digest_size=16).digest()].append(row)
    return [tuple(group) for group in rows.values() if len(group) > 1]


def _alike(table: Array, untouched: Sequence[int], centre: Array) -> tuple[tuple[int, ...], tuple[int, ...], float]:
    """The rows ``untouched`` by training that are not zero, those that are like them, and the least cosine of these to
    their mean direction; all taken from ``centre``. Nothing where they do not point one way.
    """
    nothing: tuple[tuple[int, ...], tuple[int, ...], float] = ((), (), 0.0)
    known = [row for row in untouched if table[row].any()]
    if len(known) < SEVERAL:
        return nothing
    directions = _unit(_plain(table[known[_spaced(len(known), SAMPLE)]]) - centre)
    mean = _unit(directions.mean(axis=0, keepdims=True))[0]
    least = min(float(np.quantile(directions @ mean, 0.1)), ALIKE)
    if not least >= AGREE:
        return nothing
    alike: dict[int, float] = {}
    step = max(1, PIECE // table.shape[1])
    for first in range(0, len(table), step):
        piece = table[first : first + step]
        candidates = _may_be_alike(piece, mean, centre, least)
        rows = _plain(piece[candidates])
        cosines = np.where(rows.any(axis=1), _unit(rows - centre) @ mean, 0.0)
        found = cosines >= least
        alike |= zip((first + candidates[found]).tolist(), cosines[found].tolist(), strict=True)
    those = set(known)
    others = {row: cosine for row, cosine in alike.items() if row not in those}
    return tuple(known), tuple(others), min(others.values(), default=0.0)


def _may_be_alike(rows: Array, direction: Array, centre: Array, least: float) -> Array:
    """Which of ``rows`` may have a cosine of ``least`` to ``direction``, by the columns in which that is largest."""
    whole = len(direction) // LINE * LINE
    sizes = np.square(direction[:whole]).reshape(-1, LINE).sum(axis=1)
    along, squares = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
    weight = 0.0
    for line in np.sort(np.argsort(-sizes)[:LINES]):
        columns = slice(line * LINE, (line + 1) * LINE)
        part = _plain(rows[:, columns]) - centre[columns]
        along += part @ direction[columns]
        squares += np.einsum("ij,ij->i", part, part)
        weight += float(sizes[line])
    # Of n columns a cosine c is known to (1 - c²)/√n.
    slack = 4 * (1 - least**2) / math.sqrt(LINES * LINE)
    return np.flatnonzero(along >= (least - slack) * np.sqrt(squares * weight))


class _Tail:
    """The last rows of a table, beside the others."""

    def __init__(self, table: Array, start: float) -> None:
        """``start`` is the standard deviation of new rows."""
        self._table, self._start = table, start
        sample = _plain(table[_spaced(len(table), SAMPLE)])
        sample = sample[sample.any(axis=1)]
        self.centre: Array = sample.mean(axis=0) if len(sample) else np.zeros(table.shape[1], np.float32)
        distances = np.linalg.norm(sample - self.centre, axis=1)
        usual = float(np.median(distances)) if len(sample) else 0.0
        self._near, self._error = NEAR_MEAN * usual, usual / math.sqrt(SAMPLE)
        between = (distances > self._near + 2 * self._error) & (distances <= GAP * usual)
        self._has_gap = 0 < usual < math.inf and not between.any()

    def _pieces(self) -> Iterator[tuple[Array, Array]]:
        """The numbers of rows other than zeros from the last one on, and the rows, piece by piece."""
        for end in range(len(self._table), 0, -TAIL):
            first = max(0, end - TAIL)
            rows = _plain(self._table[first:end])[::-1]
            there = rows.any(axis=1)
            yield np.arange(end - 1, first - 1, -1)[there], rows[there]

    def mean_rows(self) -> tuple[int, ...]:
        """Those that are the mean of all rows, which takes a pass over the table where there are any."""
        if not self._has_gap or not any(
            len(numbers) for numbers in self._close_to(self.centre, self._near + 2 * self._error)
        ):
            return ()
        centre = np.zeros(self._table.shape[1])
        for _, rows in self._pieces():
            centre += rows.sum(axis=0, dtype=np.float64)
        found = np.concatenate([*self._close_to(centre / len(self._table), self._near)])
        return tuple(sorted(found.tolist()))

    def _close_to(self, centre: Array, distance: float) -> Iterator[Array]:
        for numbers, rows in self._pieces():
            close = np.linalg.norm(rows - centre, axis=1) <= distance
            yield numbers[close]
            if not close.all():
                return

    def random_rows(self) -> tuple[int, ...]:
        """The last ones that are normal numbers of one scale without the directions of the others.

        Each has no more of its energy in the leading directions of the table than chance gives, and a norm like that of
        the last; together they have no more of it, their sum is no longer than that of independent rows, and where they
        are fewer than `ANY_SCALE` their scale is that of new rows. So many of the others must not be of this kind too.
        """
        pieces = self._pieces()
        first = next(((numbers, rows) for numbers, rows in pieces if len(rows)), None)
        if first is None:
            return ()
        cols = self._table.shape[1]
        width = LIMIT / math.sqrt(2 * cols)  # of the logarithm of a norm
        last = np.linalg.norm(first[1][:ANY_SCALE].astype(np.float64), axis=1)  # of which none is 0
        alike = np.abs(np.log(last / last[0])).max() <= 2 * width
        if not alike and not abs(math.log(last[0]) - math.log(self._start * math.sqrt(cols))) <= width:
            return ()
        leading = _Leading(self._table)
        if not leading.tell_apart:
            return ()

        def fits(rows: Array) -> Array:
            near: Array = np.abs(np.log(np.linalg.norm(rows, axis=1) / last[0])) <= 2 * width
            return near & (leading.excess(rows) <= LIMIT)

        numbers: list[int] = []
        found: list[Array] = []
        for some, rows in chain([first], pieces):
            fit = fits(rows)
            run = len(fit) if fit.all() else int(np.argmin(fit))
            numbers += some[:run].tolist()
            found.append(rows[:run])
            if run < len(fit):
                break
        tail = np.concatenate(found)
        if not numbers or float(fits(leading.others).mean()) ** len(tail) > 1 / FIT:
            return ()
        energy = float(np.square(tail, dtype=np.float64).sum())
        together = (float(np.square(tail.sum(axis=0, dtype=np.float64)).sum()) / energy - 1) * math.sqrt(cols / 2)
        if leading.excess(tail).sum() > LIMIT * math.sqrt(len(tail)) or (len(tail) > 1 and together > LIMIT):
            return ()
        scale = math.sqrt(energy / tail.size)
        if len(tail) < ANY_SCALE and abs(math.log(scale) - math.log(self._start)) > width / math.sqrt(len(tail)):
            return ()
        return tuple(sorted(numbers))


class _Leading:
    """The leading directions of a table: those of rows of its first half, by two steps of subspace iteration from a
    random start. ``others`` are as many rows that they are not made of, for those that they are have more of them.
    """

    def __init__(self, table: Array) -> None:
        older = table[: len(table) // 2]
        sample = _plain(older[_spaced(len(older), 2 * FIT)])
        fit, self.others = _unit(sample[::2]), sample[1::2]
        cols = table.shape[1]
        self._number = min(MOST_DIRECTIONS, max(2, cols // 16))
        start = np.random.default_rng(0).standard_normal((cols, self._number), dtype=np.float32)
        self._directions = np.linalg.qr(fit.T @ (fit @ (fit.T @ (fit @ start))))[0]

    @property
    def tell_apart(self) -> bool:
        """Whether they hold much of the energy of others: else nothing tells these from random numbers."""
        return float(np.quantile(self.excess(self.others), 0.75)) > LIMIT

    def excess(self, rows: Array) -> Array:
        """How many standard deviations more of each row's energy than chance gives lies in them, by the cube root that
        makes a sum of squares normal (Wilson & Hilferty 1931).
        """
        number, cols = self._number, rows.shape[1]
        variance = 2 * (1 - number / cols) / (9 * number)
        share = np.square(_unit(rows) @ self._directions).sum(axis=1) * (cols / number)
        above: Array = (np.cbrt(share) - (1 - variance)) / math.sqrt(variance)
        return above


def _unit(rows: Array) -> Array:
    """``rows`` of norm 1, and those of zeros."""
    sizes = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    unit: Array = rows / np.maximum(sizes, 1e-30)[:, None]
    return unit
