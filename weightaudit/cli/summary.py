"""The summary on the terminal: plain aligned text of at most 80 columns, the same in a pipe but for the colours."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from weightaudit.cli.profile import by_layer, drawn, narrowed
from weightaudit.cli.terminal import TerminalStyle
from weightaudit.records import ScanResult
from weightaudit.text import listed, plural, printable

if TYPE_CHECKING:
    from weightaudit.records import Finding, LayerRow, ModelIdentity

WIDTH = 80
"""Columns of the whole summary."""
MOST_FINDINGS = 12
MOST_OF_RULE = 4
"""Findings of one rule, where others wait."""
MOST_LINES = 2
"""Lines of one finding of a scan."""
LONGEST_ID, LONGEST_ROLE = 30, 18
"""Columns of a rule's id, and of a role's name, which a stranger may have chosen."""
PROFILE = (6, 24)
"""Columns of a profile: it is left out where fewer are free, and has no more than the greater number."""

HEADER = ("role", "n", "shape", "Frobenius", "spectral", "stable rank")
PROFILE_HEADER = "by layer"
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
        [cut(line, WIDTH, look) for line in _identity_lines(report)],
        list(finding_lines(report.findings, look)),
        _role_table(report.rows, look),
        list(_coverage(report)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def wrapped(text: str, look: TerminalStyle) -> list[str]:
    """``text`` in lines of at most `WIDTH`."""
    return textwrap.wrap(look.text(printable(text, 1000)), WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def cut(text: str, width: int, look: TerminalStyle) -> str:
    """``text`` printable, in characters that can be shown, and its middle left out where it is too long: long names
    differ at their ends.

    Example:
        >>> cut("model.layers.31.mlp.weight", 15, TerminalStyle())
        'model.l….weight'
    """
    safe = look.text(printable(text, 1000))
    if len(safe) <= width:
        return safe
    kept = width - 1
    return safe[: kept - kept // 2] + look.text("…") + safe[len(safe) - kept // 2 :]


def called(identity: ModelIdentity, width: int = WIDTH) -> str:
    """Its name and revision. Twelve characters of a commit say which it is; where a long name needs the room, no more
    are shown.
    """
    whole = f"{identity.name} @ {identity.revision}" if identity.revision else identity.name
    return whole if len(whole) <= width or not identity.revision else f"{identity.name} @ {identity.revision[:12]}"


def _identity_lines(report: ScanResult) -> Iterator[str]:
    yield called(report.identity)
    yield from _weights(report)
    dims = report.map.dimensions
    sizes = [f"{dims[key]} {word}" for key, word in _DIMENSION_WORDS.items() if key in dims]
    guessed = " (roles GUESSED from tensor names)" if report.map.guessed else ""
    yield f"family {report.map.family}{guessed}{': ' if sizes else ''}{', '.join(sizes)}"


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


def finding_lines(findings: Sequence[Finding], look: TerminalStyle, most_lines: int = MOST_LINES) -> Iterator[str]:
    """Each in ``most_lines`` at most; the most severe come first."""
    from weightaudit.report.verdict import located

    shown = _some(findings)
    column = max((len(finding.severity) for finding in shown), default=0)
    for finding in shown:
        known = " (known)" if finding.baseline_state == "unchanged" else ""
        text = f"{cut(finding.id, LONGEST_ID, look)}{known}: {look.text(printable(located(finding), 1000))}"
        lines = textwrap.wrap(
            text,
            WIDTH - column - 2,
            max_lines=most_lines,
            placeholder=look.text(" …"),
            break_on_hyphens=False,
        )
        yield f"{look.severity(finding.severity, column)}  {lines[0]}"
        for line in lines[1:]:
            yield " " * (column + 2) + line
    if len(findings) > len(shown):
        yield f"and {len(findings) - len(shown):,} more; --json has all"


def _some(findings: Sequence[Finding]) -> list[Finding]:
    """As many as are shown, in their order: the first of every rule before the fifth of any."""
    seen: Counter[str] = Counter()
    waits = []
    for finding in findings:
        seen[finding.id] += 1
        waits.append(seen[finding.id] > MOST_OF_RULE)
    chosen = sorted(range(len(findings)), key=waits.__getitem__)[:MOST_FINDINGS]  # stable: else as they come
    return [findings[i] for i in sorted(chosen)]


def _role_table(rows: Sequence[LayerRow], look: TerminalStyle) -> list[str]:
    """A line a role; a column of profiles where some role has several layers and there is room."""
    roles: dict[tuple[str, str], list[LayerRow]] = {}
    for row in rows:
        roles.setdefault((row.matrix.stack, row.matrix.role), []).append(row)
    if not roles:
        return []
    lines = [HEADER]
    for (stack, role), group in roles.items():
        shapes = {row.matrix.shape for row in group}
        lines.append(
            (
                cut(f"{stack} {role}".strip(), LONGEST_ROLE, look),
                str(len(group)),
                look.text("×".join(map(str, shapes.pop()))) if len(shapes) == 1 else "several",
                look.text(value_range(row.spectrum.frobenius_norm for row in group)),
                look.text(value_range(row.spectrum.spectral_norm for row in group)),
                look.text(value_range(row.spectrum.stable_rank for row in group)),
            )
        )
    table = aligned(lines)
    free = WIDTH - max(map(len, table)) - 2
    profiles = _profiles(roles, min(free, PROFILE[1]), look) if free >= PROFILE[0] else [""] * len(lines)
    return [f"{line}  {profile}".rstrip() for line, profile in zip(table, profiles, strict=True)]


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """A table's lines, its header first, of one width; the column ``n`` has numbers."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if head == "n" else cell.ljust(width)
            for head, cell, width in zip(lines[0], line, widths, strict=True)
        )
        for line in lines
    ]


def _profiles(roles: dict[tuple[str, str], list[LayerRow]], width: int, look: TerminalStyle) -> list[str]:
    """The column's cells from the header on; all empty where there is nothing to draw. A stack's roles are drawn over
    the same layers.
    """
    layers: dict[str, set[int]] = {}
    for (stack, _), group in roles.items():
        layers.setdefault(stack, set()).update(row.matrix.layer for row in group if row.matrix.layer is not None)
    cells = [
        drawn(narrowed(by_layer(group, sorted(layers[stack])), width), look.bars)
        if look.bars and len(layers[stack]) > 1
        else ""
        for (stack, _), group in roles.items()
    ]
    return [PROFILE_HEADER[:width] if any(cells) else "", *cells]


def value_range(values: Iterable[float]) -> str:
    """The least and the greatest that is finite, with three digits."""
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return "-"
    low, high = f"{finite[0]:.3g}", f"{finite[-1]:.3g}"
    return low if low == high else f"{low} – {high}"


def _coverage(report: ScanResult) -> Iterator[str]:
    summary = report.summary
    mean = summary["stable_rank_harmonic_mean"]["all"]
    if mean is not None:
        yield f"harmonic mean of stable ranks over the layers' matrices: {mean:.4g}"
    share = summary["share_analysed"]
    analysed = f"{summary['parameters_analysed']:,} of {summary['parameters']:,} parameters analysed"
    yield analysed if share is None else f"{analysed} ({100 * share:.2f} %)"
    counts: dict[str, int] = {}
    for entry in report.coverage_entries:
        counts[entry.status] = counts.get(entry.status, 0) + 1
    yield f"{plural(len(report.coverage_entries), 'tensor')}: " + ", ".join(
        f"{count} {status}" for status, count in counts.items()
    )
