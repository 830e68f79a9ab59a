"""The pages' scripts in node: their own functions, fed by the Python that they must agree with."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.report import full_spectra
from tests.support import diffs, factory
from tests.support.merges import merge_check_result
from weightaudit.merging.summary import standing
from weightaudit.paper import page as experiment
from weightaudit.records import AT_RESOLUTION
from weightaudit.report import html
from weightaudit.report.columns import Rounding
from weightaudit.report.comparison import page as comparison_page
from weightaudit.report.densities import random_density, tail_density
from weightaudit.report.diff import page as diff_page
from weightaudit.report.diff import payload as diff_payload
from weightaudit.report.diff.tables import write_csv as write_changes
from weightaudit.report.diff.verdict import change_name, kind_words, relative_words
from weightaudit.report.eigenvalues import linear_histogram, log_histogram
from weightaudit.report.html.body import table_lines
from weightaudit.report.html.encoding import encoded
from weightaudit.report.html.findings import grouped
from weightaudit.report.html.method import matrix_command
from weightaudit.report.html.payload import payload
from weightaudit.report.markup import UNITS, UNKNOWN, figure, magnitude
from weightaudit.report.merge import page as merge_page
from weightaudit.report.merge import payload as merge_payload
from weightaudit.report.page_constants import BETWEEN
from weightaudit.report.tables import write_csv
from weightaudit.strict_json import plain
from weightaudit.text import printable

ROOT = Path(__file__).resolve().parents[2]
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node on the PATH: the scripts were not run by themselves")


def columns(draws: int = 100) -> list[dict[str, Any]]:
    """Columns of each kind that a report has, and odd ones."""
    rng = random.Random(7)
    found = [
        [],
        [""],
        ["float32"] * 9,
        [f"h.{i // 8}.experts.{i % 8}.weight" for i in range(64)],
        [f"{i / 7:.9g}" for i in range(64)],
        ["a long role", "another long role"] * 9,
        ["one of a kind", "nothing like it"],
        [f"w{spelt}.bias" for spelt in ("007", "1" * 30, "-3", "1e5", "٣")] * 3,
        [f"w.{2**53 - 1 + i}.b{i}" for i in range(-9, 9)],
        list(factory.HOSTILE_NAMES),
    ]
    letters = ["a", ".", "0", "17", "9007199254740993", " ", "b", "σ", "\U0001f600", "\ud800", "", "h."]
    for _ in range(draws):
        kinds = ["".join(rng.choices(letters, k=rng.randrange(6))) for _ in range(rng.randrange(1, 4))]
        found.append(
            [rng.choice(kinds) + str(rng.randrange(1000)) * rng.randrange(2) for _ in range(rng.randrange(12))]
        )
    return [{"texts": texts, "encoded": encoded(texts)} for texts in found]


def numbers() -> list[dict[str, Any]]:
    """Rounded to the nearest, and outwards where more digits are to be rounded away: the page's numbers are what the
    table prints, so that 999.95 is just that for the script, while Python has the double a little above it.
    """
    rng = random.Random(11)
    long = [2 / 3, 1 / 7, 999.9512345, 9999.56789, 0.00012345678, *(rng.uniform(1, 10) * 10.0**k for k in range(-3, 8))]
    long += [rng.uniform(1, 10) * 10.0 ** rng.randrange(-3, 8) for _ in range(100)]
    asked: list[tuple[float, int, Rounding]] = [
        (value, digits, "nearest") for value in (0.0, 1.0, 0.5, 999.95, 4096.0) for digits in (3, 4, 6)
    ]
    asked += [(value, digits, way) for value in long for digits in (3, 4, 6) for way in ("nearest", "down", "up")]
    return [
        {"x": value, "digits": digits, "rounding": way, "shown": figure(value, digits, way)}
        for value, digits, way in asked
    ]


def report() -> dict[str, Any]:
    """A mixture's report with findings: its page's data, and what Python says of the same."""
    result = factory.judged_mixture(3, 16)
    csv = io.BytesIO()
    write_csv(result, csv)
    on_row: dict[int, list[int]] = {}
    for number, group in enumerate(grouped(result)):
        for rows in group.rows:
            for row in rows:
                on_row.setdefault(row, []).append(number)
    return {
        "data": payload(result),
        "csv": csv.getvalue().decode(),
        "lines": table_lines(result),
        "rows": [
            {
                "place": row.matrix.place.words(BETWEEN),
                "command": matrix_command(result, row.matrix.role, row.matrix.layer),
                "findings": on_row.get(i, []),
            }
            for i, row in enumerate(result.rows)
        ],
    }


def whole_spectra() -> dict[str, Any]:
    """A report with whole spectra: its page's data, and the edges of the bins as Python has them."""
    result = full_spectra.asked(factory.one_layer())
    known = [row.spectrum.full for row in result.rows]
    return {
        "data": payload(result),
        "edges": [
            {
                name: told.edges()
                for name, told in (("log", log_histogram(one)), ("linear", linear_histogram(one)))
                if told
            }
            for one in known
            if one
        ],
        "densities": [
            {
                "x": (x := (one.bulk.lower + one.bulk.upper) ** 2 / 4),
                "random": random_density(one.bulk, len(one.singular_values), x),
                "tail": tail_density(one.tail, len(one.singular_values), x),
            }
            for one in known
            if one and one.bulk and one.tail
        ],
    }


