"""Memory beside the weights: lent up to a bound, one that needs more alone."""

from __future__ import annotations

import threading

from weightaudit.audit.workspace import Workspace, bytes_beside, is_too_large
from weightaudit.records import Part, RoleMatrix
from weightaudit.spectral.full.values import LARGEST_SIDE


def matrix(rows: int, cols: int, dtype: str = "float32") -> RoleMatrix:
    return RoleMatrix("", 0, None, "Q", (Part("t"),), (rows, cols), dtype)


def most_at_once(room: int, nbytes: int, threads: int = 6) -> int:
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
