"""Which rows of Q, K and V and which columns of O are one head: from config × shape, each checked against the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from weightaudit.architecture.attention import SCALES, Asked, Attends, attends, stretched
from weightaudit.architecture.attention_plan import NO_GAINS, AttentionPlan, Gains
from weightaudit.architecture.class_defaults import default_of
from weightaudit.architecture.dimensions import (
    Dimensions,
    flag,
    inner_config,
    layers_changed,
    lookup,
    resolve,
)
from weightaudit.architecture.registry import for_model_type, multimodal
from weightaudit.errors import ConfigError
from weightaudit.records import TOWERS, Attention, ModelMap, RoleMatrix, SkippedAttention
from weightaudit.records.head import Kind

MOST_HEADS = 1024
"""Heads that one attention may have: the largest models have some 128, and each takes time and lines of a report."""
ROLES: Mapping[Kind, Mapping[str, str]] = {
    "self": {"Q_A": "Q_A", "KV_A": "KV_A", "Q": "Q", "K": "K", "V": "V", "O": "O"},
    "cross": {"XQ": "Q", "XK": "K", "XV": "V", "XO": "O"},
}
"""Role of a matrix → what it is to its attention."""
HEAD_KEYS = ("num_attention_heads", "n_head", "num_heads", "n_heads", "attention_heads")
STACK_KEYS = {
    "encoder": ("encoder_attention_heads", "num_encoder_attention_heads"),
    "decoder": ("decoder_attention_heads", "num_decoder_attention_heads"),
}
"""Config keys of the number of heads; those of a stack come first."""
OTHER_LAYERS = (("swa_num_attention_heads", "swa_head_dim"), ("num_attention_heads", "global_head_dim"))
"""Config keys of heads and their rows in layers that differ from the others; the shape of Q says which these are."""
HEAD_NORMS = (
    ("q_norm", "k_norm"),
    ("q_layernorm", "k_layernorm"),
    ("query_layernorm", "key_layernorm"),
    ("attn_q_norm", "attn_k_norm"),
)
"""Norms of queries and of keys, beside W_Q and W_K."""
NORM_TENSORS = (("weight", "bias"), ("gamma", "beta"))
"""A norm's gains and bias, and what older files call them."""
_ODD_NORM = re.compile(r"(?:q|k|query|key)_?(?:layer_?norm|norm|ln)\b.*")


class _Unknown(Exception):
    """Why the heads of an attention are not known."""


def plan_heads(
    config: Mapping[str, Any] | None, model_map: ModelMap, names: Iterable[str]
) -> tuple[list[AttentionPlan], list[SkippedAttention]]:
    """The attentions whose heads are known, in report order, and why those of others are not.

    ``names`` are those of the tensors of the checkpoint that can be read. Nothing of a config is believed that the
    shapes contradict.
    """
    model = _Model(config or {}, model_map, frozenset(names))
    at: dict[tuple[str, int], dict[str, RoleMatrix]] = {}
    for matrix in model_map.matrices:
        if matrix.layer is not None and matrix.expert is None:
            at.setdefault((matrix.stack, matrix.layer), {})[matrix.role] = matrix
    plans, skipped = [], []
    for (stack, layer), there in at.items():
        for kind, roles in ROLES.items():
            own = {part: there[role] for role, part in roles.items() if role in there}
            fused = kind == "self" and not own and "QKV" in there
            if not own.keys() & {"Q", "K"} and not fused:
                continue
            try:
                if fused:
                    raise _Unknown("Q, K and V are in one tensor, and which rows are which is not known")
                plans.append(model.plan(stack, layer, kind, own))
            except _Unknown as why:
                skipped.append(SkippedAttention(stack, layer, kind, str(why)))
    return plans, skipped


