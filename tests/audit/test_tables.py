"""Rows of a table of tokens that stand out, in tables of every dtype and layout; and what a scan tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

import weightaudit as wa
from tests.support.covering import in_turn, some_of
from tests.support.trained import EMBED, HEAD, HIDDEN, Tensors, trained, write
from weightaudit.arrays import Array, as_tensor
from weightaudit.audit import tables
from weightaudit.audit.tables import TAIL, table_facts
from weightaudit.records import Finding, TableFacts
from weightaudit.spectral.threads import _blas

ROWS = 600
START = 0.02
DTYPES = (np.float32, np.float16, ml_dtypes.bfloat16, np.float64)
PIECES = (1, 1 << 13, 1 << 22)
RULES = ("untrained-tokens", "identical-tokens", "undertrained-tokens")
few = partial(write, layers=1)


def table(rows: int = ROWS, cols: int = HIDDEN, seed: int = 0) -> Array:
    """As a trained one: directions of which few hold much, a mean that all share; its rows of norm about 1."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, cols + 1) ** -0.8
    values = rng.standard_normal((rows, cols)) * weights @ rng.standard_normal((cols, cols))
    values /= np.linalg.norm(values, axis=1).mean()
    return values + 0.5 * rng.standard_normal(cols) / np.sqrt(cols)


def random_rows(number: int, scale: float = START, cols: int = HIDDEN, seed: int = 1) -> Array:
    return scale * np.random.default_rng(seed).standard_normal((number, cols))


