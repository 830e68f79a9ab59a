"""Where the script draws: elements of their final height, so that nothing moves when a plot comes."""

from __future__ import annotations

from collections.abc import Sequence


def plot_hosts(identifier: str, heights: Sequence[int], *, drawn: bool = True) -> str:
    """One element a stack, of these heights in CSS pixels; a sentence where there is nothing to draw."""
    if not drawn:
        return f'<div id="{identifier}" class="plots"><p class="empty">No finite, positive number to draw.</p></div>'
    nodes = "".join(
        f'<div id="plot-{identifier}-{i}" class="plot" style="height:{height}px"></div>'
        for i, height in enumerate(heights)
    )
    css = "plots pair" if len(heights) == 2 else "plots"
    return f'<div id="{identifier}" class="{css}">{nodes}</div>'
