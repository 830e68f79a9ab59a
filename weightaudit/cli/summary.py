"""The summary of a scan on the terminal, as wide as that is; in a pipe the same text in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from weightaudit.cli.finding_lines import finding_lines
from weightaudit.cli.layout import GAP, Column, cut, natural_width, table, wrapped
from weightaudit.cli.profile import by_layer, drawn, narrowed
from weightaudit.cli.terminal import TerminalStyle
from weightaudit.records import ScanResult
from weightaudit.text import listed, percent, plural

if TYPE_CHECKING:
    from weightaudit.records import LayerRow, ModelIdentity

LONGEST_ROLE = 18
"""Columns of a role's name, which a stranger may have chosen."""
PROFILE = (6, 96)
"""Columns of a profile: it is left out where fewer are free, and has no more than the greater number."""

ROLE_COLUMNS = (
    Column("role", "name", longest=LONGEST_ROLE),
    Column("n", right=True),
    Column("shape"),
    Column("Frobenius"),
    Column("spectral"),
    Column("stable rank"),
)
PROFILE_HEADER = "by layer"
NONE = "-"
"""Where no matrix of a role has a number."""
_DIMENSION_WORDS = {"layers": "layers", "hidden": "model dimension", "ff": "FF dimension"}


def summary_text(report: ScanResult, look: TerminalStyle = TerminalStyle()) -> str:  # noqa: B008  # frozen
    """What a person wants to see first: the verdict, which model it is about, what was found, and each role's range
    of numbers with the stable rank's course by layer.
    """
    from weightaudit.report.verdict import qualifications, verdict_line

    parts = [
        [
            *wrapped(verdict_line(report), look),
            *(line for one in qualifications(report) for line in wrapped(one, look)),
        ],
        list(_identity_lines(report, look)),
        list(finding_lines(report.findings, look)),
        _role_table(report.rows, look),
        list(_coverage(report, look)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def called(identity: ModelIdentity, width: int) -> str:
    """Its name and revision. Twelve characters of a commit say which it is; where a long name needs the room, no more
    are shown.
    """
    whole = f"{identity.name} @ {identity.revision}" if identity.revision else identity.name
    return whole if len(whole) <= width or not identity.revision else f"{identity.name} @ {identity.revision[:12]}"


def _identity_lines(report: ScanResult, look: TerminalStyle) -> Iterator[str]:
    yield cut(called(report.identity, look.width), look.width, look)
    dims = report.map.dimensions
    sizes = [f"{dims[key]} {word}" for key, word in _DIMENSION_WORDS.items() if key in dims]
    guessed = " (roles GUESSED from tensor names)" if report.map.guessed else ""
    family = f"family {report.map.family}{guessed}{': ' if sizes else ''}{', '.join(sizes)}"
    for sentence in (*_weights(report), family):
        yield from wrapped(sentence, look)


def _weights(report: ScanResult) -> Iterator[str]:
    """Which files were read, and which others stood beside them."""
    identity = report.identity
    names = [file.name for file in identity.files]
    yield f"weights {listed(names, 1, spare=1)}{f' ({identity.format})' if identity.format else ''}"
    by_reason: dict[str, list[str]] = {}
    for file in identity.skipped_files:
        by_reason.setdefault(file.why, []).append(file.name)
    for why, others in by_reason.items():
        yield f"skipped {listed(others, 1)}: {why}"


def _role_table(rows: Sequence[LayerRow], look: TerminalStyle) -> list[str]:
    """A line a role; a column of profiles where some role has several layers and there is room."""
    from weightaudit.report.ranges import RANGE, norm_range, stable_rank_range

    roles: dict[tuple[str, str], list[LayerRow]] = {}
    for row in rows:
        roles.setdefault((row.matrix.stack, row.matrix.role), []).append(row)
    if not roles:
        return []
    lines: list[tuple[str, ...]] = []
    for (stack, role), group in roles.items():
        shapes = {row.matrix.shape for row in group}
        lines.append(
            (
                f"{stack} {role}".strip(),
                str(len(group)),
                "×".join(map(str, shapes.pop())) if len(shapes) == 1 else "several",
                norm_range(row.spectrum.frobenius_norm for row in group) or NONE,
                norm_range(row.spectrum.spectral_norm for row in group) or NONE,
                stable_rank_range(row.spectrum for row in group) or NONE,
            )
        )
    # The blanks around a range are left out where they take the room of digits.
    close = [[cell.replace(RANGE, RANGE.strip()) for cell in line] for line in lines]
    if natural_width(ROLE_COLUMNS, lines, look) > look.width >= natural_width(ROLE_COLUMNS, close, look):
        return table(ROLE_COLUMNS, close, look)
    free = look.width - natural_width(ROLE_COLUMNS, lines, look) - GAP
    profiles = _profiles(roles, min(free, PROFILE[1]), look) if free >= PROFILE[0] else []
    if not any(profiles):
        return table(ROLE_COLUMNS, lines, look)
    head = Column(PROFILE_HEADER[: max(map(len, profiles))] if free < len(PROFILE_HEADER) else PROFILE_HEADER)
    whole = [(*line, profile) for line, profile in zip(lines, profiles, strict=True)]
    return table((*ROLE_COLUMNS, head), whole, look)


def _profiles(roles: dict[tuple[str, str], list[LayerRow]], width: int, look: TerminalStyle) -> list[str]:
    """A cell a role, empty where there is nothing to draw. A stack's roles are drawn over the same layers."""
    layers: dict[str, set[int]] = {}
    for (stack, _), group in roles.items():
        layers.setdefault(stack, set()).update(row.matrix.layer for row in group if row.matrix.layer is not None)
    return [
        drawn(narrowed(by_layer(group, sorted(layers[stack])), width), look.bars)
        if look.bars and len(layers[stack]) > 1
        else ""
        for (stack, _), group in roles.items()
    ]


def _coverage(report: ScanResult, look: TerminalStyle) -> Iterator[str]:
    yield from (line for sentence in _coverage_sentences(report) for line in wrapped(sentence, look))


def _coverage_sentences(report: ScanResult) -> Iterator[str]:
    from weightaudit.report.columns import number_text
    from weightaudit.report.full_spectra import power_law_words

    summary = report.summary
    mean = summary["stable_rank_harmonic_mean"]["all"]
    if mean is not None:
        yield f"harmonic mean of stable ranks over the layers' matrices: {number_text(mean, digits=4)}"
    power_laws = power_law_words(report.rows)
    if power_laws:
        yield power_laws
    share = summary["share_analysed"]
    analysed = f"{summary['parameters_analysed']:,} of {summary['parameters']:,} parameters analysed"
    yield analysed if share is None else f"{analysed} ({percent(share)})"
    counts: dict[str, int] = {}
    for entry in report.coverage_entries:
        counts[entry.status] = counts.get(entry.status, 0) + 1
    yield f"{plural(len(report.coverage_entries), 'tensor')}: " + ", ".join(
        f"{count} {status}" for status, count in counts.items()
    )
