"""The kinds of traces that pages draw."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ASSETS = files("weightaudit.report").joinpath("assets")


def every_kind() -> set[str]:
    """What plotly calls its kinds of traces, those of the whole library."""
    import plotly.graph_objects
    from plotly.basedatatypes import BaseTraceType

    classes = [getattr(plotly.graph_objects, name) for name in plotly.graph_objects.__all__]
    return {c.__name__.lower() for c in classes if isinstance(c, type) and issubclass(c, BaseTraceType)}


def drawn_kinds() -> set[str]:
    """The kinds of traces that a page's script, or the Python that makes its figures, names."""
    sources = [path for path in ASSETS.iterdir() if path.name.endswith(".js")]
    sources += [
        path
        for room in ("report", "paper", "batches", "training")
        for path in (ROOT / "weightaudit" / room).rglob("*.py")
    ]
    named = re.compile(r"""["']?type["']?: ["'](\w+)["']""")
    return every_kind() & {kind for path in sources for kind in named.findall(path.read_text("utf-8"))}
