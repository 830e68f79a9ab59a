"""What attention.toml says, proved by execution: the norm before an attention, its gains, the scale of its logits."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.heads import gains_of, plans_of, rough, stored_of
from tests.support.tiny import all_model_types
from weightaudit.architecture.attention import SCALES, Asked, attends, model_types
from weightaudit.architecture.attention_plan import NO_GAINS, AttentionPlan
from weightaudit.architecture.registry import families

PROVEN: dict[str, dict[str, Any]] = {
    model_type: {}
    for model_type in (
        *("llama", "qwen2", "cohere", "stablelm", "phi", "gpt_neox", "bloom", "gpt_oss", "mixtral", "granite", "gemma"),
        *("nemotron", "gemma2", "t5gemma", "t5", "apertus", "gpt2", "gpt_neo", "codegen", "mpt", "dbrx", "ctrl"),
        *("cpmant", "esm", "megatron-bert", "xlm-roberta-xl", "mbart", "opt", "deepseek_v3", "jamba", "lfm2", "olmo"),
    )
}
"""A type of each table with a norm that transformers builds; the others of a table have the same layers, which is
proven too where slow tests run."""
PROVEN["falcon"] = {"new_decoder_architecture": True, "num_kv_heads": 2}
PROVEN["deepseek_v2"] = {"q_lora_rank": None}
PROVEN["nanochat"] = {}
PROVEN |= {"zamba": {}, "zamba2": {}}
PROVEN["gpt_bigcode"] = {"scale_attn_weights": False}
ELSEWHERE = ("modernbert", "modernbert-decoder", "t5gemma2", "exaone", "axk2", "whisper", "pegasus_x")
"""Types whose first layer has no norm, that read more than tokens, or pad them."""
OTHERS = sorted(
    model_type
    for model_type in set(model_types()) & set(all_model_types()) - {*PROVEN, *ELSEWHERE}
    if (table := attends(model_type)) is not None and table.norm and not table.when
)
LIKE_ANOTHER = [
    *("qwen2", "cohere", "stablelm", "phi", "gpt_neox", "gpt_oss", "mixtral", "jamba", "falcon", "nemotron"),
    *("deepseek_v2", "zamba2", "gpt_bigcode"),
]
"""Types whose table says just what an earlier one's does; bloom's norm has a bias, which llama's has not."""
OF_A_TABLE = [pytest.param(one, marks=pytest.mark.slow) if one in LIKE_ANOTHER else one for one in PROVEN]
SCALED = ("scaling", "inv_norm_factor", "softmax_scale")
"""What attentions of transformers call the scale."""


@cache
def _model(model_type: str) -> Any:
    return rough(model_type, **PROVEN.get(model_type, {}))


@cache
def _plans(model_type: str) -> tuple[AttentionPlan, ...]:
    """One of each stack's own attention."""
    of_stacks: dict[str, AttentionPlan] = {}
    for plan in plans_of(_model(model_type)):
        if plan.attention.attention == "self":
            of_stacks.setdefault(plan.attention.stack, plan)
    return tuple(of_stacks.values())


def _read_by(model: Any, module: str) -> torch.Tensor:
    """What the module reads when the model runs on a token."""
    seen: list[torch.Tensor] = []
    hook = model.get_submodule(module).register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    given = {"input_ids": torch.tensor([[7, 9]])}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = torch.tensor([[5, 6]])
    with torch.no_grad():
        model(**given)
    hook.remove()
    return seen[0].reshape(-1, seen[0].shape[-1])


@pytest.mark.parametrize("model_type", [*OF_A_TABLE, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHERS)])
def test_queries_read_what_the_norm_gives(model_type: str) -> None:
    """Taken apart by the gains and the bias that are believed, its output has the length √n that bounds the logits."""
    model, stored = _model(model_type), stored_of(_model(model_type))
    for plan in _plans(model_type):
        assert plan.q_in is not None
        read = _read_by(model, plan.matrices["Q"].tensors[0].removesuffix(".weight")).double().numpy()
        bias = stored[plan.q_in.bias].astype(np.float64) if plan.q_in.bias else 0.0
        plain = (read - bias) / gains_of(plan.q_in, stored, read.shape[1])
        np.testing.assert_allclose(np.linalg.norm(plain, axis=1), read.shape[1] ** 0.5, rtol=1e-2)


@pytest.mark.parametrize("model_type", OF_A_TABLE)
def test_the_scale_is_that_of_the_attention(model_type: str) -> None:
    model = _model(model_type)
    for plan in _plans(model_type):
        path = plan.matrices["O"].tensors[0].removesuffix(".weight").rpartition(".")[0]
        module = model.get_submodule(path)
        own = next((value for name in SCALED if isinstance(value := getattr(module, name, None), float)), None)
        if own is not None and model_type != "esm":  # which scales queries before
            assert plan.attention.scale == pytest.approx(own, rel=1e-6)


def test_each_table_has_a_type_that_is_proven_by_default() -> None:
    tables = {one: attends(one) for one in PROVEN}
    assert {tables[one] for one in tables if one not in LIKE_ANOTHER} == set(tables.values())


def test_every_type_that_is_listed_is_served() -> None:
    served = {model_type for family in families() for model_type in family.model_types}
    listed = model_types()
    assert {model_type for model_type in listed if not model_type.startswith("gguf:")} <= served
    for model_type in listed:
        known = attends(model_type)
        assert known is not None
        assert known.scale in SCALES
        assert known.gains in ("weight", "1 + weight", "none")
        assert bool(known.key) == (known.scale in ("from_key", "root_of_key"))
    assert attends("never-heard-of") is None


@pytest.mark.parametrize("value", [0, -1, "8", None, True, float("nan"), float("inf"), [1]])
def test_a_scale_that_makes_no_sense_is_not_believed(value: object) -> None:
    asked = Asked({"attention_multiplier": value}, "never-heard-of", 0, 16, "attention_multiplier")
    assert SCALES["from_key"](asked) == (0.25, "1/√head_dim")
    assert SCALES["root_of_key"](asked) == (0.25, "1/√head_dim")


def test_yarn_multiplies_by_the_square_of_its_factor() -> None:
    said = {"rope_type": "yarn", "factor": 40.0, "mscale_all_dim": 1.0}
    scale, source = SCALES["yarn"](Asked({"rope_scaling": said}, "deepseek_v3", 0, 16))
    assert scale == pytest.approx(0.25 * (0.1 * np.log(40.0) + 1.0) ** 2)
    assert "YaRN" in source
    odd: Any
    for odd in ({**said, "factor": "40"}, {**said, "factor": float("nan")}, {"rope_type": "yarn"}, []):
        assert SCALES["yarn"](Asked({"rope_scaling": odd}, "deepseek_v3", 0, 16))[0] == 0.25


def test_a_norm_without_gains_multiplies_by_nothing() -> None:
    assert NO_GAINS.tensors == ()
