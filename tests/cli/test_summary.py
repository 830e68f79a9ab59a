"""The summary on the terminal: what it says, how wide it is, and what it does where little can be shown."""

from __future__ import annotations

import io
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import factory
from tests.support.findings import FINDINGS, found, with_findings
from tests.support.page import read
from tests.support.running import CommandLine, a_terminal
from weightaudit import ScanReport
from weightaudit.cli.formats import show
from weightaudit.cli.layout import cut
from weightaudit.cli.profile import by_layer, drawn, narrowed
from weightaudit.cli.summary import summary_text
from weightaudit.cli.terminal import BARS, NARROWEST, PIPED, WIDEST, TerminalStyle, look_of
from weightaudit.records import LayerRow, NotJudged, Suppressed
from weightaudit.text import percent

ASCII = TerminalStyle("ascii")
DEEP = factory.bert(96, 12288, 49152)
REPORTS = {**{name: make() for name, make in factory.ALL.items()}, "found": found(), "deep": DEEP}


LOOKS = ((NARROWEST, "ascii"), (PIPED, "utf-8"))
"""By default: where there is least room and least to write with, and as most see it; any for one report."""


@pytest.mark.parametrize(
    ("name", "width", "encoding"),
    [
        (name, width, encoding)
        if (width, encoding) in LOOKS or name == "bert"
        else pytest.param(name, width, encoding, marks=pytest.mark.slow)
        for name in REPORTS
        for width in (NARROWEST, PIPED, 120, WIDEST)
        for encoding in ("utf-8", "ascii", "latin-1", "cp437")
    ],
)
def test_fits_the_columns_that_there_are_in_any_encoding(name: str, width: int, encoding: str) -> None:
    text = summary_text(REPORTS[name], TerminalStyle(encoding, width=width))
    text.encode(encoding)
    assert max(map(len, text.splitlines())) <= width
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("name", REPORTS)
def test_no_number_loses_a_digit_where_there_is_little_room(name: str) -> None:
    def numbers(width: int) -> set[str]:
        text = summary_text(REPORTS[name], TerminalStyle("ascii", width=width))
        return set(re.findall(r"\d+\.\d+(?:e[+-]\d+)?", text.split("role ")[-1]))

    assert numbers(NARROWEST) == numbers(PIPED) == numbers(WIDEST)


def test_the_verdict_comes_first() -> None:
    report = factory.bert()
    assert summary_text(report).splitlines()[0] == "verdict: unchecked (no rules were checked)"
    assert summary_text(with_findings(report)).splitlines()[0] == "verdict: clean (21 rules checked)"
    assert summary_text(found()).splitlines()[0] == "verdict: 1 error, 1 warning, 1 info (21 rules checked)"
    info = with_findings(report, FINDINGS[2])
    assert summary_text(info).splitlines()[0] == "verdict: clean, 1 info (21 rules checked)"


def qualified() -> ScanReport:
    """A partial scan, beside a baseline, with a suppressed finding and rules that could not judge."""
    known = replace(FINDINGS[0], baseline_state="unchanged")
    return replace(
        with_findings(factory.bert(), known, *(replace(one, baseline_state="new") for one in FINDINGS[1:])),
        partial=("--roles", "--layers"),
        not_judged=(NotJudged("missing", "No config.", False), NotJudged("untrained", "Too \x1b[2J wide.", True)),
        suppressed=(Suppressed(FINDINGS[1], "dead-rows:M1"),),
        gate={"baseline": {"path": "o.json", "model": "m", "same_model": False, "new": 2, "unchanged": 1, "gone": 0}},
    )


def test_what_is_to_be_known_of_the_verdict_follows_it() -> None:
    share = qualified().summary["share_analysed"]
    first, *others = summary_text(qualified()).split("\n\n")[0].replace("\n  ", " ").splitlines()
    assert first == (
        f"verdict: partial (--roles and --layers: {percent(share)} of the parameters): 1 error, "
        "1 warning, 1 info (21 rules checked, 1 could not judge)"
    )
    assert others == [
        "Not judged by missing: No config.",
        r"Not judged in part by untrained: Too \x1b[2J wide.",
        "Suppressed: 1 finding, by dead-rows:M1 (1).",
        "Beside the baseline o.json: 2 new, 1 known, 0 gone. It is of another model, m.",
    ]
    assert "error    nonfinite (known): 12 of" in summary_text(qualified())


