"""PyTorch files of both formats, read in place: every tensor equals what torch.load gives."""

from __future__ import annotations

import argparse
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.checkpoint.torch_oracle import bits
from tests.support.torch_files import Applied, legacy, pickled, saved, storage, tensor, torch_zip
from weightaudit.arrays import as_tensor
from weightaudit.checkpoint import open_checkpoint
from weightaudit.dtypes import DTYPES
from weightaudit.errors import CheckpointError

FORMS = ("zip", "legacy")
READABLE = [dtype for dtype in DTYPES if not dtype.packed]


def check_against_torch(path: Path, expected: dict[str, torch.Tensor] | None = None) -> None:
    """Values, shapes, types and strides are those of ``expected``, or of what torch.load makes of the file."""
    if expected is None:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        expected = {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
    scratch = np.empty(1 << 16, np.uint8)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == sorted(expected)
        for name, value in expected.items():
            info = checkpoint.tensors[name]
            assert path.stat().st_size >= info.offset + info.nbytes
            for got in map(as_tensor, (checkpoint.read(name), checkpoint.read(name, into=scratch))):
                assert (got.dtype, got.shape) == (value.dtype, value.shape)
                assert bits(got) == bits(value)
                if got.numel() > 1:
                    assert got.stride() == value.stride()


@pytest.mark.parametrize("form", FORMS)
def test_every_dtype(form: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for dtype in READABLE:
        high = 2 if dtype.kind == "bool" else 256
        raw = torch.randint(0, high, (3, 5 * dtype.bits // 8), dtype=torch.uint8, generator=generator)
        tensors[dtype.name] = raw.view(dtype.torch)
    check_against_torch(saved(tensors, tmp_path / "model.bin", form), tensors)


@pytest.mark.parametrize("form", FORMS)
def test_views_of_shared_storages(form: str, tmp_path: Path) -> None:
    base = torch.arange(24.0).view(4, 6)
    tensors = OrderedDict(
        whole=base,
        again=base,
        transposed=base.t(),
        rows=base[1:3],
        columns=base[:, 2:4],
        every_other=base[::2, ::3],
        one_column=base[:, 5],
        element=base[3, 5],
        scalar=torch.tensor(2.5, dtype=torch.bfloat16),
        empty=base[:0],
        permuted=torch.arange(60, dtype=torch.int16).view(3, 4, 5).permute(2, 0, 1),
        expanded=torch.arange(3.0).expand(2, 3),
        own=torch.ones(2, 2, dtype=torch.float64),
    )
    path = saved(tensors, tmp_path / "model.bin", form)
    check_against_torch(path)
    with open_checkpoint(path) as checkpoint:
        found = checkpoint.tensors
        whole, again = found["whole"], found["again"]
        assert (whole.file, whole.offset, whole.nbytes, whole.shape, whole.strides) == (
            again.file,
            again.offset,
            again.nbytes,
            again.shape,
            again.strides,
        )
        assert (whole.nbytes, whole.strides) == (96, None)
        assert (found["transposed"].offset, found["transposed"].nbytes) == (whole.offset, 96)
        assert found["transposed"].strides == (1, 6)
        assert (found["rows"].offset, found["rows"].nbytes, found["rows"].strides) == (whole.offset + 24, 48, None)
        # From the first element to the last, and no byte more.
        assert (found["columns"].offset, found["columns"].nbytes) == (whole.offset + 8, 80)
        assert (found["expanded"].nbytes, found["expanded"].strides) == (12, (0, 1))


@pytest.mark.parametrize("form", FORMS)
def test_a_module_s_parameters_and_buffers(form: str, tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5))
    module.register_buffer("mask", torch.ones(2, 2, dtype=torch.bool).tril())
    module.tied = module[0].weight
    check_against_torch(saved(module.state_dict(), tmp_path / "model.bin", form))
    parameters = dict(module.named_parameters(remove_duplicate=False))
    check_against_torch(saved(parameters, tmp_path / "parameters.bin", form))


def test_parameters_with_attributes_of_their_own(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.randn(2, 3))
    parameter.label = "mine"  # type: ignore[attr-defined]
    plain = torch.randn(4)
    plain.label = "mine"  # type: ignore[attr-defined]
    check_against_torch(saved({"a": parameter, "b": plain}, tmp_path / "model.bin"))


@pytest.mark.parametrize("form", FORMS)
def test_a_file_says_which_format_it_has(form: str, tmp_path: Path) -> None:
    path = saved({"a": torch.ones(2)}, tmp_path / "model.pt", form)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.identity.format == f"torch {form}"
        assert [(file.name, file.nbytes) for file in checkpoint.identity.files] == [("model.pt", path.stat().st_size)]
        size = f"{path.stat().st_size:,} bytes"
        assert [size in note for note in checkpoint.notes] == ([True] if form == "legacy" else [])


def test_a_file_is_known_by_its_contents_where_its_name_says_nothing(tmp_path: Path) -> None:
    for form in FORMS:
        check_against_torch(saved({"a": torch.ones(2)}, tmp_path / f"blob-{form}", form))


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "module"])
@pytest.mark.parametrize("form", FORMS)
def test_the_state_dict_inside_a_trainer_s_checkpoint(key: str, form: str, tmp_path: Path) -> None:
    weights = {"w": torch.randn(2, 3)}
    contents = {
        "epoch": 3,
        "step": torch.tensor(7),
        key: weights,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2, 3)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]},
    }
    path = saved(contents, tmp_path / "checkpoint.pt", form)
    check_against_torch(path, weights)
    with open_checkpoint(path) as checkpoint:
        assert f"checkpoint.pt keeps its tensors under '{key}'; only these were taken." in checkpoint.notes


