"""Every tensor that llama.cpp's converter may write, as the gguf package lists them, has a role, a rule or a reason."""

from __future__ import annotations

import re

import pytest

from weightaudit.architecture.conventions import common_rule
from weightaudit.architecture.registry import for_model_type
from weightaudit.architecture.templates import compile_template
from weightaudit.records import TensorInfo

constants = pytest.importorskip("gguf.constants")

OTHER_MODELS = {"clip", "wavtokenizer-dec"}
"""No language models: the projector of images and sound, which is refused, and a decoder of sound."""
VECTORS = re.compile(
    r"blk\.1\.(?:.*(?:norm|lerp_[a-z]|_[avwk]0|_k_[ak]|decay|scale)(?:_[12])?|exp_probs_b|ffn|ffn_norm_exps)"
)
"""Of one dimension, or of one other than 1: no matrices, whatever they are called."""
LEFT = {
    "blk.1.time_mix_lerp_fused": "how much of the token before comes in, for each of six uses",
    "blk.1.time_mix_first": "one number for each entry of each head",
    "blk.1.time_mix_r_k": "one number for each entry of each head",
    **{
        f"blk.1.time_mix_{one}": "low-rank maps that make decays and gates"
        for one in ("a1", "a2", "v1", "v2", "w1", "w2", "g1", "g2", "decay_w1", "decay_w2")
    },
    **{f"blk.1.ssm_{one}": "Kimi's low-rank gates" for one in ("f_a", "f_b", "g_a", "g_b")},
    **{f"blk.1.ffn_{one}_chexps": "Grove's experts beside experts" for one in ("gate", "up", "down")},
    **{f"blk.1.ffn_latent_{one}": "Nemotron's maps to and from its experts' space" for one in ("up", "down")},
    **{f"blk.1.vis_{one}": "CogVLM's experts for images" for one in ("attn_qkv", "attn_output", "gate", "up", "down")},
}
"""Matrices without a role, each of which a scan tells as unmapped."""


def test_every_name_of_the_gguf_package() -> None:
    spec = for_model_type("gguf")
    assert spec is not None
    names = [rule.names for rule in spec.matrices] + [rule.names for rule in spec.ignored]
    patterns = [compile_template(name, ()) for some in names for name in some]
    left = set()
    for architecture, tensors in constants.MODEL_TENSORS.items():
        if constants.MODEL_ARCH_NAMES[architecture] in OTHER_MODELS:
            continue
        for tensor in tensors:
            name = constants.TENSOR_NAMES[tensor].format(bid=1, xid=0)
            if any(pattern.fullmatch(f"{name}.weight") for pattern in patterns):
                continue
            vector = TensorInfo(f"{name}.weight", "float32", (64,), "f", 0, 256)
            if common_rule(vector) != "norm" and not VECTORS.fullmatch(name):
                left.add(name)
    assert left == set(LEFT)
