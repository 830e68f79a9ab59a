"""What merging does to a model, by the definitions; its invariances; and what it would be by chance, by Monte Carlo."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.merges import planted
from weightaudit.records import Interactions
from weightaudit.spectral.interactions import interactions

Numbers = NDArray[np.float64]


def of(updates: list[Numbers], victims: int | None = None) -> Interactions:
    return interactions(None, [[one] for one in updates], victims=victims or len(updates))


def rotation(n: int, rng: np.random.Generator) -> Numbers:
    Q, R = np.linalg.qr(rng.standard_normal((n, n)))
    return np.asarray(Q * np.sign(np.diag(R)))


@pytest.mark.parametrize("seed", range(4))
def test_invariances(seed: int) -> None:
    """Of D: rotations of all inputs, of all outputs, one scale for all, and the order of the models change nothing."""
    rng = np.random.default_rng(seed)
    updates = planted(24, 18, seed=seed, models=3, shared=0.5)
    weights = (1.0, 0.7, -0.4)
    plain = [of(updates).effect(a, weights).disturbance for a in range(3)]
    U, V = rotation(24, rng), rotation(18, rng)
    for turned in ([U @ one for one in updates], [one @ V for one in updates], [7.5 * one for one in updates]):
        found = of(turned)
        assert [found.effect(a, weights).disturbance for a in range(3)] == pytest.approx(plain, rel=1e-4)
    order = [2, 0, 1]
    found = of([updates[i] for i in order])
    mixed = [found.effect(a, [weights[i] for i in order]).disturbance for a in range(3)]
    assert mixed == pytest.approx([plain[i] for i in order], rel=1e-4)
    assert of(updates).among(order).effect(0, [weights[i] for i in order]).disturbance == pytest.approx(
        plain[2], rel=1e-4
    )


def test_what_is_known_of_special_merges() -> None:
    """Its own update alone leaves a model undisturbed, none at all is as far as the base; twice itself is D = 1; and an
    update on other inputs adds nothing."""
    one, other = planted(20, 16, seed=0, shared=0.0)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0]
    one, other = one @ Q[:, :8] @ Q[:, :8].T, other @ Q[:, 8:] @ Q[:, 8:].T
    found = of([one, other, one])
    assert found.effect(0, (1, 0, 0)).disturbance == pytest.approx(0.0, abs=1e-3)
    assert found.effect(0, (0, 0, 0)).disturbance == pytest.approx(1.0)
    assert found.effect(0, (1, 0, 1)).disturbance == pytest.approx(1.0, rel=1e-4)
    assert found.effect(0, (1, 0, 1)).retention == pytest.approx(2.0, rel=1e-4)
    assert found.effect(0, (1, 5, 0)).disturbance == pytest.approx(0.0, abs=5e-3)
    assert found.effect(0, (1, 5, 0)).chance > 1.0


def test_it_is_not_symmetric() -> None:
    one, other = planted(20, 16, seed=1, shared=1.0)
    found = of([one, 3.0 * other])
    assert found.effect(0, (1, 1)).disturbance > 3.0 * found.effect(1, (1, 1)).disturbance


def test_a_merge_that_exists() -> None:
    """It is judged by what it does; chance is of what it does beyond what acts like the model's own update."""
    updates = planted(20, 16, seed=2, shared=0.5)
    merge = 0.6 * updates[0] + 0.2 * updates[1]
    found = of([*updates, merge], victims=2)
    for a in (0, 1):
        judged, linear = found.effect(a, (0, 0, 1)), found.effect(a, (0.6, 0.2, 0))
        assert judged.disturbance == pytest.approx(linear.disturbance, rel=1e-4)
        E = merge - judged.retention * updates[a]
        chance = np.linalg.norm(E) / np.linalg.norm(updates[a]) * math.sqrt(found.participation[a] / 16)
        assert judged.chance == pytest.approx(chance, rel=1e-4)


@pytest.fixture(scope="module")
def rotations() -> Numbers:
    """(4000, 24, 24): drawn once."""
    Q, R = np.linalg.qr(np.random.default_rng(11).standard_normal((4000, 24, 24)))
    return np.asarray(Q * np.sign(np.einsum("kii->ki", R))[:, None, :])


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.5])
def test_chance_by_monte_carlo(decay: float, rotations: Numbers) -> None:
    """Of 4,000 random rotations of the other's inputs: the mean square, and a share near 5 % beyond the quantile."""
    n = 24
    one, other = planted(30, n, seed=3, shared=0.0, decay=decay)
    other = other[:, :] * np.linspace(1.5, 0.5, n)  # not flat, or there is nothing random
    found = of([one, other])
    G, H = one.T @ one, other.T @ other
    kappa = np.sqrt(((rotations.transpose(0, 2, 1) @ G @ rotations) * H).sum(axis=(1, 2))) / np.linalg.norm(G)
    assert found.effect(0, (1, 1)).chance == pytest.approx(math.sqrt(np.mean(kappa**2)), rel=0.02)
    if decay:
        for share, low, high in ((0.95, 0.035, 0.065), (0.5, 0.4, 0.6)):
            assert low < np.mean(kappa > found.chance_quantile(0, 1, share)) < high
        assert found.chance_quantile(0, 1, 0.95, -2.0) == pytest.approx(2.0 * found.chance_quantile(0, 1, 0.95))
    else:
        assert found.chance_quantile(0, 1, 0.95) == pytest.approx(found.effect(0, (1, 1)).chance, rel=0.02)


def test_chance_where_nothing_is_random() -> None:
    one = of([np.ones((5, 1)), np.ones((5, 1))])
    assert one.chance_quantile(0, 1, 0.95) == pytest.approx(1.0)
    assert math.isnan(of([np.ones((3, 3)), np.zeros((3, 3))]).chance_quantile(0, 1, 0.95))


def test_cosines() -> None:
    """Without what both have of the base, as weight decay leaves it: −cW₀."""
    rng = np.random.default_rng(0)
    W0, one, other = (rng.standard_normal((30, 20)) for _ in range(3))
    updates = [0.01 * one - 0.1 * W0, 0.01 * other - 0.1 * W0]
    found = interactions([W0], [[W0 + update] for update in updates], victims=2)
    assert found.cosine(0, 1) > 0.95
    assert abs(found.cosine_without_base(0, 1)) < 0.2
    alone = replace(found, base_sq=0.0)
    assert alone.cosine_without_base(0, 1) == alone.cosine(0, 1)
    assert math.isnan(of([np.zeros((3, 3)), np.ones((3, 3))]).cosine(0, 1))