def test_numbers_are_those_of_the_page() -> None:
    """One quantity has the same digits wherever it is told: shares are never rounded up, intervals are outwards."""
    ranks = iter(((9.0149, 9.0151), (4.0, 4.0), (52.31, 52.32)))
    report = factory.bert(3)
    rows = []
    for row in report.rows:
        if row.matrix.role == "M2":
            low, high = next(ranks)
            spectrum = replace(row.spectrum, stable_rank=high, stable_rank_lower=low, frobenius_norm=4000.0)
            row = replace(row, spectrum=spectrum)
        rows.append(row)
    report = replace(
        report,
        rows=tuple(rows),
        partial=("--roles",),
        summary={**report.summary, "share_analysed": 0.036979},
    )
    text, page = summary_text(with_findings(report)), read(report).text
    (line,) = (line for line in text.splitlines() if line.startswith("M2 "))
    assert "  4000  " in line
    assert "  4 – 52.4  " in line
    assert "4.00 – 52.4" in page
    assert text.count("3.69 %") == 2  # of the verdict, and of what was covered
    assert "3.69 %" in page
    assert "3.7" not in text.split("parameters analysed")[1].splitlines()[0]


def test_a_share_is_never_rounded_up() -> None:
    assert [percent(share) for share in (0.0, 1e-6, 0.5, 0.57, 0.961199, 1 - 1e-9, 1.0)] == [
        "0 %", "< 0.01 %", "50 %", "57 %", "96.11 %", "99.99 %", "100 %",
    ]  # fmt: skip


def test_findings_after_the_identity_whole_with_what_to_do() -> None:
    parts = summary_text(found()).split("\n\n")
    assert parts[1].startswith("bert-base-uncased @ 86b5e093")
    assert parts[2].splitlines() == [
        "error    nonfinite: 12 of 589,824 entries of layer 3 Q are NaN or infinite, the",
        "         first in row 5 and column 7 of the matrix as stored.",
        "         → Do not use these weights.",
        "warning  dead-rows: decoder layer 11 expert 63 M1: Row 17 and 11 others of 3,072",
        "         have norms at most 1e-06 times the root mean square of all rows', so",
        "         that these units of the network can never say anything, whatever comes",
        "         in, and they could as well be left out.",
        "info     saturated: Entries at the limit",
    ]
    assert parts[3].startswith("role ")


@pytest.mark.parametrize("width", [NARROWEST, PIPED, WIDEST])
def test_a_finding_is_whole_however_long_it_is(width: int) -> None:
    long = replace(FINDINGS[0], detail="Said of layer 3 Q: " + "word " * 300 + "end.", advice="do " * 200 + "it.")
    text = " ".join(summary_text(with_findings(factory.bert(), long), TerminalStyle(width=width)).split())
    assert f"{long.detail} → {long.advice}" in text


def test_what_to_do_is_told_once_for_neighbours() -> None:
    twice = [replace(FINDINGS[0], layer=layer) for layer in (3, 4)]
    text = summary_text(with_findings(factory.bert(), *twice, FINDINGS[1], FINDINGS[0]))
    assert text.count("→ Do not use these weights.") == 2
    assert text.index("layer 4 Q") < text.index("→ Do not")


def test_many_findings_are_counted() -> None:
    lines = summary_text(with_findings(factory.bert(), *[FINDINGS[2]] * 15)).splitlines()
    assert sum(line.startswith("info  saturated") for line in lines) == 12
    assert "and 3 more; --json has all" in lines


def test_many_findings_of_a_rule_leave_room_for_other_rules() -> None:
    report = with_findings(factory.bert(), *[FINDINGS[0]] * 30, *[FINDINGS[1]] * 3, *[FINDINGS[2]] * 2)
    part = summary_text(report).split("\n\n")[2].splitlines()
    shown = [line.split(":")[0].split() for line in part if line[0] != " "]
    assert shown[:-1] == [*[["error", "nonfinite"]] * 7, *[["warning", "dead-rows"]] * 3, *[["info", "saturated"]] * 2]
    assert part[-1] == "and 23 more; --json has all"


def test_profiles() -> None:
    lines = summary_text(REPORTS["bert"]).splitlines()
    table = {line.split()[0]: line for line in lines[lines.index("") + 4 :] if line}
    assert table["role"].endswith("stable rank  by layer")
    ranks = [row.spectrum.stable_rank for row in REPORTS["bert"].rows if row.matrix.role == "M1"]
    assert table["M1"].endswith("  " + drawn(ranks, BARS))
    assert len(drawn(ranks, BARS)) == 12
    assert set(table["EMBED"]).isdisjoint(BARS)
    for report, look in (
        (REPORTS["bert"], ASCII),
        (factory.one_layer(), TerminalStyle()),
        (factory.all_nan(), TerminalStyle()),
    ):
        text = summary_text(report, look)
        assert "by layer" not in text
        assert set(text).isdisjoint(BARS)


