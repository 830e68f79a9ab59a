"""How pages and figures look: the colours, dashes and markers of roles, the page's inks, and what is drawn.

Each role keeps one colour, dash and marker everywhere. The colours stay apart in simulations of protanopia,
deuteranopia and tritanopia; the markers tell the roles apart without any colour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from weightaudit.records import EMBEDDING_ROLES, LAYER_ROLES


@dataclass(frozen=True)
class RoleStyle:
    """How one role is drawn: line colour on light and on dark paper, plotly dash and marker symbol."""

    light: str
    dark: str
    dash: str
    symbol: str


_STYLES = {
    "Q": RoleStyle("#12497a", "#5b83f0", "solid", "circle"),
    "K": RoleStyle("#d57d00", "#ffc21a", "solid", "square"),
    "V": RoleStyle("#00a35c", "#3fe0a8", "solid", "diamond"),
    "O": RoleStyle("#e5484d", "#ff4a30", "solid", "triangle-up"),
    "QKV": RoleStyle("#6b1450", "#eb5fa8", "solid", "star"),
    "M1": RoleStyle("#2e8be6", "#a6d4ff", "solid", "triangle-down"),
    "M2": RoleStyle("#5c6b00", "#e6f58a", "solid", "hexagon"),
    "GATE": RoleStyle("#54402c", "#b9725a", "solid", "cross"),
    # Cross-attention has the colour of its self-attention namesake, dashed and hollow.
    "XQ": RoleStyle("#12497a", "#5b83f0", "dash", "circle-open"),
    "XK": RoleStyle("#d57d00", "#ffc21a", "dash", "square-open"),
    "XV": RoleStyle("#00a35c", "#3fe0a8", "dash", "diamond-open"),
    "XO": RoleStyle("#e5484d", "#ff4a30", "dash", "triangle-up-open"),
}
# A family's own roles share a neutral colour; dash and marker tell them apart.
_OTHER = tuple(
    RoleStyle("#6b7480", "#9aa5b1", dash, symbol)
    for dash in ("dot", "dashdot", "longdash")
    for symbol in ("x", "pentagon", "bowtie", "hourglass", "star-square")
)
_ORDER = {role: place for place, role in enumerate((*EMBEDDING_ROLES, *LAYER_ROLES))}


def role_styles(roles: Iterable[str]) -> dict[str, RoleStyle]:
    """Style of each role that occurs, in display order: embeddings, the layer's roles, then others as they
    come.
    """
    ordered = sorted(dict.fromkeys(roles), key=lambda role: _ORDER.get(role, len(_ORDER)))
    others = [role for role in ordered if role not in _STYLES]
    return {role: _STYLES.get(role) or _OTHER[others.index(role) % len(_OTHER)] for role in ordered}


INK = {
    "light": {
        "page": "#f6f7f8",
        "card": "#ffffff",
        "ink": "#191d22",
        "muted": "#5a6470",
        "line": "#dfe3e8",
        "accent": "#12497a",
        "warn": "#8a4b00",
        "warn-card": "#fff4e0",
        "bad": "#a3202a",
        "bad-card": "#fdecec",
    },
    "dark": {
        "page": "#0e1216",
        "card": "#161b21",
        "ink": "#e7ebef",
        "muted": "#9ba6b2",
        "line": "#2b333c",
        "accent": "#8ab8ff",
        "warn": "#ffc876",
        "warn-card": "#2c2110",
        "bad": "#ff9a97",
        "bad-card": "#331618",
    },
}
"""Colours of the page on light and dark paper; text keeps a contrast of at least 4.5 on page and card."""


@dataclass(frozen=True)
class LineFigure:
    """One number by layer, a line a role: the upper end is drawn, the lower end (a column or empty) as its bar; where
    the number lies within its interval, ``upper`` is the column of the bar's other end.

    ``height`` is the plot's, in CSS pixels: the page keeps the room free before anything is drawn.
    """

    id: str
    column: str
    lower: str
    scale: str
    axis: str
    height: int = 440
    upper: str = ""


LINES = (
    LineFigure("frobenius", "frobenius_norm", "", "linear", "Frobenius norm"),
    LineFigure("stable-rank", "stable_rank", "stable_rank_lower", "log", "stable rank"),
)

SPECTRUM_LINES = (
    LineFigure("participation-ratio", "participation_ratio", "", "linear", "participation ratio"),
    LineFigure("entropy-rank", "entropy_effective_rank", "", "linear", "entropy effective rank"),
)
"""Drawn where spectra were asked for; these are no columns of the table."""

FULL_LINES = (LineFigure("alpha", "alpha", "alpha_lower", "linear", "power-law exponent α", upper="alpha_upper"),)
"""Drawn where whole spectra are known."""

HEAT = (
    ("stable_rank", "Stable rank", "log"),
    ("rank_share", "Stable rank ÷ full rank", "log"),
    ("frobenius_norm", "Frobenius norm", "log"),
)
"""What the heat map can show: (column, label, scale)."""


def heat_height(roles: int) -> int:
    """Height of a heat map with a line for each of ``roles``, in CSS pixels."""
    return 110 + 34 * roles