class _Model:
    """What config and names say of a model's attentions."""

    def __init__(self, config: Mapping[str, Any], model_map: ModelMap, names: frozenset[str]) -> None:
        self._names = names
        self._config, inner = inner_config(config, model_map.model_type)
        self._type = multimodal().types.get(inner, inner)
        if self._type == "gguf":  # the type of every such file: which model it is the header says besides
            self._type = f"gguf:{config.get('architecture')}"
        self._dimensions = _dimensions(config, model_map)
        self._attends = None if model_map.guessed else attends(self._type)

    def plan(self, stack: str, layer: int, kind: Kind, own: dict[str, RoleMatrix]) -> AttentionPlan:
        if stack in TOWERS:
            raise _Unknown(f"how many heads a tower ({stack}) has is not read from its config")
        known = self._attends or Attends()
        if known.unlike:
            raise _Unknown(known.unlike)
        if "Q" not in own:
            raise _Unknown("it has no Q")
        config, model_type = self._of_stack(stack, layer)
        numbers: Mapping[str, int] = {} if self._dimensions is None else self._dimensions.of(stack, layer)
        latent = {"KV_A"} <= own.keys() and {"nope", "rope", "v_dim"} <= numbers.keys()
        if "KV_A" in own and not latent:
            raise _Unknown("its keys come from latents, and how many rows of a head these are is not known")
        heads, rows = self._heads(own["Q"], config, numbers, stack, latent)
        rotary = numbers["rope"] if latent else 0
        kv_heads = _kv_heads(own, heads, rows - rotary, latent, numbers.get("kv_heads", heads))
        value_dim = _value_dim(own, heads, kv_heads)
        asked = Asked(config, model_type, layer, rows, known.key)
        scale, source = SCALES[known.scale](asked)
        if self._attends is None:
            source += ", which is assumed: how models of this type scale logits is not known"
        attention = Attention(stack, layer, kind, heads, kv_heads, rows, value_dim, scale, source)
        plan = AttentionPlan(attention, own, rotary=rotary, biases=self._biases(own))
        if kind == "self" and self._attends is not None:
            plan = self._with_norms(plan, known, latent)
        if known.unbounded or stretched(config):
            plan = replace(plan, bounded=False)
        return _told(plan, kind, known)

    def _of_stack(self, stack: str, layer: int) -> tuple[dict[str, Any], str]:
        """The config as it holds in a layer, and its model type: a stack's own, where it has one."""
        own = self._config.get(stack) if stack else None
        if not isinstance(own, Mapping):
            return {**self._config, **layers_changed(self._config).get(layer, {})}, self._type
        inner, model_type = inner_config(own, str(own.get("model_type") or self._type))
        return {**self._config, **inner}, model_type

    def _heads(
        self, q: RoleMatrix, config: Mapping[str, Any], numbers: Mapping[str, int], stack: str, latent: bool
    ) -> tuple[int, int]:
        """How many heads there are, and the rows of Q of each."""
        out = q.shape[0]
        heads, named = self._said(config, numbers, stack)
        if heads is None:
            raise _Unknown("its config says no number of heads")
        rows = numbers["nope"] + numbers["rope"] if latent else numbers.get("head_dim")
        pairs = [(heads, rows if rows else out // heads if heads else 0)]
        if rows is not None and not latent and heads * rows != out:
            others = [(_whole(config, first), _whole(config, second)) for first, second in OTHER_LAYERS]
            pairs = [(count, each) for count, each in others if count and each and count * each == out]
            if len(set(pairs)) > 1:
                raise _Unknown(f"its {out:,} rows of Q may be heads of {pairs[0][1]} rows or of {pairs[1][1]}")
        if not pairs or pairs[0][0] < 1 or pairs[0][0] * pairs[0][1] != out:
            of = f" of {rows:,} rows" if rows else ""
            raise _Unknown(f"{out:,} rows of Q are not {heads:,} heads{of} ({named})")
        if pairs[0][0] > MOST_HEADS:
            raise _Unknown(f"it has {pairs[0][0]:,} heads, more than {MOST_HEADS:,}")
        return pairs[0]

    def _said(self, config: Mapping[str, Any], numbers: Mapping[str, int], stack: str) -> tuple[int | None, str]:
        """The number of heads that the config says, and where."""
        for key in STACK_KEYS.get(stack, ()):
            if (value := self._looked_up(config, key)) is not None:
                return value, f"{key} = {value:,}"
        if "heads" in numbers:
            told = "" if self._dimensions is None else self._dimensions.explain("heads", stack=stack)
            return numbers["heads"], told or f"heads = {numbers['heads']:,}"
        for key in HEAD_KEYS:
            if (value := self._looked_up(config, key)) is not None:
                return value, f"{key} = {value:,}"
        return None, ""

    def _looked_up(self, config: Mapping[str, Any], key: str) -> int | None:
        return _whole(config, key) if lookup(config, key) is not None else _count(default_of(self._type, key))

    def _biases(self, own: Mapping[str, RoleMatrix]) -> dict[str, str]:
        found = {}
        for part in ("Q", "K"):
            tensors = own[part].tensors if part in own else ()
            if len(tensors) == 1 and (bias := _bias_of(tensors[0])) in self._names:
                found[part] = bias
        return found

    def _with_norms(self, plan: AttentionPlan, known: Attends, latent: bool) -> AttentionPlan:
        layer, q = plan.attention.layer, plan.matrices["Q"].tensors[0]
        plus = 1.0 if known.gains == "1 + weight" else 0.0
        before = self._norm_of_layer(q, layer, known, plus)
        beside = q.removesuffix(".weight").rpartition(".")[0]
        if latent:
            q_in = self._norm(f"{beside}.q_a_layernorm", plus) if "Q_A" in plan.matrices else before
            plan = replace(plan, q_in=q_in, kv_in=self._norm(f"{beside}.kv_a_layernorm", plus), hidden_in=before)
            return replace(plan, bounded=None not in (plan.q_in, plan.kv_in, plan.hidden_in))
        plan = replace(plan, q_in=before, kv_in=before, bounded=before is not None)
        for first, second in HEAD_NORMS:
            q_norm, k_norm = self._norm(f"{beside}.{first}", plus), self._norm(f"{beside}.{second}", plus)
            if q_norm is not None and k_norm is not None:
                return replace(plan, q_norm=q_norm, k_norm=k_norm, bounded=True)
        if known.normalised:
            return replace(plan, q_norm=NO_GAINS, k_norm=NO_GAINS, bounded=True)
        odd = any(_ODD_NORM.match(name[len(beside) + 1 :]) for name in self._names if name.startswith(f"{beside}."))
        return replace(plan, bounded=False) if odd else plan

    def _norm_of_layer(self, q: str, layer: int, known: Attends, plus: float) -> Gains | None:
        if not known.norm or (known.when and not flag(known.when, self._config, self._type)):
            return None
        if known.gains == "none":
            return NO_GAINS
        parts = q.split(".")
        above = [".".join(parts[: at + 1]) for at, part in enumerate(parts) if part == str(layer)]
        found = (self._norm(f"{path}.{name}", plus) for path in above for name in known.norms)
        return next((norm for norm in found if norm is not None), None)

    def _norm(self, module: str, plus: float) -> Gains | None:
        for gains, bias in NORM_TENSORS:
            if f"{module}.{gains}" in self._names:
                bias = f"{module}.{bias}"
                return Gains(f"{module}.{gains}", plus, bias if bias in self._names else "")
        return None


def _told(plan: AttentionPlan, kind: Kind, known: Attends) -> AttentionPlan:
    """The plan, its record saying what is folded in and what is left out."""
    left: list[str] = []
    norms = [norm for norm in (plan.q_in, plan.kv_in) if norm is not None]
    if kind == "cross":
        left.append("the norms before it: its keys are another stack's")
    elif not norms:
        left.append("norms: none is known to come right before it in its layer")
    if any(norm.bias for norm in norms):
        left.append("the bias of the norm before it")
    if plan.biases:
        left.append(f"the bias of {' and '.join(plan.biases)}")
    if plan.q_norm is not None:
        left.append("the norm of queries and keys, after which their length does not depend on W_Q and W_K")
    if plan.rotary:
        rows = plan.attention.head_dim
        left.append(f"the {plan.rotary} of {rows} rows of a head that are rotated and meet one key for all heads")
    if known.value_norm:
        left.append("the norm of values")
    if known.unbounded:
        left.append(f"what is between: {known.unbounded}")
    if "K" not in plan.matrices:
        left.append("keys: this layer has no K, or none that was read")
    names = dict.fromkeys(norm.module for norm in norms if norm.tensor)
    norm = ", ".join(names) or (f"{known.norm}, which has no gains" if norms else "")
    after = plan.q_norm
    head_norm = "" if after is None else after.module or "without gains"
    return replace(plan, attention=replace(plan.attention, norm=norm, head_norm=head_norm, left_out=tuple(left)))


def _dimensions(config: Mapping[str, Any], model_map: ModelMap) -> Dimensions | None:
    """The numbers of the family; None where no family serves the model."""
    if model_map.guessed:
        return None
    family = for_model_type(model_map.model_type, inner_config(config, "")[1])
    try:
        return None if family is None else resolve(family, model_map.model_type, config)
    except ConfigError:
        return None


def _kv_heads(own: Mapping[str, RoleMatrix], heads: int, rows: int, latent: bool, said: int) -> int:
    """How many heads keys and values have; where there is no K, the number that is ``said`` if it can be."""
    if "K" not in own:
        return said if not latent and 0 < said <= heads and heads % said == 0 else heads
    out = own["K"].shape[0]
    kv_heads, left = divmod(out, rows) if rows else (0, 1)
    if left or kv_heads < 1 or heads % kv_heads or (latent and kv_heads != heads):
        raise _Unknown(f"{out:,} rows of K are no heads of {rows:,} rows that {heads:,} heads of queries could share")
    return kv_heads


def _value_dim(own: Mapping[str, RoleMatrix], heads: int, kv_heads: int) -> int:
    """Rows of a head's values, which are the columns of O that it writes through."""
    found = []
    for part, out, count in (("V", 0, kv_heads), ("O", 1, heads)):
        if part in own:
            size, left = divmod(own[part].shape[out], count)
            if left or not size:
                what = f"{own[part].shape[out]:,} {'columns' if out else 'rows'} of {part}"
                raise _Unknown(f"{what} are not shares of {count:,} heads")
            found.append(size)
    if len(set(found)) > 1:
        raise _Unknown(f"a head has {found[0]:,} rows of V and {found[1]:,} columns of O")
    return found[0] if found else 0


def _bias_of(tensor: str) -> str:
    return f"{tensor.removesuffix('.weight')}.bias"


def _whole(config: Mapping[str, Any], key: str) -> int | None:
    return _count(lookup(config, key))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else None
