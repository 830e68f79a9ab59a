"""The summary on the terminal: plain aligned text of at most 80 columns, the same in a pipe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from weightaudit.errors import printable

if TYPE_CHECKING:
    from weightaudit.records import LayerRow
    from weightaudit.report import ScanReport

HEADER = ("role", "matrices", "shape", "frobenius norm", "spectral norm", "stable rank")


def summary_text(report: ScanReport) -> str:
    """What a person wants to see first: which model, what was covered, and each role's range of numbers."""
    return "\n".join([*_identity(report), "", *_role_table(report.rows), "", *_coverage(report)])


def _identity(report: ScanReport) -> Iterable[str]:
    revision = f" @ {printable(report.identity.revision)}" if report.identity.revision else ""
    yield f"{printable(report.identity.name)}{revision}"
    yield from _weights(report)
    dims = report.map.dimensions
    sizes = [f"{dims[key]} {word}" for key, word in _DIMENSION_WORDS.items() if key in dims]
    guessed = " (roles GUESSED from tensor names)" if report.map.guessed else ""
    yield f"family {printable(report.map.family)}{guessed}{': ' if sizes else ''}{', '.join(sizes)}"


def _weights(report: ScanReport) -> Iterable[str]:
    """Which files were read, and which others stood beside them."""
    identity = report.identity
    names = [printable(file.name) for file in identity.files]
    shown = ", ".join(names) if len(names) <= 2 else f"{names[0]} and {len(names) - 1} files"
    kind = f" ({printable(identity.format)})" if identity.format else ""
    yield f"weights {shown}{kind}"
    by_reason: dict[str, list[str]] = {}
    for file in identity.passed_over:
        by_reason.setdefault(file.why, []).append(printable(file.name))
    for why, others in by_reason.items():
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        yield f"passed over {others[0]}{more}: {printable(why)}"


_DIMENSION_WORDS = {"layers": "layers", "hidden": "model dimension", "ff": "FF dimension"}


def _role_table(rows: Sequence[LayerRow]) -> list[str]:
    roles: dict[tuple[str, str], list[LayerRow]] = {}
    for row in rows:
        roles.setdefault((row.matrix.stack, row.matrix.role), []).append(row)
    lines = [HEADER]
    for (stack, role), group in roles.items():
        shapes = {row.matrix.shape for row in group}
        lines.append(
            (
                printable(f"{stack} {role}".strip()),
                str(len(group)),
                "×".join(map(str, shapes.pop())) if len(shapes) == 1 else "several",
                _range(row.spectrum.frobenius_norm for row in group),
                _range(row.spectrum.spectral_norm for row in group),
                _range(row.spectrum.stable_rank for row in group),
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _range(values: Iterable[float]) -> str:
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return "-"
    low, high = f"{finite[0]:.3g}", f"{finite[-1]:.3g}"
    return low if low == high else f"{low} … {high}"


def _coverage(report: ScanReport) -> Iterable[str]:
    summary = report.summary
    mean = summary["stable_rank_harmonic_mean"]["all"]
    if mean is not None:
        yield f"harmonic mean of stable ranks over the layers' matrices: {mean:.4g}"
    share = summary["share_analysed"]
    analysed = f"{summary['parameters_analysed']:,} of {summary['parameters']:,} parameters analysed"
    yield analysed if share is None else f"{analysed} ({100 * share:.2f} %)"
    counts: dict[str, int] = {}
    for entry in report.ledger:
        counts[entry.status] = counts.get(entry.status, 0) + 1
    yield f"{len(report.ledger)} tensors: " + ", ".join(f"{count} {status}" for status, count in counts.items())
