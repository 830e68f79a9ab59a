"""The stable rank of random matrices, beside which trained ones are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import factory
from weightaudit.records import LayerRow
from weightaudit.report.reference import MAX_REFERENCES, gaussian_stable_rank, references


@pytest.mark.parametrize("shape", [(400, 400), (800, 200), (100, 900)])
def test_it_is_that_of_a_random_matrix(shape: tuple[int, int]) -> None:
    values = np.linalg.svd(np.random.default_rng(0).standard_normal(shape), compute_uv=False)
    assert gaussian_stable_rank(*shape) == pytest.approx((values**2).sum() / values[0] ** 2, rel=0.03)


def test_one_a_shape_whichever_way_it_lies() -> None:
    found = references(factory.bert().rows)
    assert [one.shape for one in found] == [(768, 768), (3072, 768), (2304, 768)]
    assert found[0].roles == ("Q", "K", "V", "O")
    assert found[1].roles == ("M1", "M2")
    assert found[1].stable_rank == gaussian_stable_rank(768, 3072)


def test_stacks_have_their_own_and_what_is_outside_the_layers_none() -> None:
    assert {one.stack for one in references(factory.seq2seq().rows)} == {"encoder", "decoder"}
    assert references(factory.embeddings_only().rows) == []


def test_the_most_frequent_of_many_shapes() -> None:
    rows = [
        LayerRow(factory.matrix("Q", layer, (8 + layer % 9, 8), f"{layer}"), factory.spectrum(1.0, 2.0))
        for layer in range(40)
    ]
    assert len(references(rows)) == MAX_REFERENCES
