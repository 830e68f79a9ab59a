"""The top of the page: which model this is, whether its roles are guessed, and what a reader must know first."""

from __future__ import annotations

from weightaudit.records import ScanResult
from weightaudit.report.html.findings import Group
from weightaudit.report.html.verdict import verdict_line
from weightaudit.report.markup import count, nbytes, share, shown
from weightaudit.report.spectra import asked
from weightaudit.text import plural

NOTES_SHOWN = 5


def header(report: ScanResult, groups: list[Group]) -> str:
    """Name, verdict, source, size and the way to the sections."""
    identity, model_map, summary = report.identity, report.map, report.summary
    dtypes = ", ".join(
        f"{shown(name)} ({share(number / total)})" if len(summary.get("dtypes") or {}) > 1 else shown(name)
        for name, number in (summary.get("dtypes") or {}).items()
        if (total := summary.get("parameters"))
    )
    family = shown(model_map.family) + (" (guessed)" if model_map.guessed else "")
    if model_map.model_type and model_map.model_type != model_map.family:
        family += f", model type {shown(model_map.model_type)}"
    facts = [
        ("Commit", f"<code>{shown(identity.revision)}</code>" if identity.revision else ""),
        ("Read from", f"<code>{shown(identity.location)}</code>"),
        ("Family", family),
        ("Parameters", f"{count(summary.get('parameters'))}" + (f" in {dtypes}" if dtypes else "")),
        ("Files", _files(report)),
        ("Skipped", _skipped(report)),
    ]
    listed = "".join(f"<div><dt>{name}</dt><dd>{fact}</dd></div>" for name, fact in facts if fact)
    links = [("summary", "Summary"), ("plots", "By layer"), ("roles", "By role"), ("table", "Every matrix")]
    links += [("coverage", "Coverage"), ("method", "How it was computed")]
    if asked(report):
        links.insert(2, ("spectra", "Spectra"))
    if report.findings:
        links.insert(1, ("findings", "Findings"))
    nav = "".join(f'<a href="#{target}">{label}</a>' for target, label in links)
    return (
        f'<header><p class="eyebrow">weightaudit · what is inside the weights</p><h1>{shown(identity.name)}</h1>'
        f'{verdict_line(report, groups)}<dl class="facts">{listed}</dl><nav aria-label="Sections">{nav}</nav></header>'
    )


def _files(report: ScanResult) -> str:
    files = report.identity.files
    named = [f"<code>{shown(file.name)}</code> {nbytes(file.nbytes)}" for file in files]
    kind = f" ({shown(report.identity.format)})" if report.identity.format else ""
    if len(files) <= 3:
        return ", ".join(named) + kind
    total = nbytes(sum(file.nbytes for file in files))
    items = "".join(f"<li>{name}</li>" for name in named)
    return f"<details><summary>{plural(len(files), 'file')}, {total}{kind}</summary><ul>{items}</ul></details>"


def _skipped(report: ScanResult) -> str:
    skipped = report.identity.skipped_files
    items = "".join(f"<li><code>{shown(file.name)}</code> {shown(file.why)}</li>" for file in skipped)
    if not items:
        return ""
    return f"<details><summary>{plural(len(skipped), 'other weight file')}</summary><ul>{items}</ul></details>"


def guessed(report: ScanResult) -> str:
    """A banner where no family describes the model, else nothing."""
    if not report.map.guessed:
        return ""
    nearest = ", ".join(f"<strong>{shown(name)}</strong>" for name in report.map.nearest)
    known = f" The nearest known families are {nearest}." if nearest else ""
    return (
        '<aside class="banner warn" aria-label="Guessed roles"><h2>The roles on this page are guessed</h2>'
        f"<p>No known family describes this model, so roles were inferred from tensor names and shapes.{known} "
        "The numbers of each matrix hold all the same; what the matrix is called may be wrong. "
        'Check the <a href="#coverage">coverage</a> first.</p></aside>'
    )


def notes(report: ScanResult) -> str:
    """Warnings of the scan, the first few open."""
    if not report.notes:
        return ""
    items = [f"<li>{shown(note, 1000)}</li>" for note in report.notes]
    first, rest = "".join(items[:NOTES_SHOWN]), "".join(items[NOTES_SHOWN:])
    more = f"<details><summary>{plural(len(items) - NOTES_SHOWN, 'more note')}</summary><ul>{rest}</ul></details>"
    return f'<aside class="banner info" aria-label="Notes"><h2>Notes</h2><ul>{first}</ul>{more if rest else ""}</aside>'
