"""A scan's matrices side by side: the same bytes whatever the threads; errors, memory and interrupts as with one."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import weightaudit as wa
from tests.support.covering import some_of
from tests.support.leaks import no_thread_left
from tests.support.trained import Tensors, name, write
from weightaudit.arrays import CACHE_LINE, Array
from weightaudit.audit import measuring, reading
from weightaudit.audit import memory as memory_module
from weightaudit.audit import room as room_module
from weightaudit.audit.memory import Memory
from weightaudit.checkpoint import Checkpoint
from weightaudit.errors import CheckpointError
from weightaudit.records import Spectrum, TensorInfo
from weightaudit.spectral import measure

LAYERS = 2
THREADS = (1, 2, 3, 8)
FEW_THREADS = some_of(THREADS, 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some layers, a tied head that is one, tensors without a role, and a matrix that all threads take part in."""

    def more(tensors: Tensors) -> None:
        tensors["model.adapter.weight"] = torch.randn(700, 900, generator=torch.Generator().manual_seed(1)).bfloat16()
        tensors["model.embed_tokens.weight"] = torch.randn(9000, 64, generator=torch.Generator().manual_seed(2))
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    return write(tmp_path_factory.mktemp("model"), more, layers=LAYERS, tie_word_embeddings=True, vocab_size=9000)


@pytest.fixture(scope="module")
def by_one_thread(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[bytes, object]]:
    """What one thread makes of the model by a method, once."""
    return cache(lambda method: _outputs(model, tmp_path_factory.mktemp(method), method, threads=1))


def _outputs(model: Path, directory: Path, method: str, **options: Any) -> tuple[bytes, object]:
    """CSV, and what JSON holds but for the number of threads."""
    report = _scanned(model, method, **options)
    report.to_json(directory / "r.json")
    found = json.loads((directory / "r.json").read_text())
    found["options"].pop("threads")
    found["record"]["scan"]["options"].pop("threads")
    return _csv(report, directory), found


def _scanned(model: Path, method: str, **options: Any) -> wa.ScanReport:
    return wa.scan(model, method=method, spectrum=True, **options)


def _csv(report: wa.ScanReport, directory: Path) -> bytes:
    report.to_csv(directory / "r.csv")
    return (directory / "r.csv").read_bytes()


@pytest.mark.parametrize(
    ("method", "threads"),
    # auto is exact for matrices of these sizes
    some_of(product(("krylov", "exact", "auto"), THREADS[1:]), ("krylov", 3)),
)
def test_the_same_bytes_whatever_the_threads(
    model: Path, tmp_path: Path, method: str, threads: int, by_one_thread: Callable[[str], tuple[bytes, object]]
) -> None:
    expected = by_one_thread(method)
    assert b"EMBED" in expected[0]
    assert _outputs(model, tmp_path, method, threads=threads) == expected


@pytest.mark.parametrize(
    ("method", "threads"), some_of(product(("krylov", "exact", "auto"), THREADS[1:]), ("exact", 8))
)
def test_the_same_bytes_in_little_memory(
    model: Path, tmp_path: Path, method: str, threads: int, by_one_thread: Callable[[str], tuple[bytes, object]]
) -> None:
    found = _scanned(model, method, threads=threads, memory="8MB")
    assert _csv(found, tmp_path) == by_one_thread(method)[0]


def test_a_matrix_alone_has_the_numbers_that_it_has_in_a_scan(model: Path) -> None:
    report = wa.scan(model, threads=3, method="krylov", roles="Q,QKV,EMBED")
    rows = {row.matrix.key: row.spectrum for row in report.rows}
    assert len(rows) == 2 * LAYERS + 1
    for matrix in wa.matrices(model):
        if matrix.key in rows:
            assert measure(matrix.blocks(), method="krylov", name=matrix.key) == rows[matrix.key]


