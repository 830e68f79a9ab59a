"""How the numbers were computed: certificate, definitions, options, versions, and the command that repeats
it.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from weightaudit.config import DEFAULTS
from weightaudit.report.columns import COLUMNS
from weightaudit.report.markup import plural, section, setting, shown, table

if TYPE_CHECKING:
    from weightaudit.report.scan_report import ScanReport

REPEATED = ("method", "tol", "delta", "seed", "device", "threads")


def method_section(report: ScanReport) -> str:
    """The page's last section."""
    options = report.options
    methods = Counter(row.spectrum.method for row in report.rows)
    used = ", ".join(
        f"{plural(n, 'matrix', 'matrices')} by <code>{shown(m)}</code>" for m, n in sorted(methods.items())
    )
    delta = setting(options.get("delta", DEFAULTS.delta))
    tol = setting(options.get("tol", DEFAULTS.tol))
    certificate = (
        "<p>The Frobenius norm is a plain sum over all entries. The spectral norm σ₁ is given as an interval. Where "
        "the method is <code>exact</code>, it comes from the whole spectrum, and both ends allow for rounding. Where "
        "it is <code>krylov</code>, the lower end is reached by directions that the search found, so it always holds; "
        "the search starts from random vectors, and for each matrix the probability that the upper end is too low is "
        f"at most {delta}. It stops when σ₁² is known within a relative {tol}; a matrix where it stopped earlier is "
        "marked as not converged, and its wider interval holds as well. The stable rank inherits the interval. "
        "Printed ends are rounded outwards.</p>"
    )
    facts = [(shown(name), shown(_said(options[name]), 1000)) for name in options if options[name] is not None]
    versions = [(shown(name), shown(version)) for name, version in report.versions.items()]
    command = shown(reproduce_command(report), 4000)
    definitions = "".join(
        f"<div><dt><code>{column.name}</code></dt><dd>{shown(column.meaning)}</dd></div>" for column in COLUMNS
    )
    return section(
        "method",
        "How it was computed",
        f"<p>{used}.</p>" if used else "",
        certificate,
        f'<h3>Repeat it</h3><pre tabindex="0"><code>{command}</code></pre>',
        f'<div class="pair"><div><h3>Options</h3>{table(("Option", "Value"), facts)}</div>'
        f"<div><h3>Versions</h3>{table(('Package', 'Version'), versions)}</div></div>",
        f'<details><summary>What every column means</summary><dl class="facts">{definitions}</dl></details>',
    )


def reproduce_command(report: ScanReport) -> str:
    """The command line that repeats the scan, quoted for a POSIX shell."""
    identity, options = report.identity, report.options
    words = ["weightaudit", "scan"]
    words += [identity.name, "--revision", identity.revision] if identity.revision else [identity.location]
    if options.get("roles"):
        words += ["--roles", ",".join(options["roles"])]
    if options.get("layers") is not None:
        words += ["--layers", layer_ranges(options["layers"])]
    for name in REPEATED:
        if options.get(name) is not None:
            words += [f"--{name}", str(options[name])]
    if options.get("spectrum"):
        words.append("--spectrum")
    return " ".join(map(shlex.quote, [*words, "--out", "report.html"]))


def layer_ranges(layers: Sequence[int]) -> str:
    """Layer numbers as the option takes them.

    Example:
        >>> layer_ranges([0, 1, 2, 5])
        '0-2,5'
    """
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