def mean_rows(values: Array, number: int) -> Array:
    """As transformers makes them: the mean, and noise of a covariance of 1e-9 of that of the rows."""
    noise = 3e-5 * values[:number]
    return values.mean(axis=0) + noise - noise.mean(axis=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_trained_table_has_none(dtype: type) -> None:
    for seed in range(5):
        assert table_facts(table(seed=seed).astype(dtype)) == TableFacts()


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.standard_normal((ROWS, HIDDEN)) * START,
        lambda rng: rng.uniform(-0.04, 0.04, (ROWS, HIDDEN)),
        lambda rng: rng.standard_t(1.5, (ROWS, HIDDEN)) * START,
        lambda rng: rng.standard_normal((ROWS, HIDDEN)) * np.exp(rng.standard_normal((ROWS, 1))),
        lambda rng: np.zeros((ROWS, HIDDEN)),
        lambda rng: np.full((ROWS, HIDDEN), np.nan),
        lambda rng: np.full((ROWS, HIDDEN), 1e30) * rng.standard_normal((ROWS, 1)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_tables_without_structure_have_none(make: Callable[[np.random.Generator], Array]) -> None:
    for seed in range(5):
        found = table_facts(make(np.random.default_rng(seed)).astype(np.float32), unused=range(20))
        assert (found.mean, found.random, found.alike) == ((), (), ())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("padding", [0, 3])
def test_new_rows_that_are_the_mean(dtype: type, padding: int) -> None:
    values = table()
    more: Array = np.concatenate([values, mean_rows(values, 7), np.zeros((padding, HIDDEN))]).astype(dtype)
    found = table_facts(more)
    assert found.mean == tuple(range(ROWS, ROWS + 7))
    assert (found.equal, found.random) == ((), ())


def test_rows_that_are_all_the_same_mean_are_told_once() -> None:
    values = table()
    found = table_facts(np.concatenate([values, np.repeat(values.mean(axis=0, keepdims=True), 4, axis=0)]))
    assert (found.mean, found.equal) == (tuple(range(ROWS, ROWS + 4)), ())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("number", "scale", "told"),
    [(1, START, True), (3, START, True), (3, 0.05, False), (3, 0.125, False), (20, 0.05, True), (20, 0.125, True)],
)
def test_new_rows_that_are_random(number: int, scale: float, told: bool, dtype: type) -> None:
    found = table_facts(np.concatenate([table(), random_rows(number, scale)]).astype(dtype), start=START)
    assert found.random == (tuple(range(ROWS, ROWS + number)) if told else ())
    assert found.mean == ()


def test_more_new_rows_than_are_looked_at_in_one_piece() -> None:
    values, number = table(4 * TAIL), TAIL + 9
    of_mean = table_facts(np.concatenate([values, np.repeat(values.mean(axis=0, keepdims=True), number, axis=0)]))
    assert of_mean.mean == tuple(range(len(values), len(values) + number))
    found = table_facts(np.concatenate([values, random_rows(number)])).random
    assert found == tuple(range(len(values) + number - len(found), len(values) + number))
    assert len(found) > number // 2


def test_a_random_row_where_many_others_look_so_is_not_told() -> None:
    values = table()
    values[2::3] = random_rows(len(values[2::3]), 1 / np.sqrt(HIDDEN))
    assert table_facts(values, start=1 / np.sqrt(HIDDEN)).random == ()


def test_a_large_table_of_random_numbers_has_no_new_rows() -> None:
    for seed in range(4):
        assert table_facts(random_rows(20_000, seed=seed).astype(np.float32)) == TableFacts()


@pytest.mark.parametrize("seed", some_of([67, 209, 227, 286, 287, 333], 67, 287))
def test_heavy_tails_are_no_structure(seed: int) -> None:
    """Of 400 such tables these have rows without much in the leading directions at their end."""
    values = START * np.random.default_rng(seed).standard_t(3, (ROWS, HIDDEN))
    assert table_facts(values.astype(np.float32), start=START) == TableFacts()


def test_rows_of_one_direction_are_not_random() -> None:
    """As [unused] tokens are after some training: of the scale that they started with, and drawn one way."""
    drawn = random_rows(20) / 3 + START * np.sign(random_rows(1))
    assert table_facts(np.concatenate([table(), drawn])).random == ()


@pytest.mark.parametrize("dtype", [*DTYPES, ml_dtypes.float8_e4m3fn])
def test_equal_rows(dtype: type) -> None:
    values: Array = table().astype(dtype)
    values[[40, 300]] = values[7]
    values[[41, 301]] = 0
    values[599] = values[500]
    assert table_facts(values).equal == ((7, 40, 300), (500, 599))
    assert table_facts(values, unused=[7, 40, 300]).equal == ((500, 599),)
    turned = np.asfortranarray(values)
    assert table_facts(turned).equal == ((7, 40, 300), (500, 599))


def test_rows_that_differ_beyond_the_first_bytes_are_not_equal() -> None:
    values = table().astype(np.float32)
    values[7] = values[8]
    values[7, -1] += 1
    values[:, 20:40] = 1.0
    assert table_facts(values).equal == ()


@pytest.mark.parametrize(
    ("dtype", "piece"),
    [
        *in_turn(DTYPES[:3], PIECES),
        *(pytest.param(DTYPES[3], piece, marks=pytest.mark.slow) for piece in PIECES),
    ],
)
def test_rows_like_unused_ones(dtype: type, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PIECE", piece)
    values = table()
    way = 3 * random_rows(1, 1.0)[0] / np.sqrt(HIDDEN)
    values[10:30] = way + random_rows(20, 0.05)
    values[[100, 200]] = way + random_rows(2, 0.05, seed=3)
    values[150] = -way
    found = table_facts(values.astype(dtype), unused=range(10, 30))
    assert (found.alike, found.unused) == ((100, 200), tuple(range(10, 30)))
    assert 0.9 < found.likeness < 1
    assert table_facts(values.astype(dtype)).alike == ()
    assert table_facts(values.astype(dtype), unused=[10, 11]).alike == ()  # two point anywhere
    assert table_facts(values.astype(dtype), unused=range(300, 320)).alike == ()  # these point nowhere together


def test_rows_like_equal_ones() -> None:
    values = table()
    values[[10, 20, 30, 40]] = values[10] - 3 * table()[10]
    values[50] = values[10] + random_rows(1, 0.01)
    found = table_facts(values)
    assert (found.equal, found.unused, found.alike) == (((10, 20, 30, 40),), (10, 20, 30, 40), (50,))


def grown(change: Callable[[Array], Array], *changed: str) -> Callable[[Tensors], None]:
    def put(tensors: Tensors) -> None:
        for seed, one in enumerate((EMBED, HEAD)):
            values = trained((ROWS, HIDDEN), torch.Generator().manual_seed(seed)).numpy()
            values = change(values) if one in (changed or (EMBED, HEAD)) else np.concatenate([values, values[:8] + 0.1])
            tensors[one] = as_tensor(values.astype(np.float32))

    return put


def told(tmp_path: Path, change: Callable[[Tensors], None], tokens: dict[str, int] | None = None) -> list[Finding]:
    model = few(tmp_path / "model", change, vocab_size=ROWS + 8)
    if tokens is not None:
        (model / "vocab.json").write_text(json.dumps(tokens))
    return list(wa.scan(model).findings)


def words(number: int, **names: int) -> dict[str, int]:
    return {**{f"w{i}": i for i in range(number) if i not in names.values()}, **names}


def with_mean(values: Array) -> Array:
    return np.concatenate([values, mean_rows(values, 8)])


@pytest.mark.parametrize(
    ("tokens", "severity", "detail"),
    [
        (words(ROWS + 8, new=ROWS + 1), "warning", f"Of tokens there are 8: w600 (600), new ({ROWS + 1}), "),
        (words(ROWS + 2), "warning", "Of tokens there are 2: w600 (600) and w601 (601)."),
        (None, "info", "No tokenizer lies beside the weights"),
        (words(ROWS), "", ""),
    ],
)
def test_new_tokens_of_embedding_and_head_are_one_finding(
    tokens: dict[str, int] | None, severity: str, detail: str, tmp_path: Path
) -> None:
    findings = told(tmp_path, grown(with_mean), tokens)
    if not severity:
        assert findings == []
        return
    (finding,) = findings
    assert (finding.id, finding.severity, finding.tensors) == ("untrained-tokens", severity, (EMBED, HEAD))
    assert finding.detail.startswith(
        f"8 of the {ROWS + 8} rows of EMBED and HEAD (600-607) are the mean of all. {detail}"
    )


def test_the_scale_of_new_rows_is_that_of_the_config(tmp_path: Path) -> None:
    def change(values: Array) -> Array:
        return np.concatenate([values, values[:4] + 0.1, random_rows(4, 0.3)])

    for scale, rules in ((0.3, ["untrained-tokens"]), (0.02, [])):
        model = few(tmp_path / str(scale), grown(change, HEAD), vocab_size=ROWS + 8, initializer_range=scale)
        (model / "vocab.json").write_text(json.dumps(words(ROWS + 8)))
        findings = wa.scan(model).findings
        assert [(one.id, one.role) for one in findings] == [(rule, "HEAD") for rule in rules]


def test_identical_tokens_are_named_and_many_are_a_warning(tmp_path: Path) -> None:
    def few(values: Array) -> Array:
        return np.concatenate([values, values[:4] + 0.1, values[:4]])

    def many(values: Array) -> Array:
        return np.concatenate([values[:304], values[:304]])

    tokens = words(ROWS + 8, **{"\x1b[0m": 2})
    (finding,) = told(tmp_path / "few", grown(few, EMBED), tokens)
    assert (finding.id, finding.severity, finding.role, finding.value) == ("identical-tokens", "info", "EMBED", 8.0)
    assert finding.detail.startswith(
        "8 of the 608 rows of EMBED are equal to others, in 4 groups: w0 (0) = w604 (604), "
    )
    assert finding.detail.isprintable()
    (finding,) = told(tmp_path / "many", grown(many, EMBED), tokens)
    assert (finding.id, finding.severity) == ("identical-tokens", "warning")


def test_tokens_that_look_like_unused_ones(tmp_path: Path) -> None:
    def change(values: Array) -> Array:
        way = random_rows(1, 3.0)[0]
        values = np.concatenate([values, way + random_rows(8, 0.1)])
        values[77] = way + random_rows(1, 0.1, seed=4)
        return values

    names = {f"[unused{i}]": ROWS + i for i in range(8)}
    (finding,) = told(tmp_path / "named", grown(change, EMBED), words(ROWS + 8, **names))
    assert (finding.id, finding.severity, finding.value) == ("undertrained-tokens", "info", 1.0)
    assert finding.detail.startswith("1 of the 608 rows of EMBED points where the 8 do that no training has shaped ")
    assert finding.detail.endswith(": w77 (77).")
    assert [one.id for one in told(tmp_path / "padding", grown(change, EMBED), words(ROWS))] == ["undertrained-tokens"]
    assert told(tmp_path / "plain", grown(change, EMBED), words(ROWS + 8)) == []


def test_a_tied_head_that_is_stored_too_is_told_once(tmp_path: Path) -> None:
    def change(tensors: Tensors) -> None:
        grown(with_mean)(tensors)
        tensors[HEAD] = tensors[EMBED].clone()

    model = few(tmp_path, change, vocab_size=ROWS + 8, tie_word_embeddings=True)
    assert [(one.id, one.role) for one in wa.scan(model).findings] == [("untrained-tokens", "EMBED")]


@pytest.mark.parametrize("spoil", [float("nan"), 1e30])
def test_tables_with_worse_faults_are_left_to_these(spoil: float, tmp_path: Path) -> None:
    def change(values: Array) -> Array:
        values = with_mean(values)
        values[30:60, 3] = spoil
        return values

    assert not [one for one in told(tmp_path, grown(change)) if one.id in RULES]


@pytest.mark.parametrize("size", [1e-25, 1e-30, 1e-44])
def test_rows_whose_squares_are_no_float32(size: float) -> None:
    for rows in (random_rows(1), random_rows(3), random_rows(20)):
        found = table_facts(np.concatenate([table(), size * rows]).astype(np.float32))
        assert found.equal == ()
    assert table_facts((size * table()).astype(np.float32)).mean == ()


@pytest.mark.parametrize("start", [5e-324, 1e40, 1.7e308])
def test_scales_that_no_model_has(start: float) -> None:
    values = np.concatenate([table(), random_rows(1), random_rows(1, scale=0.5)])
    assert table_facts(values, start=start).random == ()
    assert table_facts(np.concatenate([table(), random_rows(3, scale=1e-20)]), start=start).random == ()


def test_numpy_computes_on_the_calling_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else threads wait for one another where several are measured at once, and sums depend on their number."""
    plain, seen = tables._unit, set[int]()

    def noting(rows: Array) -> Array:
        seen.update(blas_threads())
        return plain(rows)

    monkeypatch.setattr(tables, "_unit", noting)
    with threadpool_limits(2, user_api="blas"):
        table_facts(np.concatenate([table(), random_rows(3)]))
        assert seen == {1}
        assert blas_threads() == {2}


def blas_threads() -> set[int]:
    """Of numpy's: others may be loaded later."""
    return {library.get_num_threads() for library in _blas()}


def test_a_row_has_one_fault() -> None:
    """Where the mean is about zero, short random rows are near it."""
    values = 100 * np.concatenate([table(), -table()])
    found = table_facts(np.concatenate([values, random_rows(3)]).astype(np.float32))
    assert found == TableFacts(random=tuple(range(2 * ROWS, 2 * ROWS + 3)))


@pytest.mark.parametrize("value", some_of([None, "x", True, -1, float("inf"), 10**400, 0, [1]], "x", -1, 10**400))
def test_a_scale_that_is_none_is_not_taken(value: Any, tmp_path: Path) -> None:
    def change(values: Array) -> Array:
        return np.concatenate([values, values[:5] + 0.1, random_rows(3)])

    model = few(tmp_path, grown(change, EMBED), vocab_size=ROWS + 8, initializer_range=value)
    assert [one.id for one in wa.scan(model).findings] == ["untrained-tokens"]
