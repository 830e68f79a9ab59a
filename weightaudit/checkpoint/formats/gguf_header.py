"""The bytes of a GGUF header, in order: numbers, texts and arrays, fetched in growing ranges as far as they go."""

from __future__ import annotations

import struct
from typing import NoReturn

from weightaudit.errors import CheckpointError
from weightaudit.source import ByteSource
from weightaudit.text import printable

Number = bool | int | float
Value = Number | str | tuple[Number, ...]
"""A value of a key: a number, a text, or a short array of numbers."""

MAX_HEADER = 100_000_000
"""Bytes; the largest known headers, with a tokenizer of 262,144 tokens, have some 15 million."""
FIRST = 256 << 10
"""Bytes that are fetched at first; each time as many as there are already."""
MAX_TEXT = 64 << 10
"""Bytes of a value's text that is kept: names of architectures are short, templates of chats are not needed."""
MAX_ARRAY = 4096
"""Numbers of an array that is kept: one for each layer, say, not one for each token."""
MAX_NUMBERS = 64 * MAX_ARRAY
"""Numbers of all arrays together that are kept."""
MAX_DEPTH = 4
"""Arrays within arrays."""
MAX_ARRAYS = 100_000
"""Arrays within arrays, of a whole file."""

STRING, ARRAY = 8, 9
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Types of numbers, as `struct` calls them."""
UNSIGNED_32 = 4
U32, U64 = struct.Struct("<I"), struct.Struct("<Q")

REDOWNLOAD_HINT = "The file is damaged or was not made by a GGUF library: download it again"


def fail(source: ByteSource, cause: str, hint: str = REDOWNLOAD_HINT) -> NoReturn:
    """CheckpointError of the file."""
    raise CheckpointError(source.label, cause, hint)


class HeaderBytes:
    """A file read from its start on. ``at`` is how far; CheckpointError where the file, or what is accepted, ends."""

    def __init__(self, source: ByteSource) -> None:
        self.at = 0
        self._source = source
        self._data = bytearray()
        self._kept = 0
        self._arrays = 0
        if source.size:
            self._fetch(1)

    @property
    def head(self) -> bytes:
        """The first bytes of the file, not passed by."""
        return bytes(self._data[:64])

    def u32(self) -> int:
        """The next four bytes, a number."""
        number: int = U32.unpack_from(self._data, self._pass(4))[0]
        return number

    def u64(self) -> int:
        """The next eight bytes, a number."""
        number: int = U64.unpack_from(self._data, self._pass(8))[0]
        return number

    def text(self) -> bytes:
        """The next text: its length and its bytes."""
        length = self.u64()
        at = self._pass(length)
        return bytes(self._data[at : at + length])

    def value(self, kind: int, key: str) -> tuple[Value | None, int | None]:
        """The next value, of type ``kind``, None where it is none to keep; of an array its length too."""
        if kind == ARRAY:
            return self._array(key)
        if kind == STRING:
            length = self.u64()
            at = self._pass(length)
            kept = length <= MAX_TEXT
            return (self._data[at : at + length].decode(errors="replace") if kept else None), None
        self._check_kind(kind, key)
        return self._numbers(kind, 1)[0], None

    def _check_kind(self, kind: int, key: str) -> None:
        if kind not in NUMBERS:
            fail(self._source, f"key '{printable(key)}' has a value of the unknown type {kind}")

    def _numbers(self, kind: int, count: int) -> tuple[Number, ...]:
        layout = f"<{count}{NUMBERS[kind]}"
        return struct.unpack_from(layout, self._data, self._pass(struct.calcsize(layout)))

    def _array(self, key: str, depth: int = 1) -> tuple[Value | None, int]:
        kind, count = self.u32(), self.u64()
        if kind == ARRAY:
            self._arrays += count
            if depth == MAX_DEPTH or self._arrays > MAX_ARRAYS:
                fail(self._source, f"key '{printable(key)}' has too many arrays within arrays")
            for _ in range(count):
                self._array(key, depth + 1)
            return None, count
        if kind == STRING:
            self._skip_texts(count)
            return None, count
        self._check_kind(kind, key)
        if depth == 1 and count <= MAX_ARRAY and self._kept + count <= MAX_NUMBERS:
            self._kept += count
            return self._numbers(kind, count), count
        self._pass(count * struct.calcsize(f"<{NUMBERS[kind]}"))
        return None, count

    def _skip_texts(self, count: int) -> None:
        """Pass by so many texts. There may be millions of them, and nothing is made of any."""
        at, length_at = self.at, U64.unpack_from
        while count:
            self._at_hand(at + 8 * count)  # the least that they take
            data, last = self._data, len(self._data) - 8
            while count and at <= last:
                at += 8 + length_at(data, at)[0]
                count -= 1
        self._at_hand(at)
        self.at = at

    def _pass(self, nbytes: int) -> int:
        """Where the next ``nbytes`` begin; they are at hand, and passed by."""
        at, end = self.at, self.at + nbytes
        self._at_hand(end)
        self.at = end
        return at

    def _at_hand(self, end: int) -> None:
        if end > len(self._data):
            self._fetch(end)

    def _fetch(self, end: int) -> None:
        source, held = self._source, len(self._data)
        if end > source.size:
            needs = end if end < 2**63 else "absurdly many"
            fail(source, f"it is cut short: its header needs {needs} bytes, the file has {source.size}")
        if end > MAX_HEADER:
            fail(source, f"its header has more than the {MAX_HEADER} bytes that are accepted")
        more = bytearray(min(max(end, 2 * held, FIRST), source.size, MAX_HEADER) - held)
        source.read_into(held, memoryview(more))
        self._data += more
