"""What each kind of change means, and its colour: for the page's legend and method."""

from __future__ import annotations

from dataclasses import dataclass

from weightaudit.records import Kind
from weightaudit.report.hypertext import Html, each, html


@dataclass(frozen=True)
class KindStyle:
    """A kind's colour on light and on dark paper, its mark where colour is not enough, and what it means."""

    light: str
    dark: str
    mark: str
    meaning: str


KINDS: dict[Kind, KindStyle] = {
    "unchanged": KindStyle("#e3e7ec", "#262d35", "=", "no entry differs"),
    "cast": KindStyle("#b9c2cc", "#47525e", "c", "every entry is the base's, rounded to fewer digits"),
    "at the resolution": KindStyle(
        "#93a1b0", "#647282", "≈", "it differs by no more than rounding would make: nothing can be said of its shape"
    ),
    "low rank": KindStyle(
        "#0b7a75", "#2fc4b8", "r", "the change is a matrix of the rank given and rounding, as a merged LoRA leaves"
    ),
    "dense": KindStyle("#12497a", "#5b83f0", "d", "the change has many directions, as full fine-tuning leaves"),
    "noise": KindStyle("#6c8ebf", "#9db8ec", "n", "the change is as flat as white noise: no direction stands out"),
    "sparse": KindStyle("#5c6b00", "#c3d15a", "s", "fewer than half of the entries differ, and these by much"),
    "few rows": KindStyle("#8aa000", "#e6f58a", "f", "at most half of the rows differ: some tokens, some neurons"),
    "scaled": KindStyle("#54402c", "#b9725a", "×", "it is the base's times one number"),
    "rows scaled": KindStyle("#7d6247", "#cf9079", "×", "each row is the base's times a number"),
    "columns scaled": KindStyle("#a5876a", "#e0ae9a", "×", "each column is the base's times a number"),
    "quantised": KindStyle("#d57d00", "#ffc21a", "q", "its entries lie on few levels: a grid of the bits given"),
    "pruned": KindStyle("#b3541e", "#ff8c4a", "0", "entries became zero and no other changed"),
    "pruned and changed": KindStyle("#d98555", "#ffb48a", "0", "many entries became zero and others changed"),
    "rows permuted": KindStyle("#6b1450", "#eb5fa8", "p", "its rows are the base's in another order"),
    "columns permuted": KindStyle("#8f3a75", "#f08cc2", "p", "its columns are the base's in another order"),
    "rows and columns permuted": KindStyle("#b06a9a", "#f5b3d6", "p", "both are in another order"),
    "moved": KindStyle("#7a4fd0", "#b79bff", "m", "it stands in another place of the base"),
    "rotated": KindStyle("#a487e0", "#d3c4ff", "o", "other entries with the same spectrum: the base's, turned"),
    "unrelated": KindStyle("#e5484d", "#ff6a5a", "u", "it has nothing in common with the base's"),
    "not finite": KindStyle("#a3202a", "#ff9a97", "!", "an entry is NaN or infinite"),
}
"""In the order in which legends name them."""


def kind_colours() -> Html:
    """Custom properties of the kinds' colours, light and dark."""
    numbered = list(enumerate(KINDS.values()))
    light = each("--kind-{}:{};", ((i, style.light) for i, style in numbered))
    dark = each("--kind-{}:{};", ((i, style.dark) for i, style in numbered))
    return html(
        ":root{{{}}}\n@media screen and (prefers-color-scheme: dark) {{ :root{{{}}} }}\n{}\n",
        light,
        dark,
        each(".kind-{0}{{--kind:var(--kind-{0})}}", (i for i, _ in numbered)),
    )


def kind_chip(kind: Kind, words: str = "") -> Html:
    """The kind with its colour before it, or ``words`` that say more of it."""
    return html('<span class="kind kind-{}">{}</span>', list(KINDS).index(kind), words or kind)