def differences() -> list[dict[str, Any]]:
    """Differences: their pages' data, and what Python says of each row."""
    found = []
    for result in (diffs.lora(), diffs.odd(), diffs.hostile(), diffs.resized(), diffs.moved()):
        csv = io.BytesIO()
        write_changes(result, csv)
        rows = [
            {
                "relative": relative_words(change.relative),
                "did": kind_words(change),
                "name": printable(change_name(change, BETWEEN), 300),
                "floor": change.relative > 0
                and change.entries is not None
                and change.entries.above_floor < AT_RESOLUTION,
            }
            for change in result.changes
        ]
        data = diff_payload.payload(result, grouped(result))
        found.append({"data": data, "csv": csv.getvalue().decode(), "rows": rows})
    return found


def merges() -> list[dict[str, Any]]:
    """Merge checks: their pages' data, and what Python makes of every model at several weights."""
    found = []
    for result in (merge_check_result(), merge_check_result(4), merge_check_result(3, merged=True)):
        models, updates = len(result.models), len(result.weights)
        rng = random.Random(3)
        tried = [list(result.weights), [1.0] * models + [0.0] * (updates - models), [0.0] * updates]
        tried += [[rng.uniform(-0.5, 1.5) for _ in range(models)] + [0.0] * (updates - models) for _ in range(5)]
        told = []
        for weights in tried:
            standings = [vars(standing(result.counted, a, weights)) for a in range(models)]
            effects = [vars(one.interactions.effect(0, weights)) for one in result.counted]
            told.append({"weights": weights, "standings": plain(standings), "effects": plain(effects)})
        found.append({"data": merge_payload.payload(result), "told": told})
    return found


@needs_node
def test_scripts_agree_with_python(tmp_path: Path) -> None:
    names = [
        *factory.HOSTILE_NAMES,
        "σ₁ ﬁ",
        "a\u00a0b",
        "\U000e0001tag",
        "tab\t",
        "x" * 299,
        "\U0001f600" * 200,
        "x" * 301,
        "\n" * 200,
    ]
    counts = [0, 1, 999, 1000, 1234, 12_345, 999_499, 999_500, 999_999, 22_713_216, 176 * 10**9, 10**15]
    fixture = {
        "columns": columns(),
        "names": [{"name": name, "shown": printable(name, 300)} for name in names],
        "numbers": numbers(),
        "magnitudes": [{"n": n, "shown": magnitude(n)} for n in counts],
        "units": UNITS,
        "unknown": UNKNOWN,
        "report": report(),
        "full": whole_spectra(),
        "differences": differences(),
        "merges": merges(),
    }
    path = tmp_path / "fixture.json"
    path.write_text(json.dumps(fixture), encoding="utf-8")
    tests = sorted(str(file) for file in (ROOT / "tests" / "page_scripts").glob("*.test.mjs"))
    assert len(tests) > 2
    every = tmp_path / "every.mjs"  # one process, where node's runner starts one for each file
    every.write_text("".join(f"import {json.dumps(Path(file).as_uri())};\n" for file in tests))
    done = subprocess.run(
        [str(NODE), "--test-reporter=tap", str(every)],
        env={**os.environ, "PAGE_SCRIPT_FIXTURE": str(path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"# pass {sum(Path(file).read_text('utf-8').count('test(') for file in tests)}" in done.stdout


@pytest.mark.parametrize(
    ("kind", "scripts"),
    [
        ("report", html.SCRIPTS),
        ("diff", diff_page.SCRIPTS),
        ("merge", merge_page.SCRIPTS),
        ("comparison", comparison_page.SCRIPTS),
        ("experiment", experiment.SCRIPTS),
    ],
)
def test_types_are_checked_of_the_scripts_that_a_page_has(kind: str, scripts: tuple[str, ...]) -> None:
    """In the page's order; and each asks for it."""
    checked = json.loads((ROOT / "page_types" / kind / "tsconfig.json").read_text())["files"]
    assets = ROOT / "weightaudit" / "report" / "assets"
    assert [Path(file).name for file in checked if file.endswith(".js")] == list(scripts)
    assert all((assets / name).read_text("utf-8").startswith("// @ts-check\n") for name in scripts)


def test_every_script_is_in_a_page() -> None:
    used = {*html.SCRIPTS, *diff_page.SCRIPTS, *merge_page.SCRIPTS, *comparison_page.SCRIPTS, *experiment.SCRIPTS}
    assert used == {path.name for path in (ROOT / "weightaudit" / "report" / "assets").glob("*.js")}