def test_a_profile_takes_medians_of_experts_and_of_neighbours() -> None:
    rows = [
        LayerRow(factory.matrix("M1", layer, (8, 8), "w", expert=expert), factory.spectrum(9.0, rank))
        for layer, ranks in ((0, (2.0, 3.0, 40.0)), (2, (5.0, 7.0)))
        for expert, rank in enumerate(ranks)
    ]
    rows.append(LayerRow(factory.matrix("M1", 3, (8, 8), "w"), factory.nan_spectrum()))
    values = by_layer(rows, [0, 1, 2, 3])
    assert values[0::2] == [3.0, 6.0]
    assert all(map(math.isnan, values[1::2]))
    assert drawn(values, BARS) == "▁ █ "
    assert narrowed(values, 2) == [3.0, 6.0]
    assert narrowed([float(i) for i in range(96)], 24) == [4 * i + 1.5 for i in range(24)]
    assert drawn([4.0, 4.001], BARS) == "▄▄"


def test_a_long_name_leaves_less_of_the_commit() -> None:
    report = factory.bert()
    long = replace(report, identity=replace(report.identity, name="organisation/A-Model-With-A-Rather-Long-Name"))
    assert summary_text(long).splitlines()[2] == "organisation/A-Model-With-A-Rather-Long-Name @ 86b5e0934494"


def test_cut() -> None:
    assert cut("a" * 80, 80, TerminalStyle()) == "a" * 80
    assert cut("model.layers.31.mlp.experts.7.weight", 20, ASCII) == "model.laye~.7.weight"
    assert cut("x\x1b[2Jσ", 80, ASCII) == r"x\x1b[2Jsigma"


class Stream(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.skipif(os.name == "nt", reason="no colours there")
@pytest.mark.parametrize(
    ("terminal", "environ", "coloured"),
    [
        (True, {}, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "0"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_when_there_are_colours(terminal: bool, environ: dict[str, str], coloured: bool) -> None:
    assert look_of(Stream(terminal), environ).colour is coloured


@pytest.mark.parametrize(
    ("terminal", "environ", "width"),
    [
        (True, {"COLUMNS": "100"}, 100),
        (True, {"COLUMNS": "20"}, NARROWEST),
        (True, {"COLUMNS": "1000"}, WIDEST),
        (True, {"COLUMNS": "many"}, PIPED),  # nor has this stream a size
        (True, {}, PIPED),
        (False, {"COLUMNS": "100"}, PIPED),
    ],
)
def test_how_wide_it_is(terminal: bool, environ: dict[str, str], width: int) -> None:
    assert look_of(Stream(terminal), environ).width == width


def test_only_severities_are_coloured() -> None:
    plain, coloured = summary_text(found()), summary_text(found(), TerminalStyle(colour=True))
    words = ("\x1b[31merror  \x1b[0m", "\x1b[33mwarning\x1b[0m", "\x1b[36minfo   \x1b[0m")
    assert all(coloured.count(word) == 1 for word in words)
    for word in words:
        coloured = coloured.replace(word, word[5:-4])
    assert set(re.findall(r"\x1b\[[0-9;]*m", coloured)) == {"\x1b[1m", "\x1b[0m"}  # a table's head is bold
    uncoloured = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in uncoloured.splitlines()] == plain.splitlines()


def test_a_name_cannot_steer_a_log_or_a_terminal() -> None:
    hostile = replace(FINDINGS[0], role="Q\n::error::x", detail="##[add-mask]e\x1b[2J")
    text = summary_text(with_findings(factory.hostile(), hostile))
    assert "\x1b" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


@pytest.mark.parametrize("words", [("scan", "--help"), ("rules",), ("scan", "MODEL", "--fail-on", "never")])
def test_ascii_alone_is_enough(
    words: tuple[str, ...],
    weightaudit: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    tiny_checkpoints: dict[str, Path],
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    done = weightaudit(*(tiny_checkpoints["gpt2"] if word == "MODEL" else word for word in words))
    sys.stdout.flush()
    assert (done.code, done.stderr) == (0, "")
    assert ("24x24" in written.getvalue().decode("ascii")) == ("MODEL" in words)
    assert written.getvalue()


@pytest.mark.slow
def test_a_scan_in_ascii(tiny_checkpoints: dict[str, Path]) -> None:
    """By a process that is told so."""
    words = [sys.executable, "-m", "weightaudit", "scan", str(tiny_checkpoints["gpt2"]), "--fail-on", "never"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, capture_output=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "24x24" in done.stdout.decode("ascii")


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_on_a_terminal(no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    with a_terminal() as (stream, pieces):
        monkeypatch.setattr(sys, "stdout", stream)
        show(found(), "text")
        monkeypatch.undo()
    shown = b"".join(pieces)
    assert (b"\x1b[31merror  \x1b[0m  nonfinite:" in shown) is coloured
    assert (b"\x1b" in shown) is coloured
