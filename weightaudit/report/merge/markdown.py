"""A merge check as Markdown of GitHub's flavour: what to try first, what not to conclude, the findings, a table of the
models and one of where they meet most. Names are made neutral as those of a scan are.
"""

from __future__ import annotations

from typing import BinaryIO

from weightaudit.records import MergeCheckResult
from weightaudit.report.markdown import MARK, maker, model_words, neutral, rules_told, table
from weightaudit.report.merge.trust import TRUST
from weightaudit.report.merge.words import figure, headline, meeting_most, standing_cells, story, verdict_line
from weightaudit.text import plural


def write_markdown(result: MergeCheckResult, file: BinaryIO) -> None:
    """UTF-8, ended by a newline."""
    file.write((markdown(result) + "\n").encode("utf-8", "backslashreplace"))


def markdown(result: MergeCheckResult) -> str:
    """The whole check, as text."""
    base = f" on {model_words(result.base)}" if result.base is not None else ""
    parts = [
        MARK,
        f"## Merging {' and '.join(map(model_words, result.models))}{base}",
        f"**{neutral(headline(result))}**",
        f"> {neutral(TRUST)}",
        "\n".join(f"- {neutral(text)}" for text in (verdict_line(result), *story(result))),
        *rules_told(result.findings),
        _models(result),
        _meeting_most(result),
        f"{plural(len(result.meetings), 'matrix', 'matrices')} checked by {maker(result.versions)}.",
    ]
    return "\n\n".join(part for part in parts if part)


def _models(result: MergeCheckResult) -> str:
    lines = [
        (neutral(name), *standing_cells(standing))
        for name, standing in zip(result.names, result.summary.standings, strict=True)
    ]
    heads = ("model", "D", "retention ρ", "contamination κ", "lift", "D, first layer")
    return table(heads, lines, numeric=(1, 2, 3, 4, 5))


def _meeting_most(result: MergeCheckResult) -> str:
    lines = [
        (neutral(line.meeting.place.words()), neutral(result.names[line.victim]), figure(line.effect.contamination))
        for line in meeting_most(result)
    ]
    return table(("updates meet most", "on the inputs of", "contamination κ"), lines, numeric=(2,)) if lines else ""
