"""Kernels as functions of C: taken from what is kept, or compiled by numba, and then kept for the next process.

A process that finds a kernel's object code imports no numba, which takes longer to import than small models take to
measure. Else numba compiles it, and object code is made, tried and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from weightaudit.compiled import object_code
from weightaudit.compiled.kernel_cache import KernelCache, KernelName

Function = Callable[..., None]
"""A kernel. It runs without the GIL; what lies at the addresses must outlive the call and is not checked."""
Named = TypeVar("Named", bound=KernelName)

_CALLBACKS: list[object] = []
"""What numba compiled: the machine code goes when they do."""


def kept_or_compiled(
    kernel: Named,
    kept: KernelCache | None,
    called_at: Callable[[Named, int], Function],
    compiled: Callable[[Named], Any],
    tried: Callable[[Named, Function], bytes],
) -> Function | str:
    """``kernel``, or why numba cannot be used: its import is long even where it fails.

    ``called_at`` makes a function of an address, ``compiled`` a `numba.cfunc`, and ``tried`` gives all that a function
    writes when it is tried: machine code is kept where it writes the same as numba's own.
    """
    code = None if kept is None else kept.read(kernel)
    address = None if code is None else object_code.load(code)
    if address is not None:
        return called_at(kernel, address)
    try:
        from weightaudit.compiled import jit

        callback = compiled(kernel)
        made = called_at(kernel, callback.address)
        _CALLBACKS.append(callback)
        code = None if kept is None else object_code.make(callback.inspect_llvm(), callback.native_name, jit.target())
        address = None if code is None else object_code.load(code)
        if kept is None or code is None or address is None:
            return made
        loaded = called_at(kernel, address)
        if tried(kernel, loaded) != tried(kernel, made):
            return made
        kept.write(kernel, code)
    except ImportError as error:
        return str(error)
    return loaded
