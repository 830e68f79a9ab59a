"""The main job on a real pretrained checkpoint, against a dense SVD in double precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

import weightaudit as wa
from tests.support.browser import needs_chromium, opened
from tests.support.minilm import minilm_directory, needs_minilm
from tests.support.running import CommandLine

pytestmark = needs_minilm

LAYER = "encoder.layer.{}.{}.weight"
NAMES = {
    "Q": ["attention.self.query"],
    "K": ["attention.self.key"],
    "V": ["attention.self.value"],
    "O": ["attention.output.dense"],
    "QKV": ["attention.self.query", "attention.self.key", "attention.self.value"],
    "M1": ["intermediate.dense"],
    "M2": ["output.dense"],
}
OUTSIDE = {
    "EMBED": "embeddings.word_embeddings.weight",
    "POSITION": "embeddings.position_embeddings.weight",
    "TOKEN_TYPE": "embeddings.token_type_embeddings.weight",
    "POOLER": "pooler.dense.weight",
}


@pytest.fixture(scope="module", params=[(5,), pytest.param(tuple(range(6)), marks=pytest.mark.slow)])
def truth(request: pytest.FixtureRequest) -> pd.DataFrame:
    """Norms of every matrix, read with safetensors, by numpy's dense float64 SVD; by default of those of one layer."""
    directory = minilm_directory()
    assert directory is not None
    stored = safetensors.numpy.load_file(directory / "model.safetensors")
    matrices = {
        (layer, role): [LAYER.format(layer, name) for name in names]
        for layer in request.param
        for role, names in NAMES.items()
    }
    whole = len(request.param) == 6
    matrices |= {(-1, role): [name] for role, name in OUTSIDE.items() if whole}
    rows = []
    for (layer, role), names in matrices.items():
        matrix = np.concatenate([stored[name] for name in names]).astype(np.float64)
        singular = np.linalg.svd(matrix, compute_uv=False)
        frobenius = np.sqrt(np.square(singular).sum())
        rows.append((layer, role, *matrix.shape, frobenius, singular[0], (frobenius / singular[0]) ** 2))
    columns = ["layer", "role", "rows", "cols", "frobenius", "sigma", "stable_rank"]
    return pd.DataFrame(rows, columns=columns).set_index(["layer", "role"])


def _scan_csv(weightaudit: CommandLine, path: Path, truth: pd.DataFrame, *words: object) -> pd.DataFrame:
    """A scan of the layers whose truth is known."""
    layers = sorted({layer for layer, _ in truth.index} - {-1})
    chosen = () if len(layers) == 6 else ("--layers", ",".join(map(str, layers)))
    done = weightaudit("scan", minilm_directory(), "--csv", path, *chosen, *words)
    assert done.code == 0, done.stderr
    frame = pd.read_csv(path)
    return frame.assign(layer=frame.layer.fillna(-1).astype(int)).set_index(["layer", "role"])


def test_exact_route_equals_dense_svd(weightaudit: CommandLine, tmp_path: Path, truth: pd.DataFrame) -> None:
    frame = _scan_csv(weightaudit, tmp_path / "layers.csv", truth, "--method", "exact")
    assert len(frame) == len(truth)
    frame = frame.loc[truth.index]
    assert set(frame.method) == {"exact"}
    assert frame.converged.all()
    for column, true in (
        ("frobenius_norm", truth.frobenius),
        ("spectral_norm", truth.sigma),
        ("spectral_norm_upper", truth.sigma),
        ("stable_rank", truth.stable_rank),
        ("stable_rank_lower", truth.stable_rank),
        ("norm_ratio", truth.frobenius / truth.sigma),
    ):
        np.testing.assert_allclose(frame[column], true, rtol=1e-5, err_msg=column)
    assert (frame[["rows", "cols"]].to_numpy() == truth[["rows", "cols"]].to_numpy()).all()


@pytest.mark.parametrize("method", ["krylov", pytest.param("auto", marks=pytest.mark.slow)])
def test_certified_interval_holds_the_truth(
    weightaudit: CommandLine, tmp_path: Path, truth: pd.DataFrame, method: str
) -> None:
    frame = _scan_csv(weightaudit, tmp_path / "layers.csv", truth, "--method", method).loc[truth.index]
    np.testing.assert_allclose(frame.frobenius_norm, truth.frobenius, rtol=1e-5)
    # As printed, with no tolerance: the CSV rounds the ends outwards.
    assert (frame.spectral_norm <= truth.sigma).all()
    assert (truth.sigma <= frame.spectral_norm_upper).all()
    assert (frame.stable_rank_lower <= truth.stable_rank).all()
    assert (truth.stable_rank <= frame.stable_rank).all()
    assert frame.converged.all()
    assert ((frame.spectral_norm_upper / frame.spectral_norm) ** 2 - 1 <= 0.01 * (1 + 1e-6)).all()


def test_every_parameter_has_its_place() -> None:
    directory = minilm_directory()
    assert directory is not None
    report = wa.scan(directory, layers="0")
    statuses = report.coverage.groupby("status").parameters.sum()
    assert "unmapped" not in statuses
    assert len(report.coverage) == 104
    assert report.map.family == "bert"
    assert not report.map.guessed
    assert report.map.dimensions["layers"] == 6
    assert report.notes == ()


def test_matrices_are_lazy_and_loadable() -> None:
    directory = minilm_directory()
    assert directory is not None
    matrices = {(m.layer, m.role): m for m in wa.matrices(directory)}
    qkv = matrices[3, "QKV"]
    assert qkv.shape == (1152, 384)
    assert qkv.tensors == tuple(LAYER.format(3, name) for name in NAMES["QKV"])
    loaded = qkv.load()
    assert loaded.shape == qkv.shape
    assert (loaded[384:768] == matrices[3, "K"].load()).all()


@pytest.mark.slow
@pytest.mark.browser
@needs_chromium
def test_the_page_draws_every_plot(weightaudit: CommandLine, tmp_path: Path) -> None:
    assert weightaudit("scan", minilm_directory(), "--out", tmp_path / "page.html").code == 0
    dom, console = opened(tmp_path / "page.html")
    assert console == []
    assert dom.count('class="main-svg"') >= 3
    for role in NAMES:
        assert dom.count(f'data-unformatted="{role}"') >= 2  # a legend entry in both line plots
