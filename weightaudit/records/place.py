"""Where in a model a matrix stands, and in which order places are told."""

from __future__ import annotations

from dataclasses import dataclass

from weightaudit.text import in_order

# The paper's roles first; a family may add names of its own (e.g. POOLER) in its spec.
EMBEDDING_ROLES = ("EMBED", "POSITION", "TOKEN_TYPE")
LAYER_ROLES = (
    *("Q_A", "KV_A", "Q", "K", "V", "O", "QKV", "XQ", "XK", "XV", "XO", "GATE", "M1", "M2"),
    *("SHARED_GATE", "SHARED_M1", "SHARED_M2"),
)
TOWERS = ("vision", "video", "audio")
"""Stacks beside a language model; their numbers are none of its own."""
STACKS = ("", "patcher", "encoder", "decoder", "high", "low", *TOWERS)
"""In report order; "" is the language model itself where it has one stack only, or the stack between an encoder and a
decoder of bytes (BLT), whose patcher cuts the text; high and low are two stacks that run in turns (HRM)."""
OTHER = "OTHER"
"""The role of a matrix of which nothing tells what it does: its tensor's name is its place."""


@dataclass(frozen=True)
class Place:
    """Where in a model something stands; "" and None say that it is about no one stack, layer, expert or role.

    ``stack`` is one of `STACKS`; ``layer`` counts from 0, None outside the layers; ``expert`` numbers the experts of a
    mixture; ``tensor`` is the name of the stored tensor where the role is `OTHER`, and "" elsewhere.
    """

    stack: str = ""
    layer: int | None = None
    expert: int | None = None
    role: str = ""
    tensor: str = ""

    @property
    def module(self) -> Place:
        """The same for every role: the attention or MLP that it belongs to."""
        return Place(self.stack, self.layer, self.expert)

    @property
    def key(self) -> str:
        """The place as one word, by which matrices are known and their random starts are drawn.

        Example:
            >>> Place("decoder", 3, None, "Q").key
            'decoder/3//Q'
        """
        layer = "" if self.layer is None else str(self.layer)
        expert = "" if self.expert is None else str(self.expert)
        return f"{self.stack}/{layer}/{expert}/{self.role}" + (f"/{self.tensor}" if self.tensor else "")

    @property
    def population(self) -> tuple[str, str, str]:
        """What a matrix shares with those of other layers that it may be compared with: stack and role; one of no
        known role is alone.
        """
        return self.stack, self.role, self.tensor

    @property
    def label(self) -> str:
        """What it is called within its layer: its role, and the tensor where that is `OTHER`."""
        return f"{self.role} {self.tensor}" if self.tensor else self.role

    def words(self, between: str = " ") -> str:
        """The place for people; "" for the whole model.

        Example:
            >>> Place("decoder", 3, 7, "M1").words()
            'decoder layer 3 expert 7 M1'
        """
        numbered = (("layer", self.layer), ("expert", self.expert))
        words = [self.stack, *(f"{word} {number}" for word, number in numbered if number is not None), self.label]
        return between.join(word for word in words if word)

    @property
    def order(self) -> tuple[int, int, int, int, int, str, tuple[tuple[str, int, str], ...], str]:
        """Sort key of the report: embeddings; the encoder's layers, then the decoder's, then those of towers; then the
        rest, heads first.

        Within a layer what is shared comes before the experts, and roles run Q K V O QKV XQ … GATE M1 M2, a
        family's own last. Those of no known role follow what is outside the layers, by name, numbers by their size.
        """
        name = in_order(self.tensor), self.tensor
        if self.layer is None:
            embedding = self.role in EMBEDDING_ROLES
            rank = EMBEDDING_ROLES.index(self.role) if embedding else int(self.role != "HEAD")
            group = 0 if embedding else 3 if self.role == OTHER else 2
            return (group, STACKS.index(self.stack), -1, -1, rank, self.role, *name)
        rank = LAYER_ROLES.index(self.role) if self.role in LAYER_ROLES else len(LAYER_ROLES)
        expert = -1 if self.expert is None else self.expert
        return (1, STACKS.index(self.stack), self.layer, expert, rank, self.role, *name)
