"""What an earlier report knows already."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.findings import FINDINGS, found, with_findings
from weightaudit.audit.baseline import identity_of, read_baseline
from weightaudit.errors import UsageError
from weightaudit.records import Finding, Suppressed
from weightaudit.records.scan import SCHEMA

FIRST, SECOND, _ = FINDINGS
WHOLE = Finding("dtype-mismatch", "warning", "", detail="config.json says float32, and 97% of 1,234 are float16.")


def written(path: Path, *findings: Finding) -> str:
    with_findings(found(), *findings).to_json(path)
    return str(path)


@pytest.mark.parametrize(
    "change",
    [
        {"value": 1e9, "threshold": 3.0, "detail": "other numbers"},
        {"severity": "info", "title": "other words", "advice": "other advice"},
        {"baseline_state": "unchanged"},
    ],
)
def test_the_same_whatever_was_measured(change: dict[str, Any]) -> None:
    assert identity_of(replace(FIRST, **change)) == identity_of(FIRST)


@pytest.mark.parametrize(
    "change",
    [{"id": "x"}, {"layer": 4}, {"stack": "decoder"}, {"expert": 1}, {"role": "K"}, {"tensors": (*FIRST.tensors, "b")}],
)
def test_another_rule_place_or_tensor_is_another_finding(change: dict[str, Any]) -> None:
    assert identity_of(replace(FIRST, **change)) != identity_of(FIRST)


def test_one_without_place_and_tensors_is_known_by_its_words() -> None:
    assert identity_of(replace(WHOLE, detail=WHOLE.detail.replace("97%", "12%"))) == identity_of(WHOLE)
    assert identity_of(replace(WHOLE, detail=WHOLE.detail.replace("97%", "2.5%"))) == identity_of(WHOLE)
    for words in (("float16", "bfloat16"), ("1,234", "1,235")):  # a count is not measured
        assert identity_of(replace(WHOLE, detail=WHOLE.detail.replace(*words))) != identity_of(WHOLE)


def test_what_is_new_known_and_gone(tmp_path: Path) -> None:
    known = read_baseline(written(tmp_path / "old.json", FIRST, FIRST, SECOND, WHOLE))
    told, (hidden,), counts = known.compare(
        [replace(FIRST, value=3.0), FIRST, FIRST, replace(FIRST, layer=5)], [Suppressed(SECOND, "dead-rows")], "other"
    )
    assert [one.baseline_state for one in told] == ["unchanged", "unchanged", "new", "new"]
    assert hidden.finding.baseline_state == "unchanged"
    assert counts == {
        "path": str(tmp_path / "old.json"),
        "model": "bert-base-uncased",
        "same_model": False,
        "new": 2,
        "unchanged": 2,
        "gone": 1,
    }


def test_a_report_beside_a_baseline_is_a_baseline(tmp_path: Path) -> None:
    first = read_baseline(written(tmp_path / "old.json", *FINDINGS))
    told, _, _ = first.compare(FINDINGS, [], "bert-base-uncased")
    assert (
        read_baseline(written(tmp_path / "new.json", *told)).known == first.known == Counter(map(identity_of, FINDINGS))
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a report holds that has `FINDINGS`."""
    return Path(written(tmp_path_factory.mktemp("report") / "old.json", *FINDINGS)).read_text("utf-8")


def _without(name: str) -> Callable[[Any], object]:
    return lambda said: said["findings"][0].pop(name)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda said: said.update(schema=SCHEMA + 1), "another version of weightaudit wrote it"),
        (lambda said: said.pop("findings"), "it is not the report of one model"),
        (lambda said: said.update(findings={}), "it is no list"),
        (lambda said: said.update(findings=[1]), "a finding is no object"),
        (lambda said: said.update(model=7), "it is no text"),
        (_without("layer"), "a finding lacks 'layer'"),
        (lambda said: said["findings"][0].update(layer="3"), "it is no whole number from 0"),
        (lambda said: said["findings"][0].update(layer=True), "it is no whole number from 0"),
        (lambda said: said["findings"][0].update(tensors="abc"), "it is no list"),
        (lambda said: said["findings"][0].update(detail=None), "it is no text"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, report: str, change: Callable[[Any], object], cause: str) -> None:
    path = tmp_path / "old.json"
    said = json.loads(report)
    change(said)
    path.write_text(json.dumps(said))
    with pytest.raises(UsageError, match=cause):
        read_baseline(str(path))


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 200 + b"]" * 200, b'{"a": 1, "a": 2}', b"\xff", b"[1]"])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "old.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"^baseline .*--json FILE$"):
        read_baseline(str(path))


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_baseline(str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match=r"baseline .*: "):
        read_baseline(str(tmp_path))
