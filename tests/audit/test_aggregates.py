"""Model-level numbers against hand-computed ones."""

from __future__ import annotations

import math

import pytest

from tests.audit.rows import row
from weightaudit.audit.aggregates import summarise
from weightaudit.records import CoverageEntry


def test_numbers() -> None:
    rows = [
        row(None, "EMBED", 100.0, 3.0),
        *(row(0, role, 2.0, 2.0) for role in "QKV"),
        row(0, "QKV", 4.0, 8.0),
        row(0, "M1", 2.0, 4.0),
        row(0, "M2", 8.0, 4.0),
        row(1, "QKV", 6.0, 1.0),  # fused and not split: it stands for its Q, K and V
        row(1, "M1", 3.0, 4.0),
        row(1, "M2", 3.0, 4.0),
    ]
    coverage = [
        CoverageEntry("w", (4, 4), "float32", 16, "analysed"),
        CoverageEntry("b", (4,), "bfloat16", 4, "ignored", "bias"),
        CoverageEntry("head", (4, 4), "float32", 16, "tied", "tied to w"),
        CoverageEntry("mask", (9,), "bool", 9, "ignored", "buffer", buffer=True),
    ]
    summary = summarise(rows, coverage)
    assert (summary["parameters"], summary["parameters_analysed"], summary["share_analysed"]) == (20, 16, 0.8)
    assert summary["dtypes"] == {"bfloat16": 4, "float32": 16}
    means = summary["stable_rank_harmonic_mean"]
    assert means["all"] == pytest.approx(8 / (3 / 2 + 1 + 4 / 4))
    assert means["QKV"] == pytest.approx(2 / (1 / 8 + 1))
    assert "EMBED" not in means
    assert summary["norm_spread"]["M1"] == {"min": 2.0, "max": 3.0, "mean": 2.5, "ratio": 1.5}
    assert summary["norm_preservation"] == {"median": pytest.approx(3.0), "max": pytest.approx(4.0)}
    assert summary["zeros"] == 9  # every weight once: QKV of layer 0 repeats its parts


@pytest.mark.parametrize(("roles", "counted"), [("Q K V QKV", 3), ("Q QKV", 1), ("QKV", 1), ("Q K", 2)])
def test_no_weight_counts_twice_whatever_was_selected(roles: str, counted: int) -> None:
    rows = [row(0, role, 2.0, 8.0 if role == "QKV" else 2.0) for role in roles.split()]
    summary = summarise(rows, [])
    assert summary["zeros"] == counted
    assert summary["stable_rank_harmonic_mean"]["all"] == pytest.approx(2.0 if counted > 1 else 8.0)


def test_nothing_finite() -> None:
    summary = summarise([row(0, "Q", math.nan, math.nan, nonfinite=2)], [])
    assert summary["stable_rank_harmonic_mean"] == {"all": None, "Q": None}
    assert summary["norm_spread"]["Q"]["ratio"] is None
    assert summary["norm_preservation"] == {"median": None, "max": None}
    assert summary["share_analysed"] is None
    assert summary["nonfinite"] == 2
