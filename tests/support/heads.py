"""Heads of a live model: what its attention computes on tokens, and the maps that a scan says it applies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.support.tiny import tiny
from weightaudit.architecture.attention_plan import AttentionPlan, Gains
from weightaudit.architecture.heads import plan_heads
from weightaudit.audit.head_numbers import rows_of
from weightaudit.audit.opening import map_of, open_model
from weightaudit.config import AuditConfig
from weightaudit.source.live import held_model

Float = NDArray[np.float64]


def rough(model_type: str, **values: Any) -> Any:
    """A tiny model whose norms and biases are random too, so that whatever is left out would show."""
    model = tiny(model_type, **values)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim == 1:
                own = torch.randn(parameter.shape, generator=generator) * 0.3
                parameter.copy_(own if name.endswith("bias") else parameter + own)
    model.config._attn_implementation = "eager"
    return model


def plans_of(model: Any) -> list[AttentionPlan]:
    """How a scan takes the model's attentions apart."""
    with open_model(held_model(model, None), None, AuditConfig()) as checkpoint:
        return plan_heads(checkpoint.config, map_of(checkpoint), checkpoint.tensors)[0]


def stored_of(model: Any) -> dict[str, Any]:
    """By the names that it would be saved under: a few types call a norm's gains gamma in files."""
    named = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    older = {name.replace(".weight", ".gamma").replace(".bias", ".beta"): value for name, value in named.items()}
    return {**older, **named}


def gains_of(norm: Gains | None, stored: dict[str, Any], size: int) -> Float:
    if norm is None or not norm.tensor:
        return np.ones(size)
    return stored[norm.tensor].astype(np.float64) + norm.plus


def maps_of(plan: AttentionPlan, stored: dict[str, Any], head: int) -> tuple[Float, Float]:
    """The head's maps from inputs to a logit and to the output, formed: s·D·W_Qᵀ·W_K·D and W_O·W_V·D."""
    attention = plan.attention
    kv = head // (attention.heads // attention.kv_heads)
    nope = attention.head_dim - plan.rotary

    def rows(part: str, number: int, size: int) -> Float:
        return rows_of(plan.matrices[part], stored, number * size, size).astype(np.float64)

    q, k, v = rows("Q", head, attention.head_dim)[:nope], rows("K", kv, nope), rows("V", kv, attention.value_dim)
    q = q * gains_of(plan.q_in, stored, q.shape[1])
    k, v = (part * gains_of(plan.kv_in, stored, k.shape[1]) for part in (k, v))
    o = plan.matrices["O"]
    whole = rows_of(o, stored, 0, o.shape[0]).astype(np.float64)
    own = whole[:, head * attention.value_dim : (head + 1) * attention.value_dim]
    return attention.scale * q.T @ k, own @ v


@dataclass
class Seen:
    """Queries, keys, values (heads, tokens, rows) and the scale of one attention, and its output."""

    query: Float
    key: Float
    value: Float
    scale: float
    inputs: dict[str, Float] = field(default_factory=dict)

    def logits(self, head: int) -> Float:
        """(tokens, tokens), before the softmax and whatever mask or bias."""
        kv = head // (self.query.shape[0] // self.key.shape[0])
        found: Float = self.scale * self.query[head] @ self.key[kv].T
        return found


@contextmanager
def watched(model: Any, modules: dict[str, str]) -> Iterator[list[Seen]]:
    """What the attentions are called with while the model runs; of ``modules`` (name → module) the outputs, too."""
    found: list[Seen] = []
    outputs: dict[str, Float] = {}
    hooks = []
    for name, module in modules.items():

        def keep(_: Any, __: Any, output: Any, name: str = name) -> None:
            output = output[0] if isinstance(output, tuple) else output
            outputs[name] = output.detach().double().numpy().reshape(-1, output.shape[-1])
            if found:
                found[-1].inputs.update(outputs)

        hooks.append(model.get_submodule(module).register_forward_hook(keep))
    code = sys.modules[type(model).__module__]
    real = code.eager_attention_forward  # every attention of transformers has one

    def attention(module: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        scale = kwargs.get("scaling")
        scale = getattr(module, "scaling", query.shape[-1] ** -0.5) if scale is None else scale
        q, k, v = (part[0].detach().double().numpy() for part in (query, key, value))
        found.append(Seen(q, k, v, float(scale), dict(outputs)))
        return real(module, query, key, value, *args, **kwargs)

    code.eager_attention_forward = attention  # type: ignore[attr-defined]
    try:
        yield found
    finally:
        code.eager_attention_forward = real  # type: ignore[attr-defined]
        for hook in hooks:
            hook.remove()
