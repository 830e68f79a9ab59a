"""The findings about transformers, judged on made-up norms and ranks whose answers are known by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from weightaudit.paper.figure1.claims import ROLES, claims
from weightaudit.paper.results import Claim

Numbers = Sequence[float]
STEADY = {"Q": [3.0] * 10, "K": [3.0] * 10, "V": [3.0] * 10, "O": [0.5] * 10, "QKV": [5.0] * 10}
WELL = {**STEADY, "M1": [10.0] * 10, "M2": [8.0] * 10}


def rows(norms: Mapping[str, Numbers], ranks: float | Mapping[str, Numbers] = 5.0, model: str = "m") -> pd.DataFrame:
    """Rows of a scan: square matrices of size 100, ``norms[role][layer]``."""
    return pd.DataFrame(
        [
            {
                "model": model,
                "stack": "",
                "layer": layer,
                "role": role,
                "rows": 300 if role == "QKV" else 100,
                "cols": 100,
                "frobenius_norm": norm,
                "stable_rank": ranks if isinstance(ranks, float) else ranks[role][layer],
            }
            for role, values in norms.items()
            for layer, norm in enumerate(values)
        ]
    )


def judged(*frames: pd.DataFrame) -> dict[str, Claim]:
    return {claim.id: claim for claim in claims(pd.concat(frames, ignore_index=True))}


def test_all_as_the_paper_says() -> None:
    found = judged(rows(WELL))
    assert [claim.outcome for claim in found.values()] == ["true"] * 4
    assert found["norms-of-one-order"].numbers["largest ratio"] == [2.0]
    ratio = found["o-differs"].numbers["median of O / geometric mean of QKV, M1, M2"]
    assert ratio == pytest.approx([0.5 / 400 ** (1 / 3)])


@pytest.mark.parametrize(("far", "outcome"), [(1, "true"), (2, "false")])
def test_one_layer_in_ten_may_be_out_of_order(far: int, outcome: str) -> None:
    claim = judged(rows({**WELL, "M1": [51.0] * far + [49.0] * (10 - far)}))["norms-of-one-order"]
    assert claim.outcome == outcome
    assert claim.numbers["share of layers"] == pytest.approx([1 - far / 10])
    assert claim.numbers["largest ratio"] == pytest.approx([51 / 5])


@pytest.mark.parametrize(("rank", "outcome"), [(10.0, "true"), (10.1, "false"), (25.0, "false")])
def test_low_is_a_tenth_of_the_full_rank(rank: float, outcome: str) -> None:
    claim = judged(rows(WELL, rank))["stable-ranks-low"]
    assert claim.outcome == outcome
    assert claim.numbers["largest stable rank / full rank"] == pytest.approx([rank / 100])
    assert claim.numbers["harmonic mean of stable ranks (QKV, O, M1, M2)"] == pytest.approx([rank])


def test_the_harmonic_mean_by_hand() -> None:
    norms = {role: [1.0] for role in ROLES}
    ranks = {"Q": [50.0], "K": [50.0], "V": [50.0], "QKV": [1.0], "O": [2.0], "M1": [4.0], "M2": [4.0]}
    numbers = judged(rows(norms, ranks))["stable-ranks-low"].numbers
    assert numbers["harmonic mean of stable ranks (QKV, O, M1, M2)"] == [2.0]  # 4 / (1 + 1/2 + 1/4 + 1/4)


def test_one_unsteady_role_is_enough() -> None:
    claim = judged(rows({**WELL, "V": [1.0, 3.0] * 5}))["norms-steady-across-layers"]
    assert claim.outcome == "false"
    assert claim.numbers["V std/mean"] == [0.5]
    assert claim.numbers["V max/min"] == [3.0]
    assert claim.numbers["Q std/mean"] == [0.0]


def test_an_o_between_the_others_does_not_differ() -> None:
    assert judged(rows({**WELL, "O": [6.0] * 10}))["o-differs"].outcome == "false"
    assert judged(rows({**WELL, "O": [11.0] * 10}))["o-differs"].outcome == "true"


def test_every_model_must_agree_and_those_that_do_not_are_named() -> None:
    claim = judged(rows(WELL, model="good"), rows({**WELL, "M1": [500.0] * 10}, model="bad"))["norms-of-one-order"]
    assert claim.outcome == "false"
    assert claim.why == "it holds in 1 of 2 models; not in bad"
    assert claim.numbers["share of layers"] == [1.0, 0.0]


def test_a_model_without_the_roles_cannot_tell() -> None:
    few = rows({"Q": [1.0]}, float("nan"))
    found = judged(few)
    assert {claim.outcome for claim in found.values()} == {"inconclusive"}
    both = judged(few, rows(WELL, model="whole"))
    assert {claim.outcome for claim in both.values()} == {"true"}
    assert "m cannot tell" in both["o-differs"].why
