"""Many tiny transformers of one shape at once, and the sequence tasks that they are trained on.

Parameters are a dict of tensors with one axis more than a single model's, the first: which model. Norms have no
weights, so that a model is its matrices. Tables and output head are the base's: what is trained, and merged, are the
six matrices of each layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Parameters = dict[str, Tensor]

LETTERS = 24
"""Symbols that sequences are made of."""
LENGTH = 6
"""Symbols of a sequence; the task's own token stands between it and the answer."""
WINDOW = 12
"""Symbols that one task uses: neighbours, so that two tasks share from none to all of them."""


@dataclass(frozen=True)
class Shape:
    """Of one transformer."""

    width: int
    layers: int
    heads: int
    hidden: int
    tasks: int

    @property
    def vocabulary(self) -> int:
        """Symbols and the tokens of all tasks."""
        return LETTERS + self.tasks

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Name → (rows, cols) of what is trained in a fine-tune."""
        d, h = self.width, self.hidden
        sizes = {"Q": (d, d), "K": (d, d), "V": (d, d), "O": (d, d), "M1": (h, d), "M2": (d, h)}
        return {f"{layer}.{role}": size for layer in range(self.layers) for role, size in sizes.items()}


@dataclass(frozen=True)
class SequenceTask:
    """Answer a sequence by its symbols, each ``replaced`` (LETTERS,) by another, in an ``order`` (LENGTH,) of its own.

    ``letters`` are those that its sequences have, ``token`` is the one that asks for it.
    """

    token: int
    letters: Tensor
    replaced: Tensor
    order: Tensor

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Sequences with the task's token and the answer but its last symbol (size, 2·LENGTH), and answers
        (size, LENGTH)."""
        asked = self.letters[torch.randint(len(self.letters), (size, LENGTH), generator=generator)]
        answer = self.replaced[asked[:, self.order]]
        token = torch.full((size, 1), self.token)
        return torch.cat([asked, token, answer[:, :-1]], dim=1), answer


def tasks(number: int, first_token: int, generator: torch.Generator, *, replace: bool) -> list[SequenceTask]:
    """So many tasks, each with an order, symbols and, where asked, a replacement of its own."""
    found = []
    for i in range(number):
        start = int(torch.randint(LETTERS, (1,), generator=generator))
        letters = (start + torch.arange(WINDOW)) % LETTERS if replace else torch.arange(LETTERS)
        replaced = torch.arange(LETTERS)
        if replace:
            replaced[letters] = letters[torch.randperm(WINDOW, generator=generator)]
        order = torch.randperm(LENGTH, generator=generator)
        found.append(SequenceTask(first_token + i, letters, replaced, order))
    return found


def initial(shape: Shape, generator: torch.Generator) -> Parameters:
    """One model, untrained: (1, …) each."""

    def drawn(rows: int, cols: int, scale: float) -> Tensor:
        return torch.randn(1, rows, cols, generator=generator) * scale

    found = {
        "EMBED": drawn(shape.vocabulary, shape.width, 1.0),
        "POSITION": drawn(2 * LENGTH, shape.width, 0.5),
        "HEAD": drawn(shape.vocabulary, shape.width, shape.width**-0.5),
    }
    return found | {name: drawn(*size, size[1] ** -0.5) for name, size in shape.matrices.items()}


def forward(parameters: Mapping[str, Tensor], shape: Shape, tokens: Tensor, seen: Parameters | None = None) -> Tensor:
    """Logits of the answers, (models, sequences, LENGTH, vocabulary); ``tokens``: (models, sequences, 2·LENGTH).

    The second moment of what each matrix is multiplied with is added to ``seen``, (models, cols, cols) by its name.
    """
    models, sequences, length = tokens.shape
    which = torch.arange(models)[:, None, None]
    x = parameters["EMBED"][which, tokens] + parameters["POSITION"][:, None, :length]
    x = x.reshape(models, sequences * length, shape.width)
    mask = torch.full((length, length), -math.inf).triu(1)
    size = shape.width // shape.heads

    def through(name: str, h: Tensor) -> Tensor:
        if seen is not None:
            seen[name] = h.mT @ h
        return h @ parameters[name].mT

    def by_head(y: Tensor) -> Tensor:
        return y.reshape(models * sequences, length, shape.heads, size).transpose(1, 2)

    for layer in range(shape.layers):
        h = _normed(x)
        q, k, v = (by_head(through(f"{layer}.{role}", h)) for role in "QKV")
        weights = torch.softmax(q @ k.mT / math.sqrt(size) + mask, dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(models, sequences * length, shape.width)
        x = x + through(f"{layer}.O", mixed)
        x = x + through(f"{layer}.M2", torch.relu(through(f"{layer}.M1", _normed(x))))
    last = _normed(x).reshape(models, sequences, length, shape.width)[:, :, LENGTH:]
    return torch.einsum("nbtd,nvd->nbtv", last, parameters["HEAD"])


def _normed(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-6)


def losses(parameters: Mapping[str, Tensor], shape: Shape, tokens: Tensor, answers: Tensor) -> Tensor:
    """Mean cross-entropy of each model, (models,)."""
    logits = forward(parameters, shape, tokens)
    found = cross_entropy(logits.flatten(0, 2), answers.flatten(), reduction="none")
    return found.reshape(len(answers), -1).mean(dim=1)


def train(
    parameters: Parameters,
    trained: Sequence[str],
    made: Callable[[Parameters], Parameters],
    loss: Callable[[Parameters], Tensor],
    *,
    steps: int,
    rate: float,
    decay: float,
) -> Parameters:
    """AdamW on ``trained`` of the parameters, of which ``made`` makes a model's; the learning rate falls to 0 as a
    half-cosine. Each model's steps are its own: the sum of losses is minimised."""
    own = {name: parameters[name].clone().requires_grad_(True) for name in trained}
    first = {name: torch.zeros_like(value) for name, value in own.items()}
    second = {name: torch.zeros_like(value) for name, value in own.items()}
    for step in range(1, steps + 1):
        at = rate * 0.5 * (1.0 + math.cos(math.pi * (step - 1) / steps))
        gradients = torch.autograd.grad(loss(made({**parameters, **own})).sum(), list(own.values()))
        with torch.no_grad():
            for (name, value), gradient in zip(own.items(), gradients, strict=True):
                first[name].lerp_(gradient, 0.1)
                second[name].lerp_(gradient.square(), 0.01)
                scale = (second[name] / (1.0 - 0.99**step)).sqrt_().add_(1e-8)
                value.mul_(1.0 - at * decay).addcdiv_(first[name] / (1.0 - 0.9**step), scale, value=-at)
    return {name: value.detach() for name, value in own.items()}