@pytest.mark.parametrize("threads", FEW_THREADS)
def test_as_many_matrices_are_measured_at_once_as_there_are_threads(
    model: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None in the calling thread."""
    at_once, together = 0, threading.Barrier(threads)
    lock, most = threading.Lock(), []

    def counted(*arguments: Any, **options: Any) -> Spectrum:
        nonlocal at_once
        assert threading.current_thread() is not threading.main_thread()
        with lock:
            at_once += 1
            most.append(at_once)
        if len(most) <= threads:
            together.wait(timeout=10)
        found = measure(*arguments, **options)
        with lock:
            at_once -= 1
        return found

    monkeypatch.setattr(measuring, "measure", counted)
    assert wa.scan(model, threads=threads).rows
    assert max(most) == threads


@pytest.mark.parametrize(("memory", "threads"), some_of(product([None, 8_000_000], THREADS), (None, 3), (8_000_000, 8)))
def test_what_is_held_at_once_is_bounded(
    model: Path, threads: int, memory: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tensor at hand has its place in memory that is counted, whoever looks at it, and gives it back."""
    monkeypatch.setattr(room_module, "SLACK", 200_000)
    largest = 9000 * 64 * 4 + 2 * CACHE_LINE
    room = memory * 3 // 4 if memory is not None else 2 * largest + 200_000
    memories: list[Memory] = []
    taken: list[int] = []

    class Counted(Memory):
        def __init__(self, room: int) -> None:
            super().__init__(room)
            memories.append(self)

        def take(self, nbytes: int) -> Array:
            buffer = super().take(nbytes)
            taken.append(self.held)
            return buffer

    def slow(*arguments: Any, **options: Any) -> Spectrum:
        time.sleep(0.005)  # so that the reading thread could be far ahead
        return measure(*arguments, **options)

    monkeypatch.setattr(reading, "Memory", Counted)
    monkeypatch.setattr(measuring, "measure", slow)
    rows = wa.scan(model, threads=threads, memory=memory).rows
    assert rows
    assert max(taken) <= max(room, 2 * largest)
    assert [one.held for one in memories] == [0]


def test_what_is_measured_is_not_written_over(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: memory is used again only when all matrices of a group are measured."""

    def twice(blocks: list[Array], **options: Any) -> Spectrum:
        before = [block.copy() for block in blocks]
        time.sleep(0.01)
        assert all(np.array_equal(one, other) for one, other in zip(blocks, before, strict=True))
        return measure(blocks, **options)

    monkeypatch.setattr(measuring, "measure", twice)
    assert wa.scan(model, threads=4, memory="8MB").rows


def _failing(monkeypatch: pytest.MonkeyPatch, failures: dict[str, Exception]) -> list[str]:
    """`measure` raises these, by a piece of the matrix's name; the names that it is asked for."""
    asked: list[str] = []

    def broken(*arguments: Any, **options: Any) -> Spectrum:
        asked.append(options["name"])
        for key, error in failures.items():
            if key in options["name"]:
                raise error
        return measure(*arguments, **options)

    monkeypatch.setattr(measuring, "measure", broken)
    return asked


@pytest.mark.parametrize("threads", FEW_THREADS)
def test_an_error_of_one_measurement_ends_the_scan(model: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _failing(monkeypatch, {"/1/": ValueError("of the matrix")})
    with no_thread_left(), pytest.raises(ValueError, match="of the matrix"):
        wa.scan(model, threads=threads)
    assert len(asked) < sum(1 for _ in wa.matrices(model))


@pytest.mark.parametrize("threads", FEW_THREADS)
def test_an_unreadable_tensor_in_the_middle_ends_the_scan(
    model: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was measured before it; and an error of what stands before it in the file is told instead."""
    plain = Checkpoint._read
    unreadable = name(1, "down_proj")

    def broken(self: Checkpoint, tensor: TensorInfo, *rest: Any) -> Array:
        if tensor.name == unreadable:
            raise CheckpointError("the file", "it has a hole", "Mend it")
        return plain(self, tensor, *rest)

    monkeypatch.setattr(Checkpoint, "_read", broken)
    with no_thread_left(), pytest.raises(CheckpointError, match="it has a hole"):
        wa.scan(model, threads=threads)
    _failing(monkeypatch, {"": ValueError("of a matrix before it")})
    with pytest.raises(ValueError, match="of a matrix before it"):
        wa.scan(model, threads=threads)


@pytest.mark.parametrize("reading", [False, True])
def test_a_scan_that_fails_leaves_nothing_in_memory(
    model: Path, reading: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its error is handled, without Python's collector: a batch goes on with the next model."""
    owners: list[weakref.ref[Array]] = []

    def noted(nbytes: int) -> Array:
        memory = np.empty(nbytes + CACHE_LINE, np.uint8)
        owners.append(weakref.ref(memory))
        return memory[-memory.ctypes.data % CACHE_LINE :][:nbytes]

    monkeypatch.setattr(memory_module, "aligned", noted)
    plain = Checkpoint._read

    def broken(self: Checkpoint, tensor: TensorInfo, *rest: Any) -> Array:
        if tensor.name == name(1, "down_proj"):
            raise CheckpointError("the file", "it has a hole", "Mend it")
        return plain(self, tensor, *rest)

    def odd(*arguments: Any, **options: Any) -> Spectrum:
        if "/1/" in options["name"]:
            raise CheckpointError("the matrix", "it is odd", "Mend it")
        return measure(*arguments, **options)

    if reading:
        monkeypatch.setattr(Checkpoint, "_read", broken)
    else:
        monkeypatch.setattr(measuring, "measure", odd)
    gc.disable()
    try:
        with suppress(CheckpointError):
            wa.scan(model, threads=3)
            raise AssertionError
        assert owners
        assert not [owner for owner in owners if owner() is not None]
    finally:
        gc.enable()


class _Told:
    """Progress that says what it was told, and may do something when a tensor's turn comes."""

    def __init__(self, at: int = -1, do: Callable[[], None] = lambda: None) -> None:
        self.total = self.done = 0
        self.tensors: list[str] = []
        self.closed = False
        self._at, self._do = at, do

    def start(self, model: str, total_bytes: int) -> None:
        self.total = total_bytes

    def tensor(self, name: str) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.tensors.append(name)
        if len(self.tensors) == self._at:
            self._do()

    def advance(self, nbytes: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.done += nbytes

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("threads", FEW_THREADS)
def test_progress_is_told_by_the_calling_thread_and_adds_up(model: Path, threads: int) -> None:
    told = _Told()
    report = wa.scan(model, threads=threads, progress=told)
    assert told.done == told.total == sum(tensor.nbytes for tensor in load_file_sizes(model))
    assert len(told.tensors) == len(report.rows)
    assert told.closed


def load_file_sizes(model: Path) -> list[Array]:
    return [tensor.view(torch.uint8).numpy() for tensor in load_file(model / "model.safetensors").values()]


@pytest.mark.parametrize(
    ("threads", "stop"),
    some_of(product(THREADS, [KeyboardInterrupt, RuntimeError]), (1, RuntimeError), (3, KeyboardInterrupt)),
)
def test_what_stops_the_caller_stops_its_threads(
    model: Path, threads: int, stop: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, a time that is over: no thread goes on, and what was not begun is not measured."""

    def raising() -> None:
        raise stop

    asked = _failing(monkeypatch, {})
    told = _Told(9, raising)
    with no_thread_left(), pytest.raises(stop):
        wa.scan(model, threads=threads, progress=told)
    assert told.closed
    assert len(asked) <= 9
    assert len(told.tensors) == 9
