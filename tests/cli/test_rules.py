"""`weightaudit rules`, --ignore and --fail-on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import weightaudit.api
import weightaudit.audit
from tests.support.findings import FINDINGS, made_rules
from tests.support.running import CommandLine
from weightaudit import ScanReport
from weightaudit.batches import read_model_list
from weightaudit.batches.identity import cache_key
from weightaudit.cli.fail_on import exceeded
from weightaudit.config import AuditConfig
from weightaudit.errors import UsageError
from weightaudit.merging import rules as of_a_merge
from weightaudit.pairs.rules import merging
from weightaudit.records import Finding

LITTLE = ("--layers", "0", "--roles", "Q")
"""One matrix: what is found is made up, whatever is scanned."""


@pytest.fixture(autouse=True)
def _rules(monkeypatch: pytest.MonkeyPatch) -> None:
    made_rules(monkeypatch)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The ``ignore`` of every scan; each finds `FINDINGS` but for the ignored rules."""
    ignored: list[tuple[str, ...]] = []
    scan = weightaudit.api.scan

    def finding(model: str, *, ignore: Iterable[str] = (), **options: Any) -> ScanReport:
        ignored.append(tuple(ignore))
        kept: tuple[Finding, ...] = tuple(one for one in FINDINGS if one.id not in ignored[-1])
        return replace(scan(model, ignore=ignore, **options), findings=kept, rules=("untrained",))

    monkeypatch.setattr("weightaudit.api.scan", finding)
    return ignored


def test_list(weightaudit: CommandLine) -> None:
    done = weightaudit("rules")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "untrained  error    The rule untrained",
        "dead-rows  warning  The rule dead-rows",
    ]


