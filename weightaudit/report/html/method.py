"""How the numbers were computed: certificate, definitions, options, versions, and the command that repeats
it.
"""

from __future__ import annotations

import shlex
from collections import Counter

from weightaudit.config import DEFAULTS
from weightaudit.records import ScanResult
from weightaudit.report.columns import COLUMNS
from weightaudit.report.markup import section, setting, shown, table
from weightaudit.text import plural, ranges

REPEATED = ("method", "tol", "delta", "seed", "device", "threads")


def method_section(report: ScanResult) -> str:
    """The page's last section."""
    options = report.options
    methods = Counter(row.spectrum.method for row in report.rows)
    used = ", ".join(
        f"{plural(n, 'matrix', 'matrices')} by <code>{shown(m)}</code>" for m, n in sorted(methods.items())
    )
    delta = setting(options.get("delta", DEFAULTS.delta))
    tol = setting(options.get("tol", DEFAULTS.tol))
    certificate = (
        "<p>Two numbers of a matrix are measured: its Frobenius norm ‖W‖, the length of all its entries together, "
        "and its spectral norm σ₁, the most by which it can stretch a vector. Their ratio squared, ‖W‖²/σ₁², is the "
        "stable rank: 1 where one direction carries everything, the full rank where all directions count alike.</p>"
    )
    terms = (
        (
            "What the interval means",
            "σ₁ cannot be read off a large matrix, so it is bracketed: every σ₁ and every stable rank has two ends, "
            "and the true number lies between them. Printed ends are rounded outwards, so that what is printed holds, "
            "too. Two stable ranks are known to differ where their intervals do not meet.",
        ),
        (
            "What is certain",
            "The Frobenius norm is a plain sum over all entries. The lower end of σ₁ always holds: the search found a "
            "direction that is stretched that much. The same goes for the upper end of the stable rank. Where the "
            "method is <code>exact</code>, both ends come from the whole spectrum and allow for rounding.",
        ),
        (
            f"What holds with probability 1 − {delta}",
            "Where the method is <code>krylov</code>, the search starts from random vectors, and an unlucky start "
            "could hide a direction that is stretched more. The upper end of σ₁, and so the lower end of the stable "
            f"rank, is set so high that for each matrix this happens with probability at most {delta}.",
        ),
        (
            "What converged means",
            f"The search stops when σ₁² is known within a relative {tol}. A matrix where it stopped earlier is marked "
            "as not converged; its interval is wider, and holds as well.",
        ),
        (
            "What it does not say",
            "These are properties of stored numbers. No text went through the model, and nothing here measures how "
            "well it works.",
        ),
    )
    explained = "".join(f"<div><dt>{term}</dt><dd>{text}</dd></div>" for term, text in terms)
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
        f'<dl class="terms">{explained}</dl>',
        f'<h3>Repeat it</h3><pre tabindex="0"><code>{command}</code></pre>',
        f'<div class="pair"><div><h3>Options</h3>{table("Options", ("Option", "Value"), facts)}</div>'
        f"<div><h3>Versions</h3>{table('Versions', ('Package', 'Version'), versions)}</div></div>",
        f'<details><summary>What every column means</summary><dl class="facts">{definitions}</dl></details>',
    )


def reproduce_command(report: ScanResult) -> str:
    """The command line that repeats the scan, quoted for a POSIX shell."""
    options = report.options
    words = []
    if options.get("roles"):
        words += ["--roles", ",".join(options["roles"])]
    if options.get("layers") is not None:
        words += ["--layers", ranges(options["layers"])]
    if options.get("ignore"):
        words += ["--ignore", ",".join(options["ignore"])]
    return " ".join([_model(report), *map(shlex.quote, words), *_settings(report), "--out", "report.html"])


def matrix_command(report: ScanResult, role: str, layer: int | None) -> str:
    """The command line that computes only the matrices of one role in one layer again (outside the layers: None)."""
    before, after = command_ends(report)
    words = ["--roles", role] + (["--layers", str(layer)] if layer is not None else [])
    return " ".join([before, *map(shlex.quote, words), after])


def command_ends(report: ScanResult) -> tuple[str, str]:
    """What stands before and after the roles and layers of `matrix_command`."""
    return _model(report), " ".join([*_settings(report), "--out", "matrix.csv"])


def _model(report: ScanResult) -> str:
    identity = report.identity
    model = [identity.name, "--revision", identity.revision] if identity.revision else [identity.location]
    return " ".join(map(shlex.quote, ["weightaudit", "scan", *model]))


def _settings(report: ScanResult) -> list[str]:
    """The options that change numbers, as the scan had them."""
    chosen = [(f"--{name}", str(report.options[name])) for name in REPEATED if report.options.get(name) is not None]
    words = [word for pair in chosen for word in pair] + ["--spectrum"] * bool(report.options.get("spectrum"))
    return list(map(shlex.quote, words))


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
