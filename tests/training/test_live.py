"""Which part of a module is watched, and which has no whole weights to measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.support.covering import covering
from tests.support.tiny import tiny
from tests.training.runs import gpt2
from weightaudit.errors import UsageError
from weightaudit.training.finite import nonfinite_tensors
from weightaudit.training.live import LiveMatrices, watched, why_not_whole


class FullyShardedDataParallel(torch.nn.Module):
    """Called as FSDP's, by which it is told."""

    def __init__(self, module: Any, sharding_strategy: str) -> None:
        super().__init__()
        self.inner, self.sharding_strategy = module, sharding_strategy


class Distributed(torch.nn.Module):
    def __init__(self, **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def test_the_model_within_others_is_watched() -> None:
    model = gpt2()
    assert watched(torch.nn.DataParallel(model), None) is model
    assert watched(Distributed(net=Distributed(model=model)), None) is model
    assert watched(Distributed(student=model, teacher=gpt2()), "student") is model


@pytest.mark.slow
def test_the_model_that_is_compiled_is_watched() -> None:
    model = gpt2()
    compiled: Any = torch.compile(model, backend="eager")  # wrapped as by any other, which take seconds to load
    assert watched(compiled, None) is model


def test_several_models_are_to_be_chosen_from() -> None:
    both = Distributed(student=gpt2(), teacher=gpt2())
    with pytest.raises(UsageError, match="student and teacher"):
        watched(both, None)
    with pytest.raises(UsageError, match=r"no part 'nobody'"):
        watched(both, "nobody")


def test_sharded_weights_are_told() -> None:
    model = gpt2()
    assert why_not_whole(model) == ""
    assert "FSDP" in why_not_whole(FullyShardedDataParallel(model, "ShardingStrategy.FULL_SHARD"))
    assert why_not_whole(FullyShardedDataParallel(model, "ShardingStrategy.NO_SHARD")) == ""
    weight = model.transformer.h[0].mlp.c_fc.weight
    weight.ds_id, weight.ds_numel = 1, 4 * weight.numel()
    assert "ZeRO-3" in why_not_whole(model)
    with torch.device("meta"):
        assert "meta device" in why_not_whole(gpt2())


def test_distributed_tensors_are_told() -> None:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, distribute_tensor

    dist.init_process_group("gloo", init_method="tcp://127.0.0.1:0", rank=0, world_size=1)
    try:
        linear = torch.nn.Linear(4, 4)
        mesh = init_device_mesh("cpu", (1,))
        linear.weight = torch.nn.Parameter(distribute_tensor(linear.weight.detach(), mesh, [Replicate()]))
        assert "DTensor" in why_not_whole(linear)
    finally:
        dist.destroy_process_group()


def test_a_family_is_mapped_as_its_checkpoint_would_be() -> None:
    model = tiny("llama")
    live = LiveMatrices(model)
    found = [replace(matrix, reader=live.reader()) for matrix in live.matrices]
    assert {matrix.role for matrix in found} == {"Q", "K", "V", "O", "GATE", "M1", "M2"}
    query = next(matrix for matrix in found if matrix.role == "Q" and matrix.layer == 1)
    assert torch.equal(query.load(), model.model.layers[1].self_attn.q_proj.weight)
    (embedding,) = LiveMatrices(model, ("EMBED",)).matrices
    assert embedding.shape == tuple(model.get_input_embeddings().weight.shape)


@pytest.mark.parametrize(
    ("dtype", "value"),
    covering(
        [torch.float32, torch.bfloat16, torch.float16, torch.float64],
        [float("nan"), float("inf"), -float("inf")],
        together=1,
    ),
)
def test_nonfinite_entries_are_found_in_every_precision(dtype: torch.dtype, value: float) -> None:
    model: Any = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8)).to(dtype)
    assert nonfinite_tensors(model) == []
    with torch.no_grad():
        model[0].weight.fill_(torch.finfo(dtype).max)
    assert nonfinite_tensors(model) == []
    with torch.no_grad():
        model[1].bias[3] = value
    assert nonfinite_tensors(model) == ["1.bias"]


def test_of_a_model_with_an_adapter_the_change_is_measured() -> None:
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(gpt2(), peft.LoraConfig(r=2, target_modules=["c_fc"], fan_in_fan_out=True))
    live = LiveMatrices(watched(model, None))
    assert {(matrix.layer, matrix.role) for matrix in live.matrices} == {(0, "M1"), (1, "M1")}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    changed = replace(live.matrices[0], reader=live.reader()).load()
    assert torch.linalg.matrix_rank(changed.double(), rtol=1e-4) == 2
