"""Names that projections commonly go by: what the structural fallback believes, as data.

Patterns are anchored: they are matched in full, against the name after the layer number for matrices of a
layer, and against the whole name for the others. Collected from the classes of transformers and the original
Llama code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from weightaudit.dtypes import BY_NAME
from weightaudit.records import TensorInfo

PATH = r"(?:[^.]+\.)*"
"""Any number of leading name components."""
ATTENTION = r"(?:[^.]+\.)*(?=[^.]*[Aa]tt)[^.]*\."
"""A path whose last component is an attention. A lookahead is not retried, so no name takes more than linear time."""


@dataclass(frozen=True)
class Convention:
    """``pattern`` means ``role``; where ``siblings`` are given, only if one of them lies beside it."""

    pattern: re.Pattern[str]
    role: str
    siblings: tuple[str, ...] = ()


def _means(role: str, pattern: str, *siblings: str) -> Convention:
    return Convention(re.compile(pattern), role, siblings)


# The first that fits counts.
LAYER_CONVENTIONS: tuple[Convention, ...] = (
    _means("Q", PATH + r"(?:q_proj|q_lin|q_linear|linear_q|wq|Wq|to_q|query_proj|c_q|attn_q)\.weight"),
    _means("K", PATH + r"(?:k_proj|k_lin|k_linear|linear_k|wk|Wk|to_k|key_proj|c_k|attn_k)\.weight"),
    _means("V", PATH + r"(?:v_proj|v_lin|v_linear|linear_v|wv|Wv|to_v|value_proj|c_v|attn_v)\.weight"),
    _means("Q", ATTENTION + r"(?:self\.|attention\.)?(?:query|q)\.weight"),
    _means("K", ATTENTION + r"(?:self\.|attention\.)?(?:key|k)\.weight"),
    _means("V", ATTENTION + r"(?:self\.|attention\.)?(?:value|v)\.weight"),
    _means("QKV", PATH + r"(?:c_attn|query_key_value|qkv_proj|Wqkv|wqkv|W_pack|qkv|att_proj|attn_qkv)\.weight"),
    _means("QKV", PATH + r"in_proj_weight"),
    _means("O", PATH + r"attn_output\.weight"),
    _means("GATE", PATH + r"ffn_gate\.weight"),
    _means("M1", PATH + r"ffn_up\.weight"),
    _means("M2", PATH + r"ffn_down\.weight"),
    _means(
        "O",
        ATTENTION
        + r"(?:output\.)?(?:o_proj|out_proj|out_lin|out_linear|linear_out|o|wo|Wo|dense|c_proj|to_out\.0)\.weight",
    ),
    _means(
        "O",
        PATH + r"(?:o_proj|wo|out_proj|out_lin)\.weight",
        "q_proj",
        "wq",
        "q_lin",
        "qkv_proj",
        "wqkv",
        "Wqkv",
        "qkv",
    ),
    _means("GATE", PATH + r"(?:gate_proj|wi_0)\.weight"),
    _means("GATE", PATH + r"w1\.weight", "w3", "v1"),
    _means("M1", PATH + r"w1\.weight", "w2"),
    _means("M1", PATH + r"(?:up_proj|w3|wi_1)\.weight"),
    _means("M1", PATH + r"(?:fc1|fc_in|c_fc|dense_h_to_4h|lin1|linear1|wi)\.weight"),
    _means("M1", PATH + r"intermediate\.dense\.weight"),
    _means("M2", PATH + r"(?:down_proj|w2)\.weight"),
    _means("M2", PATH + r"(?:fc2|fc_out|dense_4h_to_h|lin2|linear2|wo)\.weight"),
    _means("M2", PATH + r"(?:mlp|ffn|feed_forward)\.c_proj\.weight"),
    _means("M2", r"output\.dense\.weight"),
)

OUTSIDE_CONVENTIONS: tuple[Convention, ...] = (
    _means("EMBED", PATH + r"(?:embed_tokens|wte|word_embeddings|tok_embeddings|token_embd|embed_in|shared)\.weight"),
    _means("POSITION", PATH + r"(?:wpe|embed_positions|position_embeddings)\.weight"),
    _means("TOKEN_TYPE", PATH + r"token_type_embeddings\.weight"),
    _means("HEAD", PATH + r"(?:lm_head|embed_out|lm_head\.decoder|predictions\.decoder)\.weight"),
    _means("HEAD", r"output\.weight"),
)

FUSED_UNKNOWN = re.compile(PATH + r"(?:gate_up_proj|up_gate_proj|gate_up|w13|Wi)(?:\.weight)?")
"""Gate and up in one tensor: which rows are which differs between families."""

STACKED_EXPERTS = re.compile(PATH + r"experts\.[^.]+(?:\.weight)?")
"""The projections of all experts of a layer, where it has three dimensions."""

BUFFERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(PATH + r"(?:position_ids|token_type_ids)"), "buffer: position and token-type numbers"),
    (re.compile(PATH + r"masked_bias"), "buffer: causal mask"),
    (
        re.compile(PATH + r"(?:inv_freq|rotary_emb\.(?:sin|cos|sin_cached|cos_cached))"),
        "buffer: rotary frequencies",
    ),
)
CAUSAL_MASK = re.compile(ATTENTION + r"bias")
"""A bias of an attention module itself that has more than one dimension."""
RELATIVE_BIAS = re.compile(PATH + r"relative_attention_bias\.weight")

CROSS_ATTENTION = re.compile(r"(?i)cross|encoder_attn|encdecattention")
"""Searched in each component between the layer number and the projection."""

LAYER_PATH = re.compile(
    r"(?P<trunk>(?:[^.]+\.)*?(?:layers?|h|blocks?|blk|attentions|ffns|groups))\."
    r"(?P<layer>0|[1-9][0-9]{0,8})\.(?P<inside>.+)"
)
EXPERT_PATH = re.compile(r"(?:[^.]+\.)*?experts\.(?P<expert>0|[1-9][0-9]{0,8})\..+")

CONV1D = ("c_attn", "c_fc", "c_proj")
"""Projections that GPT-2's Conv1D stores (in, out) and others' Linear (out, in), under the same names."""
LAYER_KEYS = ("num_hidden_layers", "n_layer", "num_layers")
"""Config keys of the number of layers."""
HIDDEN_KEYS = ("hidden_size", "n_embd", "d_model")
"""Config keys of the hidden size."""
_NORM = re.compile(
    r"(?:.*[._])?(?:[a-z_]*norms?[0-9]*|ln(?:_?[a-z0-9]+)*|layer_?norm[a-z0-9_]*)\.(?:weight|bias|gamma|beta)"
)

ACTIVATION_SCALES = re.compile(
    PATH + r"(?:(?:input|activation|act|output|[kqv]|prob|kv_cache)_(?:scale|zero_point|amax|global_scale|scale_inv)|"
    r"(?:k|v)_bmm_quantizer\._amax|(?:input|output)_quantizer\._amax|kv_scale|kv_cache_scaling_factor|kv_cache_scale)"
)
"""What activations, or the keys and values that are kept, are quantised by: no number of a weight is."""
WEIGHT_SCALES = re.compile(r"(?P<module>.+)\.weight_(?:scale|scale_inv|scale_2|global_scale|zero_point|shape|g_idx)")
"""What a weight would be multiplied by, were it stored as codes."""


def scale_rule(info: TensorInfo, tensors: Mapping[str, TensorInfo]) -> str:
    """Why a tensor beside others is none of a role, and none of their scales either; "" where that is not known.

    Weights that are floating-point numbers may have scales beside them: of a model that was to be quantised and was
    saved before. Such are not multiplied.
    """
    if ACTIVATION_SCALES.fullmatch(info.name):
        return "scale of activations"
    beside = WEIGHT_SCALES.fullmatch(info.name)
    weight = tensors.get(f"{beside['module']}.weight") if beside else None
    if weight is not None and not weight.encoded and weight.dtype in BY_NAME and BY_NAME[weight.dtype].analysable:
        return "scale of a weight that is not quantised"
    return ""


def common_rule(info: TensorInfo) -> str:
    """Why a tensor is none of a role, by its dimensions and its name; "" where it may well be one."""
    name = info.name
    for pattern, rule in BUFFERS:
        if pattern.fullmatch(name):
            return rule
    if len(info.shape) > 1:
        # Of a mask's four dimensions two are the positions; a bias of an attention has one.
        return "buffer: causal mask" if len(info.shape) == 4 and CAUSAL_MASK.search(name) else ""
    if _NORM.fullmatch(name.lower()):
        return "norm"
    if name.endswith("bias"):
        return "bias"
    return "vector (not a matrix)" if info.shape else "scalar (not a matrix)"
