"""Wall time, CPU time and peak memory of processes. Linux: the peak is read from /proc.

Nothing here imports torch: a child's ru_maxrss starts at what its parent had resident when it was started, so the
process that measures others has to be small.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What one process took: seconds by the clock, seconds of CPU in all its threads, bytes at its peak."""

    wall: float
    cpu: float
    peak: int
    stdout: str


def usage(command: Sequence[str], env: Mapping[str, str] | None = None) -> Usage:
    """Run ``command`` to its end. Raises RuntimeError, with what it wrote to stderr, where it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, **(env or {})})
        _, status, resources = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {child.returncode}\n{texts[1][-2000:]}")
    return Usage(wall, resources.ru_utime + resources.ru_stime, resources.ru_maxrss * 1024, texts[0])


def peak_rss() -> int:
    """Peak resident bytes of this process since `reset_peak_rss`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def reset_peak_rss() -> None:
    """Make the present resident set the peak (see proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")
