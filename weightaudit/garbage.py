"""Python's collector of unreachable objects, in processes that are ours alone.

The libraries that a command loads are a million objects, none of which it ever finds unreachable; looking through them
again and again, and once more at the end, took a fifth of the time of a short scan.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 500_000
"""How many objects more there are before it looks through those that are new: some hundred MB, where all are lost."""


def collect_seldom() -> None:
    """Have it look when there is something to gain."""
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])


def collect_no_more() -> None:
    """Have it not look again: the process ends, and all its memory with it."""
    gc.freeze()
