"""matplotlib, which only some users have, imported without what the working directory says of it."""

from __future__ import annotations

from weightaudit.errors import UsageError
from weightaudit.imports import unseen

MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "star": "*",
    "triangle-down": "v",
    "hexagon": "h",
    "cross": "P",
    "x": "X",
    "pentagon": "p",
    # matplotlib has none of these three.
    "bowtie": "<",
    "hourglass": ">",
    "star-square": "8",
}
"""What it calls plotly's markers (`style`)."""


def load_matplotlib() -> None:
    """Import it. Raises ImportError where it is not installed, and UsageError where its settings keep it from working:
    those that are the user's own, for a `matplotlibrc` in the working directory is not looked at.
    """
    try:
        with unseen("matplotlibrc"):
            import matplotlib as matplotlib
    except ImportError:
        raise
    except Exception as error:  # whatever a setting set off
        hint = "Correct your matplotlibrc, or unset MPLBACKEND and MATPLOTLIBRC"
        cause = " ".join(str(error).split()) or type(error).__name__
        raise UsageError("matplotlib", f"its settings are refused: {cause.rstrip('.')}", hint) from error
