"""Matrices on their way to a device: what is copied late is waited for, and nothing overtakes a copy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import weightaudit as wa
from tests.support.trained import write
from weightaudit.audit import measuring
from weightaudit.spectral import digest, measure, uploads
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.operators.dense import gram_side
from weightaudit.spectral.tensors import CudaCopies, on_host
from weightaudit.spectral.uploads import Copies, Uploads

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


class LateCopies:
    """A stand-in for a device, whose copies are made in their order and not before something waits for them."""

    def __init__(self, memory: int = 1 << 40) -> None:
        self.memory, self.log = memory, [""]
        self.closed = False
        self._begun: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._done, self._one = 0, threading.Lock()

    def free(self) -> int:
        return self.memory

    def staging(self, nbytes: int) -> torch.Tensor | None:
        self.log.append(f"staging {nbytes}")
        return torch.empty(nbytes, dtype=torch.uint8)

    def room(self, like: torch.Tensor) -> torch.Tensor | None:
        return torch.full(like.shape, torch.nan, dtype=like.dtype)

    def begin(self, target: torch.Tensor, source: torch.Tensor) -> int:
        self._begun.append((target, source))
        self.log.append(f"begin {len(self._begun)}")
        return len(self._begun)

    def wait(self, event: int) -> None:
        self.log.append(f"wait {event}")
        self._until(event)

    def join(self, event: int, panels: tuple[torch.Tensor, ...]) -> None:
        self.log.append(f"join {event}")
        self._until(event)

    def close(self) -> None:
        self._until(len(self._begun))
        self.closed = True

    def _until(self, event: int) -> None:
        with self._one:
            for target, source in self._begun[self._done : event]:
                target.copy_(source)
            self._done = max(self._done, event)


class NoWait(LateCopies):
    """As where a buffer is filled again before its copy is done."""

    def wait(self, event: int) -> None: ...


class NoJoin(LateCopies):
    """As where a matrix is read before it has come."""

    def join(self, event: int, panels: tuple[torch.Tensor, ...]) -> None: ...


def matrices() -> dict[str, Any]:
    W = torch.randn(90, 70, generator=torch.Generator().manual_seed(0))
    return {
        "rows": W,
        "columns": W.T,
        "padded": W[:, 5:40],
        "bfloat16": W.bfloat16(),
        "float64": W.double().numpy(),
        "blocks": [W[:40], W[60:]],
        "blocks by columns": [W.T[:30].clone().T[:50], W.T[30:60].T[:50]],
        "column": W[:, 3:4],
        "row": W[3:4],
    }


@pytest.fixture(autouse=True)
def _small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STAGING", 1024)


@pytest.mark.parametrize("name", matrices())
def test_what_is_measured_there_is_what_lies_here(name: str) -> None:
    here = matrices()[name]
    ahead = Uploads(LateCopies()).begin(here)
    assert ahead is not None
    there = ahead.take()
    assert gram_side(block_matrix(there)) == gram_side(block_matrix(here))
    known = digest(here)
    for method in ("exact", "krylov"):
        expected = measure(here, method=method, digest=known)
        assert measure(there, method=method, digest=known) == expected
        assert expected.nonfinite == 0


@pytest.mark.parametrize("forgetful", [NoWait, NoJoin])
def test_a_wait_that_is_left_out_gives_wrong_numbers(forgetful: type[LateCopies]) -> None:
    here = matrices()["rows"]
    ahead = Uploads(forgetful()).begin(here)
    assert ahead is not None
    assert not torch.equal(ahead.take()[0], here)


def test_a_buffer_is_filled_again_when_its_copy_is_done() -> None:
    copies = LateCopies()
    sending = Uploads(copies)
    rows = torch.arange(5.0 * 256).reshape(5, 256)  # a row fills a buffer
    first, second = sending.begin(rows), sending.begin(-rows[:2])
    assert copies.log[1:3] == ["staging 1024", "staging 1024"]
    later = [line for n in range(1, 6) for line in (f"wait {n}", f"begin {n + 2}")]
    assert copies.log[3:] == ["begin 1", "begin 2", *later]
    assert first is not None
    assert second is not None
    assert torch.equal(second.take()[0], -rows[:2])
    assert torch.equal(first.take()[0], rows)
    assert copies.log[-2:] == ["join 7", "join 5"]


def test_what_goes_ahead_is_bounded() -> None:
    W = matrices()["rows"]
    assert Uploads(LateCopies(memory=4 * W.nbytes)).begin(W) is not None
    assert Uploads(LateCopies(memory=4 * W.nbytes - 1)).begin(W) is None
    wide = torch.zeros(300, 257)
    assert Uploads(LateCopies()).begin(wide) is None  # one row is more than a buffer
    assert Uploads(LateCopies()).begin(torch.zeros(80, 80)[::2, ::2]) is None
    assert Uploads(LateCopies()).begin(np.zeros((0, 5), np.float32)) is None

    class Full(LateCopies):
        def room(self, like: torch.Tensor) -> None: ...

    assert Uploads(Full()).begin(W) is None

    class Locked(LateCopies):
        def staging(self, nbytes: int) -> None:
            self.log.append("staging")

    refused = Uploads(copies := Locked())
    assert [refused.begin(W), refused.begin(W)] == [None, None]
    assert copies.log.count("staging") == 2, "the system is asked once for each buffer"


@contextmanager
def sending(copies: Copies, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have scans send their matrices so, to the CPU."""

    @contextmanager
    def to(device: str) -> Iterator[Uploads]:
        under_way = Uploads(copies)
        try:
            yield under_way
        finally:
            under_way.close()

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "uploads_to", to)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("ahead") / "model")


def test_a_scan_sends_one_matrix_ahead(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = wa.scan(model, layers="0,1", threads=1).to_csv()
    copies = LateCopies()
    with sending(copies, monkeypatch):
        assert wa.scan(model, layers="0,1", threads=1).to_csv() == expected
    assert copies.closed
    ends = [int(line.split()[1]) for line in copies.log if line.startswith("join")]
    assert len(ends) == expected.count("\n") - 1
    with sending(NoJoin(), monkeypatch):
        assert wa.scan(model, layers="0,1", threads=1).to_csv() != expected


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_end_in_between_waits_for_what_is_under_way(
    model: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ending(LateCopies):
        def begin(self, target: torch.Tensor, source: torch.Tensor) -> int:
            if len(self.log) > 40:
                raise error
            return super().begin(target, source)

    copies = Ending()
    with sending(copies, monkeypatch), pytest.raises(error):
        wa.scan(model, layers="0,1", threads=1)
    assert copies.closed


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("name", matrices())
def test_a_device_gets_every_byte(name: str) -> None:
    under_way = Uploads(CudaCopies(torch.device("cuda")))
    for _ in range(20):
        ahead = under_way.begin(matrices()[name])
        assert ahead is not None
        for there, here in zip(ahead.take(), block_matrix(matrices()[name]).blocks, strict=True):
            assert torch.equal(there.cpu(), on_host(here))
    under_way.close()


@pytest.mark.cuda
@needs_cuda
def test_a_scan_on_a_device_has_the_intervals_of_the_cpu(model: Path) -> None:
    for here, there in zip(wa.scan(model).rows, wa.scan(model, device="cuda").rows, strict=True):
        one, other = here.spectrum, there.spectrum
        assert one.frobenius_norm == pytest.approx(other.frobenius_norm, rel=1e-12)
        assert one.spectral_norm <= other.spectral_norm_upper
        assert other.spectral_norm <= one.spectral_norm_upper
