"""Units of work: what is read together, and in which order."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest

from weightaudit.arrays import CACHE_LINE, Array, aligned
from weightaudit.audit import memory as memory_module
from weightaudit.audit import on_the_way, pieces, reading, room
from weightaudit.audit.groups import ReadGroup, plan_groups
from weightaudit.audit.held import Held
from weightaudit.audit.memory import Closed
from weightaudit.audit.on_the_way import neighbours_together, with_others
from weightaudit.audit.pieces import cut
from weightaudit.audit.reading import read_groups
from weightaudit.errors import OutOfMemory, UsageError
from weightaudit.records import Part, RoleMatrix, Rows, TensorInfo


def _info(name: str, offset: int, file: str = "a", nbytes: int = 16) -> TensorInfo:
    return TensorInfo(name, "float32", (2, 2), file, offset, nbytes)


def _matrix(layer: int, role: str, *tensors: str) -> RoleMatrix:
    return RoleMatrix("", layer, None, role, tuple(map(Part, tensors)), (2 * len(tensors), 2), "float32")


def test_matrices_that_share_tensors_are_one_unit_in_file_order() -> None:
    tensors = {
        info.name: info for info in (_info("o", 0, "b"), _info("k", 0), _info("q", 32), _info("v", 16), _info("m", 48))
    }
    matrices = [
        _matrix(0, "Q", "q"),
        _matrix(0, "K", "k"),
        _matrix(0, "O", "o"),
        _matrix(0, "V", "v"),
        _matrix(0, "QKV", "q", "k", "v"),
        _matrix(0, "M1", "m"),
    ]
    units = plan_groups(matrices, tensors)
    assert [[info.name for info in unit.tensors] for unit in units] == [["k", "v", "q"], ["m"], ["o"]]
    assert sorted(matrix.role for matrix in units[0].matrices) == ["K", "Q", "QKV", "V"]
    assert sum(len(unit.matrices) for unit in units) == len(matrices)


def test_of_a_stack_each_matrix_is_read_alone() -> None:
    """The bytes of one expert, whatever is cut from it, and nothing of the others."""
    stack = TensorInfo("gate_up", "float32", (3, 4, 2), "a", 96, 96)
    matrices = [
        RoleMatrix("", 0, expert, role, (Part("gate_up", rows=rows, index=expert, of=3),), (2, 2), "float32")
        for expert in range(3)
        for role, rows in (("GATE", Rows(0, 2)), ("M1", Rows(2, 2)))
    ]
    units = plan_groups(matrices, {"gate_up": stack})
    assert [[(info.name, info.shape, info.offset, info.nbytes) for info in unit.tensors] for unit in units] == [
        [(f"gate_up[{expert}]", (4, 2), 96 + 32 * expert, 32)] for expert in range(3)
    ]
    assert [[(m.expert, m.role) for m in unit.matrices] for unit in units] == [
        [(e, "GATE"), (e, "M1")] for e in range(3)
    ]
    numbers = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    for matrix in matrices:
        (whole,) = cut(matrix, {"gate_up": numbers})
        (alone,) = cut(matrix, {f"gate_up[{matrix.expert}]": numbers[matrix.expert]})
        assert np.array_equal(whole, alone)


@pytest.mark.parametrize(
    "stack",
    [
        TensorInfo("t", "float32", (6, 2), "a", 0, 48),
        TensorInfo("t", "float32", (3, 2, 2), "a", 0, 48, strides=(4, 1, 2)),
        TensorInfo("t", "float4", (3, 1, 1), "a", 0, 2),
    ],
)
def test_a_stack_whose_matrices_lie_in_no_bytes_of_their_own_is_read_whole(stack: TensorInfo) -> None:
    matrices = [RoleMatrix("", 0, e, "M1", (Part("t", index=e, of=3),), (2, 2), "float32") for e in range(3)]
    (unit,) = plan_groups(matrices, {"t": stack})
    assert unit.tensors == (stack,)


def test_a_tensor_called_as_one_of_a_stack_is_not_taken_for_it() -> None:
    stack, other = TensorInfo("t", "float32", (2, 2, 2), "a", 0, 32), TensorInfo("t[1]", "float32", (2, 2), "a", 32, 16)
    matrices = [RoleMatrix("", 0, e, "M1", (Part("t", index=e, of=2),), (2, 2), "float32") for e in range(2)]
    units = plan_groups([*matrices, _matrix(0, "M2", "t[1]")], {"t": stack, "t[1]": other})
    assert [unit.tensors for unit in units] == [(stack.at(0, 2),), (stack,), (other,)]
    numbers = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    assert np.array_equal(cut(matrices[1], {"t": numbers, "t[1]": np.zeros((2, 2))})[0], numbers[1])


def test_a_unit_keeps_the_order_in_which_its_matrices_came_together() -> None:
    """Groups are joined in the order of the joining matrix's tensors, whichever of them is the largest."""
    tensors = {info.name: info for info in (_info("a", 0), _info("b", 16), _info("c", 32))}
    matrices = [
        _matrix(0, "A", "a"),
        *(_matrix(expert, "B", "b") for expert in range(3)),
        _matrix(0, "C", "c"),
        _matrix(0, "CBA", "c", "b", "a"),
        _matrix(1, "A", "a"),
    ]
    (unit,) = plan_groups(matrices, tensors)
    assert [matrix.role for matrix in unit.matrices] == ["C", "B", "B", "B", "A", "CBA", "A"]
    tied = plan_groups(matrices[:5], tensors, [("c", "a")])
    assert [[matrix.role for matrix in unit.matrices] for unit in tied] == [["C", "A"], ["B", "B", "B"]]


