"""How a difference was computed: definitions in plain words, options and versions."""

from __future__ import annotations

from weightaudit.records import DiffResult
from weightaudit.report.diff.columns import CHANGES
from weightaudit.report.diff.kinds import KINDS, kind_chip
from weightaudit.report.hypertext import Html, html, shown
from weightaudit.report.markup import definitions, details, section, table


def method_section(result: DiffResult) -> Html:
    """The page's last section."""
    options = [(name, shown(_said(value), 1000)) for name, value in result.options.items() if value is not None]
    return section(
        "method",
        "How it was computed",
        html(
            "<p>Matrices of both models are paired by their place and role, and read side by side. W₀ is the base's, "
            "W₁ the derived model's, Δ = W₁ − W₀ their difference, formed in double precision, so that it is exact for "
            "numbers stored in 16 bits.</p>"
        ),
        definitions("terms", _terms()),
        details("What every kind means", definitions("terms", ((kind_chip(k), s.meaning) for k, s in KINDS.items()))),
        html(
            '<div class="pair"><div><h3>Options</h3>{}</div><div><h3>Versions</h3>{}</div></div>',
            table("Options", ("Option", "Value"), options),
            table("Versions", ("Package", "Version"), result.versions.items()),
        ),
        details(
            "What every column means",
            definitions("facts", ((html("<code>{}</code>", c.name), c.meaning) for c in CHANGES)),
        ),
    )


def _terms() -> list[tuple[str, Html]]:
    return [
        (
            "Relative size",
            html(
                "‖Δ‖/‖W₀‖, Frobenius norms: the length of all entries of the change over that of all entries of the "
                "base's matrix. Short fine-tunes of a six-layer BERT had 0.05 % to 0.8 %; above 1 the matrices have "
                "little in common."
            ),
        ),
        (
            "Rounding",
            html(
                "Numbers are stored with few digits, and each may be off by half of its last one. What that alone "
                "would come to is computed for the digits that the numbers really have, whatever the file's type "
                "is. A change whose square is less than six times that of rounding is called at the resolution, and "
                "nothing is claimed of its shape."
            ),
        ),
        (
            "Spectral norm, stable rank",
            html(
                "σ₁ is the most by which Δ can stretch a vector; ‖Δ‖²/σ₁² is the stable rank, about the number of "
                "directions that carry the change. Both come as intervals that hold the true number; printed ends "
                "are rounded outwards."
            ),
        ),
        (
            "Rank",
            html(
                "Claimed only where all that its leading directions leave of Δ is no larger than rounding: then the "
                "change is a matrix of that rank and rounding, as a merged adapter leaves it. An empty cell claims "
                "nothing."
            ),
        ),
        (
            "Flatness",
            html(
                "σ₁ of white noise as large as Δ over σ₁ of Δ. Near 1 no direction stands out of the change; "
                "short fine-tunes of a six-layer BERT had 0.08 to 0.31."
            ),
        ),
        (
            "Shrink",
            html(
                "c where Δ is nearest to −c·W₀. Weight decay shrinks all dense matrices alike; a common c is told "
                "where it stands out from how c varies among the matrices."
            ),
        ),
        (
            "What the update is made of",
            html(
                "‖Δ‖² in parts: c²·‖W₀‖² of a common shrink; what rounding makes; the squares of the leading "
                "singular values above rounding, as many as were measured; the rest."
            ),
        ),
    ]


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
