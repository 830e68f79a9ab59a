"""One matrix given as vertical blocks, and the panels in which it is read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from weightaudit.arrays import Array, is_tensor
from weightaudit.spectral.tensors import Device, Panel, device_of, dtype_name, moved, room, strides

# Elements of a float64 panel: 1 MB, half of it stays in the L2 cache of current cores while it is used twice; a GPU
# wants work enough to fill it.
CPU_PANEL = 1 << 17
GPU_PANEL = 1 << 24


class Panels(Protocol):
    """A matrix W (rows × cols) that comes in panels, some rows of A = W or Wᵀ at a time, on ``device``."""

    @property
    def rows(self) -> int: ...

    @property
    def cols(self) -> int: ...

    @property
    def device(self) -> Device: ...

    def panels(self, row_major: bool) -> Iterator[Panel]:
        """Row panels (p, n) of A, W if ``row_major`` or else Wᵀ, in float64: A once, in order. Each is the caller's
        until the next, which may overwrite it."""
        ...


class PanelSource(Panels, Protocol):
    """One that can be read as often as needed; ``dtype`` is that of its entries as they are counted, by its name."""

    @property
    def dtype(self) -> str: ...

    def entries(self, row_major: bool) -> Iterator[tuple[list[Panel], Panel]]:
        """The panels, each with some of ``dtype`` that hold its entries in any arrangement, not to be written."""
        ...


@dataclass(frozen=True)
class BlockMatrix:
    """W (rows × cols) = the vertical stack of ``blocks``, which are never concatenated.

    The blocks are 2-D, of one dtype and column count, and may be strided views: arrays, or tensors of a device.
    """

    blocks: tuple[Panel, ...]

    @cached_property
    def seams(self) -> tuple[int, ...]:
        """Row of W at which each block begins, and at which the last one ends."""
        return (0, *accumulate(block.shape[0] for block in self.blocks))

    @property
    def rows(self) -> int:
        return self.seams[-1]

    @property
    def cols(self) -> int:
        cols: int = self.blocks[0].shape[1]
        return cols

    @property
    def elements(self) -> int:
        return self.rows * self.cols

    @property
    def tall(self) -> bool:
        """Whether W is at least as tall as wide."""
        return self.rows >= self.cols

    @cached_property
    def along_rows(self) -> bool:
        """Whether the entries of each row lie side by side in memory."""
        return all(map(runs_along_rows, self.blocks))

    @cached_property
    def along_cols(self) -> bool:
        """Whether the entries of each column lie side by side in memory, within each block."""
        return all(runs_along_rows(block.T) for block in self.blocks)

    @property
    def dtype(self) -> str:
        return dtype_name(self.blocks[0])

    @property
    def device(self) -> Device:
        return device_of(self.blocks[0])

    def between(self, first: int, end: int) -> list[Panel]:
        """Rows ``first`` ≤ r < ``end`` of W, at least one, as views of the blocks, in order, and looks at no other."""
        some = slice(bisect_right(self.seams, first) - 1, bisect_left(self.seams, end))
        tops = zip(self.blocks[some], self.seams[some], strict=False)  # one more seam than blocks
        return [block[max(0, first - top) : end - top] for block, top in tops if block.shape[0]]

    def views(self, row_major: bool) -> Iterator[list[Panel]]:
        """A = W (``row_major``) or Wᵀ in row panels, each as views of the blocks: of W one below the other, of Wᵀ side
        by side.

        Where a panel ends depends on A's shape alone, not on the blocks, so that every sum over panels is that of the
        same matrix in one piece, to the last bit.
        """
        if not self.elements:
            return
        m, n = (self.rows, self.cols) if row_major else (self.cols, self.rows)
        height = panel_height(n, self.device)
        for top in range(0, m, height):
            if row_major:
                yield self.between(top, top + height)
            else:
                yield [block[:, top : top + height].T for block in self.blocks]

    def panels(self, row_major: bool) -> Iterator[Panel]:
        """The panels of `views`, (p, n), in float64; each is valid until the next, they share a buffer.

        The panels cover A once, so one loop over them is one pass over the weights.
        """
        if not self.elements:
            return
        m, n = (self.rows, self.cols) if row_major else (self.cols, self.rows)
        buffer = room((min(panel_height(n, self.device), m), n), self.device)
        for views in self.views(row_major):
            height = sum(view.shape[0] for view in views) if row_major else views[0].shape[0]
            panel, at = buffer[:height], 0
            for view in views:
                end = at + view.shape[0 if row_major else 1]
                panel[(slice(at, end), ...) if row_major else (..., slice(at, end))] = view
                at = end
            yield panel

    def entries(self, row_major: bool) -> Iterator[tuple[list[Panel], Panel]]:
        """The panels with their `views`."""
        return zip(self.views(row_major), self.panels(row_major), strict=True)

    def to(self, device: Device) -> BlockMatrix:
        """The same matrix on ``device``."""
        if device == "cpu" and not any(map(is_tensor, self.blocks)):
            return self
        return BlockMatrix(tuple(moved(block, device) for block in self.blocks))


def panel_height(n: int, device: Device) -> int:
    """How many rows of length ``n`` are worked on at once on ``device``."""
    return max(1, (CPU_PANEL if device == "cpu" else GPU_PANEL) // n)


def runs_along_rows(block: Panel) -> bool:
    """Whether the entries of each row of ``block`` lie side by side in memory. A single column's do either way."""
    return strides(block)[1] == 1 or block.shape[1] == 1


def merged(blocks: Sequence[Panel]) -> tuple[Panel, ...]:
    """``blocks`` with neighbours joined into one view where they are neighbours in memory too, as slices of a fused
    QKV tensor are; empty ones dropped while another remains. Those of a device stay as they are."""
    kept = [block for block in blocks if block.shape[0]] or [blocks[0]]
    out = [kept[0]]
    for block in kept[1:]:
        last = out[-1]
        if not is_tensor(last) and not is_tensor(block) and _follows(last, block):
            shape = (last.shape[0] + block.shape[0], last.shape[1])
            out[-1] = np.lib.stride_tricks.as_strided(last, shape, last.strides)
        else:
            out.append(block)
    return tuple(out)


def _follows(upper: Array, lower: Array) -> bool:
    """Whether ``lower``'s first row lies where ``upper``'s next row would, in memory of one owner."""
    if min(upper.shape[0], lower.shape[0]) < 2 or upper.strides != lower.strides:
        return False
    return lower.ctypes.data == upper.ctypes.data + upper.shape[0] * upper.strides[0] and _owner(upper) == _owner(lower)


def _owner(array: Array) -> int:
    """What tells the memory of ``array`` from all other."""
    owner: Any = array
    while not is_tensor(owner) and getattr(owner, "base", None) is not None:
        owner = owner.base
    return owner.untyped_storage().data_ptr() if is_tensor(owner) else id(owner)
