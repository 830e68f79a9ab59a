"""What merging models would do to each, in plain words: for the terminal, Markdown and the page. Names come as they
are: whoever shows them makes them harmless for the place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from weightaudit.records import MergeCheckResult, Standing
from weightaudit.report.columns import number_text
from weightaudit.report.merge.lines import Line, whole_lines
from weightaudit.report.verdict import verdict_words
from weightaudit.text import listed, plural

MEET_MOST = 10
"""Matrices named as those where updates meet most."""


def verdict_line(result: MergeCheckResult) -> str:
    """``verdict: 1 warning (7 rules checked)``, as a scan has it."""
    return verdict_words(result.verdict, result.findings, result.rules, listed(result.partial))


def headline(result: MergeCheckResult) -> str:
    """Which model would suffer most, in a sentence.

    Example: ``Merged at weights 1 and 1, code would be disturbed more than math: D 0.74 against 0.21.``
    """
    known = [
        (standing.disturbance, name)
        for standing, name in zip(result.summary.standings, result.names, strict=True)
        if not math.isnan(standing.disturbance)
    ]
    if not known:
        return "No matrix that counts was changed by any of the models."
    how = f"In the merge {result.merged.name}" if result.merged is not None else f"Merged at {weights_words(result)}"
    (most, worst), *others = sorted(known, reverse=True)
    if not others:
        return f"{how}, {worst} is disturbed by D {figure(most)}; no other model changed a matrix that counts."
    rest = listed([f"{name} {figure(value)}" for value, name in others], 8)
    return f"{how}, {worst} is disturbed the most where its own inputs lie: D {figure(most)}, against {rest}."


def story(result: MergeCheckResult) -> Iterator[str]:
    """What else is to be known: what to try first, and what it is of."""
    summary = result.summary
    if result.merged is not None and summary.fitted:
        told = listed([f"{w:.3g} × {name}" for w, name in zip(summary.fitted, result.names, strict=True)], 8)
        yield f"The nearest linear merge is {told}; it leaves {share(summary.unexplained)} of the merge's change."
    if summary.suggested:
        told = listed([f"{w:.2f} for {name}" for w, name in zip(summary.suggested, result.names, strict=True)], 8)
        then = listed([figure(one.disturbance) for one in summary.suggested_standings], 8)
        yield f"Try first: weights {told}; D would be {then}."
    tables = len(result.meetings) - len(result.counted)
    left = f"; {plural(tables, 'table')} of tokens left out" if tables else ""
    base = f"changes of {result.base.name}" if result.base is not None else "weights as they are, without a base"
    yield f"Of {base}: {plural(len(result.counted), 'matrix', 'matrices')}{left}."
    yield from result.notes


def weights_words(result: MergeCheckResult) -> str:
    """``weights 1 and 0.5``."""
    return f"weights {listed([number_text(w, digits=4) for w in result.summary.weights], 8)}"


def meeting_most(result: MergeCheckResult) -> list[Line]:
    """Where what else acts on a model's inputs is largest, the largest first: of the whole merge."""
    known = [
        line for line in whole_lines(result) if not line.meeting.table and not math.isnan(line.effect.contamination)
    ]
    return sorted(known, key=lambda line: -line.effect.contamination)[:MEET_MOST]


def figure(value: float, digits: int = 3) -> str:
    """A number for people; a dash where it is not known."""
    return number_text(value, digits=digits) or "—"


def share(value: float) -> str:
    """In percent."""
    return f"{figure(100 * value)} %" if not math.isnan(value) else "—"


def standing_cells(standing: Standing) -> tuple[str, ...]:
    """D, ρ, κ, lift and D of the first layer."""
    numbers = (
        *(standing.disturbance, standing.retention, standing.contamination),
        *(standing.lift, standing.first_layer),
    )
    return tuple(map(figure, numbers))
