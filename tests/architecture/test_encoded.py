"""Encoded tensors beside what a family stores: always (out, in), whatever plain ones are; those not read are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.architecture.saved import infos
from tests.support.tiny import tiny
from weightaudit.architecture import map_model
from weightaudit.architecture.wrapping import unwrap
from weightaudit.errors import MappingError
from weightaudit.records import ModelMap, Scheme, TensorInfo, encoded, unread

SCHEME = Scheme("toy", 4)
Make = Callable[[str, tuple[int, ...]], TensorInfo]


def part(name: str, shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo(f"{name}_codes", "uint8", shape, "model.safetensors", 0, 8)


def read(name: str, shape: tuple[int, ...]) -> TensorInfo:
    return encoded(name, shape, "toy", (("codes", part(name, shape)),), SCHEME)


def not_read(name: str, shape: tuple[int, ...]) -> TensorInfo:
    return unread(name, (7, *shape), (("codes", part(name, shape)),), SCHEME, "nobody wrote a decoder")


def mapped(model_type: str, ending: str, make: Make, *, turn: bool) -> tuple[ModelMap, list[str]]:
    """The map of a tiny model whose tensors that end so are encoded, turned or as the family stores them; and those."""
    model = tiny(model_type)
    tensors = infos(model.state_dict())
    names = [name for name, info in tensors.items() if name.endswith(ending) and len(info.shape) > 1]
    for name in names:
        *first, rows, cols = tensors[name].shape
        tensors[name] = make(name, (*first, cols, rows) if turn else (*first, rows, cols))
    return map_model(model.config.to_dict(), tensors), names


@pytest.mark.parametrize(
    ("model_type", "ending", "turn"),
    [
        ("gpt2", "mlp.c_fc.weight", True),
        ("gpt2", "attn.c_attn.weight", True),
        ("gpt_oss", "experts.gate_up_proj", True),
        ("gpt_oss", "experts.down_proj", True),
        ("llama", "mlp.down_proj.weight", False),
    ],
)
def test_what_is_encoded_is_out_in(model_type: str, ending: str, turn: bool) -> None:
    found, names = mapped(model_type, ending, read, turn=turn)
    assert names
    assert found.discrepancies == ()
    roles = {entry.tensor: (entry.status, entry.scheme) for entry in found.coverage}
    assert {roles[name] for name in names} == {("analysed", SCHEME)}
    own = [matrix for matrix in found.matrices if set(matrix.tensors) & set(names)]
    assert {matrix.scheme for matrix in own} == {SCHEME}
    assert not any(part.transposed for matrix in own for part in matrix.parts)


def test_the_orientation_of_plain_ones_is_a_wrong_shape() -> None:
    """Of gate and up projections, for down projections of gpt-oss are square enough to hide it."""
    found, names = mapped("gpt2", "mlp.c_fc.weight", read, turn=False)
    assert [one.kind for one in found.discrepancies] == ["misshapen"]
    assert set(found.discrepancies[0].tensors) == set(names)


@pytest.mark.parametrize(
    ("model_type", "ending"),
    [("gpt2", "mlp.c_fc.weight"), ("gpt_oss", "experts.gate_up_proj"), ("llama", "mlp.down_proj.weight")],
)
def test_what_is_not_read_is_there_in_whatever_shape(model_type: str, ending: str) -> None:
    found, names = mapped(model_type, ending, not_read, turn=False)
    assert found.discrepancies == ()
    said = {entry.detail for entry in found.coverage if entry.tensor in names}
    assert said == {"quantised: toy, 4 bits, nobody wrote a decoder"}


def test_a_guess_tells_plain_conv1d_from_encoded_ones() -> None:
    """Some of a model is quantised, and c_fc and c_proj tell that the rest of it is (in, out)."""
    tensors = infos(tiny("gpt2").state_dict())
    for name in [one for one in tensors if one.endswith("attn.c_attn.weight")]:
        tensors[name] = read(name, tensors[name].shape[::-1])
    found = map_model({"model_type": "nobodys", "n_embd": tensors["transformer.wte.weight"].shape[1]}, tensors)
    shapes = {matrix.role: (matrix.shape, matrix.parts[0].transposed) for matrix in found.matrices if matrix.layer == 0}
    hidden = tensors["transformer.wte.weight"].shape[1]
    assert found.guessed
    assert shapes["QKV"] == ((3 * hidden, hidden), False)
    assert shapes["M1"] == (tensors["transformer.h.0.mlp.c_fc.weight"].shape[::-1], True)


def test_a_model_of_which_nothing_is_read_is_quantised_in_its_error() -> None:
    with pytest.raises(MappingError) as caught:
        mapped("llama", ".weight", not_read, turn=False)
    assert "quantised: toy, 4 bits, nobody wrote a decoder" in str(caught.value)
    assert "The weights are quantised" in str(caught.value)


def test_wrapped_names_keep_their_encoding() -> None:
    tensors = infos(tiny("llama").state_dict())
    wrapped = {
        f"_orig_mod.{name}": replace(read(name, info.shape) if len(info.shape) == 2 else info, name=f"_orig_mod.{name}")
        for name, info in tensors.items()
    }
    plain, wrapping = unwrap(wrapped, None)
    assert wrapping is not None
    assert {name: info.encoded for name, info in plain.items()} == {
        name: len(info.shape) == 2 for name, info in tensors.items()
    }
