"""Pickles, read as data and never run.

Unpickling is running a program. What PyTorch needs of that language to save weights is small: constants, tuples,
lists, dicts, a few names of its own, and "this name applied to these arguments", which is kept here as a `Call` and
applied by nobody. So no name of the file is imported, no object of a class made, nothing hashed but text, and the
number of instructions bounds time and memory. ``torch.load(weights_only=True)`` is not enough to rely on: in versions
before 2.6 files could run code past it (CVE-2025-32434), it lets a short pickle ask for any amount of memory, and it
does not say from which record a tensor came.

A name that ``weights_only`` would refuse is refused here, as code, but for a few that hold values only (numpy's
numbers, a namespace of options; `torch_names.OPAQUE`), which trainers leave beside weights. The instructions are those
that torch's own restricted reader knows, and their siblings of pickle protocol 4.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from weightaudit.checkpoint.formats.pickle_calls import apply, sets_attributes_only
from weightaudit.checkpoint.formats.pickle_values import Call, Name, Table, is_key, size_of
from weightaudit.checkpoint.formats.torch_names import FILLED, HARMLESS, NAMESPACES, OPAQUE, SET, VERSION
from weightaudit.errors import CheckpointError
from weightaudit.source import ByteSource
from weightaudit.text import printable

MAX_PICKLE = 16 << 20
"""Bytes of a file's pickle; 100 to 300 a tensor are usual."""
CUT_SHORT = "its pickle is cut short"
MAX_STEPS = 2_000_000
"""Instructions in it; some 25 a tensor are usual."""
DAMAGED = "The file is damaged or was not made by torch.save: download it again"
CODE = (
    "Only a file of weights can be read. If this is the model's weight file, convert it to safetensors where its "
    "publisher is trusted"
)