@pytest.mark.parametrize(
    ("room", "rule", "section"),
    [
        ("weightaudit.pairs.rules", merging.RULES[0], "Of a difference (weightaudit diff):"),
        ("weightaudit.merging.rules", of_a_merge.RULES[0], "Of a merge (weightaudit merge-check):"),
    ],
)
def test_rules_of_several_models_are_sections_of_their_own(
    room: str, rule: Any, section: str, weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = (replace(rule, id="some-one", title="The rule some-one", severity="info"),)
    monkeypatch.setattr(f"{room}.RULES", own)
    assert weightaudit("rules").stdout.splitlines()[-3:] == ["", section, "some-one   info     The rule some-one"]
    assert weightaudit("rules", "some-one").stdout.startswith("some-one (info): The rule some-one\n")


def test_one_in_full(weightaudit: CommandLine) -> None:
    assert weightaudit("rules", "untrained").stdout.splitlines() == [
        "untrained (error): The rule untrained",
        "measures   The relative distance of σ₁ from what random weights would have, over",
        "           all matrices.",
        "threshold  0.001",
        "source     Roy & Vetterli 2007",
        "advice     TerminalStyle at it.",
    ]
    assert "threshold" not in weightaudit("rules", "dead-rows").stdout
    done = weightaudit("rules", "untraind")
    assert (done.code, done.stdout) == (2, "")
    assert "Did you mean untrained?" in done.stderr


def test_ignore_takes_lists_and_comes_several_times(
    weightaudit: CommandLine, scans: list[tuple[str, ...]], tiny_checkpoints: dict[str, Path]
) -> None:
    model = tiny_checkpoints["gpt2"]
    weightaudit("scan", model, *LITTLE, "--ignore", "untrained, dead-rows", "--ignore", "DEAD-ROWS")
    weightaudit("scan", model, *LITTLE)
    assert scans == [("untrained", "dead-rows"), ()]


@pytest.mark.parametrize("command", ["scan", "batch", "compare"])
def test_an_unknown_rule_is_told_before_anything_is_read(
    weightaudit: CommandLine, tmp_path: Path, command: str
) -> None:
    out = ["--out", str(tmp_path)]
    words = {"scan": ["x"], "batch": ["x.txt", *out], "compare": ["x", "y", *out]}
    done = weightaudit(command, *words[command], "--ignore", "untraind")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("weightaudit: rule 'untraind': there is no such rule here. Did you mean untrained?")
    assert list(tmp_path.iterdir()) == []


def test_compare_ignores_too(
    weightaudit: CommandLine, scans: list[tuple[str, ...]], tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    model = tiny_checkpoints["gpt2"]
    words = ("compare", model, model, "--out", tmp_path, *LITTLE, "--ignore", "untrained")
    assert weightaudit(*words).code == 0
    assert scans == [("untrained",)] * 2


def test_a_line_of_a_list_may_ignore(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("gpt2 ignore=untrained,dead-rows\ngpt2\n")
    base = AuditConfig(ignore=("dead-rows",))
    assert [entry.config.ignore for entry in read_model_list(path, base)] == [
        ("untrained", "dead-rows"),
        ("dead-rows",),
    ]
    path.write_text("gpt2 ignore=untraind\n")
    with pytest.raises(UsageError, match=r"line 1: rule 'untraind': there is no such rule here"):
        read_model_list(path, base)


def test_what_is_ignored_belongs_to_the_key() -> None:
    keys = {cache_key("m", "s", "", AuditConfig(ignore=ids)) for ids in ((), ("untrained",), ("dead-rows",))}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("fail_on", "code", "why"),
    [
        pytest.param("error", 1, "1 finding at or above error: exit code 1 (--fail-on)", marks=pytest.mark.slow),
        ("warning", 1, "2 findings at or above warning: exit code 1 (--fail-on)"),
        pytest.param("info", 1, "3 findings at or above info: exit code 1 (--fail-on)", marks=pytest.mark.slow),
        ("never", 0, ""),
        (None, 1, "1 finding at or above error: exit code 1 (--fail-on)"),
    ],
)
def test_scan_fails_on(
    weightaudit: CommandLine,
    scans: list[tuple[str, ...]],
    tmp_path: Path,
    tiny_checkpoints: dict[str, Path],
    fail_on: str | None,
    code: int,
    why: str,
) -> None:
    csv = tmp_path / "l.csv"
    words = ("--fail-on", fail_on) if fail_on else ()
    done = weightaudit("scan", tiny_checkpoints["gpt2"], *LITTLE, "--csv", csv, "--quiet", *words)
    assert (done.code, done.stdout, done.stderr) == (code, "", why and f"{why}\n")
    assert csv.exists()


def test_scan_fails_on_what_is_there_alone() -> None:
    counts = {"warning": 4}
    assert [bool(exceeded(counts, level)) for level in ("error", "warning", "info", "never")] == [0, 1, 1, 0]


def test_batch_fails_on_findings_only_where_asked(
    weightaudit: CommandLine, scans: list[tuple[str, ...]], tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    path, out = tmp_path / "list.txt", tmp_path / "out"
    path.write_text(f"{tiny_checkpoints['gpt2']}\n{tiny_checkpoints['bert']} ignore=untrained\n")
    words = ("batch", path, "--out", out, "--workers", "0", "--quiet", *LITTLE)
    done = weightaudit(*words)
    assert (done.code, done.stderr) == (0, "")
    assert scans == [(), ("untrained",)]
    kept = weightaudit(*words, "--fail-on", "warning")
    assert (kept.code, kept.stderr) == (1, "4 findings at or above warning: exit code 1 (--fail-on)\n")
    merged = weightaudit("batch", "--merge", out, "--out", tmp_path / "all", "--quiet", "--fail-on", "error")
    assert (merged.code, merged.stderr) == (1, "2 findings at or above error: exit code 1 (--fail-on)\n")
    assert len(scans) == 2
    wrong = weightaudit(*words, "--fail-on", "errors")
    assert (wrong.code, wrong.stderr.count("is not one of")) == (2, 1)
