"""Two matrices that differ are never told as copies of one another, whatever their publisher does to the digest."""

from __future__ import annotations

from pathlib import Path

import torch

import weightaudit as wa
from tests.support.trained import EMBED, HEAD, Tensors, name, write
from weightaudit.spectral import digest

SECRET = {1: "7c01812c", 6: "b8084674", 7: "e03590e6", 8: "3c2852bb"}
"""Words of XXH3's public secret, by their place in it. Where the input has them, what follows is not multiplied but
only summed up, and sums can be kept: that hash found copies once."""
FIRST, SECOND = 6, 8
BEFORE = len("160 64 torch.float32 rows\n")
"""Bytes that were hashed before the entries; the secret's words lie 64 bytes apart in all that is hashed."""


def twins(W: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``W`` (100 to 999 rows, 10 to 99 columns, float32) with six entries changed, and that with an entry of 64; their
    XXH3-128 was the same."""
    assert (len(str(len(W))), len(str(W.shape[1])), W.dtype) == (3, 2, torch.float32)
    raw = bytearray(W.contiguous().numpy().tobytes())
    places = [64 * place - BEFORE for place in (FIRST, SECOND)]
    for place, at in zip((FIRST, SECOND), places, strict=True):
        raw[at : at + 4] = bytes.fromhex(SECRET[place])
        raw[at + 4 : at + 6] = (0x3F80).to_bytes(2, "little")  # the upper half of 1.0
    first = torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(W.shape).clone()
    for at, upper in zip(places, (0x4280, 2 * 0x3F80 - 0x4280), strict=True):
        raw[at + 4 : at + 6] = upper.to_bytes(2, "little")
    return first, torch.frombuffer(raw, dtype=torch.float32).reshape(W.shape).clone()


def test_the_twins_are_sound_matrices_that_differ() -> None:
    first, second = twins(torch.randn(160, 64, generator=torch.Generator().manual_seed(0)))
    assert first.isfinite().all()
    assert second.isfinite().all()
    assert first.abs().max() < 10
    assert 64 <= second.abs().max() < 64.5
    assert (first != second).sum() == 2
    assert digest([first]) != digest([second])


def test_a_matrix_that_stands_out_does_not_pass_for_a_copy(tmp_path: Path) -> None:
    """A copy is told once, as a copy: under an equal digest the rules that look for odd norms never saw it."""

    def change(tensors: Tensors) -> None:
        first, second = twins(tensors[name(4, "up_proj")])
        tensors[name(4, "up_proj")], tensors[name(7, "up_proj")] = first, second

    found = {(one.id, one.layer, one.role) for one in wa.scan(write(tmp_path, change)).findings}
    assert "duplicate" not in {rule for rule, _, _ in found}
    assert ("outlier-norm", 7, "M1") in found


def test_an_embedding_and_a_head_that_differ_are_not_told_as_equal(tmp_path: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors[EMBED], tensors[HEAD] = twins(tensors[EMBED])

    report = wa.scan(write(tmp_path, change, layers=2))
    assert "tie-undeclared" not in {one.id for one in report.findings}
    assert len({row.digest for row in report.rows if row.matrix.role in ("EMBED", "HEAD")}) == 2


def test_a_real_copy_is_still_found(tmp_path: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors[name(7, "up_proj")] = tensors[name(4, "up_proj")].clone()

    (found,) = wa.scan(write(tmp_path, change, layers=8)).findings
    assert (found.id, found.value) == ("duplicate", 2.0)
