"""The calls that a pickle may ask for: what comes of each, and which of them would change something else.

A call is written down and not made. So it must be one whose outcome is known: containers are made here, of everything
else only that it was asked for is kept. torch's functions that rebuild a tensor may be told to set attributes of it;
``data`` or ``real`` among these would put other numbers into it, or into a tensor that shares its storage and was
described long before. Such a call is refused wherever in the pickle it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from weightaudit.checkpoint.formats.pickle_values import Call, Name, Size, Table, is_key
from weightaudit.checkpoint.formats.torch_names import (
    BYTEARRAY,
    COMPLEX,
    COUNTER,
    DEFAULT_DICT,
    DEVICE,
    ENCODE,
    FACTORIES,
    LAYOUT,
    NAMESPACES,
    NUMPY_ARRAY,
    NUMPY_ARRAYS,
    NUMPY_DTYPE,
    NUMPY_SCALARS,
    ORDERED_DICT,
    PARAMETER_WITH_STATE,
    PLAIN_TYPES,
    SET,
    SIZE,
    TENSORS,
    VERSION,
    WITH_ATTRIBUTES,
)

Arguments = tuple[object, ...]
MAX_ATTRIBUTES = 20
"""Attributes that are set at once: one state may be given again and again, and each time is looked through."""


def apply(function: Name, arguments: Arguments) -> object:
    """What ``function`` makes of ``arguments``: a container, or the note that it was asked for.

    ValueError where that is nothing that torch.save writes, or not known for certain.
    """
    if function.path in _CONTAINERS:
        return _CONTAINERS[function.path](arguments)
    if function.path not in _CHECKS.keys() | TENSORS or not _CHECKS.get(function.path, _any)(arguments):
        raise ValueError
    return Call(function, arguments)


def sets_attributes_only(state: object, has: Callable[[str], bool]) -> bool:
    """Whether ``state``, set attribute by attribute on an object, adds attributes and changes none of those it ``has``.

    What it has already may be its data, or a method that others call.
    """
    if not isinstance(state, Table):
        return state is None
    if len(state.entries) > MAX_ATTRIBUTES:
        return False
    return not state.others and not any(map(has, state.entries))


def _ordered_dict(arguments: Arguments) -> Table:
    table = Table(ordered=True)
    if arguments:  # as Python 2 wrote it: a list of (key, value)
        (pairs,) = arguments
        if not isinstance(pairs, list):
            raise ValueError
        for pair in pairs:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not is_key(pair[0]):
                raise ValueError
            table.put(*pair)
    return table


def _counter(arguments: Arguments) -> Table:
    if not arguments:
        return Table()
    (counts,) = arguments
    if not isinstance(counts, Table):
        raise ValueError
    return Table(dict(counts.entries), list(counts.others))


def _default_dict(arguments: Arguments) -> Table:
    if arguments:
        (factory,) = arguments
        if factory is not None and not (isinstance(factory, Name) and factory.path in FACTORIES):
            raise ValueError
    return Table()


def _size(arguments: Arguments) -> Size:
    (sizes,) = arguments
    if not isinstance(sizes, (tuple, list)) or not all(type(size) is int for size in sizes):
        raise ValueError
    return Size(sizes)


_CONTAINERS: dict[str, Callable[[Arguments], object]] = {
    ORDERED_DICT: _ordered_dict,
    COUNTER: _counter,
    DEFAULT_DICT: _default_dict,
    SIZE: _size,
}


def _are(*kinds: type | tuple[type, ...]) -> Callable[[Arguments], bool]:
    """A check that arguments are of these kinds."""

    def check(arguments: Arguments) -> bool:
        return len(arguments) == len(kinds) and all(map(isinstance, arguments, kinds))

    return check


def _is_one_or_two(arguments: Arguments) -> bool:
    return _are(str)(arguments) or _are(str, int)(arguments)


def _is_list_of_keys(arguments: Arguments) -> bool:
    return not arguments or (_are(list)(arguments) and all(map(is_key, _list(arguments[0]))))


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _is_encoded(arguments: Arguments) -> bool:
    text, encoding = arguments if len(arguments) == 2 else (None, None)
    return isinstance(text, str) and encoding in ("latin1", "latin-1")


def _is_bytes(arguments: Arguments) -> bool:
    if len(arguments) == 1 and isinstance(arguments[0], Call):
        return arguments[0].function.path == ENCODE
    return not arguments or _are(bytes)(arguments) or _is_encoded(arguments)


def _is_parameter(arguments: Arguments) -> bool:
    return len(arguments) == 4 and _is_state(arguments[3])


def _is_wrapped(arguments: Arguments) -> bool:
    """Another of torch's functions, the type of what it makes, its arguments, and state."""
    if len(arguments) != 4:
        return False
    function, kind, inner, state = arguments
    return (
        isinstance(function, Name)
        and function.path in TENSORS
        and function.path != WITH_ATTRIBUTES
        and isinstance(inner, tuple)
        and _CHECKS.get(function.path, _any)(inner)
        and isinstance(kind, Name)
        and kind.path in PLAIN_TYPES
        and _is_state(state)
    )


def _any(_: Arguments) -> bool:
    return True


def _is_state(state: object) -> bool:
    parts = state if isinstance(state, tuple) else (state, None)  # a pair: of the dict's, and of those in slots
    return len(parts) == 2 and all(sets_attributes_only(part, _is_of_tensors) for part in parts)


def _is_of_tensors(name: str) -> bool:
    """Whether torch's tensors and parameters have an attribute ``name``."""
    return name in tensor_attributes() or (name.startswith("__") and name.endswith("__"))


@cache
def tensor_attributes() -> frozenset[str]:
    """What torch's parameters have, but for ``__names__``, which are Python's: a list, since torch is not imported."""
    return frozenset(Path(__file__).with_name("tensor_attributes.txt").read_text(encoding="ascii").split())


def _is_empty(arguments: Arguments) -> bool:
    return not arguments


def _is_numpy_scalar(arguments: Arguments) -> bool:
    """A data type and the bytes of one number."""
    dtype, *data = arguments or (None,)
    return isinstance(dtype, Call) and dtype.function.path == NUMPY_DTYPE and len(data) == 1 and _is_bytes(tuple(data))


def _is_numpy_array(arguments: Arguments) -> bool:
    """The class, an empty shape and a type code, to be filled by its state."""
    return _are(Name, tuple, object)(arguments) and arguments[0] == Name(NUMPY_ARRAY)


_CHECKS: dict[str, Callable[[Arguments], bool]] = {
    **dict.fromkeys(NAMESPACES, _is_empty),
    **dict.fromkeys(NUMPY_SCALARS, _is_numpy_scalar),
    **dict.fromkeys(NUMPY_ARRAYS, _is_numpy_array),
    NUMPY_DTYPE: _are(str, int, int),
    VERSION: _are(str),
    BYTEARRAY: _is_bytes,
    COMPLEX: _are((int, float), (int, float)),
    DEVICE: _is_one_or_two,
    ENCODE: _is_encoded,
    LAYOUT: _are(str),
    PARAMETER_WITH_STATE: _is_parameter,
    SET: _is_list_of_keys,
    WITH_ATTRIBUTES: _is_wrapped,
}
