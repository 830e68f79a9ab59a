"""The error for a checkpoint of which nothing could be mapped names the likeliest cause."""

from __future__ import annotations

from typing import Any

import pytest

from tests.architecture.saved import info, infos
from tests.support.models import HIDDEN, build
from weightaudit.architecture import map_model
from weightaudit.errors import MappingError
from weightaudit.records import TensorInfo


@pytest.fixture(scope="module")
def gpt2() -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    model = build("gpt2", "GPT2LMHeadModel")
    return model.config.to_dict(), infos(model.state_dict())


def refused(config: dict[str, Any] | None, tensors: dict[str, TensorInfo]) -> MappingError:
    with pytest.raises(MappingError) as caught:
        map_model(config, tensors)
    return caught.value


@pytest.mark.parametrize("model_type", ["gpt2", "unheard-of"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "float8_e4m3fn"])
def test_quantised_weights(dtype: str, model_type: str, gpt2: tuple[dict[str, Any], dict[str, TensorInfo]]) -> None:
    config, tensors = gpt2
    stored = {n: info(n, t.shape, dtype if len(t.shape) > 1 else "float16") for n, t in tensors.items()}
    error = refused(config | {"model_type": model_type}, stored)
    assert f"quantised: stored as {dtype}" in error.cause
    assert "scan the unquantised checkpoint" in error.hint


def test_packed_weights_under_names_of_their_own(gpt2: tuple[dict[str, Any], dict[str, TensorInfo]]) -> None:
    packed = [f"h.{n}.attn.c_attn.{part}" for n in range(2) for part in ("qweight", "qzeros")]
    tensors = {name: info(name, (3, HIDDEN), "int32") for name in packed}
    assert "scan the unquantised checkpoint" in refused(gpt2[0], tensors).hint


def test_complex_weights(gpt2: tuple[dict[str, Any], dict[str, TensorInfo]]) -> None:
    config, tensors = gpt2
    error = refused(config, {n: info(n, t.shape, "complex64") for n, t in tensors.items()})
    assert "complex numbers: stored as complex64" in error.cause
    assert error.hint.startswith("Complex matrices are not measured")


def test_a_config_of_another_family(gpt2: tuple[dict[str, Any], dict[str, TensorInfo]]) -> None:
    error = refused({"model_type": "bert"}, gpt2[1])
    assert "config.json says bert; the names look like gpt2" in error.cause
    assert "belong together" in error.hint


@pytest.mark.parametrize("stem", ["base_model.model.model.layers.{}.self_attn.q_proj", "transformer.h.{}.attn.c_attn"])
def test_an_adapter_s_own_weights_are_named_as_such(stem: str) -> None:
    names = [f"{stem.format(n)}.lora_{side}.weight" for n in range(3) for side in "AB"]
    error = refused({"model_type": "gpt2"}, {name: info(name, (8, 8)) for name in names})
    assert error.hint == "These are an adapter's: scan its base model, or the adapter merged into it and saved."


def test_an_unknown_type_is_not_held_against_the_names() -> None:
    error = refused({"model_type": "resnet"}, {"conv.weight": info("conv.weight", (3, 3))})
    assert "look like" not in error.cause
    assert "hold a language model's weights" in error.hint


def test_the_example_is_a_matrix_where_there_is_one() -> None:
    names = {f"a{i}.bias": (3,) for i in range(9)} | {"z.weight": (3, 3)}
    tensors = {name: info(name, shape) for name, shape in names.items()}
    assert "for example z.weight:" in refused({"model_type": "gpt2"}, tensors).cause
    del tensors["z.weight"]
    assert "for example a0.bias:" in refused({"model_type": "gpt2"}, tensors).cause
