"""Machine code as object files, which llvmlite makes of what numba compiled and loads without numba.

LLVM ends the process over a symbol that is not there. So an object file is made of those functions only whose symbols
are all known before: the memory functions of C, and what numba calls to raise an exception, which the kernels never do
and which is defined to end the process. None of numba's and none of Python's is left in it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import llvmlite.binding as llvm

SYMBOL = "weightaudit_kernel"
"""What the function is called in its object file."""

RAISING = re.compile(r"numba_\w+|NRT_\w+|_?Py[A-Z_]\w+")
"""What numba calls, or the data it reads, when a function raises."""
MEMORY = frozenset({"memset", "memcpy", "memmove"})
INSTRUCTIONS = re.compile(
    r"llvm\.(memset|memcpy|memmove|[us](max|min)|vector\.reduce\.(f?add|f?mul|[us]max|[us]min|and|or|xor)|fmuladd|fabs"
    r"|masked\.(load|store)|assume|lifetime\.(start|end)|experimental\.noalias\.scope\.decl|x86\.atomic\.sub\.cc)(\.\w+)*"
)
"""Intrinsics that become instructions, or calls of the functions of ``MEMORY``."""


class Target(NamedTuple):
    """For which machine: LLVM's triple, the processor's name and its features."""

    triple: str
    cpu: str
    features: str


def host() -> Target:
    """This machine, as LLVM knows it."""
    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM cannot tell them on this platform
        features = ""
    return Target(llvm.get_process_triple(), llvm.get_host_cpu_name(), features)


def make(ir: str, name: str, target: Target) -> bytes | None:
    """The object file of the function ``name`` of ``ir``, LLVM's text; None where there can be none."""
    try:
        module = llvm.parse_assembly(ir)
        unknown = [one.name for one in (*module.functions, *module.global_variables) if one.is_declaration]
        stubs = [one for one in unknown if RAISING.fullmatch(one)]
        if not all(_resolved(one) for one in unknown if one not in stubs):
            return None
        functions = {one.name for one in module.functions}
        module.link_in(
            llvm.parse_assembly(
                "\n".join(["declare void @llvm.trap()", *(_stub(one, one in functions) for one in stubs)])
            )
        )
        module.get_function(name).name = SYMBOL
        code: bytes = _machine(target).emit_object(module)
    except (RuntimeError, ValueError, NameError):  # LLVM's refusals
        return None
    return code


def load(code: bytes) -> int | None:
    """The address of the function in an object file that `make` made (over any other LLVM may end the process), for as
    long as the process lives; None where there can be no machine code."""
    try:
        machine = _machine(host())
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        address: int = engine.get_function_address(SYMBOL)
        engine.detach()  # or a thread that is still at work when Python ends would run into nothing
    except (RuntimeError, ValueError, OSError):
        return None
    return address or None


def _machine(target: Target) -> llvm.TargetMachine:
    """What makes machine code for ``target``, to be run where it is made: as numba has it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    options = {"opt": 3, "codemodel": "jitdefault", "jit": True}
    if target.triple.startswith(("x86", "i386")):
        options["reloc"] = "static"
    known = llvm.Target.from_triple(target.triple)
    return known.create_target_machine(cpu=target.cpu, features=target.features, **options)


def _resolved(name: str) -> bool:
    return name in MEMORY or INSTRUCTIONS.fullmatch(name) is not None


def _stub(name: str, is_function: bool) -> str:
    """``name`` defined: a function that ends the process, or data that nothing reads."""
    if is_function:
        return f"define void @{name}() {{\n call void @llvm.trap()\n unreachable\n}}"
    return f"@{name} = global i64 0"