def _steps(monkeypatch: pytest.MonkeyPatch, plan: Callable[[], object]) -> int:
    """How often ``plan`` looks for what a part of a matrix is read from."""
    asked = 0
    piece = pieces._piece

    def counting(part: Part, tensors: Mapping[str, TensorInfo]) -> TensorInfo:
        nonlocal asked
        asked += 1
        return piece(part, tensors)

    with monkeypatch.context() as patched:
        patched.setattr(pieces, "_piece", counting)
        plan()
    return asked


def test_work_grows_with_the_matrices_cut_from_one_tensor_not_with_their_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"t{i}" for i in range(1000)]
    tensors = {name: _info(name, 16 * i) for i, name in enumerate(names)}

    def one_tensor(n: int) -> int:
        return _steps(monkeypatch, lambda: plan_groups([_matrix(i, "M1", "t0") for i in range(n)], tensors))

    def a_chain(n: int) -> int:
        matrices = [_matrix(i, "M1", names[i], names[i + 1]) for i in range(n)]
        return _steps(monkeypatch, lambda: plan_groups(matrices, tensors))

    def all_tied(n: int) -> int:
        matrices = [_matrix(i, "M1", names[i]) for i in range(n)]
        pairs = [(names[0], names[i]) for i in range(1, n)]
        return _steps(monkeypatch, lambda: plan_groups(matrices, tensors, pairs))

    for work in (one_tensor, a_chain, all_tied):
        assert 0 < work(800) < 3 * work(400)


@pytest.mark.parametrize("memory", [None, 800])
def test_what_has_no_role_is_read_on_the_way_and_asks_for_little_more_memory(
    memory: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_the_way, "LOOKED_AT", 900)
    tensors = {info.name: info for info in (_info("q", 32), _info("k", 0, "b"))}
    units = plan_groups([_matrix(0, "Q", "q"), _matrix(0, "K", "k")], tensors)
    infos = [_info("last", 16, "b"), _info("first", 16), _info("huge", 48, nbytes=1000)]
    others = [ReadGroup((info,), ()) for info in infos]
    read, left_out = with_others(units, others, memory=memory)
    assert [info.name for info in left_out] == ["huge"]
    assert [(unit.tensors[0].name, len(unit.matrices)) for unit in read] == [
        ("first", 0),
        ("q", 1),
        ("k", 1),
        ("last", 0),
    ]
    assert with_others([], others, memory=10_000)[1] == []
    large = plan_groups([_matrix(0, "M1", "m")], {"m": _info("m", 0, nbytes=1000)})
    assert with_others(large, others, memory=memory)[1] == []


