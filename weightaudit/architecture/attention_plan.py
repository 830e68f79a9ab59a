"""What is to be read and computed for the heads of one attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from weightaudit.records import Attention, Place, RoleMatrix


@dataclass(frozen=True)
class Gains:
    """A norm: the tensor of its gains, what is added to these (1 for ``1 + weight``), and that of its bias; "" for
    none."""

    tensor: str
    plus: float = 0.0
    bias: str = ""

    @property
    def module(self) -> str:
        """Name of the norm; "" where it has no gains."""
        return self.tensor.rpartition(".")[0]

    @property
    def tensors(self) -> tuple[str, ...]:
        """What is read for it."""
        return tuple(name for name in (self.tensor, self.bias) if name)


NO_GAINS = Gains("")


@dataclass(frozen=True)
class AttentionPlan:
    """What is needed to measure the heads of one attention.

    Attributes
    ----------
    attention
        Its record.
    matrices
        Its matrices by what they are to it (Q, K, V, O; Q_A and KV_A of latent attention).
    q_in, kv_in
        Norms of what W_Q and what W_K and W_V read; None where no norm is known to be there, so that nothing bounds it.
    hidden_in
        Norm before the attention, where W_Q and W_K read latents.
    q_norm, k_norm
        Norms after W_Q and W_K; None where there is none.
    rotary
        Last rows of a head's queries that meet keys which all heads share (latent attention).
    bounded
        Whether all that stands between inputs and logits is known.
    biases
        Role → the tensor of its bias.
    """

    attention: Attention
    matrices: Mapping[str, RoleMatrix]
    q_in: Gains | None = None
    kv_in: Gains | None = None
    hidden_in: Gains | None = None
    q_norm: Gains | None = None
    k_norm: Gains | None = None
    rotary: int = 0
    bounded: bool = False
    biases: Mapping[str, str] = field(default_factory=dict)

    @property
    def vectors(self) -> tuple[str, ...]:
        """Names of the norms and biases that are read for it, each once."""
        norms = (self.q_in, self.kv_in, self.hidden_in, self.q_norm, self.k_norm)
        names = [name for norm in norms if norm is not None for name in norm.tensors]
        return tuple(dict.fromkeys((*names, *self.biases.values())))

    @property
    def place(self) -> Place:
        """The layer that it is in."""
        return Place(self.attention.stack, self.attention.layer)

    @property
    def key(self) -> str:
        """Its name within the model."""
        return f"{self.place.key}{self.attention.attention}"

    def of(self, matrices: Mapping[str, RoleMatrix]) -> AttentionPlan:
        """The same with these of its matrices alone."""
        biases = {part: name for part, name in self.biases.items() if part in matrices}
        return replace(self, matrices=matrices, biases=biases)
