"""State that a pickle sets by attribute or item: torch then loads other weights than the tensor's own description."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoint.torch_oracle import loaded_by_torch
from tests.support.torch_files import Applied, pickled, storage, tensor, torch_zip
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.checkpoint.formats.pickle_calls import tensor_attributes
from weightaudit.errors import CheckpointError

ONES, TWOS = torch.ones(6), torch.full((6,), 2.0)
DATA = {"0": ONES.numpy().tobytes(), "1": TWOS.numpy().tobytes()}
SHOWN = tensor()
OTHER = tensor(of=storage(key="1"))
WITH_STATE, TYPED = torch._utils._rebuild_parameter_with_state, torch._tensor._rebuild_from_type_v2
SAME = torch._utils._rebuild_device_tensor_from_cpu_tensor
V2 = torch._utils._rebuild_tensor_v2
HOOKS: tuple[bool, dict[str, Any]] = (False, {})
PLAIN: tuple[Any, ...] = (storage(), 0, (2, 3), (3, 1), *HOOKS)


def instructions(*parts: Any) -> bytes:
    """A pickle put together of objects and of raw instructions."""
    return b"\x80\x02" + b"".join(part if isinstance(part, bytes) else pickled(part)[2:-1] for part in parts) + b"."


def text(value: str) -> bytes:
    return pickle.SHORT_BINSTRING + bytes([len(value)]) + value.encode()


# What torch loads is not what the tensor "a" is described as; or it is, and something of it is not known for certain.
OTHERWISE: dict[str, Any] = {
    "data of a parameter": {"a": Applied(WITH_STATE, SHOWN, False, {}, {"data": OTHER})},
    "data in slots": {"a": Applied(WITH_STATE, SHOWN, False, {}, (None, {"data": OTHER}))},
    "data of a tensor": {"a": Applied(TYPED, V2, torch.Tensor, PLAIN, {"data": OTHER})},
    "data of a tensor in slots": {"a": Applied(TYPED, V2, torch.Tensor, PLAIN, ({}, {"data": OTHER}))},
    "data of a parameter made a tensor": {
        "a": Applied(TYPED, WITH_STATE, torch.Tensor, (SHOWN, False, {}, {"data": OTHER}), None)
    },
    "the real part": {"a": Applied(WITH_STATE, SHOWN, False, {}, {"real": OTHER})},
    "a storage shared with what is not taken": {
        "a": SHOWN,
        "x": [Applied(WITH_STATE, SHOWN, False, {}, {"real": OTHER})],
    },
    "the same tensor again, elsewhere": instructions(
        b"}", text("a"), SHOWN, b"q\x01s", text("x"), b"]", b"ctorch._tensor\n_rebuild_from_type_v2\n(",
        b"ctorch._utils\n_rebuild_device_tensor_from_cpu_tensor\n", b"ctorch\nTensor\n",
        b"(h\x01ctorch\nfloat32\n", text("cpu"), b"\x89t", {"data": OTHER}, b"tRas",
    ),
    "a class instead of a call": instructions(
        b"ccollections\nOrderedDict\n", ([["a", SHOWN]],), b"\x81", text("b"), OTHER, b"s"
    ),
    "keys of an OrderedDict": instructions(
        b"ccollections\nOrderedDict\n)R", text("a"), SHOWN, b"s", b"}", text("keys"), b"c__builtin__\nset\nsb"
    ),
    "a pair that is a dict": Applied(OrderedDict, [["a", SHOWN], {"a": 1, "b": 2}]),
    "a tensor built again": instructions(b"}", text("a"), SHOWN, (storage(key="1"), 0, (2, 3), (3, 1)), b"bs"),
    "a parameter built again": instructions(
        b"}", text("a"), Applied(torch._utils._rebuild_parameter, SHOWN, False, {}), (OTHER, *HOOKS, *HOOKS), b"bs"
    ),
}  # fmt: skip


def file(contents: Any) -> bytes:
    return torch_zip(contents, DATA)


@pytest.mark.parametrize("case", OTHERWISE)
def test_weights_that_torch_loads_otherwise_are_refused(case: str, tmp_path: Path) -> None:
    data = file(OTHERWISE[case])
    loaded = loaded_by_torch(data)
    assert loaded is None or "a" not in loaded or not torch.equal(loaded["a"].detach().flatten(), ONES)
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"Nothing of it was executed|made by torch\.save") as caught:
        open_checkpoint(path)
    assert str(caught.value).isprintable()


def test_most_of_them_do_load() -> None:
    """The cases prove something: torch takes nearly all of these files without a word."""
    loaded = {case: loaded_by_torch(file(contents)) for case, contents in OTHERWISE.items()}
    assert None not in loaded.values()
    others = [
        case
        for case, tensors in loaded.items()
        if tensors and any(torch.equal(value.flatten(), TWOS) for value in tensors.values())
    ]
    assert len(others) >= 10, loaded


HARMLESS: dict[str, Any] = {
    "no state": {"a": Applied(WITH_STATE, SHOWN, False, {}, None)},
    "attributes": {"a": Applied(WITH_STATE, SHOWN, True, OrderedDict(), {"label": 1, "kept": OTHER})},
    "attributes in slots": {"a": Applied(TYPED, V2, torch.Tensor, PLAIN, ({"label": 1}, {"other": 2}))},
    "metadata": instructions(
        b"ccollections\nOrderedDict\n)R", text("a"), SHOWN, b"s", {"_metadata": OrderedDict({"": {"version": 1}})}, b"b"
    ),
    "another entry later": instructions(b"}q\x01", text("b"), b"h\x01\x85s", text("a"), SHOWN, b"s"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_attributes_of_one_s_own_are_no_harm(case: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(file(HARMLESS[case]))
    loaded = torch.load(io.BytesIO(path.read_bytes()), weights_only=True)
    with open_checkpoint(path) as checkpoint:
        assert torch.equal(as_tensor(checkpoint.read("a")), loaded["a"])
        assert torch.equal(as_tensor(checkpoint.read("a")).flatten(), ONES)


def test_what_tensors_have_is_known_without_torch() -> None:
    """What of torch's own is missing in the list could be replaced by a file's state."""
    own = {name for name in dir(torch.nn.Parameter) if not (name.startswith("__") and name.endswith("__"))}
    assert own - tensor_attributes() == set()


@pytest.mark.parametrize("name", ["data", "real", "grad", "numel", "__dict__", "__class__", "__of_a_later_python__"])
def test_no_attribute_that_tensors_have_is_replaced(name: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(file({"a": Applied(WITH_STATE, SHOWN, True, OrderedDict(), {name: 1})}))
    with pytest.raises(CheckpointError, match="_rebuild_parameter_with_state"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("contents", "cause"),
    [
        ({"state_dict": {"a": SHOWN}, "a": OTHER}, "tensors under 'state_dict' and at its top, and programs differ"),
        ({"model": {"a": SHOWN}, "state_dict": {"a": OTHER}}, "under 'state_dict' and under 'model'"),
        ({"a": SHOWN, "b": Applied(V2, *PLAIN[:4], True, {0: 1})}, "tensor 'b' is described in a way"),
        (
            {"a": Applied(V2, storage(torch.LongStorage, elements=3), 0, (3,), (1,), True, {})},
            "of whole numbers and to be trained",
        ),
        ({"a": tensor(), "c": [tensor(of=storage(key="7"))]}, "'data/7', which is missing"),
    ],
)  # fmt: skip
def test_what_is_open_to_two_readings_is_refused(contents: Any, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(file(contents))
    with pytest.raises(CheckpointError, match=cause):
        open_checkpoint(path)


def test_a_storage_without_data_is_refused(tmp_path: Path) -> None:
    meta = storage()
    meta.identity = (*meta.identity[:3], "meta", 6)
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(file({"a": tensor(of=meta)}))
    assert torch.load(path, weights_only=True)["a"].is_meta
    with pytest.raises(CheckpointError, match="from the meta device, where torch finds no data"):
        open_checkpoint(path)
