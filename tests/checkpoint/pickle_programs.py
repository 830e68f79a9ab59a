"""Random pickles out of everything that torch's restricted reader knows: its instructions, its names, state, aliases.

Most are nearly right, for what is plainly wrong is refused early and shows little.
"""

from __future__ import annotations

import pickle
import random
import struct
from collections.abc import Callable, Sequence
from functools import partial

from torch._weights_only_unpickler import _get_allowed_globals

from tests.support.torch_files import legacy, torch_zip

STORED = b"".join(struct.pack("<f", n) for n in range(1, 13))
"""Bytes of each storage."""
STORAGES = {"FloatStorage": 12, "HalfStorage": 24, "LongStorage": 6, "ByteStorage": 48, "BoolStorage": 48}
"""torch's types for `STORED`, and how many elements that makes."""
USUAL = ("FloatStorage", "HalfStorage", "FloatStorage")
"""What the storages "0", "1" and "2" are, most of the time."""
KEYS = ("a", "b", "c", "state_dict", "model", "data")
ATTRIBUTES = (
    "label",
    "data",
    "real",
    "grad",
    "requires_grad",
    "_backward_hooks",
    "__class__",
    "__dict__",
    "names",
    "x",
)
OF_DICTS = ("_metadata", "keys", "items", "__class__", "__iter__", "label")
GLOBALS = tuple(sorted(_get_allowed_globals()))
FUNCTIONS = tuple(name for name in GLOBALS if "_rebuild" in name)


