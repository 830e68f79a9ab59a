"""Experts that lie (out, in) in some files and (in, out) in others: shapes tell, and both give the same matrices."""

from __future__ import annotations

import json

import torch

from tests.architecture.inventories import held_by
from tests.architecture.saved import info, infos, value
from tests.support.tiny import tiny
from weightaudit.architecture import map_model
from weightaudit.records import ModelMap


def both() -> tuple[dict[str, object], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(config, tensors as transformers saves them, the same as they lie on the Hub)."""
    model = tiny("qwen3_vl_moe")
    held = held_by(model)[0]
    tensors = {name: tensor for name, tensor in model.state_dict().items() if name in held}
    assert tensors.keys() == held.keys()
    on_the_hub = {n: t.transpose(1, 2).contiguous() if "mlp.experts" in n else t for n, t in tensors.items()}
    return json.loads(model.config.to_json_string()), tensors, on_the_hub


def experts(model_map: ModelMap, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {m.key: value(m, tensors) for m in model_map.matrices if m.expert is not None}


def test_both_storages_give_the_same_matrices() -> None:
    config, saved, on_the_hub = both()
    # The gate and up projections of the tiny model are square: of these the down projection tells.
    assert {tuple(t.shape[1:]) for n, t in saved.items() if "gate_up_proj" in n} == {(48, 48)}
    plain, turned = (map_model(config, infos(tensors)) for tensors in (saved, on_the_hub))
    assert (plain.discrepancies, turned.discrepancies) == ((), ())
    expected, found = experts(plain, saved), experts(turned, on_the_hub)
    assert len(expected) == 2 * 3 * 3
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_a_checkpoint_of_two_storages_is_told() -> None:
    config, saved, on_the_hub = both()
    mixed = infos({n: on_the_hub[n] if "layers.1." in n else t for n, t in saved.items()})
    told = [one.says for one in map_model(config, mixed).discrepancies]
    assert any("layers.1.mlp.experts.down_proj" in says for says in told), told


def test_a_shape_of_neither_storage_is_told() -> None:
    config, saved, _ = both()
    name = "model.language_model.layers.0.mlp.experts.down_proj"
    odd = {**infos(saved), name: info(name, (3, 48, 25))}
    assert any(name in one.says for one in map_model(config, odd).discrepancies)
