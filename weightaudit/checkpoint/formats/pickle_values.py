"""What a pickle describes, as data: names, calls that nobody makes, dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field

from weightaudit.checkpoint.formats.torch_names import ENCODE


@dataclass(frozen=True)
class Name:
    """A Python name as the file spells it, such as "torch.FloatStorage"."""

    path: str


@dataclass(eq=False)
class Call:
    """``function`` applied to ``arguments``, had it been run."""

    function: Name
    arguments: tuple[object, ...]


class Size(tuple[int, ...]):
    """A torch.Size: a tuple to all who take sizes, but not to those that ask for exactly a tuple."""

    __slots__ = ()


@dataclass(eq=False)
class Table:
    """A dict. Only text makes an entry; ``others`` are the values of all other keys, which are forgotten.

    ``ordered`` says that it is an OrderedDict, which may have attributes besides.
    """

    entries: dict[str, object] = field(default_factory=dict)
    others: list[object] = field(default_factory=list)
    ordered: bool = False

    def put(self, key: object, value: object) -> None:
        """As ``dict[key] = value``, for a key of `is_key`; others than text could collide, and are never hashed."""
        if isinstance(key, str):
            self.entries[key] = value
        else:
            self.others.append(value)


def is_key(value: object) -> bool:
    """Whether ``value`` is of the plain kinds that serve as a dict's key or in a set: text, numbers, bytes, names."""
    if isinstance(value, Call):
        return value.function.path == ENCODE  # bytes, as pickle protocol 2 has to write them
    return value is None or isinstance(value, (str, int, float, bytes, Name))


def size_of(value: object) -> int:
    """How many items ``value`` has, if it is a container: what it takes to copy it."""
    if isinstance(value, Table):
        return len(value.entries) + len(value.others)
    return len(value) if isinstance(value, (tuple, list)) else 0
