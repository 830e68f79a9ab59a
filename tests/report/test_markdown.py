"""The report as Markdown, read by a parser of it: what a stranger calls things is text and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support import factory
from tests.support.findings import FINDINGS, found, with_findings
from weightaudit.model_files import ModelFiles
from weightaudit.own_reports import is_own
from weightaudit.records import Finding, ModelIdentity, NotJudged, SourceFile, Suppressed
from weightaudit.report.markdown import MARK, MOST_PLACES, markdown, neutral
from weightaudit.text import printable

HOSTILE = (
    *factory.HOSTILE_NAMES,
    "](https://evil.example) [x](javascript:alert(1))",
    "![](https://evil.example/x.png)",
    "`code` ``more`` ```",
    "a | b | c",
    "# heading",
    "- item",
    "1. item",
    "2) item",
    "+ item",
    "> quote",
    "    indented",
    "***",
    "===",
    "---",
    "~~gone~~ __b__ *i*",
    "&lt;b&gt; &#64;",
    "$x$ $$y$$",
    "\\*not*",
    ":---: | x",
)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def tokens(text: str) -> Iterator[Token]:
    for one in PARSER.parse(text):
        yield one
        yield from one.children or ()


def shown(text: str) -> str:
    """What a reader sees of one line."""
    return "".join(one.content for one in tokens(text) if one.type in ("text", "text_special"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text(name: str) -> None:
    text = f"- {neutral(name)}"
    kinds = {one.type for one in tokens(text)}
    assert kinds <= {
        *("bullet_list_open", "list_item_open", "paragraph_open", "inline", "text", "text_special"),
        *("paragraph_close", "list_item_close", "bullet_list_close"),
    }
    assert shown(text).strip() == printable(name.lstrip()).strip()


def test_nobody_is_called_and_no_address_is_one() -> None:
    """What GitHub makes links of by itself, apart from the marks of a link."""
    assert neutral("@octocat and me@example.com") == "@<!-- -->octocat and me@<!-- -->example.com"
    for address in ("https://evil.example", "HTTP://evil.example", "WWW.evil.example", "www.evil.example"):
        assert address not in neutral(f"see {address} now")
        assert shown(neutral(address)) == address


@pytest.mark.parametrize("name", factory.ALL)
def test_every_kind_of_report(name: str) -> None:
    text = markdown(factory.ALL[name]())
    assert text.startswith(f"{MARK}\n\n## Weights of ")
    kinds = {one.type for one in tokens(text)}
    assert not kinds & {"link_open", "image", "fence", "code_block", "blockquote_open", "hr"}


def test_hostile_findings_make_no_markup() -> None:
    told = [Finding(name, "error", name, "", 1, None, name, (name,), advice=name, detail=name) for name in HOSTILE]
    report = with_findings(factory.hostile(), *told)
    report = replace(
        report,
        identity=ModelIdentity(HOSTILE[0], HOSTILE[1], "x", (SourceFile("x", 1),)),
        not_judged=tuple(NotJudged(name, name, False) for name in HOSTILE),
        suppressed=(Suppressed(told[0], HOSTILE[-4]),),
    )
    found = list(tokens(markdown(report)))
    assert not {one.type for one in found} & {"link_open", "image", "fence", "code_block", "hr", "s_open"}
    assert {one.content for one in found if one.type.startswith("html")} <= {f"{MARK}\n", MARK, "<!-- -->"}
    assert sum(one.type == "heading_open" for one in found) == 1 + len(HOSTILE)


def test_what_it_says() -> None:
    told = (
        replace(FINDINGS[0], baseline_state="unchanged"),
        *(replace(one, baseline_state="new") for one in FINDINGS[1:]),
    )
    report = replace(
        found(),
        findings=told,
        partial=("--roles",),
        not_judged=(NotJudged("missing", "No config.", False),),
        suppressed=(Suppressed(FINDINGS[0], "nonfinite:K"),),
        gate={"baseline": {"path": "old.json", "model": "m", "same_model": True, "new": 2, "unchanged": 1, "gone": 4}},
    )
    lines = markdown(report).splitlines()
    assert lines[2].startswith("## Weights of bert-base-uncased @ 86b5e09344")
    assert lines[4].startswith("**verdict: partial (--roles: ")
    assert lines[4].endswith(" 1 error, 1 warning, 1 info (21 rules checked, 1 could not judge)**")
    assert lines[6:9] == [
        "- Not judged by missing: No config.",
        "- Suppressed: 1 finding, by nonfinite:K (1).",
        "- Beside the baseline old.json: 2 new, 1 known, 4 gone.",
    ]
    assert "### error: Entries that are no numbers (`nonfinite`)" in lines
    assert "1 place, 1 known to the baseline:" in lines
    assert f"- {FINDINGS[0].detail} *(known)*" in lines
    assert "**What to do**: Do not use these weights." in lines
    assert any(line.startswith("| Q | 12 | 768×768 | ") for line in lines)


def test_a_matrix_without_numbers_leaves_the_range_of_its_role() -> None:
    """Beside a NaN nothing is sorted: the range is that of the others."""
    report = factory.bert(3)
    norms = iter((5.0, 1.0, 3.0))
    rows = [
        replace(row, spectrum=replace(row.spectrum, frobenius_norm=next(norms))) if row.matrix.role == "Q" else row
        for row in report.rows
    ]
    second = [i for i, row in enumerate(rows) if row.matrix.role == "Q"][1]
    rows[second] = replace(rows[second], spectrum=factory.nan_spectrum())
    line = next(line for line in markdown(replace(report, rows=tuple(rows))).splitlines() if line.startswith("| Q "))
    assert line.startswith("| Q | 3 | 768×768 | 3 – 5 | ")


def test_many_places_of_one_rule() -> None:
    text = markdown(with_findings(factory.bert(), *[FINDINGS[0]] * (MOST_PLACES + 3)))
    assert text.count("are NaN or infinite") == MOST_PLACES
    assert "- and 3 places more; the JSON report has all" in text


def test_a_report_of_ours_is_known_and_no_card_is_written(tmp_path: Path) -> None:
    from weightaudit.errors import OutputError

    found().write(tmp_path / "audit.md")
    assert is_own(tmp_path / "audit.md")
    (tmp_path / "notes.md").write_text("# Notes\n")
    assert not is_own(tmp_path / "notes.md")
    models = ModelFiles(trees=frozenset([tmp_path.resolve()]))
    models.check(tmp_path / "audit.md", tmp_path.resolve() / "audit.md")
    for name in ("README.md", "notes.md"):
        with pytest.raises(OutputError):
            models.check(tmp_path / name, tmp_path.resolve() / name)
