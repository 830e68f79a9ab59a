"""PyTorch files damaged at random: only this package's errors come out, and never other weights than torch loads."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st

from tests.checkpoint.torch_oracle import bits, loaded_by_torch
from tests.support.examples import at_most
from tests.support.torch_files import Applied, legacy, saved_bytes, storage, torch_zip
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import CheckpointError

FORMS = ("zip", "legacy")
BASE = torch.arange(24.0).view(4, 6)
FILES = {
    form: [
        saved_bytes(OrderedDict(a=BASE, b=BASE.t(), c=BASE[1:3, 2:], n=3), form),
        saved_bytes({"state_dict": {"a": torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))}, "e": "x"}, form),
        saved_bytes({"a": torch.zeros(2, 2), "u": torch.ones(5, dtype=torch.int64)}, form),
    ]
    for form in FORMS
}


def check_verdict(data: bytes, folder: Path) -> None:
    """Refused with a message; or read, and then as torch reads it, if torch does."""
    path = folder / "fuzz.bin"
    path.write_bytes(data)
    try:
        with open_checkpoint(path) as checkpoint:
            found = {name: as_tensor(checkpoint.read(name)) for name in checkpoint.tensors}
    except CheckpointError as error:
        refusal: CheckpointError | None = error
    else:
        refusal = None
    event("refused" if refusal else "read")
    if refusal:
        assert str(refusal).isprintable()
        assert refusal.hint
        return
    expected = loaded_by_torch(data)
    if expected is None:
        return
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert bits(found[name]) == bits(value)


@pytest.mark.parametrize("form", FORMS)
def test_tensors_under_a_key_of_any_name(form: str, tmp_path: Path) -> None:
    """One damaged byte of "state_dict" makes one."""
    data = saved_bytes({"\0tate_dict": {"a": torch.ones(3, 2)}, "e": "x"}, form)
    (tmp_path / "damaged.bin").write_bytes(data)
    with open_checkpoint(tmp_path / "damaged.bin") as checkpoint:
        assert checkpoint.tensors.keys() == (loaded_by_torch(data) or {}).keys() == {"a"}


@st.composite
def damaged(draw: st.DrawFn, form: str) -> bytes:
    """A good file with a few places overwritten, cut out, or filled from elsewhere in a good file."""
    data = bytearray(draw(st.sampled_from(FILES[form])))
    donor = draw(st.sampled_from(FILES[form]))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1))
        length = draw(st.integers(1, 40))
        match draw(st.sampled_from(["byte", "bit", "splice", "cut", "end"])):
            case "byte":
                data[at] = draw(st.integers(0, 255))
            case "bit":
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "splice":
                start = draw(st.integers(0, len(donor) - 1))
                data[at : at + length] = donor[start : start + length]
            case "cut":
                del data[at : at + length]
            case "end":
                del data[max(at, 1) :]
        if not data:
            break
    return bytes(data)


@at_most(15)
@given(form=st.sampled_from(FORMS), data=st.data())
def test_any_damage_gives_a_clean_verdict(form: str, data: st.DataObject, alone: Path) -> None:
    check_verdict(data.draw(damaged(form)), alone)


@at_most(15)
@given(place=st.integers(1, 700), value=st.integers(0, 255))
def test_any_change_of_the_directory_gives_a_clean_verdict(place: int, value: int, alone: Path) -> None:
    """Most bytes of a directory say what a record's own header says too, or how to read it."""
    data = bytearray(FILES["zip"][0])
    data[-place] = value
    check_verdict(bytes(data), alone)


@at_most(15)
@given(start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02"]), rest=st.binary(max_size=200))
def test_any_bytes_give_a_clean_verdict(start: bytes, rest: bytes, alone: Path) -> None:
    check_verdict(start + rest, alone)


instructions = st.sampled_from(
    [
        *(getattr(pickle, name) for name in pickle.__all__ if isinstance(getattr(pickle, name), bytes)),
        b"X\x01\0\0\0a",
        b"K\x02",
        b"q\x01",
        b"h\x01",
        b"ccollections\nOrderedDict\n",
        b"ctorch\nSize\n",
        b"ctorch\nFloatStorage\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"cos\nsystem\n",
    ]
)


@at_most(15)
@given(program=st.lists(instructions, max_size=40))
def test_any_program_gives_a_clean_verdict(program: list[bytes], alone: Path) -> None:
    check_verdict(torch_zip(b"\x80\x02" + b"".join(program) + b"."), alone)


atoms: Any = (
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=3) | st.binary(max_size=3)
)
numbers = st.integers(-2, 8) | st.integers(0, 2**64)
few = st.integers(0, 3)


@cache
def contents(form: str) -> st.SearchStrategy[dict[str, Any]]:
    """Dicts of anything that a pickle can hold, most often of tensors that are described nearly right."""
    view = () if form == "zip" else (None,)
    kinds = st.sampled_from([torch.FloatStorage, torch.HalfStorage, torch.storage.UntypedStorage, torch.Size])
    right = st.just(storage(torch.FloatStorage, "0", 6, *view))
    wrong = st.builds(
        lambda kind, key, elements: storage(kind, key, elements, *view), kinds, st.just("1") | atoms, numbers
    )
    sizes = st.lists(few | numbers, max_size=3).map(tuple)
    tensors = st.builds(
        lambda function, arguments, more: Applied(function, *arguments, *more),
        st.sampled_from(
            [torch._utils._rebuild_tensor_v2, torch._utils._rebuild_tensor_v3, torch._utils._rebuild_tensor]
        ),
        st.tuples(right, few, st.lists(few, max_size=2).map(tuple), st.lists(few, max_size=2).map(tuple))
        | st.tuples(right | wrong | atoms, numbers | atoms, sizes | atoms, sizes | atoms),
        st.just((False, {}))
        | st.lists(atoms | st.just({}) | st.sampled_from([torch.float32, torch.uint16]), max_size=4),
    )
    anything = st.recursive(
        atoms | tensors | right | wrong,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(st.text(max_size=2) | st.integers(0, 3), inner, max_size=3)
            | st.builds(lambda data: Applied(torch._utils._rebuild_parameter, data, False, {}), inner)
        ),
        max_leaves=4,
    )
    names = st.sampled_from(["a", "b", "state_dict", "model", ""]) | st.text(max_size=3)
    return st.dictionaries(names, tensors | anything, min_size=1, max_size=4)


@at_most(15)
@given(form=st.sampled_from(FORMS), data=st.data())
def test_any_contents_give_a_clean_verdict(form: str, data: st.DataObject, alone: Path) -> None:
    described = data.draw(contents(form))
    file = torch_zip(described) if form == "zip" else legacy(described)
    check_verdict(file, alone)
