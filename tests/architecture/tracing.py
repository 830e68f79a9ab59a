"""What a model computes, written down while it runs on one token: linear maps, attention products, embeddings.

Nothing here knows a module's or a tensor's name. A product of two activations whose result goes into a softmax is an
attention's scores, and the next such product takes the values; everything else is a linear map of a parameter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_PRODUCTS = ("matmul", "__matmul__", "__rmatmul__", "bmm", "baddbmm", "addmm", "einsum", "mm", "__mul__")
_LINEAR = ("linear", "conv1d", "conv2d", "_grouped_mm", "grouped_mm")


@dataclass
class Event:
    """One operation: its activations going in, as rows, what comes out, and where in the run it stands."""

    at: int
    kind: str  # linear, product, softmax, embedding
    inputs: list[torch.Tensor]
    output: torch.Tensor


@dataclass
class Attention:
    """One attention on one token: what it took for queries, keys and values, and what it gave.

    Several candidates where scores are sums of several products. Each is (..., heads, head size) flattened; ``width``
    is the size of a head.
    """

    at: int
    scores: list[tuple[torch.Tensor, torch.Tensor]]
    value: torch.Tensor
    output: torch.Tensor


@dataclass
class Trace(TorchFunctionMode):
    """Collects events while it is the active mode."""

    parameters: set[int]
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in _LINEAR or name in _PRODUCTS:
            self._product(name, args, kwargs, output)
        elif name in ("softmax", "_softmax", "log_softmax", "softmax_", "logsumexp"):
            self._add("softmax", [_as_tensor(args, kwargs)], output)
        elif name == "embedding":
            self._add("embedding", [], output)
        elif name == "scaled_dot_product_attention":
            names = ("query", "key", "value")
            operands = [args[i] if i < len(args) else kwargs[key] for i, key in enumerate(names)]
            self._add("sdpa", operands, output)
        return output

    def _add(self, kind: str, inputs: list[torch.Tensor], output: Any) -> None:
        if isinstance(output, torch.Tensor):
            kept = [tensor.detach().clone() for tensor in inputs]
            self.events.append(Event(len(self.events), kind, kept, output.detach().clone()))

    def _product(self, name: str, args: Any, kwargs: Any, output: Any) -> None:
        flat: list[torch.Tensor] = []
        for value in (*args, *kwargs.values()):
            flat += [value] if isinstance(value, torch.Tensor) else []
            flat += [v for v in value if isinstance(v, torch.Tensor)] if isinstance(value, list | tuple) else []
        if name in ("addmm", "baddbmm"):
            flat = flat[1:]
        active = [tensor for tensor in flat if not self._is_parameter(tensor)]
        if name == "linear":
            self._add("linear", flat[:1], output)
        elif name == "conv1d" and (groups := _groups(args, kwargs)) > 1:
            self._add("linear", [flat[0].reshape(groups, -1)], output.reshape(groups, -1))
        elif name in _LINEAR or len(active) < 2:
            self._add("linear", active[:1] if name not in _LINEAR else flat[:1], output)
        elif name != "__mul__":
            right = active[1] if name == "einsum" else active[1].transpose(-1, -2)
            self._add("product", [active[0], right, active[1]], output)

    def _is_parameter(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self.parameters

    def attentions(self) -> list[Attention]:
        """In the order in which they ran."""
        found: list[Attention] = []
        scores: list[Event] = []
        soft: torch.Tensor | None = None
        for event in self.events:
            if event.kind == "sdpa":
                query, key, value = event.inputs
                found.append(Attention(event.at, [(query, key)], value, event.output))
                scores, soft = [], None
            elif event.kind == "softmax":
                soft = event.output if _of_scores(event.output, scores) else None
            elif event.kind == "product" and soft is not None:
                first, second = event.inputs[0], event.inputs[2]
                turned = second.numel() == soft.numel() and torch.equal(second.flatten(), soft.flatten())
                value = first if turned and first.numel() >= second.numel() else second
                pairs = [(score.inputs[0], score.inputs[1]) for score in scores]
                found.append(Attention(event.at, pairs, value, event.output))
                scores, soft = [], None
            elif event.kind == "product":
                scores.append(event)
        return _joined(found)


def _groups(args: Any, kwargs: Any) -> int:
    """In how many groups a convolution over one place maps one vector; 1 where it is none such."""
    groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
    shapes = [tuple(one.shape) for one in args[:2] if isinstance(one, torch.Tensor)]
    one = len(shapes) == 2 and all(len(shape) == 3 and shape[2] == 1 for shape in shapes) and shapes[0][0] == 1
    return int(groups) if one else 1


def _of_scores(soft: torch.Tensor, scores: list[Event]) -> bool:
    """Whether a softmax may be of these scores; a router's, of two dimensions, is of none, nor one of fewer entries."""
    sizes = [score.output.numel() for score in scores]
    return soft.numel() in sizes or (soft.ndim > 2 and any(size < soft.numel() for size in sizes))


def _joined(found: list[Attention]) -> list[Attention]:
    """Attentions of one query are one, its value in parts (DiffLlama takes half of the values in each of two)."""
    joined: list[Attention] = []
    for attention in found:
        last = joined[-1] if joined else None
        if (
            last
            and last.scores[0][0].shape == attention.scores[0][0].shape
            and (last.scores[0][0].equal(attention.scores[0][0]))
        ):
            value = torch.cat([last.value.flatten(), attention.value.flatten()]).reshape(-1, attention.value.shape[-1])
            joined[-1] = Attention(attention.at, last.scores, value, attention.output)
        else:
            joined.append(attention)
    return joined


@contextlib.contextmanager
def traced(model: torch.nn.Module) -> Iterator[Trace]:
    """The trace of what ``model`` does meanwhile."""
    trace = Trace({parameter.untyped_storage().data_ptr() for parameter in model.parameters()})
    with torch.no_grad(), trace:
        yield trace


def _as_tensor(args: Any, kwargs: Any) -> torch.Tensor:
    tensor = args[0] if args else kwargs["input"]
    assert isinstance(tensor, torch.Tensor)
    return tensor
