"""numba, safe to use in any working directory. Whoever needs numba imports it from here.

numba follows a `.numba_config.yaml` in the working directory, at its import and again before each function it
compiles. An ImportError of this module says why numba cannot be used, and the passes are left to panels: it is missing
or too old for this numpy, or variables NUMBA_… in the environment keep it from working.
"""

from __future__ import annotations

from weightaudit.compiled.object_code import Target
from weightaudit.imports import unseen

with unseen(".numba_config.yaml"):
    try:
        import numba as numba
        from numba import carray as carray
        from numba import types as types
        from numba.extending import intrinsic as intrinsic
        from numba.extending import overload as overload
    except Exception as error:  # an ImportError, or a setting that numba checks at its import
        raise ImportError(f"numba: {error}") from error

numba.core.config._config_fname = ""  # which no file has for a name

if numba.config.DISABLE_JIT:
    raise ImportError("numba: NUMBA_DISABLE_JIT is set, and Python itself cannot run what is written for numba")
if not all(feature.startswith(("+", "-")) for feature in (numba.config.CPU_FEATURES or "").split(",") if feature):
    raise ImportError("numba: LLVM would end the process over what NUMBA_CPU_FEATURES is set to")


def target() -> Target:
    """The machine that numba compiles for: this one, unless settings say otherwise."""
    return Target(*numba.core.registry.cpu_target.target_context.codegen().magic_tuple())
