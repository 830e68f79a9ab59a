"""How many cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path


def usable_cores() -> int:
    """Cores that this process may use: those it is bound to, and no more than a container's quota pays for."""
    try:
        bound = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        bound = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        paid = int(quota) // int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return bound
    return max(1, min(bound, paid))
