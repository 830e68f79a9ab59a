"""Many small bias-free networks at once: f(x) = W_K σ(… σ(W_1 x)), σ = ReLU or the identity (the source, section 3).

Weights are a list with one tensor per layer, W_k of shape (nets, out_k, in_k), the last with out_K = 1; networks of
one list share widths and nothing else. Losses and gradients are of the logistic loss with labels ±1, without weight
decay, which is the descent's own step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

Activation = Literal["relu", "linear"]
Weights = list[Tensor]


def initialise(
    widths: Sequence[int], nets: int, *, generator: torch.Generator, dtype: torch.dtype = torch.float32, scale: float
) -> Weights:
    """Gaussian weights of mean 0 and standard deviation scale/√in_k.

    ``widths`` are (input dimension, hidden widths …, 1). Drawn network by network, so that the first ones are the same
    however many follow.

    Example:
        >>> weights = initialise((5, 3, 1), 2, generator=torch.Generator().manual_seed(0), scale=1.0)
        >>> [tuple(W.shape) for W in weights]
        [(2, 3, 5), (2, 1, 3)]
    """
    shapes = [(rows, cols) for cols, rows in itertools.pairwise(widths)]
    drawn = [
        [torch.randn(shape, generator=generator, dtype=dtype) * (scale / math.sqrt(shape[1])) for shape in shapes]
        for _ in range(nets)
    ]
    return [torch.stack(layer) for layer in zip(*drawn, strict=True)]


def forward(weights: Weights, x: Tensor, activation: Activation) -> Tensor:
    """Scores f(x), (nets, n). ``x``: (n, d), the same for all networks, or (nets, n, d)."""
    return _layers(weights, x, activation)[-1].squeeze(-2)


def hidden(weights: Weights, x: Tensor, activation: Activation) -> list[Tensor]:
    """What each hidden layer makes of the inputs, (nets, h_k, n) each. ``x`` as in `forward`."""
    return _layers(weights, x, activation)[1:-1]


def by_layer(name: str, values: Tensor) -> dict[str, list[float]]:
    """(nets, K) as columns NAME_1 to NAME_K of a table of networks."""
    return {f"{name}_{k}": of_layer.tolist() for k, of_layer in enumerate(values.unbind(dim=1), 1)}


def logistic(margins: Tensor) -> Tensor:
    """ℓ(z) = log(1 + e^{−z}) elementwise, without overflow or loss of digits at either end."""
    return -logsigmoid(margins)


def mean_loss(scores: Tensor, y: Tensor) -> Tensor:
    """L = mean over the n points of ℓ(y f(x)), (nets,). ``scores``: (nets, n); ``y``: ±1, (n,) or (nets, n)."""
    return logistic(y * scores).mean(-1)


def loss_and_gradients(
    weights: Weights, x: Tensor, y: Tensor, activation: Activation
) -> tuple[Tensor, Weights, Tensor]:
    """(L (nets,), ∂L/∂W_k in the shapes of ``weights``, scores (nets, n)), by hand.

    ``x``: (n, d) or (nets, n, d); ``y``: ±1, (n,) or (nets, n). The ReLU's derivative at 0 is taken as 0.
    """
    layers = _layers(weights, x, activation)
    scores = layers[-1].squeeze(-2)
    return mean_loss(scores, y), _backward(weights, layers, y, activation), scores


def gradients(weights: Weights, x: Tensor, y: Tensor, activation: Activation) -> Weights:
    """∂L/∂W_k alone, as `loss_and_gradients` has them."""
    return _backward(weights, _layers(weights, x, activation), y, activation)


def stable_ranks(weights: Weights) -> Tensor:
    """‖W_k‖_F²/σ₁(W_k)², (nets, K) float64, exact up to rounding; NaN for a zero matrix."""
    return torch.stack([_stable_rank(W.double()) for W in weights], dim=-1)


def norms(weights: Weights) -> Tensor:
    """Frobenius norms ‖W_k‖_F, (nets, K) float64."""
    return torch.stack([W.double().flatten(1).norm(dim=-1) for W in weights], dim=-1)


def summed(a: Weights, b: Weights) -> Weights:
    """The source's merged networks, layer by layer W_k + W'_k."""
    return [A + B for A, B in zip(a, b, strict=True)]


def averaged(a: Weights, b: Weights) -> Weights:
    """The other way to merge, (W_k + W'_k)/2, which the source argues against."""
    return [(A + B) / 2 for A, B in zip(a, b, strict=True)]


def picked(weights: Weights, index: Tensor | slice | list[int]) -> Weights:
    """The networks at ``index``."""
    return [W[index] for W in weights]


def repeated(weights: Weights, times: int) -> Weights:
    """Every network ``times`` times, copies side by side: what several λ start from."""
    return [W.repeat_interleave(times, dim=0) for W in weights]


def _layers(weights: Weights, x: Tensor, activation: Activation) -> list[Tensor]:
    """The inputs and what each layer makes of them; the last is the scores. (nets, out_k, n), or (d, n) inputs.

    Points are columns: with them innermost, products with narrow layers run four times as fast as the other way round.
    """
    act = _ACTIVATIONS[activation]
    layers = [x.mT]
    for W in weights[:-1]:
        layers.append(act(W @ layers[-1]))
    layers.append(weights[-1] @ layers[-1])
    return layers


def _backward(weights: Weights, layers: list[Tensor], y: Tensor, activation: Activation) -> Weights:
    """∂L/∂W_k from what `_layers` gave, by the chain rule from the last layer down."""
    scores = layers[-1].squeeze(-2)
    # ℓ'(z) = −1/(1 + e^z), and the mean's 1/n.
    back = (torch.sigmoid(-y * scores) * (y / -scores.shape[-1])).unsqueeze(-2)
    found: Weights = []
    for k in range(len(weights) - 1, -1, -1):
        found.append(back @ layers[k].mT)
        if k:
            back = weights[k].mT @ back
            if activation == "relu":
                back = back * layers[k].sign()  # a ReLU's output is never negative: its sign is its derivative
    return found[::-1]


def _identity(x: Tensor) -> Tensor:
    return x


_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "linear": _identity}


def _stable_rank(W: Tensor) -> Tensor:
    """(nets, rows, cols) float64 → (nets,). From the smaller Gram matrix: its trace over its largest eigenvalue."""
    # Divided by its largest entry first, so that the squares of a collapsed matrix do not underflow.
    W = W / W.abs().amax(dim=(1, 2), keepdim=True)
    gram = W @ W.mT if W.shape[1] <= W.shape[2] else W.mT @ W
    finite = gram.isfinite().all(dim=-1).all(dim=-1)
    eigenvalues = torch.linalg.eigvalsh(torch.where(finite[:, None, None], gram, torch.eye(gram.shape[-1]).to(gram)))
    ranks = eigenvalues.sum(-1) / eigenvalues[:, -1]
    return torch.where(finite, ranks, torch.nan)
