"""Figure 1 on tiny models of every family, against the dense SVD of the live models; models that are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.minilm import minilm_directory, needs_minilm
from tests.support.models import FF, HIDDEN, LAYERS, RECIPES, build
from tests.support.toy_experiment import Counting
from weightaudit.audit.progress import Silent
from weightaudit.errors import ModelUnavailable
from weightaudit.paper.figure1.claims import ROLES
from weightaudit.paper.figure1.experiment import Figure1Config, run
from weightaudit.paper.results import Result


@pytest.fixture(scope="module")
def five(tiny_checkpoints: dict[str, Path]) -> Result:
    return run(Figure1Config(models=tuple(str(tiny_checkpoints[family]) for family in RECIPES)), Silent())


def test_every_role_of_every_layer_of_every_model(five: Result) -> None:
    expected = [(family, layer, role) for family in RECIPES for layer in range(LAYERS) for role in ROLES]
    assert five.points[["model", "layer", "role"]].to_records(index=False).tolist() == expected
    assert five.lacking == ()
    assert [claim.id for claim in five.claims] == [
        "norms-of-one-order",
        "stable-ranks-low",
        "norms-steady-across-layers",
        "o-differs",
    ]


def test_the_numbers_are_those_of_the_live_model(five: Result) -> None:
    model = build("bert")
    layer = model.bert.encoder.layer[1]
    q, k, v = (getattr(layer.attention.self, name).weight for name in ("query", "key", "value"))
    matrices = {
        "Q": q,
        "QKV": np.concatenate([part.detach().numpy() for part in (q, k, v)]),
        "O": layer.attention.output.dense.weight,
        "M1": layer.intermediate.dense.weight,
        "M2": layer.output.dense.weight,
    }
    points = five.points[(five.points["model"] == "bert") & (five.points["layer"] == 1)].set_index("role")
    for role, weight in matrices.items():
        point = points.loc[role].to_dict()
        matrix = weight if isinstance(weight, np.ndarray) else weight.detach().numpy()
        sigma = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
        assert (point["rows"], point["cols"]) == matrix.shape
        assert point["frobenius_norm"] == pytest.approx(np.sqrt((sigma**2).sum()), rel=1e-6)
        rank = (sigma**2).sum() / sigma[0] ** 2
        assert point["stable_rank_lower"] <= rank * (1 + 1e-6)
        assert rank <= point["stable_rank"] * (1 + 1e-6)


def test_panels(five: Result) -> None:
    assert [chart.panel for chart in five.charts] == [(row, column) for row in range(5) for column in (0, 1)]
    norms, ranks = five.charts[4:6]
    assert norms.title == "gpt2: Frobenius norm"
    assert [series.name for series in ranks.series] == list(ROLES)
    points = five.points
    m2 = points[(points["model"] == "gpt2") & (points["role"] == "M2")]
    drawn = ranks.series[-1]
    assert list(drawn.x) == [0, 1]
    assert list(drawn.y) == m2["stable_rank"].tolist()
    assert drawn.low is not None
    assert list(drawn.low) == m2["stable_rank_lower"].tolist()


@pytest.fixture(scope="module")
def two(tiny_checkpoints: dict[str, Path]) -> tuple[Result, Counting]:
    """Two of the models by themselves, the other way round, and what is heard of them."""
    heard = Counting()
    return run(Figure1Config(models=tuple(str(tiny_checkpoints[family]) for family in ("gptj", "bert"))), heard), heard


def test_the_same_seed_gives_the_same_points(five: Result, two: tuple[Result, Counting]) -> None:
    before = pd.concat([five.points[five.points["model"] == family] for family in ("gptj", "bert")], ignore_index=True)
    pd.testing.assert_frame_equal(two[0].points, before, check_exact=True)


def test_models_that_are_none_of_the_papers_are_told(five: Result) -> None:
    sizes = f"(layers {LAYERS}, model dimension {HIDDEN}, FF dimension {FF})"
    (told,) = (note for note in five.notes if "none of the paper's models" in note)
    for family in RECIPES:
        assert f"{family} {sizes}" in told


def test_a_model_that_is_not_there_is_named_and_left_out(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    models = (str(tmp_path / "nowhere"), str(tiny_checkpoints["phi"]), str(tmp_path / "empty"))
    result = run(Figure1Config(models=models), Silent())
    assert set(result.points["model"]) == {"phi"}
    assert result.lacking == (models[0], models[2])
    left_out = [note for note in result.notes if note.startswith("left out")]
    assert len(left_out) == 2
    assert "nowhere" in left_out[0]
    assert "no weights found" in left_out[1]


def test_no_model_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnavailable) as caught:
        run(Figure1Config(models=("./one", "./two")), Silent())
    assert "./one, ./two: none of these models is at hand" in str(caught.value)
    assert "--models" in str(caught.value)


def test_progress_counts_bytes(two: tuple[Result, Counting]) -> None:
    heard = two[1]
    assert [stage[0] for stage in heard.stages] == ["gptj", "bert"]
    for _, total, done in heard.stages:
        assert done == total
        assert isinstance(total, int)
        assert total > 0


@pytest.mark.slow
@needs_minilm
def test_a_real_model() -> None:
    result = run(Figure1Config(models=(str(minilm_directory()),)), Silent())
    assert len(result.points) == 6 * len(ROLES)
    assert result.points["converged"].all()
    # Trained weights, unlike random ones (1/4 and more), act in few directions.
    ranks = result.points["stable_rank"] / result.points[["rows", "cols"]].min(axis=1)
    assert ranks.median() < 0.15