class Program:
    """One pickle. Each method appends instructions that leave one value more on the stack, if torch accepts them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.out = bytearray(b"\x80\x02")
        self.memos: dict[str, list[int]] = {}
        self.used = 0
        self.stored: dict[str, int] = {}
        self.depth = 0
        self.legacy = False

    def file(self) -> bytes:
        """A whole file of either form around `write`."""
        self.legacy = self.chance(0.3)
        body = self.write()
        if self.legacy:
            return legacy(body, {key: (elements, STORED) for key, elements in self.stored.items()})
        return torch_zip(body, dict.fromkeys("012", STORED))

    def write(self) -> bytes:
        """A pickle: of a dict of tensors, most of the time."""
        if self.rng.random() < 0.05:
            self.anything()
        else:
            self.table()
        return bytes(self.out) + b"."

    # Choices

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def one_of(self, *makers: Callable[[], None]) -> None:
        self.rng.choice(makers)()

    # Plain values

    def raw(self, data: bytes) -> None:
        self.out += data

    def text(self, value: str) -> None:
        data = value.encode()
        if self.chance(0.05):
            self.raw(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.raw(pickle.BINUNICODE + struct.pack("<I", len(data)) + data)

    def number(self, value: int) -> None:
        if 0 <= value < 256 and self.chance(0.8):
            self.raw(pickle.BININT1 + bytes([value]))
        elif 0 <= value < 65536 and self.chance(0.5):
            self.raw(pickle.BININT2 + struct.pack("<H", value))
        elif -(2**31) <= value < 2**31 and self.chance(0.8):
            self.raw(pickle.BININT + struct.pack("<i", value))
        else:
            self.raw(pickle.LONG1 + b"\x09" + value.to_bytes(9, "little", signed=True))

    def name(self, path: str) -> None:
        module, _, attribute = path.rpartition(".")
        if module == "builtins" and self.chance(0.5):
            module = "__builtin__"
        self.raw(pickle.GLOBAL + f"{module}\n{attribute}\n".encode())

    def atom(self) -> None:
        self.one_of(
            lambda: self.raw(self.rng.choice([pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.EMPTY_TUPLE])),
            lambda: self.raw(self.rng.choice([pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET])),
            lambda: self.number(self.rng.choice([0, 1, 2, 3, 12, -1, 2**40])),
            lambda: self.raw(pickle.BINFLOAT + struct.pack(">d", self.rng.choice([0.0, 1.5, float("nan")]))),
            lambda: self.text(self.rng.choice(KEYS)),
            lambda: self.name(self.rng.choice(GLOBALS)),
        )

    def tuple_of(self, *makers: Callable[[], None]) -> None:
        if len(makers) <= 3 and self.chance(0.7):
            for make in makers:
                make()
            self.raw((pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)[len(makers)])
            return
        self.raw(pickle.MARK)
        for make in makers:
            make()
        self.raw(pickle.TUPLE)

    def numbers(self, values: Sequence[int]) -> None:
        def plain() -> None:
            self.tuple_of(*(partial(self.number, value) for value in values))

        if self.chance(0.1):
            self.called("torch.Size", plain)
        elif self.chance(0.03):
            self.items(*(partial(self.number, value) for value in values))
        else:
            plain()

    def items(self, *makers: Callable[[], None]) -> None:
        """A list."""
        self.raw(pickle.EMPTY_LIST)
        if self.chance(0.3):
            self.remember("list")
        if len(makers) == 1 and self.chance(0.5):
            makers[0]()
            self.raw(pickle.APPEND)
            return
        self.raw(pickle.MARK)
        for make in makers:
            make()
        self.raw(pickle.APPENDS)

    # Memo

    def remember(self, kind: str) -> None:
        self.used += 1
        self.memos.setdefault(kind, []).append(self.used)
        self.raw(pickle.BINPUT + bytes([self.used % 256]))

    def recall(self, kind: str) -> bool:
        """Whether there was a value of ``kind`` to take again."""
        if not self.memos.get(kind):
            return False
        self.raw(pickle.BINGET + bytes([self.rng.choice(self.memos[kind]) % 256]))
        return True

    # Calls

    def called(self, path: str, *arguments: Callable[[], None]) -> None:
        self.name(path)
        self.tuple_of(*arguments)
        is_class = path in ("collections.OrderedDict", "torch.nn.parameter.Parameter")
        self.raw(pickle.NEWOBJ if self.chance(0.1 if is_class else 0.002) else pickle.REDUCE)

    def storage(self) -> None:
        if self.chance(0.2) and self.recall("storage"):
            return
        number = self.rng.randrange(3)
        kind = USUAL[number] if self.chance(0.95) else self.rng.choice(list(STORAGES))
        elements = STORAGES[kind]
        key = str(number)
        self.stored.setdefault(key, elements)
        module = "torch.cuda" if self.chance(0.05) else "torch"
        more: list[Callable[[], None]] = []
        if self.legacy != self.chance(0.01):
            more = [lambda: self.raw(pickle.NONE)]
        if self.chance(0.01) and not self.legacy:  # torch writes it there too, and cannot load it
            kind, elements = "storage.UntypedStorage", 48
        parts: list[Callable[[], None]] = [
            lambda: self.text("storage"),
            lambda: self.name(f"{module}.{kind}"),
            lambda: self.text(key),
            lambda: self.text("meta" if self.chance(0.005) else "cpu"),
            lambda: self.number(elements),
        ]
        if self.chance(0.01):
            parts[self.rng.randrange(len(parts))] = self.atom
        self.tuple_of(*parts, *more)
        self.raw(pickle.BINPERSID)
        if self.chance(0.5):
            self.remember("storage")

    def view(self) -> list[Callable[[], None]]:
        """A storage, an offset, a shape and strides."""
        shape = [self.rng.choice([1, 2, 3, 0] if self.chance(0.1) else [1, 2, 3]) for _ in range(self.rng.randrange(3))]
        strides = [self.rng.choice([0, 1, 2, 3]) for _ in shape]
        if self.chance(0.5):
            strides = [shape[1], 1] if len(shape) == 2 else [1] * len(shape)
        offset = self.rng.choice([0, 0, 0, 1, 2, 3])
        parts: list[Callable[[], None]] = [
            self.storage,
            lambda: self.number(offset),
            lambda: self.numbers(shape),
            lambda: self.numbers(strides),
        ]
        if self.chance(0.01):
            parts[self.rng.randrange(4)] = self.atom
        return parts

    def hooks(self) -> None:
        if self.chance(0.02):
            self.atom()
        else:
            self.raw(pickle.EMPTY_DICT if self.chance(0.7) else pickle.NONE)

    def flag(self) -> None:
        if self.chance(0.01):
            self.atom()
        else:
            self.raw(pickle.NEWTRUE if self.chance(0.1) else pickle.NEWFALSE)

    def tensor(self) -> None:
        if self.chance(0.15) and self.recall("tensor"):
            return
        self.depth += 1
        if self.depth > 4 or self.chance(0.7):
            self.plain_tensor()
        else:
            self.one_of(
                lambda: self.called("torch._utils._rebuild_parameter", self.tensor, self.flag, self.hooks),
                self.parameter_with_state,
                self.parameter_with_state,
                self.with_attributes,
                self.with_attributes,
                self.odd_tensor,
                self.built_tensor,
            )
        self.depth -= 1
        if self.chance(0.4):
            self.remember("tensor")

    def plain_tensor(self) -> None:
        version, more = self.rng.choice(["_v2", "_v2", "_v2", "_v3", ""]), []
        if version:
            more = [self.flag, self.hooks]
        if version == "_v3":
            more.append(lambda: self.name(f"torch.{self.rng.choice(['float32', 'uint8', 'uint16', 'int8', 'bits8'])}"))
        if version and self.chance(0.1):
            more.append(self.hooks if self.chance(0.8) else lambda: self.attributes(("conj", "neg")))
        self.called(f"torch._utils._rebuild_tensor{version}", *self.view(), *more)

    def parameter_with_state(self) -> None:
        path = "torch._utils._rebuild_parameter_with_state"
        self.called(path, self.tensor, self.flag, self.hooks, self.state)

    def with_attributes(self) -> None:
        rebuilding: list[tuple[str, list[Callable[[], None]]]] = [
            ("_rebuild_tensor_v2", [*self.view(), self.flag, self.hooks]),
            ("_rebuild_parameter", [self.tensor, self.flag, self.hooks]),
            ("_rebuild_parameter_with_state", [self.tensor, self.flag, self.hooks, self.state]),
            ("_rebuild_device_tensor_from_cpu_tensor", [self.tensor, *self.same_place()]),
        ]
        function, arguments = self.rng.choice(rebuilding)
        if self.chance(0.05):
            odd = self.rng.choice(["collections.OrderedDict", "builtins.set", "torch.Size"])
            self.called(
                "torch._tensor._rebuild_from_type_v2",
                lambda: self.name(odd),
                lambda: self.name(odd),
                lambda: self.raw(pickle.EMPTY_TUPLE),
                lambda: self.attributes(OF_DICTS),
            )
            return
        kind = self.rng.choice(["torch.Tensor", "torch.nn.parameter.Parameter"])
        self.called(
            "torch._tensor._rebuild_from_type_v2",
            lambda: self.name(f"torch._utils.{function}"),
            lambda: self.name(kind),
            lambda: self.tuple_of(*arguments),
            self.state,
        )

    def same_place(self) -> list[Callable[[], None]]:
        return [lambda: self.name("torch.float32"), lambda: self.text("cpu"), self.flag]

    def odd_tensor(self) -> None:
        def called(function: str, *arguments: Callable[[], None]) -> Callable[[], None]:
            return lambda: self.called(function, *arguments)

        size = lambda: self.numbers([2])  # noqa: E731
        self.one_of(
            called("torch._utils._rebuild_device_tensor_from_cpu_tensor", self.tensor, *self.same_place()),
            called("torch._utils._rebuild_meta_tensor_no_storage", *self.same_place()[:1], size, size, self.flag),
            called("torch.nn.parameter.Parameter", self.tensor),
            called("torch.Tensor", size),
            called(self.rng.choice(FUNCTIONS), *(self.atom for _ in range(self.rng.randrange(8)))),
            called(self.rng.choice(GLOBALS), *(self.anything for _ in range(self.rng.randrange(3)))),
        )

    def built_tensor(self) -> None:
        """A tensor, and then its state: as the reader of torch's oldest files sets it."""
        self.tensor()
        self.one_of(
            lambda: self.tuple_of(*self.view()),
            lambda: self.tuple_of(self.tensor, self.flag, self.hooks, self.flag, self.hooks),
            self.state,
        )
        self.raw(pickle.BUILD)

    # State and containers

    def state(self) -> None:
        choice = self.rng.random()
        if choice < 0.05:
            self.atom()
        elif choice < 0.4:
            self.tuple_of(lambda: self.attributes(("label",)), lambda: self.attributes(ATTRIBUTES))
        else:
            self.attributes(("label", "x") if self.chance(0.7) else ATTRIBUTES)

    def attributes(self, names: Sequence[str]) -> None:
        """A dict of them."""
        self.raw(pickle.EMPTY_DICT)
        for _ in range(self.rng.randrange(3)):
            self.text(self.rng.choice(names))
            self.one_of(self.atom, self.tensor, lambda: self.raw(pickle.NEWTRUE), lambda: self.name("builtins.set"))
            self.raw(pickle.SETITEM)

    def table(self) -> None:
        self.depth += 1
        plain = self.chance(0.4)
        if plain:
            self.raw(pickle.EMPTY_DICT)
        else:
            self.one_of(lambda: self.called("collections.OrderedDict"), self.from_pairs, self.counter)
        if self.chance(0.3):
            self.remember("table")
        for _ in range(self.rng.randrange(1, 3)):
            self.raw(pickle.MARK)
            for _ in range(self.rng.randrange(1, 4)):
                self.entry()
            self.raw(pickle.SETITEMS)
        if self.chance(0.2):
            self.entry()
            self.raw(pickle.SETITEM)
        if self.chance(0.01 if plain else 0.4):
            self.attributes(OF_DICTS[:1] if self.chance(0.5) else OF_DICTS)
            self.raw(pickle.BUILD)
        self.depth -= 1

    def entry(self) -> None:
        self.key()
        self.tensor() if self.chance(0.75) else self.anything()

    def key(self) -> None:
        self.text(self.rng.choice(KEYS)) if self.chance(0.99) else self.atom()

    def from_pairs(self) -> None:
        def pairs() -> None:
            self.items(*(self.pair for _ in range(self.rng.randrange(3))))

        self.called("collections.OrderedDict", pairs if self.chance(0.97) else self.anything)

    def pair(self) -> None:
        if self.chance(0.03):
            self.anything()
        elif self.chance(0.5):
            self.items(self.key, self.tensor)
        else:
            self.tuple_of(self.key, self.tensor)

    def counter(self) -> None:
        arguments: list[Callable[[], None]] = [lambda: self.attributes(KEYS)] if self.chance(0.5) else []
        self.called("collections.Counter", *arguments)

    def anything(self) -> None:
        if self.depth > 3 or self.chance(0.5):
            self.atom()
            return
        self.depth += 1
        self.one_of(
            self.table,
            self.tensor,
            self.storage,
            lambda: self.items(self.anything, self.anything),
            lambda: self.tuple_of(self.anything),
            lambda: None if self.recall("table") else self.atom(),
            self.changed_again,
        )
        self.depth -= 1

    def changed_again(self) -> None:
        """A dict from the memo, which gets another entry where nobody would look for it."""
        if not self.recall("table"):
            self.atom()
            return
        self.entry()
        self.raw(pickle.SETITEM)
