"""A matrix of a model, and the pieces of stored tensors that it is made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from weightaudit.records.place import OTHER, Place
from weightaudit.records.quantisation import Scheme

if TYPE_CHECKING:
    import torch

    from weightaudit.arrays import Array, Product

    Reader = Callable[[str], Array]


@dataclass(frozen=True)
class Rows:
    """Which rows of a fused (out, in) matrix belong to one role: ``count`` runs of ``size`` rows, ``stride`` apart.

    Row ``start + j * stride + i`` for j < count, i < size. A contiguous slice is one run.
    """

    start: int
    size: int
    count: int = 1
    stride: int = 0

    @property
    def total(self) -> int:
        """Number of rows selected."""
        return self.size * self.count


@dataclass(frozen=True)
class Part:
    """One piece of a role's matrix: a stored tensor, turned to (out, in) and cut.

    ``transposed`` says that the file stores (in, out), as GPT-2's Conv1D does; ``rows`` selects output rows after that
    turn, None takes all. ``index`` takes one of ``of`` matrices stacked in the tensor along its first dimension, before
    everything else; a tensor of more than two dimensions that stacks none is one matrix, of its first dimension by all
    others together.
    """

    tensor: str
    transposed: bool = False
    rows: Rows | None = None
    index: int | None = None
    of: int = 1

    def cut_product(self, stored: Product) -> Product:
        """``stored`` as this part: the rows of a product are those of its left factor."""
        left, right = stored.left, stored.right
        if self.index is not None:
            left, right = left[self.index], right[self.index]
        alone, magnitude = Part(self.tensor, rows=self.rows), stored.magnitude
        if magnitude is not None:
            magnitude = alone.cut(magnitude[:, None])[:, 0]
        return replace(stored, left=alone.cut(left), right=right, magnitude=magnitude)

    def _stacked_rows(self, shape: tuple[int, ...]) -> int:
        """Rows of each matrix that a tensor stacks; where its first dimension stacks them, the second has theirs."""
        return shape[1] if len(shape) == 3 and shape[0] == self.of else shape[0] // self.of

    def cut(self, stored: Array) -> Array:
        """View of ``stored`` as this part, (rows, in). No copy unless the rows come in several runs."""
        matrix = stored if stored.ndim == 2 else stored.reshape(stored.shape[0], math.prod(stored.shape[1:]))
        if self.index is not None:
            rows = self._stacked_rows(stored.shape)
            matrix = stored.reshape(self.of, rows, math.prod(stored.shape) // (self.of * rows))[self.index]
        if self.transposed:
            matrix = matrix.T
        if self.rows is None:
            return matrix
        start, size, count, stride = self.rows.start, self.rows.size, self.rows.count, self.rows.stride
        if count == 1:
            return matrix[start : start + size]
        # One copy, whatever their number: a slice for each of a million runs of one row would take a hundred times it.
        import numpy as np

        runs = np.lib.stride_tricks.sliding_window_view(matrix[start:], size, axis=0)[: count * stride : stride]
        return np.ascontiguousarray(runs.transpose(0, 2, 1)).reshape(self.rows.total, matrix.shape[1])


@dataclass(frozen=True)
class RoleMatrix:
    """One matrix of the model, oriented (out_features, in_features), and where its rows come from.

    Nothing is read until `load` or `blocks`.

    Attributes
    ----------
    stack
        "encoder" or "decoder" in encoder-decoder models, "vision", "video" or "audio" in a tower beside a language
        model, else "".
    layer
        Counts from 0; None outside the layers.
    expert
        Number of the expert in a mixture, else None.
    role
        What it does: Q, K, V, O, QKV, M1, M2, or another role of its family; OTHER where nothing tells.
    parts
        Pieces of stored tensors that it is put together from, in row order.
    shape
        (out_features, in_features).
    dtype
        Stored dtype, a name of `weightaudit.dtypes`; float32 of what is quantised.
    scheme
        How it is quantised; None where it is not, or its parts are not alike.
    reader
        Reads a stored tensor by name; None where the matrix is not bound to a checkpoint.
    """

    stack: str
    layer: int | None
    expert: int | None
    role: str
    parts: tuple[Part, ...]
    shape: tuple[int, int]
    dtype: str
    scheme: Scheme | None = None
    reader: Reader | None = field(default=None, repr=False, compare=False)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the stored tensors it is cut from, in row order, each once."""
        if len(self.parts) == 1:  # as most have, and each of many rules asks for it
            return (self.parts[0].tensor,)
        return tuple(dict.fromkeys(part.tensor for part in self.parts))

    @property
    def is_whole(self) -> bool:
        """Whether it is one stored tensor, and that nothing else."""
        return len(self.parts) == 1 and self.parts[0].rows is None and self.parts[0].index is None

    @cached_property
    def place(self) -> Place:
        """Where in the model it stands."""
        return Place(self.stack, self.layer, self.expert, self.role, self.parts[0].tensor if self.role == OTHER else "")

    @cached_property
    def key(self) -> str:
        """Its name within the model, the same however the tensors are stored; its random start depends on it."""
        return self.place.key

    @property
    def parameters(self) -> int:
        """Number of entries."""
        return self.shape[0] * self.shape[1]

    def blocks(self) -> list[Array]:
        """Its parts, read now, each (rows, in) in the stored dtype; their vertical stack is the matrix."""
        if self.reader is None:
            raise RuntimeError(f"matrix {self.key} is not bound to a checkpoint")
        stored = {name: self.reader(name) for name in self.tensors}
        return [part.cut(stored[part.tensor]) for part in self.parts]

    def load(self) -> torch.Tensor:
        """Read the matrix; torch is imported for it.

        Returns
        -------
        torch.Tensor
            Of ``shape``, in the stored dtype.

        Examples
        --------
        >>> import weightaudit as wa
        >>> W = next(iter(wa.matrices("gpt2"))).load()  # doctest: +SKIP
        """
        import torch

        from weightaudit.arrays import as_tensor

        blocks = [as_tensor(block) for block in self.blocks()]
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks)
