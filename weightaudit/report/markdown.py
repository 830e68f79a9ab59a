"""The report as Markdown of GitHub's flavour, for the summary of a job and for model cards: the verdict, the findings
with what to do, and a table of the roles.

Names are a stranger's: no character of theirs is markup, a link, a mention or a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from weightaudit.records import Finding, LayerRow, ModelIdentity, ScanResult
from weightaudit.report.full_spectra import power_law_words
from weightaudit.report.ranges import norm_range, stable_rank_range
from weightaudit.report.verdict import located, qualifications, verdict_line
from weightaudit.text import plural, printable

MARK = "<!-- weightaudit -->"
"""The first line, which is not shown: by it a report of ours is known."""
MOST_PLACES = 20
"""Findings of one rule that are told one by one."""
MAX_TEXT_CHARS = 1000
"""Characters of a text that may repeat a stranger's names."""
NONE = "–"
"""Where no matrix of a role has a number."""
_HEADER = ("role", "n", "shape", "Frobenius norm", "spectral norm", "stable rank")
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~$&!^]|(?<=:)/|(?<=www)\.|^[-+=:]", re.IGNORECASE)
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
"""A line's beginning that would make it an item of a list."""
_ADDRESS = re.compile(r"@(?=\w)")


def write_markdown(report: ScanResult, file: BinaryIO) -> None:
    """UTF-8, ended by a newline."""
    file.write((markdown(report) + "\n").encode("utf-8", "backslashreplace"))


def markdown(report: ScanResult) -> str:
    """The whole report, as text."""
    parts = [
        MARK,
        f"## Weights of {model_words(report.identity)}",
        f"**{neutral(verdict_line(report))}**",
        "\n".join(f"- {neutral(text)}" for text in qualifications(report)),
        *rules_told(report.findings),
        _table(report.rows),
        _measured(report),
    ]
    return "\n\n".join(part for part in parts if part)


def model_words(identity: ModelIdentity) -> str:
    """Name and revision, within a line."""
    return f"{neutral(identity.name)} @ {neutral(identity.revision)}" if identity.revision else neutral(identity.name)


def neutral(text: str) -> str:
    r"""``text`` within a line of Markdown, to be read as it is.

    Example:
        >>> neutral("a_b [x](https://y) @all")
        'a\\_b \\[x\\](https:\\//y) @<!-- -->all'
    """
    escaped = _MARKUP.sub(r"\\\g<0>", printable(text.lstrip(), MAX_TEXT_CHARS))
    return _ADDRESS.sub("@<!-- -->", _NUMBERED.sub(r"\1\\\2", escaped))


def rules_told(findings: Iterable[Finding]) -> Iterator[str]:
    """A section a rule: how grave it is, where it was found, what to do. What the baseline knows comes last."""
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.id, finding.title, finding.advice), []).append(finding)
    known_of = {key: sum(one.baseline_state == "unchanged" for one in found) for key, found in groups.items()}
    for key in sorted(groups, key=lambda key: known_of[key] == len(groups[key])):
        severity, id, title, advice = key
        found, known = groups[key], known_of[key]
        told = f", {known:,} known to the baseline" if known else ""
        yield f"### {severity}: {neutral(title)} (`{_code(id)}`)"
        lines = [_place(one) for one in found[:MOST_PLACES]]
        if len(found) > len(lines):
            lines.append(f"- and {plural(len(found) - len(lines), 'place')} more; the JSON report has all")
        yield "\n".join([f"{plural(len(found), 'place')}{told}:", "", *lines])
        if advice:
            yield f"**What to do**: {neutral(advice)}"


def _place(finding: Finding) -> str:
    known = " *(known)*" if finding.baseline_state == "unchanged" else ""
    return f"- {neutral(located(finding))}{known}"


def _code(id: str) -> str:
    return printable(id, MAX_TEXT_CHARS).replace("`", "'")


def _table(rows: Iterable[LayerRow]) -> str:
    """A line a role, with the range of its numbers."""
    roles: dict[tuple[str, str], list[LayerRow]] = {}
    for row in rows:
        roles.setdefault((row.matrix.stack, row.matrix.role), []).append(row)
    if not roles:
        return ""
    lines = []
    for (stack, role), group in roles.items():
        shapes = {row.matrix.shape for row in group}
        lines.append(
            (
                neutral(f"{stack} {role}".strip()),
                f"{len(group):,}",
                "×".join(map(str, shapes.pop())) if len(shapes) == 1 else "several",
                norm_range(row.spectrum.frobenius_norm for row in group) or NONE,
                norm_range(row.spectrum.spectral_norm for row in group) or NONE,
                stable_rank_range(row.spectrum for row in group) or NONE,
            )
        )
    return table(_HEADER, lines, numeric=(1,))


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], *, numeric: Sequence[int] = ()) -> str:
    """A table; the columns in ``numeric`` are set flush right. Cells are made `neutral` by the caller."""
    rule = ["---:" if i in numeric else "---" for i in range(len(heads))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rule, *lines))


def _measured(report: ScanResult) -> str:
    summary = report.summary
    power_laws = power_law_words(report.rows)
    return (
        f"{summary['parameters_analysed']:,} of {summary['parameters']:,} parameters analysed, in "
        f"{plural(len(report.rows), 'matrix', 'matrices')}, by {maker(report.versions)}."
        f"{f' {power_laws[0].upper()}{power_laws[1:]}.' if power_laws else ''}"
    )


def maker(versions: Mapping[str, str]) -> str:
    """What made the report."""
    return f"weightaudit {neutral(versions.get('weightaudit', ''))}".strip()
