"""Memory beside the weights: lent up to a bound, one that needs more alone."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.support.covering import some_of
from tests.support.heads import plans_of, rough, stored_of
from weightaudit.audit.head_distances import comparison_bytes, nearest_heads
from weightaudit.audit.head_numbers import HeadGroup
from weightaudit.audit.heads import HeadWork
from weightaudit.audit.workspace import Workspace, bytes_beside, is_too_large
from weightaudit.config import AuditConfig
from weightaudit.records import HeadRow, Part, RoleMatrix
from weightaudit.spectral import ThreadTeam
from weightaudit.spectral.full.values import LARGEST_SIDE


def matrix(rows: int, cols: int, dtype: str = "float32") -> RoleMatrix:
    return RoleMatrix("", 0, None, "Q", (Part("t"),), (rows, cols), dtype)


def most_at_once(room: int, nbytes: int, threads: int = 3) -> int:
    """How many of so many threads have ``nbytes`` at once, if each waits for another to come as well."""
    workspace, lock, together = Workspace(room), threading.Lock(), threading.Barrier(2)
    inside = most = 0

    def work() -> None:
        nonlocal inside, most
        with workspace.lent(nbytes):
            with lock:
                inside += 1
                most = max(most, inside)
            try:
                together.wait(timeout=0.05)
            except threading.BrokenBarrierError:
                together.reset()
            with lock:
                inside -= 1

    started = [threading.Thread(target=work) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return most


def test_no_more_than_there_is_room_for() -> None:
    assert most_at_once(room=100, nbytes=60) == 1
    assert most_at_once(room=100, nbytes=40) <= 2
    assert most_at_once(room=100, nbytes=1000) == 1


def test_nothing_is_waited_for_by_who_needs_nothing() -> None:
    workspace = Workspace(10)
    with workspace.lent(10), workspace.lent(0):
        pass
    with workspace.lent(5), workspace.lent(5):
        pass


def test_bytes_of_a_matrix() -> None:
    """The matrix shuffled, AᵀA and its copy in the eigensolver, and some more."""
    least = 1000 * 500 * 2 + 2 * 8 * 500**2
    assert least <= bytes_beside(matrix(1000, 500, "bfloat16")) <= least + 40_000_000
    assert bytes_beside(matrix(500, 1000, "float32")) > bytes_beside(matrix(500, 1000, "bfloat16"))


def test_too_large() -> None:
    assert is_too_large(matrix(LARGEST_SIDE + 1, LARGEST_SIDE + 1))
    assert not is_too_large(matrix(10 * LARGEST_SIDE, LARGEST_SIDE))
    assert bytes_beside(matrix(LARGEST_SIDE + 1, LARGEST_SIDE + 1)) == 0


@pytest.mark.parametrize(("memory", "beside"), [(1, False), (1 << 30, True)])
def test_copies_of_heads_lie_in_it(memory: int, beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little memory the heads of a layer are measured one after the other, else beside one another."""
    model = rough("llama")
    stored, plans = stored_of(model), plans_of(model)
    lock, together = threading.Lock(), threading.Barrier(2)
    inside = most = 0
    own = HeadGroup.rows

    def rows(group: HeadGroup) -> Iterator[HeadRow]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        try:
            together.wait(timeout=10 if beside else 0.05)
        except threading.BrokenBarrierError:
            together.reset()
        yield from own(group)
        with lock:
            inside -= 1

    monkeypatch.setattr(HeadGroup, "rows", rows)
    work = HeadWork()
    with ThreadTeam(2) as team:
        tasks = list(work.tasks(plans[:1], stored, AuditConfig(), team, Workspace(memory)))
        for future in [team.submit(task) for task in tasks]:
            future.result()
    assert most == (2 if beside else 1)
    assert len(work.rows) == plans[0].attention.heads


@pytest.mark.parametrize("model_type", some_of(["llama", "deepseek_v3", "gpt2"], "deepseek_v3"))
def test_bytes_of_a_head_are_no_fewer_than_it_takes(model_type: str) -> None:
    sizes = {"llama": {"hidden_size": 512}, "deepseek_v3": {"hidden_size": 512}, "gpt2": {"n_embd": 512}}[model_type]
    model = rough(model_type, **sizes)
    stored, plan = stored_of(model), plans_of(model)[0]
    with ThreadTeam(0) as team:
        group = HeadGroup(plan, 0, stored, AuditConfig(), team)
        list(group.rows())  # what is kept from a first time is none of its copies
        tracemalloc.start()
        list(group.rows())
        own = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        nearest_heads(plan, stored)
        compared = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert 0.2 * group.bytes_beside < own <= group.bytes_beside + 100_000
    assert compared <= comparison_bytes(plan) + 100_000
