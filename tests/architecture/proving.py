"""Roles proved by execution, for any model type: what the matrices compute is held against what the model computed.

The model runs on one token at position 0, where rotary embeddings are the identity and attention returns the value. A
query is proved when W_Q x is what an attention took for its query, x being a vector that went into some linear map;
keys and values likewise, in the same attention. O is proved when it maps what came of that attention, or the first map
after it; the MLP when M2 maps activation(GATE x) * (M1 x). Other matrices are proved as linear maps that were applied.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional
from transformers import PreTrainedConfig

from tests.architecture.tracing import Attention, Trace, traced

Key = tuple[str, int | None, int | None, str]
"""(stack, layer, expert, role)"""
Computed = tuple[list[int], torch.Tensor]
"""Vectors, a row each, and where in the run what they are computed of was there, the first first."""
ATTENTIONS = (("Q", "K", "V", "O"), ("XQ", "XK", "XV", "XO"), ("Q_2", "K_2", "V_2", "O_2"))
MLPS = (("GATE", "M1", "M2"), ("SHARED_GATE", "SHARED_M1", "SHARED_M2"), ("GATE_2", "M1_2", "M2_2"))
"""Roles that are proved together; a layer's second attention and second MLP have roles of their own."""
TOLERANCE = 2e-4
MANY = 16
"""A vector this many times as long as another holds that of more positions than one."""

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": functional.relu,
    "relu squared": lambda x: functional.relu(x) ** 2,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.01),
}
_ACTIVATION = re.compile(r"(?:.*\.)?(?:act|act_fn|activation|activation_fn)")
"""Modules that a model calls its activation; what they compute is tried beside ACTIVATIONS."""


@dataclass
class Proof:
    """What was proved, and how; what was not.

    ``left`` counts attentions that ran and that no layer of the map stands for; ``order`` has, for each stack and kind
    of attention, where in the run that of each layer stands, by layer.
    """

    shown: dict[Key, str] = field(default_factory=dict)
    missing: dict[Key, str] = field(default_factory=dict)
    left: int = 0
    order: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    @property
    def in_order(self) -> bool:
        """Whether the layers ran in the order of their numbers."""
        return all(places == sorted(places) for places in self.order.values())


WAYS = (
    *("equal", "equal, heads repeated", "up to a factor", "up to a factor a head", "up to a norm a head"),
    *("up to a norm", "up to the order of rows within a head", "up to the order of rows", "as part of each head"),
    *("as part of a block", "up to a factor a head, among other positions", "with an embedding added"),
)
"""How a vector may be another, the strictest first."""


