"""How the numbers were computed: certificate, definitions, options, versions, and the command that repeats
it.
"""

from __future__ import annotations

import shlex
from collections import Counter

from weightaudit.config import DEFAULTS
from weightaudit.records import ScanResult
from weightaudit.report.full_columns import all_asked
from weightaudit.report.hypertext import NOTHING, Html, html, join, shown
from weightaudit.report.markup import definitions, details, section, setting, table
from weightaudit.report.scan_columns import columns_of
from weightaudit.report.spectra import asked
from weightaudit.text import plural, ranges

REPEATED = ("all", "base", "method", "tol", "delta", "seed", "device", "threads")


def method_section(report: ScanResult) -> Html:
    """The page's last section."""
    options = report.options
    methods = Counter(row.spectrum.method for row in report.rows)
    used = join(
        ", ",
        (html("{} by <code>{}</code>", plural(n, "matrix", "matrices"), m) for m, n in sorted(methods.items())),
    )
    certificate = html(
        "<p>Two numbers of a matrix are measured: its Frobenius norm ‖W‖, the length of all its entries together, "
        "and its spectral norm σ₁, the most by which it can stretch a vector. Their ratio squared, ‖W‖²/σ₁², is the "
        "stable rank: 1 where one direction carries everything, the full rank where all directions count alike.</p>"
    )
    terms = _terms(setting(options.get("delta", DEFAULTS.delta)), setting(options.get("tol", DEFAULTS.tol)))
    facts = [(name, shown(_said(options[name]), 1000)) for name in options if options[name] is not None]
    return section(
        "method",
        "How it was computed",
        html("<p>{}.</p>", used) if used else NOTHING,
        certificate,
        definitions("terms", terms),
        html('<h3>Repeat it</h3><pre tabindex="0"><code>{}</code></pre>', shown(reproduce_command(report), 4000)),
        html(
            '<div class="pair"><div><h3>Options</h3>{}</div><div><h3>Versions</h3>{}</div></div>',
            table("Options", ("Option", "Value"), facts),
            table("Versions", ("Package", "Version"), report.versions.items()),
        ),
        details(
            "What every column means",
            definitions("facts", ((html("<code>{}</code>", c.name), c.meaning) for c in columns_of(report))),
        ),
    )


def _terms(delta: str, tol: str) -> list[tuple[str, Html]]:
    """What the words of a certificate mean."""
    return [
        (
            "What the interval means",
            html(
                "σ₁ cannot be read off a large matrix, so it is bracketed: every σ₁ and every stable rank has two "
                "ends, and the true number lies between them. Printed ends are rounded outwards, so that what is "
                "printed holds, too. Two stable ranks are known to differ where their intervals do not meet."
            ),
        ),
        (
            "What is certain",
            html(
                "The Frobenius norm is a plain sum over all entries. The lower end of σ₁ always holds: the search "
                "found a direction that is stretched that much. The same goes for the upper end of the stable rank. "
                "Where the method is <code>exact</code>, both ends come from the whole spectrum and allow for rounding."
            ),
        ),
        (
            f"What holds with probability 1 − {delta}",
            html(
                "Where the method is <code>krylov</code>, the search starts from random vectors, and an unlucky start "
                "could hide a direction that is stretched more. The upper end of σ₁, and so the lower end of the "
                "stable rank, is set so high that for each matrix this happens with probability at most {}.",
                delta,
            ),
        ),
        (
            "What converged means",
            html(
                "The search stops when σ₁² is known within a relative {}. A matrix where it stopped earlier is marked "
                "as not converged; its interval is wider, and holds as well.",
                tol,
            ),
        ),
        (
            "What the thin lines are",
            html(
                "What the stable rank would be near if the entries of an m × n matrix were independent and random, of "
                "one size: mn/(√m + √n)², since ‖W‖² is then close to mn and σ₁ to √m + √n, the edge of the spectrum "
                "(Marchenko and Pastur 1967; Yin, Bai and Krishnaiah 1988). A matrix far below has directions that "
                "stand out; one that lies on the line may never have been trained."
            ),
        ),
        (
            "What it does not say",
            html(
                "These are properties of stored numbers. No text went through the model, and nothing here measures how "
                "well it works."
            ),
        ),
    ]


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
    if report.gate.get("severity"):
        words += ["--severity", ",".join(report.gate["severity"])]
    if report.gate.get("min_coverage") is not None:
        words += ["--min-coverage", str(report.gate["min_coverage"])]
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
    # Of a single file of the Hub the location, which has the commit, says what its name says.
    by_name = identity.revision and "://" not in identity.name
    model = [identity.name, "--revision", identity.revision] if by_name else [identity.location]
    return " ".join(map(shlex.quote, ["weightaudit", "scan", *model]))


def _settings(report: ScanResult) -> list[str]:
    """The options that change numbers, as the scan had them."""
    chosen = [(f"--{name}", str(report.options[name])) for name in REPEATED if report.options.get(name) is not None]
    words = [word for pair in chosen for word in pair]
    if all_asked(report):
        words += ["--spectrum", "full"]
    elif asked(report):
        words += ["--spectrum"]
    return list(map(shlex.quote, words))


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
