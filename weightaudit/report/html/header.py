"""The top of the page: which model this is, whether its roles are guessed, and what a reader must know first."""

from __future__ import annotations

from weightaudit.records import ScanResult
from weightaudit.report.adapters import said_of_adapter
from weightaudit.report.html.findings import Group
from weightaudit.report.html.verdict import verdict_line
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, shown
from weightaudit.report.markup import count, definitions, details, navigation, nbytes, share
from weightaudit.report.quantisation import formats, said_of_formats
from weightaudit.report.spectra import asked
from weightaudit.text import plural

NOTES_SHOWN = 5


def header(report: ScanResult, groups: list[Group]) -> Html:
    """Name, verdict, source, size and the way to the sections."""
    identity = report.identity
    facts = [
        ("Commit", html("<code>{}</code>", identity.revision) if identity.revision else NOTHING),
        ("Read from", html("<code>{}</code>", identity.location)),
        ("Family", _family(report)),
        ("Parameters", _parameters(report)),
        ("Quantised", _quantised(report)),
        ("Adapter", html("{}", said_of_adapter(report)) if report.identity.adapter else NOTHING),
        ("Base", html("<code>{}</code>", report.base.location) if report.base is not None else NOTHING),
        ("Files", _files(report)),
        ("Skipped", _skipped(report)),
    ]
    links = [("summary", "Summary"), ("plots", "By layer"), ("roles", "By role"), ("table", "Every matrix")]
    links += [("coverage", "Coverage"), ("method", "How it was computed")]
    if formats(report):
        links.insert(len(links) - 2, ("quantisation", "Quantisation"))
    if report.base is not None:
        links.insert(len(links) - 2, ("base", "Against its base"))
    if asked(report):
        links.insert(2, ("spectra", "Spectra"))
    if report.heads is not None:
        links.insert(links.index(("roles", "By role")), ("heads", "Heads"))
    if report.findings:
        links.insert(1, ("findings", "Findings"))
    return html(
        '<header><p class="eyebrow">weightaudit · what is inside the weights</p><h1>{}</h1>{}{}</header>{}',
        identity.name,
        verdict_line(report, groups),
        definitions("facts", ((name, fact) for name, fact in facts if fact)),
        navigation(links),
    )


def _family(report: ScanResult) -> Html:
    family, model_type = report.map.family, report.map.model_type
    return html(
        "{}{}{}",
        family,
        " (guessed)" if report.map.guessed else "",
        html(", model type {}", model_type) if model_type and model_type != family else NOTHING,
    )


def _parameters(report: ScanResult) -> Html:
    """How many there are, and of which types: each with its share where there are several."""
    total, dtypes = report.summary.get("parameters"), report.summary.get("dtypes") or {}
    number = html("{}", count(total))
    if not total or not dtypes:
        return number
    several = len(dtypes) > 1
    named = (html("{} ({})" if several else "{}", name, share(n / total)) for name, n in dtypes.items())
    return html("{} in {}", number, join(", ", named))


def _quantised(report: ScanResult) -> Html:
    """How weights are, a line a format; nothing where none is."""
    lines = [html("<li>{}</li>", line.removeprefix("quantised: ")) for line in said_of_formats(report)]
    if len(lines) <= 1:
        return html("{}", said_of_formats(report)[0].removeprefix("quantised: ")) if lines else NOTHING
    return details(plural(len(lines), "format"), html("<ul>{}</ul>", join("", lines)))


def _files(report: ScanResult) -> Html:
    files = report.identity.files
    named = [html("<code>{}</code> {}", file.name, nbytes(file.nbytes)) for file in files]
    kind = html(" ({})", report.identity.format) if report.identity.format else NOTHING
    if len(files) <= 3:
        return html("{}{}", join(", ", named), kind)
    total = nbytes(sum(file.nbytes for file in files))
    summary = html("{}, {}{}", plural(len(files), "file"), total, kind)
    return details(summary, html("<ul>{}</ul>", each("<li>{}</li>", named)))


def _skipped(report: ScanResult) -> Html:
    skipped = report.identity.skipped_files
    if not skipped:
        return NOTHING
    listed = each("<li><code>{}</code> {}</li>", ((file.name, file.why) for file in skipped))
    return details(plural(len(skipped), "other weight file"), html("<ul>{}</ul>", listed))


def guessed(report: ScanResult) -> Html:
    """A banner where no family describes the model, else nothing."""
    if not report.map.guessed:
        return NOTHING
    nearest = join(", ", (html("<strong>{}</strong>", name) for name in report.map.nearest))
    return html(
        '<aside class="banner warn" aria-label="Guessed roles"><h2>The roles on this page are guessed</h2>'
        "<p>No known family describes this model, so roles were inferred from tensor names and shapes.{} "
        "The numbers of each matrix hold all the same; what the matrix is called may be wrong. "
        'Check the <a href="#coverage">coverage</a> first.</p></aside>',
        html(" The nearest known families are {}.", nearest) if nearest else NOTHING,
    )


def notes(report: ScanResult) -> Html:
    """Warnings of the scan, the first few open."""
    if not report.notes:
        return NOTHING
    items = [html("<li>{}</li>", shown(note, 1000)) for note in report.notes]
    first, rest = items[:NOTES_SHOWN], items[NOTES_SHOWN:]
    return html(
        '<aside class="banner info" aria-label="Notes"><h2>Notes</h2><ul>{}</ul>{}</aside>',
        join("", first),
        details(plural(len(rest), "more note"), html("<ul>{}</ul>", join("", rest))) if rest else NOTHING,
    )
