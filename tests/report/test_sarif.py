"""The findings as SARIF 2.1.0.

No package that the tests may install carries the standard's schema, so its requirements are checked by hand here: which
properties each object must and may have, for those objects that we write.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import weightaudit as wa
from tests.support import factory
from tests.support.findings import CHECKED, FINDINGS, found, with_findings
from tests.support.models import tiny_model
from weightaudit import ScanReport
from weightaudit.records import BaselineState, Finding, ModelIdentity, NotJudged, SourceFile, Suppressed
from weightaudit.report.sarif import file_uri, log, write_sarif

# object → (properties it must have, others that it has here); sections of the standard in brackets.
SHAPES: dict[str, tuple[set[str], set[str]]] = {
    "log [3.13]": ({"version", "runs"}, {"$schema"}),
    "run [3.14]": ({"tool", "results"}, {"automationDetails", "invocations", "properties"}),
    "invocation [3.20]": ({"executionSuccessful"}, {"toolExecutionNotifications"}),
    "notification [3.58]": ({"message"}, {"level", "associatedRule"}),
    "suppression [3.35]": ({"kind"}, {"justification"}),
    "tool [3.18]": ({"driver"}, set()),
    "driver [3.19]": ({"name"}, {"version", "semanticVersion", "rules"}),
    "rule [3.49]": ({"id"}, {"name", "shortDescription", "fullDescription", "help", "helpUri", "defaultConfiguration"}),
    "configuration [3.50]": (set(), {"level"}),
    "result [3.27]": (
        {"message", "locations"},
        {"ruleId", "ruleIndex", "level", "partialFingerprints", "properties", "baselineState", "suppressions"},
    ),
    "message [3.11]": ({"text"}, set()),
    "location [3.28]": ({"physicalLocation"}, {"logicalLocations"}),
    "physical [3.29]": ({"artifactLocation"}, {"region"}),
    "artifact [3.4]": ({"uri"}, set()),
    "region [3.30]": (set(), {"startLine"}),
    "logical [3.33]": ({"fullyQualifiedName"}, {"kind"}),
    "details [3.17]": ({"id"}, set()),
}
LEVELS = {"none", "note", "warning", "error"}


def shaped(thing: dict[str, Any], name: str) -> dict[str, Any]:
    """``thing``, which has the properties of the object ``name``."""
    kind = next(kind for kind in SHAPES if kind.startswith(name + " ["))
    required, others = SHAPES[kind]
    assert required <= thing.keys() <= required | others, kind
    return thing


def written(report: ScanReport) -> dict[str, Any]:
    """The one run of the log, all of it checked."""
    file = io.BytesIO()
    write_sarif(report, file)
    document = shaped(json.loads(file.getvalue(), parse_constant=pytest.fail), "log")
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    shaped(run, "run")
    shaped(run["automationDetails"], "details")
    driver = shaped(shaped(run["tool"], "tool")["driver"], "driver")
    rules = driver["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        shaped(rule, "rule")
        assert all(shaped(rule[key], "message")["text"] for key in ("shortDescription", "fullDescription", "help"))
        assert shaped(rule["defaultConfiguration"], "configuration")["level"] in LEVELS
    for invocation in run.get("invocations", ()):
        for told in shaped(invocation, "invocation")["toolExecutionNotifications"]:
            assert shaped(told, "notification")["level"] in LEVELS
            assert shaped(told["message"], "message")["text"]
    states = {result.get("baselineState") for result in run["results"]}
    assert states <= {None} or states <= {"new", "unchanged"}  # all of them, or none
    for result in run["results"]:
        shaped(result, "result")
        for one in result.get("suppressions", ()):
            assert shaped(one, "suppression")["kind"] in ("inSource", "external")
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in LEVELS
        assert shaped(result["message"], "message")["text"]
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
        (place,) = result["locations"]
        physical = shaped(shaped(place, "location")["physicalLocation"], "physical")
        assert shaped(physical["region"], "region")["startLine"] >= 1
        uri = shaped(physical["artifactLocation"], "artifact")["uri"]
        assert re.fullmatch(r"(file://)?([A-Za-z0-9._~/:'()!*-]|%[0-9A-F]{2})+", uri)  # RFC 3986
        names = [shaped(one, "logical")["fullyQualifiedName"] for one in place.get("logicalLocations", ())]
        assert len(set(names)) == len(names)
    return run


def test_a_run() -> None:
    run = written(found())
    assert run["tool"]["driver"]["name"] == "weightaudit"
    assert run["tool"]["driver"]["version"] == run["tool"]["driver"]["semanticVersion"] == "0.1.0"
    assert run["automationDetails"]["id"] == "weightaudit/bert-base-uncased/"
    assert run["properties"] == {
        "model": "bert-base-uncased",
        "revision": "86b5e0934494bd15c9632b12f734a8a67f723594",
        "verdict": "errors",
        "rulesChecked": list(CHECKED),
    }
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    first, second, third = run["results"]
    assert first["message"]["text"] == FINDINGS[0].detail  # which names the place
    assert second["message"]["text"] == f"decoder layer 11 expert 63 M1: {FINDINGS[1].detail}"
    assert first["properties"] == {"value": 12.0, "threshold": 0.0, "layer": 3, "role": "Q"}
    (place,) = first["locations"]
    assert place["logicalLocations"] == [{"fullyQualifiedName": FINDINGS[0].tensors[0], "kind": "member"}]
    assert second["properties"] == {"stack": "decoder", "layer": 11, "expert": 63, "role": "M1"}  # no NaN
    assert third["message"]["text"] == "Entries at the limit"
    assert run["tool"]["driver"]["rules"][0] == {
        "id": "nonfinite",
        "name": "Entries that are no numbers",
        "shortDescription": {"text": "Entries that are no numbers"},
        "fullDescription": {"text": "Entries that are no numbers"},
        "help": {"text": "Do not use these weights."},
        "defaultConfiguration": {"level": "error"},
    }


@pytest.mark.parametrize("name", factory.SMALL)
def test_every_kind_of_report(name: str) -> None:
    report = factory.SMALL[name]()
    assert len(written(report)["results"]) == len(report.findings)


def test_a_version_that_is_no_semantic_one_is_not_called_so() -> None:
    report = replace(found(), versions={"weightaudit": "0.1.0.dev0"})
    driver = written(report)["tool"]["driver"]
    assert (driver["version"], "semanticVersion" in driver) == ("0.1.0.dev0", False)


def test_one_rule_however_often_it_was_broken() -> None:
    run = written(with_findings(factory.bert(), *FINDINGS, *FINDINGS))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["nonfinite", "dead-rows", "saturated"]
    assert [result["ruleIndex"] for result in run["results"]] == [0, 1, 2, 0, 1, 2]


def test_fingerprints_are_of_place_and_rule_not_of_numbers() -> None:
    def prints(*findings: Finding) -> list[str]:
        run = written(with_findings(factory.bert(), *findings))
        return [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]

    first = FINDINGS[0]
    assert prints(first) == prints(replace(first, value=99.0, detail="99 of them", severity="warning"))
    others = [
        replace(first, layer=4),
        replace(first, expert=0),
        replace(first, id="x"),
        replace(first, stack="encoder"),
    ]
    assert len({*prints(first, *others)}) == 5
    twice = prints(first, first)
    assert [one.split(":")[0] for one in twice] == [twice[0].split(":")[0]] * 2
    assert [one.split(":")[1] for one in twice] == ["1", "2"]


def test_what_does_not_count_is_there_as_suppressed() -> None:
    first, second, third = FINDINGS
    report = replace(found(), findings=(second, third), suppressed=(Suppressed(first, "nonfinite:layer 3 {Q}"),))
    run = written(report)
    assert [result["ruleId"] for result in run["results"]] == ["dead-rows", "saturated", "nonfinite"]
    *others, last = run["results"]
    assert all("suppressions" not in one for one in others)
    assert last["suppressions"] == [{"kind": "external", "justification": "nonfinite:layer 3 {{Q}}"}]
    assert last["level"] == "note"  # for pages that look at no suppressions


def test_what_the_baseline_knows() -> None:
    states: tuple[BaselineState, ...] = ("unchanged", "new", "new")
    told = tuple(replace(one, baseline_state=state) for one, state in zip(FINDINGS, states, strict=True))
    run = written(replace(found(), findings=told))
    assert [result["baselineState"] for result in run["results"]] == list(states)
    assert all("baselineState" not in result for result in written(found())["results"])


def test_rules_that_could_not_judge_are_notifications_and_no_alerts() -> None:
    report = replace(
        found(),
        partial=("--roles",),
        not_judged=(NotJudged("missing", "Of {x}.", False), NotJudged("untrained", "Wide.", True)),
    )
    run = written(report)
    assert run["properties"]["partial"] == ["--roles"]
    assert run["invocations"] == [
        {
            "executionSuccessful": True,
            "toolExecutionNotifications": [
                {
                    "level": "note",
                    "message": {"text": f"{rule}: {text}"},
                    "associatedRule": {"id": rule},
                }
                for rule, text in (("missing", "not judged. Of {{x}}."), ("untrained", "judged in part. Wide."))
            ],
        }
    ]
    assert len(run["results"]) == 3
    assert not {"invocations"} & written(found()).keys()


def test_rules_lead_to_the_documentation_where_the_package_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all("helpUri" not in rule for rule in written(found())["tool"]["driver"]["rules"])  # it has none so far
    urls = Message()
    urls["Project-URL"] = "Paper, https://arxiv.org/abs/2502.17340"
    urls["Project-URL"] = "Documentation, https://weights.example/docs/"
    monkeypatch.setattr("importlib.metadata.metadata", lambda name: urls)
    first = written(found())["tool"]["driver"]["rules"][0]
    assert first["helpUri"] == "https://weights.example/docs/findings.html#nonfinite"


def test_the_same_bytes_and_ascii(tmp_path: Path) -> None:
    report = with_findings(factory.hostile(), *FINDINGS, *[Finding(n, "error", n) for n in factory.HOSTILE_NAMES])
    report.to_sarif(tmp_path / "a.sarif")
    report.write(tmp_path / "b.SARIF")
    assert (tmp_path / "a.sarif").read_bytes() == (tmp_path / "b.SARIF").read_bytes()
    assert (tmp_path / "a.sarif").read_bytes().isascii()
    written(report)


def test_texts_make_no_links_and_no_placeholders() -> None:
    evil = Finding("x", "error", "{0}", detail="[click](https://example.invalid) {1}\x1b[2J", advice="[a](b)")
    run = written(with_findings(factory.bert(), evil))
    assert run["results"][0]["message"]["text"] == r"[click] (https://example.invalid) {{1}}\x1b[2J"
    rule = run["tool"]["driver"]["rules"][0]
    assert (rule["shortDescription"]["text"], rule["help"]["text"]) == ("{{0}}", "[a] (b)")


@pytest.mark.parametrize(
    ("name", "location", "files", "uri"),
    [
        ("m", "models/m", ["a.safetensors", "b.safetensors"], "models/m/a.safetensors"),
        ("m", "./models//m/", ["model.safetensors"], "models/m/model.safetensors"),
        ("m", "../my models/ü", ["100%.bin"], "../my%20models/%C3%BC/100%25.bin"),
        ("m/w.bin", "models/m/w.bin", ["w.bin"], "models/m/w.bin"),
        ("m/m.index.json", "models/m/m.index.json", ["m-1.safetensors"], "models/m/m-1.safetensors"),
        ("here/w.bin", "w.bin", ["w.bin"], "w.bin"),
        ("w.bin", "w.bin", ["w.bin"], "w.bin/w.bin"),  # a directory of that name
        ("m", "/data/m", ["w.bin"], "file:///data/m/w.bin"),
        ("org/m", "https://huggingface.co/org/m", ["model.safetensors"], "model.safetensors"),
        ("m", ".", ["\ud800#?.bin"], "%5Cud800%23%3F.bin"),
    ],
)
def test_the_file(name: str, location: str, files: list[str], uri: str) -> None:
    identity = ModelIdentity(name, "", location, tuple(SourceFile(file, 1) for file in files))
    assert file_uri(identity, files[0]) == uri
    assert not urlsplit(uri).query


@pytest.mark.parametrize("inner", ["", "model.safetensors"])
def test_the_file_of_a_scan(tiny_checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, inner: str) -> None:
    monkeypatch.chdir(tiny_checkpoints["gpt2"].parent)
    identity = wa.scan(Path("gpt2", inner), layers=0, roles="O").identity
    assert file_uri(identity, identity.files[0].name) == "gpt2/model.safetensors"


def test_a_finding_points_to_the_shard_that_holds_its_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_model("gpt2", tmp_path / "gpt2", max_shard_size="20KB")
    report = wa.scan("gpt2")
    assert len(report.identity.files) > 3
    shards = {entry.tensor: entry.file for entry in report.coverage_entries}
    tensor = report.rows[-1].matrix.tensors[0]
    odd = [Finding("nonfinite", "error", "x", tensors=(tensor,)), Finding("pickle", "warning", "y")]
    run = written(replace(report, findings=tuple(odd)))
    uris = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]]
    assert shards[tensor].startswith("model-0000")
    assert uris == [f"gpt2/{shards[tensor]}", f"gpt2/{report.identity.files[0].name}"]


def test_a_clean_model_has_no_results() -> None:
    run = written(with_findings(factory.bert()))
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])
    assert run["properties"]["verdict"] == "clean"
    assert log(factory.bert())["runs"][0]["properties"]["verdict"] == "unchecked"
