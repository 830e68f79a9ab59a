"""The verdict of each model of a batch, and what of a stranger's directory is believed for it."""

from __future__ import annotations

import json
from pathlib import Path

from weightaudit.batches.manifest import Listed
from weightaudit.batches.outcome import Outcome
from weightaudit.batches.results import Results, content_of
from weightaudit.batches.verdicts import ModelVerdict, verdict_of, worst_first
from weightaudit.report.layout import SUMMARY_JSON

FINDING = {"id": "nonfinite", "stack": "", "layer": 3, "expert": None, "role": "Q", "detail": "x", "more": 1}


def left(folder: Path, said: object) -> ModelVerdict:
    """That of a model whose summary says this."""
    (folder / SUMMARY_JSON).write_text(json.dumps(said))
    return ModelVerdict(
        "m", "errors", {"error": 1}, results=Results(folder, {SUMMARY_JSON: content_of(folder / SUMMARY_JSON)})
    )


def test_worst_first() -> None:
    given = [
        ModelVerdict("clean", "clean", {"info": 9}),
        ModelVerdict("failed", "failed"),
        ModelVerdict("one", "errors", {"error": 1, "warning": 50}),
        ModelVerdict("unchecked", "unchecked"),
        ModelVerdict("few", "warnings", {"warning": 1}),
        ModelVerdict("many", "warnings", {"warning": 2}),
        ModelVerdict("two", "errors", {"error": 2}),
        ModelVerdict("quiet", "clean"),
        ModelVerdict("still", "clean"),
    ]
    order = ["two", "one", "many", "few", "failed", "unchecked", "clean", "quiet", "still"]
    assert [one.title for one in worst_first(given)] == order


def test_of_an_outcome(tmp_path: Path) -> None:
    listed = Listed(0, "m", "m", "m", "")
    assert verdict_of(listed, None, tmp_path, "not yet") == ModelVerdict("m", "failed", reason="not yet")
    failed = Outcome("k", "failed", "m", reason="gone")
    assert verdict_of(listed, failed, tmp_path, "") == ModelVerdict("m", "failed", reason="gone")
    done = Outcome("k", "done", "m", entry={"findings": {"warning": 2}}, verdict="warnings")
    told = verdict_of(listed, done, tmp_path, "")
    assert (told.standing, told.findings) == ("warnings", {"warning": 2})
    assert verdict_of(listed, Outcome("k", "done", "m"), tmp_path, "").standing == "unchecked"


def test_the_first_finding(tmp_path: Path) -> None:
    assert left(tmp_path, {"findings": [FINDING, {}]}).first_finding() == "nonfinite (layer 3 Q)"
    whole = {**FINDING, "layer": None, "role": ""}
    assert left(tmp_path, {"findings": [whole]}).first_finding() == "nonfinite"
    assert ModelVerdict("m", "failed", reason="x").first_finding() == ""


def test_a_summary_that_is_none_says_nothing(tmp_path: Path) -> None:
    wrong: list[object] = [[], {}, {"findings": []}, {"findings": [3]}, {"findings": [{**FINDING, "layer": "x"}]}]
    for said in wrong:
        assert left(tmp_path, said).first_finding() == ""
    changed = left(tmp_path, {"findings": [FINDING]})
    (tmp_path / SUMMARY_JSON).write_text(json.dumps({"findings": [{**FINDING, "id": "other"}]}))
    assert changed.first_finding() == ""
    (tmp_path / SUMMARY_JSON).unlink()
    assert changed.first_finding() == ""
