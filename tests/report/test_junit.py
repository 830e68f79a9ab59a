"""The report as JUnit's XML, read by a parser of it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import pytest

from tests.support import factory
from tests.support.findings import FINDINGS, with_findings
from weightaudit import ScanReport
from weightaudit.own_reports import is_own
from weightaudit.records import Finding, NotJudged
from weightaudit.report.junit import write_junit

HOSTILE = (*factory.HOSTILE_NAMES, "]]>", "&#x0;", "\ufffe", "::error::x", "##vso[x]")
FailOn = Literal["error", "warning", "info", "never"]


def written(report: ScanReport, fail_on: FailOn = "error") -> ElementTree.Element:
    """The one suite, its counts checked."""
    file = io.BytesIO()
    write_junit(report, file, fail_on=fail_on)
    root = ElementTree.fromstring(file.getvalue())
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    for one in (root, suite):
        assert one.attrib["tests"] == str(len(suite.findall("testcase")))
        assert one.attrib["failures"] == str(len(suite.findall("testcase/failure")))
        assert one.attrib["skipped"] == str(len(suite.findall("testcase/skipped")))
    return suite


def failing(suite: ElementTree.Element) -> list[str]:
    return [case.attrib["name"] for case in suite.findall("testcase") if case.find("failure") is not None]


def report() -> ScanReport:
    return replace(with_findings(factory.bert(), *FINDINGS), rules=("nonfinite", "dead-rows", "saturated", "missing"))


@pytest.mark.parametrize(
    ("fail_on", "ids"),
    [
        ("error", ["nonfinite"]),
        ("warning", ["nonfinite", "dead-rows"]),
        ("info", ["nonfinite", "dead-rows", "saturated"]),
        ("never", []),
    ],
)
def test_a_rule_is_a_case_and_fails_by_severity(fail_on: FailOn, ids: list[str]) -> None:
    suite = written(report(), fail_on)
    assert [case.attrib["name"] for case in suite.findall("testcase")] == list(report().rules)
    assert failing(suite) == ids


def test_what_a_failure_says() -> None:
    failure = written(report()).find("testcase/failure")
    assert failure is not None
    assert failure.attrib == {"type": "error", "message": "error: Entries that are no numbers (1 place)"}
    assert failure.text == f"error: {FINDINGS[0].detail}\nDo not use these weights."


def test_what_the_baseline_knows_does_not_fail() -> None:
    known = replace(FINDINGS[0], baseline_state="unchanged")
    suite = written(replace(report(), findings=(known,)))
    assert failing(suite) == []
    assert "(known to the baseline)" in (suite.findtext("testcase/system-out") or "")
    assert failing(written(replace(report(), findings=(known, replace(FINDINGS[0], baseline_state="new"))))) == [
        "nonfinite"
    ]


def test_a_rule_that_could_not_judge_is_skipped() -> None:
    unjudged = (NotJudged("missing", "No config.", False), NotJudged("saturated", "Partly.", True))
    suite = written(replace(report(), findings=FINDINGS[:2], not_judged=unjudged))
    skipped = {case.attrib["name"]: one.attrib for case in suite.findall("testcase") for one in case.findall("skipped")}
    assert skipped == {"missing": {"message": "No config."}}
    assert "Not judged in part by saturated: Partly." in (suite.findtext("system-out") or "")


@pytest.mark.parametrize("name", factory.SMALL)
def test_every_kind_of_report(name: str) -> None:
    written(factory.SMALL[name](), "info")


def test_names_are_text_and_start_no_command() -> None:
    told = [Finding(name, "error", name, advice=name, detail=name, role=name) for name in HOSTILE]
    hostile = replace(with_findings(factory.hostile(), *told), rules=HOSTILE)
    file = io.BytesIO()
    write_junit(hostile, file)
    assert file.getvalue().isascii()
    assert b"::" not in file.getvalue()
    assert b"##" not in file.getvalue()
    suite = written(hostile)
    failures = [failure.text or "" for failure in suite.findall("testcase/failure")]
    assert len(failures) == len(HOSTILE)
    assert "::error::x" in failures[HOSTILE.index("::error::x")]


def test_a_report_of_ours_is_known(tmp_path: Path) -> None:
    report().to_junit(tmp_path / "a.xml", fail_on="warning")
    assert is_own(tmp_path / "a.xml")
    (tmp_path / "b.xml").write_text('<?xml version="1.0"?>\n<testsuites name="other"/>')
    assert not is_own(tmp_path / "b.xml")
