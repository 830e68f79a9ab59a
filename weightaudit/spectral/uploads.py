"""The next matrix on its way to a device while the present one is measured there.

Copies from memory that the system may move make the host wait. So rows go through two buffers that it may not move:
one is filled while the other is copied. What may overtake what is said by events, in the order of one stream of copies:
a buffer is filled again when its copy is done, and a matrix is read when its last copy is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from weightaudit.spectral.block_matrix import runs_along_rows
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.tensors import CudaCopies, Panel, device_called, on_host

STAGING = 32 << 20
"""Bytes of a buffer."""
SHARE = 4
"""A matrix goes ahead where the device has so many times its bytes free: the present one and panels lie there too."""

Event = Any


class Copies(Protocol):
    """What copies to a device beside its computing, one copy after the other."""

    def free(self) -> int:
        """Bytes that the device has left."""

    def staging(self, nbytes: int) -> Panel | None:
        """A buffer of the host, uint8, that copies need not wait for; None where the system gives none."""

    def room(self, like: Panel) -> Panel | None:
        """Memory on the device for what is ``like`` this; None where it has none left."""

    def begin(self, target: Panel, source: Panel) -> Event:
        """Have ``source`` be copied to ``target``; the event is that it was. Until then it must stay as it is."""

    def wait(self, event: Event) -> None:
        """Wait, here on the host."""

    def join(self, event: Event, panels: tuple[Panel, ...]) -> None:
        """Have what the calling thread computes on the device from now on come after ``event``; it reads ``panels``,
        whose memory is not given to other copies before it has.
        """

    def close(self) -> None:
        """Wait for all copies."""


class Ahead:
    """A matrix that is on its way."""

    def __init__(self, copies: Copies, panels: tuple[Panel, ...], arrival: Event) -> None:
        self._copies, self._panels, self._arrival = copies, panels, arrival

    def take(self) -> list[Panel]:
        """Its blocks on the device, once, for the calling thread to compute with."""
        panels, self._panels = self._panels, ()
        self._copies.join(self._arrival, panels)
        return list(panels)


class Uploads:
    """Sends matrices ahead; for one thread."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._buffers: list[Panel] | None = None
        self._under_way: list[Event] = [None, None]
        self._turn = 0

    def begin(self, blocks: Any) -> Ahead | None:
        """Send the matrix of these blocks, as `measure` takes them; None where it had better be brought when it is
        measured: it is too large, lies in no order, or there is no memory. After this the host's is not read any more.
        """
        matrix = block_matrix(blocks)
        if matrix.device != "cpu":
            return None
        sources = [(along := runs_along_rows(one), on_host(one if along else one.T)) for one in matrix.blocks]
        if not matrix.elements or any(source.stride(1) != 1 and source.shape[1] > 1 for _, source in sources):
            return None
        widest = max(source.shape[1] * source.element_size() for _, source in sources)
        nbytes = sum(source.numel() * source.element_size() for _, source in sources)
        if widest > STAGING or SHARE * nbytes > self._copies.free() or not self._has_buffers():
            return None
        targets: list[Panel] = []
        for _, source in sources:
            target = self._copies.room(source)
            if target is None:
                return None
            targets.append(target)
        arrival = None
        for (_, source), target in zip(sources, targets, strict=True):
            arrival = self._send(source, target)
        panels = tuple(to if along else to.T for (along, _), to in zip(sources, targets, strict=True))
        return Ahead(self._copies, panels, arrival)

    def _send(self, source: Panel, target: Panel) -> Event:
        height = STAGING // (source.shape[1] * source.element_size())
        event = None
        for top in range(0, source.shape[0], height):
            rows = source[top : top + height]
            staged = self._buffer()[: rows.numel() * rows.element_size()].view(rows.dtype).view(rows.shape)
            staged.copy_(rows)
            event = self._under_way[self._turn] = self._copies.begin(target[top : top + height], staged)
        return event

    def _buffer(self) -> Panel:
        """The buffer whose turn it is, when what it held has been copied."""
        assert self._buffers, "nothing begins without"
        self._turn = 1 - self._turn
        if self._under_way[self._turn] is not None:
            self._copies.wait(self._under_way[self._turn])
        return self._buffers[self._turn]

    def _has_buffers(self) -> bool:
        """Whether there are any; the system is asked once."""
        if self._buffers is None:
            found = [self._copies.staging(STAGING) for _ in self._under_way]
            self._buffers = [] if any(buffer is None for buffer in found) else found
        return bool(self._buffers)

    def close(self) -> None:
        """Wait for what is under way, and let go of the buffers."""
        self._copies.close()
        self._buffers = None


@contextmanager
def uploads_to(device: str) -> Iterator[Uploads | None]:
    """What sends matrices ahead to the torch device of that name; None for the CPU, to which nothing is sent."""
    if device == "cpu":
        yield None
        return
    uploads = Uploads(CudaCopies(device_called(device)))
    try:
        yield uploads
    finally:
        uploads.close()
