"""The findings as SARIF 2.1.0 (OASIS 2020), the format of code-scanning pages. No timings; the same report, the same
bytes.

Such pages need a file for every result: it is the one that holds the tensor, or the model's first where a finding names
none. Tensors are named as logical locations.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from weightaudit.records import Finding, ModelIdentity, NotJudged, Reported, ScanResult
from weightaudit.report.adapters import said_of_adapter
from weightaudit.report.quantisation import said_of_formats
from weightaudit.report.verdict import located
from weightaudit.text import printable
from weightaudit.version import documentation

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "info": "note"}
MAX_TEXT_CHARS = 1000
"""Characters of a text that may repeat a stranger's names."""
_SEMANTIC = re.compile(r"\d+\.\d+\.\d+")


def write_sarif(report: ScanResult, file: BinaryIO) -> None:
    """Strict JSON in ASCII, ended by a newline."""
    write_log(log(report), file)


def write_log(log: dict[str, Any], file: BinaryIO) -> None:
    """Strict JSON in ASCII, ended by a newline."""
    file.write((json.dumps(log, indent=1, allow_nan=False) + "\n").encode("ascii"))


def log(report: ScanResult) -> dict[str, Any]:
    """The SARIF log of a scan."""
    said = [*filter(None, [said_of_adapter(report)]), *said_of_formats(report)]
    told = [*map(_note, said), *map(_notification, report.not_judged)]
    return log_of(report, report.identity, files_of(report), told)


def log_of(
    report: Reported,
    identity: ModelIdentity,
    uri: Callable[[Finding], str],
    told: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The SARIF log of what was found about the model ``identity``: one run, with a rule for every id that was found.

    ``uri`` is the address of the file that a finding is about, ``told`` are notifications.
    """
    first: dict[str, Finding] = {}
    for finding in (*report.findings, *(one.finding for one in report.suppressed)):
        first.setdefault(finding.id, finding)
    run: dict[str, Any] = {
        "tool": {"driver": _driver(report.versions["weightaudit"], first.values())},
        # Several models of one repository are several analyses there, by what stands before the last slash.
        "automationDetails": {"id": f"weightaudit/{_encoded(identity.name)}/"},
        "results": list(_results(report, list(first), uri)),
        "properties": {
            "model": identity.name,
            "revision": identity.revision,
            "verdict": report.verdict,
            "rulesChecked": list(report.rules),
        },
    }
    if report.partial:
        run["properties"]["partial"] = list(report.partial)
    if told:
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": list(told)}]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _note(said: str) -> dict[str, Any]:
    return {"level": "note", "message": {"text": _text(said)}}


def _notification(one: NotJudged) -> dict[str, Any]:
    """Of a rule that could not judge. A result would be an alert on pages that do not know of its kind."""
    how = "judged in part" if one.partly else "not judged"
    return {
        "level": "note",
        "message": {"text": _text(f"{one.rule}: {how}. {one.reason}")},
        "associatedRule": {"id": one.rule},
    }


def files_of(report: ScanResult) -> Callable[[Finding], str]:
    """Finding → `file_uri` of the file that holds its first tensor, or of the model's first where it names none."""
    holding = {entry.tensor: entry.file for entry in report.coverage_entries}

    def uri(finding: Finding) -> str:
        held = (holding[name] for name in finding.tensors if holding.get(name))
        return file_uri(report.identity, next(held, "") or first_file(report.identity))

    return uri


def first_file(identity: ModelIdentity) -> str:
    """Name of the model's first file, or its own where it has none."""
    return identity.files[0].name if identity.files else identity.name


def file_uri(identity: ModelIdentity, name: str) -> str:
    """The model's file ``name``, percent-encoded.

    A file of the Hub by its name; a local one by its path as the model's was given, so from the working directory, or
    absolute.
    """
    if "://" in identity.location:
        return _encoded(name)
    path = Path(identity.location)
    # A model that was given as one file is called by it and its directory: by two words.
    whole = (path.parent if "/" in identity.name.strip("/") else path) / name
    text = whole.as_posix()
    if not whole.is_absolute():
        return _encoded(text)
    return f"file://{'' if text.startswith('/') else '/'}{_encoded(text, also=':')}"


def _driver(version: str, found: Iterable[Finding]) -> dict[str, Any]:
    driver: dict[str, Any] = {"name": "weightaudit", "version": version, "rules": [_rule(one) for one in found]}
    if _SEMANTIC.fullmatch(version):
        driver["semanticVersion"] = version
    return driver


def _rule(finding: Finding) -> dict[str, Any]:
    title = _text(finding.title)
    address = help_address(finding.id)
    return {
        "id": finding.id,
        **({"helpUri": address} if address else {}),
        "name": title,
        "shortDescription": {"text": title},
        "fullDescription": {"text": title},
        "help": {"text": _text(finding.advice or finding.title)},
        "defaultConfiguration": {"level": LEVELS[finding.severity]},
    }


def help_address(rule: str) -> str:
    """Where the documentation's site explains the rule; "" where this package does not know of a site."""
    site = documentation()
    return f"{site.rstrip('/')}/findings.html#{rule}" if site else ""


def _results(report: Reported, ids: list[str], uri: Callable[[Finding], str]) -> Iterator[dict[str, Any]]:
    seen: Counter[str] = Counter()
    suppressed = ((one.finding, one.by) for one in report.suppressed)
    for finding, by in (*((finding, "") for finding in report.findings), *suppressed):
        digest = _digest(finding)
        seen[digest] += 1
        result = {
            "ruleId": finding.id,
            "ruleIndex": ids.index(finding.id),
            "level": LEVELS[finding.severity],
            "message": {"text": _text(located(finding))},
            "locations": [_location(finding, uri(finding))],
            # By this name GitHub knows an alert again.
            "partialFingerprints": {"primaryLocationLineHash": f"{digest}:{seen[digest]}"},
            "properties": _properties(finding),
        }
        if finding.baseline_state:
            result["baselineState"] = finding.baseline_state
        if by:
            # Pages that do not look at suppressions must not fail because of it.
            result["level"] = "note"
            result["suppressions"] = [{"kind": "external", "justification": _text(by)}]
        yield result


def _location(finding: Finding, uri: str) -> dict[str, Any]:
    # A line of a binary file says nothing, but pages do not show a result without one.
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}},
    }
    if finding.tensors:
        tensors = dict.fromkeys(finding.tensors)
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "member"} for name in tensors]
    return location


def _properties(finding: Finding) -> dict[str, Any]:
    """What is known of place and measure."""
    said = {
        "value": finding.value,
        "threshold": finding.threshold,
        "stack": finding.stack or None,
        "layer": finding.layer,
        "expert": finding.expert,
        "role": finding.role or None,
    }
    return {
        name: value
        for name, value in said.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def _digest(finding: Finding) -> str:
    """The same for the same rule at the same place, whatever the numbers."""
    where = [finding.id, finding.stack, finding.layer, finding.expert, finding.role, *finding.tensors]
    return hashlib.sha256(json.dumps(where).encode()).hexdigest()[:16]


def _text(text: str) -> str:
    """``text`` as a SARIF message: braces would be placeholders, and ``[…](…)`` a link."""
    return printable(text, MAX_TEXT_CHARS).replace("{", "{{").replace("}", "}}").replace("](", "] (")


def _encoded(text: str, also: str = "") -> str:
    return quote(text, safe=f"/{also}", errors="backslashreplace")