class Cursor:
    """Bytes of ``source`` from ``start`` to ``stop``, taken piece by piece and fetched ``chunk`` at a time.

    ``beyond`` is what to say of a pickle that goes on after ``stop``.
    """

    def __init__(self, source: ByteSource, start: int, stop: int, *, chunk: int, beyond: str) -> None:
        self.source = source
        self._fetched = start
        self._stop = stop
        self._chunk = chunk
        self._beyond = beyond
        self._held = b""
        self._at = 0

    @property
    def offset(self) -> int:
        """Where in the file the next byte is."""
        return self._fetched - len(self._held) + self._at

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; CheckpointError where there are fewer."""
        while self._at + count > len(self._held):
            self._more(self._at + count - len(self._held))
        taken = self._held[self._at : self._at + count]
        self._at += count
        return taken

    def line(self) -> bytes:
        """The bytes up to the next newline, without it."""
        searched = self._at
        while (end := self._held.find(b"\n", searched)) < 0:
            rest = len(self._held) - self._at
            self._more(1)
            searched = rest
        taken = self._held[self._at : end]
        self._at = end + 1
        return taken

    def rest(self) -> bytes:
        """All bytes up to the end, fetched at once and left to be taken."""
        self._more(self._stop - self._fetched)
        return self._held[self._at :]

    def _more(self, missing: int) -> None:
        available = self._stop - self._fetched
        if missing > available:
            fail(self.source, self._beyond)
        data = bytearray(min(max(missing, self._chunk), available))
        self.source.read_into(self._fetched, memoryview(data))
        self._fetched += len(data)
        self._held = self._held[self._at :] + bytes(data)
        self._at = 0


def fail(source: ByteSource, cause: str) -> NoReturn:
    """CheckpointError about a file that is not as torch.save writes it."""
    raise CheckpointError(source.label, cause, DAMAGED)


def read_pickle(cursor: Cursor, storage: Callable[[object], object] | None = None) -> object:
    """What the pickle at ``cursor`` describes, in constants, tuples, lists, `Table`, `Name` and `Call`.

    ``storage`` turns a persistent id, which stands for a tensor's bytes, into what takes its place. The cursor is left
    behind the pickle. Raises CheckpointError: a name or instruction that may run code, or damage.
    """
    vm = PickleVM(cursor, storage)
    try:
        return vm.run()
    except (IndexError, KeyError, UnicodeDecodeError, struct.error) as error:
        # Taking from an empty stack, an empty memo, text that is none.
        raise CheckpointError(cursor.source.label, "its pickle is damaged", DAMAGED) from error


class PickleVM:
    """The stack vm of the pickle language, without its power to call."""

    def __init__(self, cursor: Cursor, storage: Callable[[object], object] | None) -> None:
        self.cursor = cursor
        self.storage = storage
        self.stack: list[object] = []
        self.outer: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.looked_at = 0

    def run(self) -> object:
        take = self.cursor.take
        for _ in range(MAX_STEPS):
            code = take(1)
            if code == pickle.STOP:
                return self.stack.pop()
            step = _STEPS.get(code)
            if step is None:
                self.refuse_instruction(code)
            step(self)
        return self.too_long()

    def too_long(self) -> NoReturn:
        fail(self.cursor.source, f"its pickle has more than {MAX_STEPS} instructions, the most that is accepted")

    def number(self, layout: str) -> int:
        (number,) = struct.unpack(layout, self.cursor.take(struct.calcsize(layout)))
        return int(number)

    def pop_mark(self) -> list[object]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def name(self, module: str, attribute: str) -> Name:
        """The name, if weights have a use for it; CheckpointError if not."""
        module = "builtins" if module == "__builtin__" else module  # Python 2's spelling, which protocol 2 keeps
        path = f"{module}.{attribute}"
        if path not in HARMLESS and path not in OPAQUE:
            raise CheckpointError(
                self.cursor.source.label,
                f"it contains code and not only weights: loading it would use '{printable(path)}'. "
                "Nothing of it was executed",
                CODE,
            )
        return Name(path)

    def refuse_instruction(self, code: bytes) -> NoReturn:
        if code == pickle.INST:  # names what it would call, as GLOBAL does
            self.name(self.cursor.line().decode(), self.cursor.line().decode())
        known = next((op for op in pickletools.opcodes if op.code == code.decode("latin-1")), None)
        if known is None:
            fail(self.cursor.source, "its pickle is damaged")
        raise CheckpointError(
            self.cursor.source.label,
            f"its pickle holds the instruction {known.name}, which torch.save has no use for in weights. Nothing of it "
            "was executed",
            CODE,
        )

    # One method an instruction, named as in the pickle language.

    def proto(self) -> None:
        self.cursor.take(1)

    def frame(self) -> None:
        self.cursor.take(8)

    def mark(self) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def global_(self) -> None:
        self.stack.append(self.name(self.cursor.line().decode(), self.cursor.line().decode()))

    def stack_global(self) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        if not isinstance(attribute, str) or not isinstance(module, str):
            fail(self.cursor.source, "its pickle is damaged")
        self.stack.append(self.name(module, attribute))

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            fail(self.cursor.source, "its pickle calls what is no name")
        # What is copied or looked through item by item may be long, and an argument again and again.
        self.looked_at += sum(map(size_of, arguments))
        if self.looked_at > MAX_STEPS:
            self.too_long()
        try:
            self.stack.append(apply(function, arguments))
        except ValueError as error:
            raise CheckpointError(
                self.cursor.source.label,
                f"its pickle calls '{printable(function.path)}' in a way that torch.save does not use. Nothing of it "
                "was executed",
                CODE,
            ) from error

    def newobj(self) -> None:
        function = self.stack[-2]
        if isinstance(function, Name) and function.path not in NAMESPACES | {VERSION}:
            self.refuse_instruction(pickle.NEWOBJ)
        self.reduce()

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Call) and target.function.path in FILLED:
            return  # values of what is not made here; they set nothing but its own
        if not isinstance(target, Table) or not target.ordered:
            fail(self.cursor.source, "its pickle sets the state of what is no OrderedDict")
        # Attributes of a dict (torch's _metadata) are no entries of it; its methods would show others.
        if not isinstance(state, Table) or not sets_attributes_only(state, partial(hasattr, OrderedDict)):
            fail(self.cursor.source, "its pickle replaces what an OrderedDict does")

    def append(self) -> None:
        item = self.stack.pop()
        self.list_on_top().append(item)

    def appends(self) -> None:
        items = self.pop_mark()
        self.list_on_top().extend(items)

    def list_on_top(self) -> list[object]:
        top = self.stack[-1]
        if not isinstance(top, list):
            fail(self.cursor.source, "its pickle appends to what is no list")
        return top

    def setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def setitems(self) -> None:
        self.set_items(self.pop_mark())

    def set_items(self, pairs: list[object]) -> None:
        table = self.stack[-1]
        if len(pairs) % 2:
            fail(self.cursor.source, "its pickle is damaged")
        if not isinstance(table, Table):
            fail(self.cursor.source, "its pickle sets an item of what is no dictionary")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.check_key(key)
            table.put(key, value)

    def additems(self) -> None:
        items, target = self.pop_mark(), self.stack[-1]
        if not isinstance(target, Call) or target.function.path != SET:
            fail(self.cursor.source, "its pickle adds to what is no set")
        for item in items:
            self.check_key(item)

    def check_key(self, key: object) -> None:
        if not is_key(key):
            fail(self.cursor.source, "its pickle takes for a key what can be none")

    def tuple_of(self, count: int) -> None:
        items = [self.stack.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def marked_tuple(self) -> None:
        items = self.pop_mark()
        self.stack.append(tuple(items))

    def text(self, layout: str) -> None:
        data = self.cursor.take(self.number(layout))
        self.stack.append(str(data, "utf-8", "surrogatepass"))

    def old_string(self) -> None:
        self.stack.append(self.cursor.take(self.number("<B")).decode("utf-8"))  # Python 2's str, as torch.load does

    def data(self, layout: str) -> None:
        self.stack.append(self.cursor.take(self.number(layout)))

    def long(self) -> None:
        self.stack.append(int.from_bytes(self.cursor.take(self.number("<B")), "little", signed=True))

    def float(self) -> None:
        self.stack.append(struct.unpack(">d", self.cursor.take(8))[0])

    def binpersid(self) -> None:
        identity = self.stack.pop()
        if self.storage is None:
            fail(self.cursor.source, "its pickle refers to a tensor's bytes where it has none")
        self.stack.append(self.storage(identity))

    def get(self, layout: str) -> None:
        self.stack.append(self.memo[self.number(layout)])

    def put(self, layout: str) -> None:
        self.memo[self.number(layout)] = self.stack[-1]

    def memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]


_STEPS: dict[bytes, Callable[[PickleVM], None]] = {
    pickle.PROTO: PickleVM.proto,
    pickle.FRAME: PickleVM.frame,
    pickle.MARK: PickleVM.mark,
    pickle.GLOBAL: PickleVM.global_,
    pickle.STACK_GLOBAL: PickleVM.stack_global,
    pickle.REDUCE: PickleVM.reduce,
    pickle.NEWOBJ: PickleVM.newobj,
    pickle.BUILD: PickleVM.build,
    pickle.APPEND: PickleVM.append,
    pickle.APPENDS: PickleVM.appends,
    pickle.SETITEM: PickleVM.setitem,
    pickle.SETITEMS: PickleVM.setitems,
    pickle.ADDITEMS: PickleVM.additems,
    pickle.TUPLE: PickleVM.marked_tuple,
    pickle.TUPLE1: lambda vm: vm.tuple_of(1),
    pickle.TUPLE2: lambda vm: vm.tuple_of(2),
    pickle.TUPLE3: lambda vm: vm.tuple_of(3),
    pickle.EMPTY_TUPLE: lambda vm: vm.stack.append(()),
    pickle.EMPTY_LIST: lambda vm: vm.stack.append([]),
    pickle.EMPTY_DICT: lambda vm: vm.stack.append(Table()),
    pickle.EMPTY_SET: lambda vm: vm.stack.append(Call(Name(SET), ())),
    pickle.NONE: lambda vm: vm.stack.append(None),
    pickle.NEWTRUE: lambda vm: vm.stack.append(True),
    pickle.NEWFALSE: lambda vm: vm.stack.append(False),
    pickle.BININT: lambda vm: vm.stack.append(vm.number("<i")),
    pickle.BININT1: lambda vm: vm.stack.append(vm.number("<B")),
    pickle.BININT2: lambda vm: vm.stack.append(vm.number("<H")),
    pickle.LONG1: PickleVM.long,
    pickle.BINFLOAT: PickleVM.float,
    pickle.BINUNICODE: lambda vm: vm.text("<I"),
    pickle.SHORT_BINUNICODE: lambda vm: vm.text("<B"),
    pickle.SHORT_BINSTRING: PickleVM.old_string,
    pickle.BINBYTES: lambda vm: vm.data("<I"),
    pickle.SHORT_BINBYTES: lambda vm: vm.data("<B"),
    pickle.BINPERSID: PickleVM.binpersid,
    pickle.BINGET: lambda vm: vm.get("<B"),
    pickle.LONG_BINGET: lambda vm: vm.get("<I"),
    pickle.BINPUT: lambda vm: vm.put("<B"),
    pickle.LONG_BINPUT: lambda vm: vm.put("<I"),
    pickle.MEMOIZE: PickleVM.memoize,
}