def same_vector(A: torch.Tensor, b: torch.Tensor, width: int) -> str:
    """How a row of ``A`` (what a matrix computes) is ``b`` (what the model used, in heads of ``width``), the strictest
    way of any; "" if none is.

    Weaker ways allow for what a model does between its projection and its attention: a factor, a norm of each head,
    rows put into another order within rotary embeddings, heads repeated for their group.
    """
    if not len(A):
        return ""
    b, rows = b.flatten(), A.shape[1]
    if rows == b.numel() and bool(_close(A, b).any()):
        return "equal"
    if b.numel() > MANY * rows:  # of many positions, filled up to a block
        return "as part of a block" if _any_within(A, b) or _any_within(A / width**0.5, b) else ""
    if b.numel() % width == 0 and rows % width == 0 and b.numel() % rows == 0:
        spread = A.reshape(len(A), -1, width).repeat_interleave(b.numel() // rows, 1)
        way = _by_heads(spread, b.reshape(-1, width))
        if way:
            return way
    if rows == b.numel() and any(_within(b, a) for a in _maybe_within(A, b) if _within(a, b)):
        return "up to the order of rows"
    if b.numel() <= rows:
        return ""
    how = "as part of each head" if _any_within(A, b) or _any_within(A / width**0.5, b) else ""
    if not how and b.numel() % width == 0 and rows % width == 0:
        heads = _unit(b.reshape(1, -1, width))
        if any(_among(a.reshape(-1, 1, width), heads) for a in A):
            return "up to a factor a head, among other positions"
    return how


def _by_heads(spread: torch.Tensor, live: torch.Tensor) -> str:
    """`same_vector` for (vectors, heads, width) and (heads, width)."""
    flat, whole = spread.flatten(1), live.flatten()
    ways = {
        "equal, heads repeated": lambda: _close(spread, live),
        "up to a factor": lambda: _close(_unit(flat), _unit(whole)),
        "up to a factor a head": lambda: _close(_unit(spread), _unit(live)),
        "up to a norm a head": lambda: _close(_unit(_centred(spread)), _unit(_centred(live))),
        "up to a norm": lambda: _close(_centred(flat / flat.std(1, keepdim=True)), _centred(whole / whole.std())),
        "up to the order of rows within a head": lambda: _close(
            _unit(spread).sort(-1).values, _unit(live).sort(-1).values
        ),
    }
    return next((how for how, found in ways.items() if bool(found().any())), "")


def _close(A: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Which of ``A`` are equal to ``b`` to within TOLERANCE of its largest entry, which is not zero."""
    size = float(b.abs().max()) if b.numel() else 0.0
    return (A - b).abs().flatten(1).amax(1) <= (TOLERANCE * size if size > 1e-6 else -1.0)


def _among(heads: torch.Tensor, others: torch.Tensor) -> bool:
    """Whether each of ``heads``, its length apart, is one of ``others``, which have the length 1."""
    return float((_unit(heads) - others).abs().amax(-1).amin(1).max()) < TOLERANCE


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def _centred(x: torch.Tensor) -> torch.Tensor:
    return x - x.mean(-1, keepdim=True)


def _any_within(A: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether every entry of one of the rows of ``A`` is an entry of ``b``."""
    return any(_within(a, b) for a in _maybe_within(A, b))


def _maybe_within(A: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The rows of ``A`` whose largest entry is an entry of ``b``."""
    largest = A.gather(1, A.abs().argmax(1, keepdim=True))
    return A[(b[None] - largest).abs().amin(1) <= TOLERANCE * float(b.abs().max())]


def _within(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether every entry of ``a`` is an entry of ``b``."""
    a, b = a.flatten(), b.flatten()
    slack = TOLERANCE * float(b.abs().max())
    if float((b - a[a.abs().argmax()]).abs().min()) > slack:  # told by one entry of almost all that are none
        return False
    return float((a[:, None] - b[None, :]).abs().min(1).values.max()) <= slack


class Prover:
    """The matrices of one model against one trace of it."""

    def __init__(
        self, matrices: Mapping[Key, torch.Tensor], trace: Trace, model: torch.nn.Module, gate_factor: float = 1.0
    ) -> None:
        """``gate_factor`` is what the model multiplies a gate by before its activation."""
        self.gate_factor = gate_factor
        own = {type(m).__name__: m for name, m in model.named_modules() if _ACTIVATION.fullmatch(name)}
        self.activations = {**ACTIVATIONS, **own}
        self.matrices = matrices
        self.trace = trace
        self.attentions = trace.attentions()
        self.taken: dict[tuple[str, int | None, str], Attention] = {}
        inputs: dict[int, list[tuple[int, torch.Tensor]]] = {}
        self.applications: dict[int, list[tuple[torch.Tensor | None, torch.Tensor]]] = {}
        self.proof = Proof()
        self.embedded = [
            event.output.reshape(-1, event.output.shape[-1])[0] for event in trace.events if event.kind == "embedding"
        ]
        for event in trace.events:
            if event.kind == "linear":
                taken: dict[int, list[torch.Tensor]] = {}
                for row in _rows(event.inputs[0]):
                    taken.setdefault(row.numel(), []).append(row)
                    seen = inputs.setdefault(row.numel(), [])
                    if not any(torch.equal(row, other) for _, other in seen[-4:]):
                        seen.append((event.at, row))
                for width, rows in taken.items():
                    self.applications.setdefault(width, []).append((torch.stack(rows), event.output))
            elif event.kind == "embedding":
                self.applications.setdefault(event.output.shape[-1], []).append((None, event.output))
        self.inputs = {
            width: ([at for at, _ in found], torch.stack([row for _, row in found])) for width, found in inputs.items()
        }

    def prove(self) -> Proof:
        without = {key[:3] for key in self.matrices} - {key[:3] for key in self.matrices if key[3] in "QKV"}
        places = sorted({key[:3] for key in self.matrices}, key=lambda p: (p[0], p[1] or -1, p in without, p[2] or -1))
        for place in places:
            own = {key[3]: matrix for key, matrix in self.matrices.items() if key[:3] == place}
            for roles in ATTENTIONS:
                self._attention(place, {role: own.pop(role) for role in roles if role in own}, roles)
            for names in MLPS:
                self._mlp(place, {role: own.pop(role) for role in names if role in own}, names)
            own.pop("QKV", None)  # by definition the stack of the three
            if "HEAD_2" in own:
                self._note(place, "HEAD_2", self._joined(own.pop("HEAD_2")), "no map of both was applied")
            for role, matrix in own.items():
                self._note(place, role, self._applied(matrix), "no such map was applied")
        self.proof.left = len(self.attentions)
        return self.proof

    def applied(self) -> dict[Key, str]:
        """How each matrix was applied, attention or not; those that were not are not in it."""
        found = {key: self._applied(matrix) for key, matrix in self.matrices.items()}
        return {key: how for key, how in found.items() if how}

    def _note(self, place: Any, role: str, how: str, why: str) -> None:
        key = (*place, role)
        if how:
            self.proof.shown[key] = how
        else:
            self.proof.missing[key] = why

    def _candidates(self, matrix: torch.Tensor) -> Computed:
        """W x for every vector x that some linear map took and that is of this matrix's width."""
        where, X = self.inputs.get(matrix.shape[1], ([], torch.empty(0, matrix.shape[1])))
        return where, X @ matrix.t()

    def _attention(self, place: Any, own: Mapping[str, torch.Tensor], roles: tuple[str, ...]) -> None:
        if not own:
            return
        computed = {role: self._candidates(own[role]) for role in roles[:3] if role in own}
        best: dict[str, str] = {}
        layers = self.taken.get((place[0], place[1], roles[0]))  # which its experts share
        taken: Attention | None = None if computed else layers
        for attention in self.attentions if layers is None else [layers]:
            found = {}
            for role, vectors in computed.items():
                how = _used(vectors, attention, roles.index(role), self.embedded)
                if how:
                    found[role] = how
            if len(found) > len(best):
                best, taken = found, attention
            if len(best) == len(computed):
                break  # no other can be known by more roles
        for role in roles[:3]:
            if role in own:
                self._note(place, role, best.get(role, ""), "no attention used it so")
        if taken is not None and layers is None and len(best) == len(computed):
            self.attentions.remove(taken)
            self.taken[place[0], place[1], roles[0]] = taken
            self.proof.order.setdefault((place[0], roles[0]), []).append(taken.at)
        if roles[3] in own:
            how = self._output(own[roles[3]], taken) if taken is not None else ""
            self._note(place, roles[3], how, "it does not map what the attention gave")

    def _output(self, matrix: torch.Tensor, attention: Attention) -> str:
        """Whether it maps the attention's output: the vector itself, or what became of it before the next attention."""
        following = [other.at for other in self.trace.attentions() if other.at > attention.at]
        end = min(following, default=len(self.trace.events))
        for event in self.trace.events:
            if event.kind != "linear" or not attention.at < event.at < end:
                continue
            for x in _rows(event.inputs[0]):
                if x.numel() == matrix.shape[1] and _gives(event.output, matrix @ x):
                    direct = any(
                        same_vector(z[None], x, 1) for z in [*_rows(attention.output), attention.output.flatten()]
                    )
                    return "maps the attention's output" if direct else "the map after the attention"
        return ""

    def _mlp(self, place: Any, own: Mapping[str, torch.Tensor], roles: tuple[str, ...]) -> None:
        if not own:
            return
        gate, up, down = (own.get(role) for role in roles)
        how = ""
        if up is not None and down is not None and up.shape[0] == down.shape[1]:
            _, inner = self.inputs.get(down.shape[1], ([], torch.empty(0, down.shape[1])))
            _, ups = self._candidates(up)
            gates = self._candidates(self.gate_factor * gate)[1] if gate is not None else None
            how = _activated(self.activations, ups, gates, inner)
            if gates is not None and not how:
                how = self._with_adapter(ups, gates, inner)
            if how and not self._applied(down):
                how = ""
        for role in roles:
            if role in own:
                self._note(place, role, how, "M2 does not map activation(GATE x) * (M1 x)")

    def _joined(self, second: torch.Tensor) -> str:
        """Whether what comes of a vector is the head's map of its first entries and this one's of the others."""
        first = next((m for key, m in self.matrices.items() if key[3] in ("HEAD", "EMBED")), None)
        for event in self.trace.events:
            if first is not None and event.kind == "product" and len(first) == len(second):
                both = torch.cat([first, second], dim=1)
                for x in _rows(event.inputs[0]):
                    if x.numel() == both.shape[1] and _gives(event.output, both @ x):
                        return "part of a map that was applied"
        return ""

    def _with_adapter(self, ups: torch.Tensor, gates: torch.Tensor, inner: torch.Tensor) -> str:
        """`_activated` where what a low-rank adapter gives is added to GATE x and M1 x, one after the other."""
        width = ups.shape[1] if len(ups) else 0
        for event in self.trace.events:
            if event.kind == "linear" and event.output.numel() == 2 * width:
                gate, up = event.output.flatten().split(width)
                if how := _activated(self.activations, ups + up, gates + gate, inner):
                    return f"{how}, with an adapter"
        return ""

    def _applied(self, matrix: torch.Tensor) -> str:
        """Whether some linear map or embedding computed just this matrix."""
        for X, output in self.applications.get(matrix.shape[1], []):
            if X is None:
                row = output.reshape(-1, matrix.shape[1])[0]
                if float((matrix - row).abs().amax(1).min()) < 1e-6:
                    return "its row was looked up"
            elif output.numel() % len(matrix) == 0 or output.shape[-1] > len(matrix):
                computed = X @ matrix.t()
                if _gives_any(output, computed):
                    return "a map that was applied"
                if output.shape[-1] > len(matrix) and _holds_any(output, computed):
                    return "part of a map that was applied"
        return ""


def _rows(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The vectors in a tensor: its rows, and itself as one where it is of several dimensions."""
    if tensor.ndim == 0 or tensor.numel() == 0 or tensor.shape[-1] == 0:
        return []
    rows = list(tensor.reshape(-1, tensor.shape[-1]))[:64]
    return [*rows, tensor.flatten()] if len(rows) > 1 else rows


def _gives(output: torch.Tensor, y: torch.Tensor) -> bool:
    """Whether an operation's output has ``y`` as a row, or as itself."""
    return _gives_any(output, y[None])


def _gives_any(output: torch.Tensor, Y: torch.Tensor) -> bool:
    """Whether an operation's output has a row of ``Y`` as a row, or as itself."""
    if output.numel() % Y.shape[1]:
        return False
    rows = output.reshape(-1, Y.shape[1])
    slack = TOLERANCE * Y.abs().amax(1)
    which, where = ((rows[None, :, 0] - Y[:, None, 0]).abs() <= slack[:, None]).nonzero(as_tuple=True)
    return bool(((rows[where] - Y[which]).abs().amax(1) <= slack[which]).any())  # few, told by their first entries


def _holds_any(output: torch.Tensor, Y: torch.Tensor) -> bool:
    """Whether a row of an operation's output has a row of ``Y`` among its entries."""
    rows = output.reshape(-1, output.shape[-1])[:4]
    return rows.shape[1] > Y.shape[1] and any(_within(y, row) for row in rows for y in _maybe_within(Y, row))


def _used(vectors: Computed, attention: Attention, which: int, added: Sequence[torch.Tensor]) -> str:
    """How one of ``vectors`` is the query (0), key (1) or value (2) of the attention; the strictest way counts.

    ``added`` are embeddings that may be added to values.
    """
    where, A = vectors
    A = A[: bisect_left(where, attention.at)]
    if not len(A):
        return ""
    operands = [attention.value] if which == 2 else [pair[which] for pair in attention.scores]
    found = {same_vector(A, operand, operand.shape[-1]) for operand in operands}
    if which == 2 and not any(found):
        sums = [A + row for row in added if row.numel() == A.shape[1]]
        found = {how and "with an embedding added" for B in sums for how in (same_vector(B, operands[0], 1),)}
    return min(found - {""}, key=WAYS.index, default="")


def _activated(
    activations: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    ups: torch.Tensor,
    gates: torch.Tensor | None,
    hidden: torch.Tensor,
) -> str:
    """The activation that makes one of ``hidden``, the vectors that maps of M2's width took, of M1's and GATE's."""
    if not len(ups) or not len(hidden):
        return ""
    live = _unit(hidden)
    with torch.no_grad():
        made = _made(activations, ups, gates)
    for name, vectors in made.items():
        gap = (_unit(vectors)[:, None] - live[None]).abs().amax(-1)
        if bool(((gap < 1e-4) & (vectors.abs().amax(-1) > 1e-6)[:, None]).any()):
            return name
    for name, vectors in made.items():
        gap = (_unit(_centred(vectors))[:, None] - live[None]).abs().amax(-1)
        if bool(((gap < 1e-4) & (vectors.abs().amax(-1) > 1e-6)[:, None]).any()):
            return f"{name}, then a norm"
    return ""


def _made(
    activations: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    U: torch.Tensor,
    G: torch.Tensor | None,
) -> dict[str, torch.Tensor]:
    if G is None:
        return {name: f(U) for name, f in activations.items()}
    made = {name: f(G) * U for name, f in activations.items()}
    return made | {"gpt-oss": (U + 1) * G * torch.sigmoid(1.702 * G)}


def attend_plainly(model: Any) -> None:
    """Let it compute its attentions and experts by the operations that a trace sees."""
    for module in model.modules():
        config = getattr(module, "config", None)
        if isinstance(config, PreTrainedConfig):
            config._attn_implementation = "eager"
            config._experts_implementation = "eager"


def run(model: Any, **inputs: Any) -> Trace:
    """The trace of the model on one token (an encoder-decoder has one in each)."""
    attend_plainly(model)
    given = {"input_ids": torch.tensor([[7]])}
    if getattr(model.config, "is_encoder_decoder", False):
        given["decoder_input_ids"] = torch.tensor([[5]])
    with traced(model) as trace:
        if inputs.keys() & {"input_features", "encoder_outputs", "flattened_patches"}:
            del given["input_ids"]
        model(**{**given, **inputs}, use_cache=False)
    return trace
