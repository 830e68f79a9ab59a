"""Memory that is used again: what is held is bounded, and nothing is given twice."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from weightaudit.arrays import CACHE_LINE, Array
from weightaudit.audit import memory as memory_module
from weightaudit.audit.memory import SMALL, Memory


def test_what_was_given_back_is_given_again_where_it_is_not_much_too_large() -> None:
    memory = Memory(100 * SMALL)
    large, small = memory.take(4 * SMALL), memory.take(2 * SMALL)
    memory.give_back(large)
    memory.give_back(small)
    assert memory.take(2 * SMALL) is small
    assert memory.take(2 * SMALL + 1) is large
    memory.give_back(large)
    assert memory.take(SMALL) is not large
    assert memory.held == 7 * SMALL + 3 * CACHE_LINE


def test_what_is_free_makes_room() -> None:
    memory = Memory(3 * SMALL)
    memory.give_back(memory.take(2 * SMALL))
    memory.take(2 * SMALL + 1)
    assert memory.held == 2 * SMALL + 1 + CACHE_LINE
    memory.give_back(memory.take(100))
    assert memory.held == 2 * SMALL + 1 + CACHE_LINE  # what is small is not kept


def test_little_more_is_kept_than_the_largest_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedding's memory is let go while layers are measured, that of the layers' matrices is used again."""
    monkeypatch.setattr(memory_module, "KEPT", 3 * SMALL)
    memory = Memory(1000 * SMALL)
    embedding, layers = memory.take(50 * SMALL), [memory.take(size * SMALL) for size in (4, 2, 2)]
    memory.give_back(embedding)
    assert memory.held == 8 * SMALL + 3 * CACHE_LINE
    for buffer in layers[1:]:
        memory.give_back(buffer)
    assert {id(memory.take(2 * SMALL)), id(memory.take(2 * SMALL))} == set(map(id, layers[1:]))


def test_nobody_else_is_given_what_is_in_use_and_no_more_than_there_is_room_for() -> None:
    memory, rng, out = Memory(room := 20 * SMALL), random.Random(0), list[tuple[Array, int]]()
    with ThreadPoolExecutor(1) as taker:
        for number in range(400):
            wanted = rng.randrange(1, 8 * SMALL)
            coming = taker.submit(memory.take, wanted)
            while not coming.done() and out and rng.random() < 0.9:
                buffer, written = out.pop(rng.randrange(len(out)))
                assert (buffer == written).all()
                memory.give_back(buffer)
            while out and sum(one.size + CACHE_LINE for one, _ in out) + 16 * SMALL > room:
                memory.give_back(out.pop()[0])
            buffer = coming.result(timeout=10)
            assert buffer.size >= wanted
            assert buffer.ctypes.data % CACHE_LINE == 0
            assert memory.held <= room
            buffer[:] = number % 251
            out.append((buffer, number % 251))
            assert all((one == written).all() for one, written in out)


def test_what_is_larger_than_all_the_room_is_given_alone() -> None:
    memory = Memory(SMALL)
    assert memory.take(5 * SMALL).size == 5 * SMALL
    with ThreadPoolExecutor(1) as taker:
        waiting = taker.submit(memory.take, 10)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.05)
        memory.close()
