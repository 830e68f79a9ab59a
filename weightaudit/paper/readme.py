"""Verdicts in words: for the terminal, and as the README.md beside the outputs, so that nobody copies numbers by hand.

Both are made from what verdict.json holds.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from weightaudit.paper.page import numbers_text
from weightaudit.paper.running import Ran
from weightaudit.report.atomic_write import replacing

WIDTH = 100
README = "README.md"


def told(ran: Sequence[Ran]) -> str:
    """Every claim with its outcome and what decided it, for a terminal."""
    return "\n".join(line for one in ran for line in _lines(one))


def _lines(one: Ran) -> list[str]:
    lines = [one.experiment.title]
    if one.verdict is None:
        return [*lines, *_wrapped(f"not run: {one.why_not}", 2)]
    for claim in one.verdict["claims"]:
        lines += _wrapped(f"{claim['outcome']:<12}  {claim['text']} ({claim['source']})", 2, hanging=14)
        lines += _wrapped(claim["why"], 16)
    for note in one.verdict["notes"]:
        lines += _wrapped(f"note: {note}", 2)
    return lines


def _wrapped(text: str, indent: int, hanging: int = 0) -> list[str]:
    blank = " " * indent
    return textwrap.wrap(text, WIDTH, initial_indent=blank, subsequent_indent=blank + " " * hanging) or [blank]


def write_readme(ran: Sequence[Ran], out: Path, command: str) -> Path:
    """Write ``out/README.md``: how the outputs were made, and each experiment's verdicts and picture."""
    path = out / README
    with replacing(path) as file:
        file.write(readme(ran, command).encode("utf-8", "backslashreplace"))
    return path


def readme(ran: Sequence[Ran], command: str) -> str:
    """The text of `write_readme`. The pages (NAME.html) are not linked: they are large, and may not be kept."""
    parts = [
        "# The paper's experiments: what came out",
        "Kuzborskij & Abbasi Yadkori, *Low-rank bias, weight decay, and model merging in neural networks*, arXiv "
        f"2502.17340. Made by `{command}`; this page is written by that command from each experiment's `verdict.json`.",
        "Each folder has every point (`points.csv`), the charts (PNG, and an interactive page where it was kept), the "
        "settings, each marked as stated in the paper or ours (`config.json`), and the verdicts with their numbers "
        "(`verdict.json`).",
        _overview(ran),
        *(_section(one) for one in ran),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _overview(ran: Sequence[Ran]) -> str:
    lines = ["| experiment | true | false | inconclusive |", "|---|---|---|---|"]
    for one in ran:
        if one.verdict is None:
            lines.append(f"| {one.experiment.name} | not run | | |")
            continue
        outcomes = [claim["outcome"] for claim in one.verdict["claims"]]
        counts = " | ".join(str(outcomes.count(outcome)) for outcome in ("true", "false", "inconclusive"))
        lines.append(f"| [{one.experiment.name}](#{_anchor(one.experiment.title)}) | {counts} |")
    return "\n".join(lines)


def _section(one: Ran) -> str:
    name, heading = one.experiment.name, f"## {one.experiment.title}"
    if one.verdict is None:
        return f"{heading}\n\nNot run: {_cell(one.why_not)}"
    claims = one.verdict["claims"]
    table = ["| outcome | claim | what decided it | source |", "|---|---|---|---|"]
    table += [
        f"| **{claim['outcome']}** | {_cell(claim['text'])} | {_cell(claim['why'])} | {_cell(claim['source'])} |"
        for claim in claims
    ]
    details = [
        f"- `{claim['id']}`: judged by: {_cell(claim['tolerance'])}. "
        f"Numbers: {_cell(numbers_text(claim['numbers']) or 'none')}."
        for claim in claims
    ]
    versions = ", ".join(f"{package} {number}" for package, number in one.verdict["versions"].items())
    return "\n\n".join(
        [
            heading,
            f"![{_cell(one.experiment.title)}]({name}/{name}.png)",
            "\n".join(table),
            *(f"Note: {_cell(note)}" for note in one.verdict["notes"]),
            "<details><summary>Numbers and tolerances</summary>\n\n" + "\n".join(details) + "\n\n</details>",
            f"[points]({name}/points.csv), [settings]({name}/config.json), [verdict]({name}/verdict.json). {versions}.",
        ]
    )


def _cell(text: str) -> str:
    """Text that cannot break a table, and of which Markdown makes nothing else. One line, no full stop at the end."""
    return re.sub(r"([\\|<>*_\[\]`])", r"\\\1", " ".join(text.split())).rstrip(".")


def _anchor(title: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