@pytest.mark.parametrize(
    ("memory", "together"),
    [(None, [["a", "b"], ["q"], ["c", "d", "e"]]), (1000, [["a"], ["b"], ["q"], ["c"], ["d"], ["e"]])],
)
def test_neighbours_that_are_only_looked_at_are_read_as_one(
    memory: int | None, together: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {info.name: info for info in (_info(name, 16 * i) for i, name in enumerate("abqcde"))}
    units = plan_groups([_matrix(0, "Q", "q")], tensors)
    others = [ReadGroup((tensors[name],), ()) for name in "abcde"]
    groups, _ = with_others(units, others, memory=memory)
    read = list(neighbours_together(groups, memory=memory))
    assert [[info.name for info in group.tensors] for group in read] == together
    assert [len(group.matrices) for group in read if group.tensors[0].name == "q"] == [1]
    monkeypatch.setattr(on_the_way, "TOGETHER", 2 * others[0].buffer_bytes)
    read = list(neighbours_together(groups))
    assert [[info.name for info in group.tensors] for group in read] == [["a", "b"], ["q"], ["c", "d"], ["e"]]


def test_what_is_read_beside_others_is_not_joined() -> None:
    tensors = [_info(name, 16 * i) for i, name in enumerate("abc")]
    groups = [ReadGroup((info,), (), ((info,),)) for info in tensors]
    assert list(neighbours_together(groups)) == groups


class FakeCheckpoint:
    """Fills each tensor with its offset, and remembers what was read."""

    def __init__(self, tensors: dict[str, TensorInfo]) -> None:
        self.tensors = tensors
        self.reads: list[str] = []

    @contextmanager
    def reader(self, tensors: list[TensorInfo], *, ahead: int, look: object) -> Iterator[Callable[..., Array]]:
        self.planned, self.ahead = [info.name for info in tensors], ahead
        yield self.read

    def kept(self, tensors: Sequence[TensorInfo], *, ahead: int) -> int:
        return 0

    def read(self, info: TensorInfo, *, into: Array) -> Array:
        self.reads.append(info.name)
        numbers: Array = into[: info.nbytes].view(np.float32).reshape(info.shape)
        numbers.fill(info.offset)
        return numbers


def _each(checkpoint: FakeCheckpoint, units: Sequence[ReadGroup], **options: Any) -> Iterator[Held]:
    """Each unit when it has been read, let go before the next."""
    for future in read_groups(checkpoint, units, **options):  # type: ignore[arg-type]
        held = future.result()
        with held:
            yield held


def test_each_tensor_is_read_once_and_whole_while_its_unit_is_out() -> None:
    tensors = {f"t{i}": _info(f"t{i}", 16 * i) for i in range(7)}
    matrices = [_matrix(i, "Q", f"t{i}") for i in range(6)] + [_matrix(5, "QKV", "t5", "t6")]
    checkpoint = FakeCheckpoint(tensors)
    seen = []
    for held in _each(checkpoint, plan_groups(matrices, tensors)):
        for info in held.group.tensors:
            assert np.array_equal(held.own.arrays[info.name], np.full((2, 2), info.offset))
            assert held.own.arrays[info.name].ctypes.data % CACHE_LINE == 0
            seen.append(info.name)
    assert seen == checkpoint.reads == checkpoint.planned == list(tensors)


@pytest.mark.parametrize("memory", [None, 1000])
def test_every_unit_is_looked_at_once_before_it_comes(memory: int | None) -> None:
    """By the thread that reads."""
    tensors = {f"t{i}": _info(f"t{i}", 16 * i) for i in range(5)}
    units = plan_groups([_matrix(i, "Q", f"t{i}") for i in range(5)], tensors)
    looked: list[tuple[str, float, str]] = []

    def look(held: Held) -> None:
        name = held.group.tensors[0].name
        looked.append((name, float(held.own.arrays[name][1, 1]), threading.current_thread().name))

    for done, held in enumerate(_each(FakeCheckpoint(tensors), units, memory=memory, look=look), 1):
        assert looked[done - 1][0] == held.group.tensors[0].name
    assert [(name, value) for name, value, _ in looked] == [(info.name, info.offset) for info in tensors.values()]
    assert all(thread.startswith("weightaudit-read") for _, _, thread in looked)


def test_pairs_to_be_compared_come_together() -> None:
    tensors = {f"t{i}": _info(f"t{i}", 16 * i) for i in range(4)}
    matrices = [_matrix(i, "Q", f"t{i}") for i in range(4)]
    units = plan_groups(matrices, tensors, [("t3", "t1"), ("t3", "t1")])
    assert [[info.name for info in unit.tensors] for unit in units] == [["t0"], ["t1", "t3"], ["t2"]]
    assert [len(unit.matrices) for unit in units] == [1, 2, 1]


def _squares(count: int) -> tuple[dict[str, TensorInfo], list[ReadGroup]]:
    """Tensors of 4096 bytes, and a unit for each."""
    size = 64 * 64
    tensors = {f"t{i}": TensorInfo(f"t{i}", "float32", (32, 32), "a", size * i, size) for i in range(count)}
    return tensors, plan_groups([_matrix(i, "Q", f"t{i}") for i in range(count)], tensors)


@pytest.mark.parametrize(("lead", "ahead"), [(0, 0), (4223, 0), (4224, 1), (3 * 4224, 3), (10**9, 4)])
def test_some_bytes_are_read_ahead(lead: int, ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a unit or more, and a number of units at most."""
    monkeypatch.setattr(reading, "LEAD", lead)
    monkeypatch.setattr(reading, "MOST_AHEAD", 4)
    tensors, units = _squares(9)
    checkpoint = FakeCheckpoint(tensors)
    for done, held in enumerate(_each(checkpoint, units)):
        expected = min(done + 1 + ahead, len(units))
        for _ in range(500):
            time.sleep(0.005)  # time to read too far
            if len(checkpoint.reads) >= expected:
                break
        assert len(checkpoint.reads) == expected
        assert held.own.arrays[f"t{done}"][0, 0] == tensors[f"t{done}"].offset


@pytest.mark.parametrize("at_once", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_memory_bounds_what_is_held(at_once: int) -> None:
    """A unit waits until another has been let go."""
    tensors, units = _squares(6)
    checkpoint = FakeCheckpoint(tensors)
    memory = -(-at_once * units[0].buffer_bytes * 4 // 3)
    out: list[Held] = []
    with closing(read_groups(checkpoint, units, memory=memory)) as coming:  # type: ignore[arg-type]
        for done, future in enumerate(coming, 1):
            if len(out) == at_once:
                assert not wait([future], timeout=0.05).done
                assert len(checkpoint.reads) == done - 1
                with out.pop(0):
                    pass
            out.append(future.result(timeout=10))
            assert all(held.own.arrays[name][3, 3] == tensors[name].offset for held in out for name in held.own.arrays)
    assert checkpoint.ahead + at_once * units[0].buffer_bytes <= memory


def test_a_unit_that_does_not_fit_is_named() -> None:
    tensors, units = _squares(2)
    with pytest.raises(UsageError, match=r"t0 must be held at once and takes 4,224 bytes. Allow at least"):
        next(read_groups(FakeCheckpoint(tensors), units, memory=units[0].buffer_bytes))  # type: ignore[arg-type]


def test_memory_that_nobody_gives_back_keeps_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller failed: what waits for memory ends."""
    tensors, units = _squares(3)
    with closing(read_groups(FakeCheckpoint(tensors), units, memory=2 * units[0].buffer_bytes)) as coming:  # type: ignore[arg-type]
        next(coming).result()
        waiting = next(coming)
    with pytest.raises(Closed):
        waiting.result(timeout=10)


def test_a_unit_that_is_used_twice_is_let_go_after_both() -> None:
    tensors, units = _squares(2)
    with closing(read_groups(FakeCheckpoint(tensors), units, memory=2 * units[0].buffer_bytes)) as coming:  # type: ignore[arg-type]
        held = next(coming).result()
        held.uses = 2
        following = next(coming)
        with held:
            pass
        assert not wait([following], timeout=0.05).done
        assert held.own.arrays["t0"][0, 0] == 0
        with pytest.raises(RuntimeError), held:
            raise RuntimeError
        assert following.result(timeout=10).own.arrays["t1"][0, 0] == tensors["t1"].offset
        assert not held.own.arrays


def test_a_unit_that_was_let_go_keeps_no_memory() -> None:
    """However long somebody keeps the unit: else more is held than was allowed."""
    tensors, units = _squares(1)
    with closing(read_groups(FakeCheckpoint(tensors), units)) as coming:  # type: ignore[arg-type]
        held = next(coming).result()
        owner = held.own.arrays["t0"]
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        memory = weakref.ref(owner)
        with held:
            del owner
        assert list(coming) == []
    assert memory() is None


def test_an_error_of_the_reader_reaches_the_caller() -> None:
    class Broken(FakeCheckpoint):
        def read(self, info: TensorInfo, *, into: Array) -> Array:
            if info.name == "t1":
                raise OSError("the disk went away")
            return super().read(info, into=into)

    tensors, units = _squares(3)
    done = []
    with pytest.raises(OSError, match="the disk went away"):  # noqa: PT012 (the loop is what raises)
        for held in _each(Broken(tensors), units):
            done.append(held.group.tensors[0].name)
    assert done == ["t0"]


def test_a_large_unit_is_held_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Q, K and V together are three of the largest tensor: nothing is read beside them, nor kept after them."""
    monkeypatch.setattr(room, "SLACK", 0)
    size = 64 * 64
    names = [f"{role}{i}" for i in range(4) for role in "qkv"]
    tensors = {n: TensorInfo(n, "float32", (32, 32), "a", size * at, size) for at, n in enumerate(names)}
    units = plan_groups([_matrix(i, "QKV", f"q{i}", f"k{i}", f"v{i}") for i in range(4)], tensors)
    checkpoint = FakeCheckpoint(tensors)
    with closing(read_groups(checkpoint, units)) as coming:  # type: ignore[arg-type]
        before: Held | None = None
        for done, future in enumerate(coming):
            if before is not None:
                assert not wait([future], timeout=0.05).done
                with before:
                    pass
            before = future.result(timeout=10)
            assert len(checkpoint.reads) == 3 * (done + 1)


@pytest.mark.parametrize(("beside", "beside_it"), [(1 << 30, True), (4096, False)])
def test_beside_a_very_large_tensor_no_second_one_is_held(
    beside: int, beside_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "SLACK", 0)
    monkeypatch.setattr(room, "BESIDE", beside)
    size = 64 * 64
    tensors = {n: TensorInfo(n, "float32", (32, 32), "a", size * at, size) for at, n in enumerate(("embed", "head"))}
    units = plan_groups([_matrix(0, "EMBED", "embed"), _matrix(0, "HEAD", "head")], tensors)
    checkpoint = FakeCheckpoint(tensors)
    with closing(read_groups(checkpoint, units)) as coming:  # type: ignore[arg-type]
        first, second = next(coming).result(timeout=10), next(coming)
        assert bool(wait([second], timeout=10 if beside_it else 0.05).done) == beside_it
        with first:
            pass
        assert second.result(timeout=10).own.arrays.keys() == {"head"}


@pytest.mark.parametrize("alone", [True, False])
def test_a_machine_without_memory(alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit beside others waits for them; what does not fit at all is named."""
    tensors, units = _squares(2)
    calls = 0

    def scarce(nbytes: int) -> Array:
        nonlocal calls
        calls += 1
        if alone or calls == 2:
            raise MemoryError
        return aligned(nbytes)

    monkeypatch.setattr(memory_module, "aligned", scarce)
    with closing(read_groups(FakeCheckpoint(tensors), units)) as coming:  # type: ignore[arg-type]
        if alone:
            with pytest.raises(OutOfMemory, match="t0: 4,224 bytes must be held at once, more than this machine has"):
                next(coming).result(timeout=10)
            return
        first, second = next(coming).result(timeout=10), next(coming)
        assert not wait([second], timeout=0.05).done
        with first:
            pass
        assert second.result(timeout=10).own.arrays["t1"][0, 0] == tensors["t1"].offset


def test_nothing_to_read() -> None:
    assert plan_groups([], {}) == []
    assert list(read_groups(FakeCheckpoint({}), [])) == []  # type: ignore[arg-type]