@pytest.mark.parametrize("place", ["net", "state", "ema", "params", "my network", "state.model", "a.b.c"])
@pytest.mark.parametrize("form", FORMS)
def test_the_one_dictionary_with_matrices_is_the_state_dict_whatever_its_name(
    place: str, form: str, tmp_path: Path
) -> None:
    weights = {"w": torch.randn(2, 3), "b": torch.randn(2)}
    contents: Any = weights
    for key in reversed(place.split(".")):
        contents = {key: contents, "step": torch.tensor(7)}
    contents["optimizer"] = {"state": {0: {"exp_avg": torch.zeros(2, 3)}}, "rng": {"cpu": torch.zeros(5)}}
    with open_checkpoint(saved(contents, tmp_path / "checkpoint.pt", form)) as checkpoint:
        assert list(checkpoint.tensors) == ["b", "w"]
        assert torch.equal(as_tensor(checkpoint.read("w")), weights["w"])
        assert f"checkpoint.pt keeps its tensors under '{place}'; only these were taken." in checkpoint.notes


@pytest.mark.parametrize("form", FORMS)
def test_an_optimizer_s_numbered_tensors_are_no_state_dict(form: str, tmp_path: Path) -> None:
    contents = {"state": {0: {"exp_avg": torch.zeros(2, 3)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    with pytest.raises(CheckpointError, match=r"under 'state\.\(numbered\)', and none of that is known") as caught:
        open_checkpoint(saved(contents, tmp_path / "optimizer.pt", form))
    assert caught.value.hint == "Name the model's weight file"


BESIDE: dict[str, Any] = {
    "numpy numbers": [np.float64(1.5), np.float32(2), np.int64(3), np.bool_(True)],
    "numpy arrays": [np.arange(6.0).reshape(2, 3), np.array(["a", "b"]), np.array([1, None], dtype=object)],
    "a numpy data type": np.dtype("float32"),
    "an argparse namespace": argparse.Namespace(lr=1e-3, layers=[1, 2], inner=argparse.Namespace(x=np.float64(1))),
    "a simple namespace": SimpleNamespace(name="run"),
    "a default dict": defaultdict(list, {"loss": [1.0]}),
    "a default dict of nothing": defaultdict(None, {"loss": [1.0]}),
    "the version of torch": torch.torch_version.TorchVersion("2.9.0"),
}


@pytest.mark.parametrize("case", BESIDE)
@pytest.mark.parametrize("form", FORMS)
def test_values_that_trainers_leave_beside_the_weights(case: str, form: str, tmp_path: Path) -> None:
    weights = {"w": torch.randn(2, 3)}
    path = saved({"model": weights, "args": BESIDE[case], "best": np.float64(0.25)}, tmp_path / "last.pth", form)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]
        assert torch.equal(as_tensor(checkpoint.read("w")), weights["w"])
    saved({**weights, "args": BESIDE[case]}, path, form)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]
        assert any("'args'" in note or case.startswith("a default") for note in checkpoint.notes)


class Chosen(argparse.Namespace):
    """A class of one's own: what it does when it is made nobody knows."""


@pytest.mark.parametrize("form", FORMS)
def test_objects_of_other_classes_beside_the_weights_are_code(form: str, tmp_path: Path) -> None:
    for odd in (Chosen(x=1), Path("x"), np.random.default_rng(0)):
        path = saved({"model": {"w": torch.ones(2, 3)}, "args": odd}, tmp_path / "last.pth", form)
        with pytest.raises(CheckpointError, match=r"Nothing of it was executed"):
            open_checkpoint(path)


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_state_dict_beside_tensors_is_no_state_dict(form: str, tmp_path: Path) -> None:
    weights = {"a": torch.randn(2, 3)}
    check_against_torch(saved({"state_dict": {}, **weights}, tmp_path / "checkpoint.pt", form), weights)


def test_entries_that_are_no_tensors_are_passed_over_and_named(tmp_path: Path) -> None:
    contents = {
        "w": torch.ones(2),
        "names": ["a", ("b", 1.5)],
        "config": {"x": None},
        "shape": torch.Size([2, 3]),
        "device": torch.device("cuda:1"),
        "dtype": torch.bfloat16,
        "set": {1, 2},
        "bytes": b"raw",
        "big": 2**70,
        "extra\x1b[2J": -5,
    }
    path = saved(contents, tmp_path / "model.bin")
    check_against_torch(path)
    with open_checkpoint(path) as checkpoint:
        (note,) = checkpoint.notes
    assert "'names', 'config', 'shape', 'device', 'dtype' and 4 more" in note
    assert note.isprintable()


def test_pickle_protocol_4_is_data_too(tmp_path: Path) -> None:
    expected = {"a": torch.randn(3, 4).t(), "b": torch.nn.Parameter(torch.ones(2)).detach()}
    path = tmp_path / "model.bin"
    torch.save(expected, path, pickle_protocol=4)
    check_against_torch(path, expected)


def test_dictionaries_as_python_2_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(torch_zip({"state_dict": Applied(OrderedDict, [["a", tensor()]])}))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.tensors["a"].shape == (2, 3)


def test_the_last_of_two_equal_keys_counts_as_in_python(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    first, second = pickled(tensor(shape=(1,), strides=(1,)))[2:-1], pickled(tensor())[2:-1]
    key = b"X\x01\0\0\0a"
    path.write_bytes(torch_zip(b"\x80\x02}(" + key + first + key + second + b"u."))
    check_against_torch(path)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.tensors["a"].shape == (2, 3)


def _storage(form: str, **changes: Any) -> Any:
    arguments = {"kind": torch.FloatStorage, "key": "0", "elements": 6, **changes}
    view = () if form == "zip" else (None,)
    return storage(arguments["kind"], arguments["key"], arguments["elements"], *view)


V2, V3 = torch._utils._rebuild_tensor_v2, torch._utils._rebuild_tensor_v3
SPARSE = Applied(torch._utils._rebuild_sparse_tensor, torch.sparse_coo, (1, 2, 3, True))
# What is the tensor "a" → what is said of it.
UNREADABLE: dict[str, tuple[Any, str]] = {
    "sparse": (SPARSE, "tensor 'a' is sparse"),
    "quantised": (
        Applied(torch._utils._rebuild_qtensor, *range(7)),
        "tensor 'a' is quantised by PyTorch",
    ),
    "quantised storage": (
        lambda form: tensor(of=_storage(form, kind=torch.QInt8Storage, elements=24)),
        "tensor 'a' has the data type qint8",
    ),
    "subclass": (
        Applied(torch._utils._rebuild_wrapper_subclass, *range(8)),
        "tensor 'a' is of a tensor subclass",
    ),
    "nested": (Applied(torch._utils._rebuild_nested_tensor, 1, 2, 3, 4), "tensor 'a' is nested"),
    "meta": (
        Applied(torch._utils._rebuild_meta_tensor_no_storage, torch.float32, (2, 3), (3, 1), False),
        "tensor 'a' has no data: it was saved from the meta device",
    ),
    "complex128": (
        lambda form: tensor(of=_storage(form, kind=torch.ComplexDoubleStorage), shape=(1,), strides=(1,)),
        "tensor 'a' has the data type complex128",
    ),
    "no storage": (lambda form: tensor(of=1), "described in a way that torch.save does not use"),
    "too few arguments": (lambda form: Applied(V2, _storage(form), 0, (2, 3)), "described in a way"),
    "a list as shape": (lambda form: tensor(of=_storage(form), shape=[2, 3]), "described in a way"),
    "a negative size": (lambda form: tensor(of=_storage(form), shape=(-2, 3)), "described in a way"),
    "a negative stride": (lambda form: tensor(of=_storage(form), strides=(3, -1)), "described in a way"),
    "a negative offset": (lambda form: tensor(of=_storage(form), offset=-1), "described in a way"),
    "true as offset": (lambda form: tensor(of=_storage(form), offset=True), "described in a way"),
    "one stride too few": (lambda form: tensor(of=_storage(form), strides=(3,)), "described in a way"),
    "a data type that is none": (
        lambda form: Applied(V3, _storage(form), 0, (2, 3), (3, 1), False, {}, "float32"),
        "described in a way",
    ),
    "an instance of a class": (
        lambda form: Applied(torch.nn.Parameter, tensor(of=_storage(form))),
        "calls 'torch.nn.parameter.Parameter' in a way",
    ),
    "beyond its storage": (
        lambda form: tensor(of=_storage(form), offset=1),
        "needs 28 bytes of its storage, which has 24",
    ),
    "strided beyond its storage": (
        lambda form: tensor(of=_storage(form), strides=(4, 1)),
        "needs 28 bytes of its storage, which has 24",
    ),
    "overflow": (lambda form: tensor(of=_storage(form), shape=(2**40, 2**40)), "has an impossible shape"),
    "65 dimensions": (lambda form: tensor(of=_storage(form), shape=(1,) * 65, strides=(1,) * 65), "65 dimensions"),
    "repeated without end": (
        lambda form: tensor(of=_storage(form), shape=(2**20, 2**20), strides=(0, 0)),
        "repeats its elements to 4398046511104 bytes, more than the whole file has",
    ),
    "negation to be done": (
        lambda form: Applied(V2, _storage(form), 0, (2, 3), (3, 1), False, {}, {"neg": True}),
        "with its conjugation or negation still to be done",
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", UNREADABLE)
def test_a_tensor_that_cannot_be_read_is_refused_by_name(case: str, form: str, tmp_path: Path) -> None:
    value, cause = UNREADABLE[case]
    contents = {"a": value if isinstance(value, Applied) else value(form)}
    path = tmp_path / "model.bin"
    path.write_bytes(torch_zip(contents) if form == "zip" else legacy(contents))
    with pytest.raises(CheckpointError, match=cause) as caught:
        open_checkpoint(path)
    assert caught.value.thing == str(path)
    assert caught.value.hint


def test_tensors_that_torch_saved_and_are_no_plain_tensors(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    made = {
        "is sparse": torch.eye(3).to_sparse(),
        "with its conjugation or negation": torch.ones(2, dtype=torch.complex64).conj(),
        "meta device": torch.empty(2, device="meta"),
    }
    for cause, value in made.items():
        saved({"fine": torch.ones(1), "odd": value}, path)
        with pytest.raises(CheckpointError, match=f"'odd' .*{cause}"):
            open_checkpoint(path)


@pytest.mark.parametrize(
    ("contents", "cause"),
    [
        (torch.ones(2), "holds a single tensor"),
        ([torch.ones(2)], "where a dictionary of named tensors belongs"),
        ({}, "holds no tensors"),
        ({"lr": 1.0, "state_dict": {}}, "holds no tensors"),
        ({0: torch.ones(2)}, "a tensor in it has no text as its name"),
        ({"a": torch.ones(2), b"b": torch.ones(2)}, "a tensor in it has no text as its name"),
        ({"encoder": {"w": torch.ones(2)}, "decoder": {"w": torch.ones(2)}}, "under 'encoder' and 'decoder', and none"),
        ({"a\x1b[2J": torch.ones(2)}, r"tensor 'a\\x1b\[2J' has control characters"),
        ({"a" * 2000: torch.ones(2)}, "has a name of 2000 characters"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_state_dict_is_refused(contents: Any, cause: str, form: str, tmp_path: Path) -> None:
    path = saved(contents, tmp_path / "model.bin", form)
    with pytest.raises(CheckpointError, match=cause) as caught:
        open_checkpoint(path)
    assert str(caught.value).isprintable()
    assert caught.value.hint


def test_a_pickle_that_torch_did_not_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(pickle.dumps({"a": 1}, 2))
    with pytest.raises(CheckpointError, match=r"not one of torch\.save\. Nothing of it was executed"):
        open_checkpoint(path)


@pytest.mark.skipif(not hasattr(torch.serialization, "skip_data"), reason="torch before 2.7 writes no sparse files")
def test_a_file_beyond_4_gib(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    tensors = {
        "large": torch.empty(5 << 30, dtype=torch.uint8),
        "small": torch.ones(10),
        "turned": torch.empty(1 << 20, 512, dtype=torch.float16).t(),
    }
    with torch.serialization.skip_data():  # sparse: neither the tensors' memory nor the file's room is ever used
        torch.save(tensors, path)
    with open_checkpoint(path) as checkpoint:
        found = checkpoint.tensors
        assert found["large"].nbytes == 5 << 30
        assert found["turned"].strides == (1, 512)
        assert min(found["small"].offset, found["turned"].offset) > 5 << 30
    with open(path, "r+b") as file:
        file.seek(found["small"].offset)
        file.write(torch.arange(10.0).numpy().tobytes())
    with open_checkpoint(path) as checkpoint:
        assert torch.equal(as_tensor(checkpoint.read("small")), torch.arange(10.0))
    assert torch.equal(torch.load(path, mmap=True, weights_only=True)["small"], torch.arange(10.0))
