"""--format: what stdout gets, and that names in it start no command of GitHub's."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import factory
from tests.support.findings import FINDINGS, found, with_findings
from tests.support.running import CommandLine
from weightaudit import ScanReport
from weightaudit.cli.github import MAX_PER_TYPE, workflow_commands
from weightaudit.records import Finding, ModelIdentity, SourceFile

HOSTILE = ("::error::x", "a\n::stop-commands::x", "##[add-mask]e", "%0A::error::x", "a,file=b:c\r", "lone\ud800")


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> ScanReport:
    """What every scan returns in this test."""
    report = replace(found(), notes=("a note with ##[group]",))
    monkeypatch.setattr("weightaudit.api.scan", lambda model, **options: report)
    return report


@pytest.mark.parametrize("quiet", [(), pytest.param(("--quiet",), marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["sarif", "json"])
def test_a_document_and_nothing_else(
    weightaudit: CommandLine, scanned: ScanReport, tmp_path: Path, kind: str, quiet: tuple[str, ...]
) -> None:
    file = tmp_path / f"r.{kind}"
    done = weightaudit("scan", "x", "--format", kind, "--out", file, *quiet)
    assert done.code == 1
    written = file.read_text("utf-8")
    assert done.stdout == written.replace("##[", r"#\u0023[")  # the same bytes, but for a name that is a command
    assert json.loads(done.stdout) == json.loads(written)
    assert done.stderr.splitlines()[-1] == "1 finding at or above error: exit code 1 (--fail-on)"


def test_annotations(weightaudit: CommandLine, scanned: ScanReport) -> None:
    done = weightaudit("scan", "x", "--format", "github", "--quiet")
    assert done.stdout.splitlines() == [
        "::error title=nonfinite (layer 3 Q),file=config.json::12 of 589,824 entries of layer 3 Q are NaN or infinite, "
        "the first in row 5 and column 7 of the matrix as stored. Do not use these weights.",
        f"::warning title=dead-rows (decoder layer 11 expert 63 M1),file=config.json::{FINDINGS[1].detail}",
        "::notice title=saturated,file=config.json::Entries at the limit",
        "verdict: 1 error, 1 warning, 1 info (21 rules checked)",
    ]
    assert done.stderr.splitlines()[0] == "note: a note with ## [group]"


@pytest.mark.parametrize(("kind", "ending"), [("markdown", "md"), ("junit", "xml")])
def test_a_text_document_and_nothing_else(
    weightaudit: CommandLine, scanned: ScanReport, tmp_path: Path, kind: str, ending: str
) -> None:
    file = tmp_path / f"r.{ending}"
    done = weightaudit("scan", "x", "--format", kind, "--out", file, "--quiet", "--fail-on", "warning")
    assert (done.code, done.stdout) == (1, file.read_text("utf-8"))
    assert kind != "junit" or 'failures="2"' in done.stdout  # by --fail-on


@pytest.mark.parametrize("kind", ["markdown", "junit"])
def test_a_text_document_has_no_commands(weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    told = [Finding(name, "error", name, detail=name, advice=name) for name in HOSTILE]
    report = with_findings(factory.hostile(), *told)
    monkeypatch.setattr("weightaudit.api.scan", lambda model, **options: report)
    lines = weightaudit("scan", "x", "--format", kind, "--quiet").stdout.splitlines()
    assert lines
    assert not any(line.lstrip().startswith("::") or "##[" in line or "\x1b" in line for line in lines)


def test_what_the_baseline_knows_is_a_notice() -> None:
    known = replace(FINDINGS[0], baseline_state="unchanged")
    first, second, *_ = workflow_commands(with_findings(factory.bert(), known, FINDINGS[1])).splitlines()
    assert first.startswith("::notice title=nonfinite (layer 3 Q)%2C known to the baseline,file=")
    assert second.startswith("::warning ")


def test_as_many_as_github_shows() -> None:
    error, _, info = FINDINGS
    lines = workflow_commands(with_findings(factory.bert(), *[error] * 13, *[info] * 11)).splitlines()
    assert [line.split()[0] for line in lines] == ["::error"] * MAX_PER_TYPE + ["::notice"] * MAX_PER_TYPE + [
        "verdict:"
    ]
    assert lines[-2] == "::notice title=weightaudit::and 5 more: GitHub shows 10 of a type; --json has all"
    exactly = workflow_commands(with_findings(factory.bert(), *[error] * MAX_PER_TYPE, *[info] * MAX_PER_TYPE))
    assert exactly.count("saturated") == MAX_PER_TYPE
    assert "more" not in exactly


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_starts_no_command(name: str) -> None:
    finding = Finding(name, "error", name, name, 1, 2, name, (name,), advice=name, detail=name)
    identity = ModelIdentity(name, "", f"dir/{name}", (SourceFile(name, 1),))
    text = workflow_commands(replace(with_findings(factory.bert(), finding), identity=identity))
    command, verdict = text.split("\n")
    assert verdict.startswith("verdict: 1 error")
    assert "##[" not in text
    assert "\r" not in text
    head, data = command.removeprefix("::error ").split("::", 1)
    # As the runner reads it: properties end at a comma, the head at the first double colon.
    assert [part.split("=", 1)[0] for part in head.split(",")] == ["title", "file"]
    assert "%" not in data.replace("%25", "")
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "xml"), "--format': 'xml' is not one of 'text', 'github', 'sarif', 'json', 'markdown', 'junit'"),
        (("--fail-on", "fatal"), "--fail-on': 'fatal' is not one of 'error', 'warning', 'info', 'never'"),
    ],
)
def test_wrong_choices(weightaudit: CommandLine, words: tuple[str, ...], said: str) -> None:
    done = weightaudit("scan", "x", *words)
    assert (done.code, done.stdout, done.stderr) == (
        2,
        "",
        f"weightaudit: Invalid value for '{said}. See 'weightaudit scan --help'\n",
    )


def test_text_is_the_default_and_quiet_silences_it(weightaudit: CommandLine, scanned: ScanReport) -> None:
    assert weightaudit("scan", "x").stdout.startswith("verdict: 1 error")
    assert weightaudit("scan", "x", "--quiet").stdout == ""


def test_documents_are_bytes_whatever_stdout_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: another encoding, and line ends of its own."""
    from weightaudit.cli.formats import show

    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="cp1252", newline="\r\n"))
    show(replace(found(), notes=("σ",)), "json")
    assert json.loads(raw.getvalue().decode("utf-8"))["notes"] == ["σ"]
    assert b"\r" not in raw.getvalue()
