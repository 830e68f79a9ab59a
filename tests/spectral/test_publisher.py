"""Who publishes a matrix knows every seed, name and option: none of them helps to hide its largest singular value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.spectral.misleading import assert_holds, misleading, public_start
from tests.spectral.planted import truth
from tests.spectral.views import VIEWS
from tests.support.covering import covering
from tests.support.models import build
from weightaudit.arrays import as_array, as_tensor
from weightaudit.records import RoleMatrix
from weightaudit.spectral import measure
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.operators.dense import gram_side

SHAPES = [(300, 200), (200, 300), (256, 256)]


@pytest.mark.parametrize(
    ("dtype", "shape", "seed"), covering([torch.float64, torch.float32], SHAPES, range(4), together=1)
)
def test_a_matrix_orthogonal_to_the_start_that_its_name_would_have(
    shape: tuple[int, int], dtype: torch.dtype, seed: int
) -> None:
    name = f"/{seed}//M1"
    W = misleading(shape, public_start(name, shape[1], seed), seed).to(dtype)
    assert_holds(measure(W, method="krylov", seed=seed, name=name), W)


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "scattered"])
def test_however_it_lies_in_memory(view: str) -> None:
    row_major = view != "transposed storage"
    W = misleading((300, 200), public_start("W", 200 if row_major else 300), row_major=row_major)
    assert_holds(measure(VIEWS[view](W), method="krylov", name="W"), W)


@pytest.mark.parametrize("stored", ["linear", "conv1d"])
def test_in_blocks(stored: str) -> None:
    """The stack of Q, K and V is attacked where each of them is measured as it should be."""
    row_major = stored == "linear"
    W = misleading((360, 120), public_start("/0//QKV", 120 if row_major else 360), row_major=row_major).float()
    blocks = [block.clone() if row_major else VIEWS["transposed storage"](block) for block in W.split(120)]
    assert_holds(measure(blocks, method="krylov", name="/0//QKV"), W)
    for block in blocks:
        assert_holds(measure(block, method="krylov", name="/0//Q"), block)


def test_from_numpy_without_a_name() -> None:
    W = misleading((300, 200), public_start("", 200))
    assert_holds(wa.measure(W.numpy(), method="krylov"), W)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_leading_singular_values_begin_with_the_largest(shape: tuple[int, int]) -> None:
    W = misleading(shape, public_start("", shape[1]))
    detail = measure(W, method="krylov", spectrum=True).detail
    assert detail is not None
    assert detail.singular_values[0] == pytest.approx(1.5, abs=1e-3)


def attack(matrix: RoleMatrix, blocks: Sequence[torch.Tensor]) -> torch.Tensor:
    """A matrix like ``matrix``, which lies as ``blocks`` do, made for the start that its name would have."""
    row_major, _ = gram_side(block_matrix(blocks))
    return misleading(matrix.shape, public_start(matrix.key, matrix.shape[row_major]), row_major=row_major).float()


@pytest.mark.parametrize(
    ("roles", "family"),
    [
        ("Q,K,V,O,M1,M2", "gpt2"),
        pytest.param("Q,K,V,O,M1,M2", "bert", marks=pytest.mark.slow),
        *(pytest.param("QKV,O,M1,M2", family, marks=pytest.mark.slow) for family in ("bert", "gpt2")),
    ],
)
def test_a_checkpoint_of_such_matrices(tmp_path: Path, family: str, roles: str) -> None:
    """Split and fused tensors, Linear and Conv1D; every one hides its norm, or every stack of Q, K and V does."""
    sizes: dict[str, Any] = (
        {"hidden_size": 96, "intermediate_size": 128} if family == "bert" else {"n_embd": 96, "n_inner": 128}
    )
    directory = tmp_path / family
    build(family, **sizes).save_pretrained(directory)
    tensors = load_file(directory / "model.safetensors")
    for matrix in wa.matrices(directory):
        if matrix.role not in roles.split(","):
            continue
        blocks = [as_tensor(part.cut(as_array(tensors[part.tensor]))) for part in matrix.parts]
        made = attack(matrix, blocks)
        for block, rows in zip(blocks, made.split([len(block) for block in blocks]), strict=True):
            block.copy_(rows)  # a view of the stored tensor
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    asked = {matrix.key: matrix for matrix in wa.matrices(directory)}
    rows = wa.scan(directory, method="krylov", roles=roles).rows
    assert len(rows) == (12 if "QKV" not in roles else 8)
    for row in rows:
        W = asked[row.matrix.key].load()
        assert truth(W)[0] == pytest.approx(1.5, rel=1e-6)
        assert_holds(row.spectrum, W)
    assert np.isfinite([row.spectrum.stable_rank for row in rows]).all()
