"""The comparison page as text: complete, bounded, the same every time, safe whatever models are called."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.report import comparison_factory as models
from tests.support.page import Reader
from weightaudit.errors import OutputError
from weightaudit.report.columns import Value
from weightaudit.report.comparison import ModelEntry, profile_store, write_index
from weightaudit.report.comparison.page import page
from weightaudit.report.comparison.partners import partners


def read(entries: Iterable[ModelEntry]) -> Reader:
    return Reader(page(entries, title="models"))


def data_of(entries: Iterable[ModelEntry]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read(entries).scripts[0])
    return found


def test_what_is_written(tmp_path: Path) -> None:
    write_index(iter(models.models(6)), tmp_path, title="six", beside=("summary.csv",))
    first = (tmp_path / "index.html").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "plotly.js"}
    assert len(first) < 200_000
    write_index(models.models(6), tmp_path, title="six", beside=("summary.csv",))
    assert (tmp_path / "index.html").read_bytes() == first
    assert b'<a href="./summary.csv">' in first
    (tmp_path / "index.html").unlink()
    (tmp_path / "index.html").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        write_index([], tmp_path, title="none")


def test_the_old_page_stays_where_a_new_one_fails(tmp_path: Path) -> None:
    write_index(models.models(2), tmp_path, title="two")
    before = (tmp_path / "index.html").read_bytes()

    def failing() -> Iterable[ModelEntry]:
        yield models.model(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_index(failing(), tmp_path, title="two")
    assert (tmp_path / "index.html").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "plotly.js"}


def test_numbers_and_links() -> None:
    entries = models.models(8, failures=2)
    data = data_of(entries)
    assert data["count"] == 8
    assert data["models"]["name"] == [entry.name for entry in entries]
    assert data["models"]["failed"] == [0] * 6 + [1] * 2
    assert data["models"]["link"][0] == "./" + entries[0].link
    assert data["models"]["reason"][6] == entries[6].reason
    assert data["models"]["log"][6] == "./org--broken-0/log.txt"
    for column in data["columns"]:
        if column["kind"] == "float":
            for entry, shown in zip(entries, data["metrics"][column["name"]], strict=True):
                value = entry.metrics.get(column["name"])
                assert shown == (None if value is None else pytest.approx(value, rel=1e-5))
    text = read(entries).text
    assert "2 of 8 models failed" in text
    assert models.REASONS[0] in text
    assert "8 models, 6 finished" in text


def test_a_column_that_nobody_has_is_left_out() -> None:
    entry = ModelEntry("m", "", "done", metrics={"layers": 3, "stable_rank": math.nan})
    data = data_of([entry])
    assert [column["name"] for column in data["columns"]] == ["layers"]
    text = read([entry]).text
    assert "no model has one" in text
    assert "Over depth" not in text


def test_totals() -> None:
    entries = models.models(12)
    text = read(entries).text
    errors = sum(entry.findings.get("error", 0) for entry in entries)
    warnings = sum(entry.findings.get("warning", 0) for entry in entries)
    touched = sum(bool({"error", "warning"} & entry.findings.keys()) for entry in entries)
    assert warnings > 1
    assert f"{warnings} warnings, in {touched} models" in text
    assert f"Findings {errors + warnings} " in text
    assert "failed" not in text


def test_no_findings_say_what_was_checked() -> None:
    model = models.model(0)
    clean, unchecked = replace(model, findings={}, rules=7), replace(model, findings={}, rules=0)
    assert "Findings 0 no error and no warning in the 2 models whose rules were checked " in read([clean] * 2).text
    some = read([clean, unchecked, models.failed(0, "gone")]).text
    assert "no warning in the 1 model whose rules were checked; of 1 model no rules were checked " in some
    none = read([unchecked]).text
    assert "Findings 0 no rules were checked, so that is no clean bill of health" in none
    found = read([replace(model, findings={"error": 1}), unchecked]).text
    assert "1 error and 0 warnings, in 1 model; of 1 model no rules were checked" in found
    assert data_of([clean, unchecked])["models"]["checked"] == [1, 0]


def test_hostile_words_steer_nothing() -> None:
    text = page(models.hostile(), title="</title><script>alert(1)</script>", beside=('a"><b>.csv',))
    found = Reader(text)
    assert [tag for tag, _ in found.tags if tag in ("img", "svg", "iframe")] == []
    assert "<b>.csv" not in text
    assert len(found.scripts) == 3
    for _, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
        address = str(attributes.get("href") or attributes.get("src") or "#")
        assert address.startswith(("#", "data:,", "./")) or address == "plotly.js"
    data = json.loads(found.scripts[0])
    assert data["models"]["link"][0].startswith("./javascript:")
    assert data["models"]["log"][0] == ".///example.invalid/x"
    steering = [c for c in text.replace(found.scripts[2], "") if not c.isprintable() and c != "\n"]
    assert steering == []


def points(data: dict[str, Any], name: str, role: str, model: int) -> tuple[list[int], list[float]]:
    profiles = data["profiles"]
    owners, grids, values = profiles[name][profiles["roles"].index(role)]
    at = owners.index(model)
    return profiles["grids"][grids[at]], values[at]


def test_profiles_are_the_models_own() -> None:
    entries = models.models(5)
    data = data_of(entries)
    assert data["profiles"]["roles"] == ["Q", "K", "V", "O", "QKV", "GATE", "M1", "M2"]
    assert not data["profiles"]["thinned"]
    for i, entry in enumerate(entries):
        for name in ("stable_rank", "frobenius_norm"):
            depths, values = points(data, name, "M1", i)
            expected = entry.profiles["M1"][name]
            assert [depth / 1000 for depth in depths] == pytest.approx([depth for depth, _ in expected], abs=5e-4)
            assert values == pytest.approx([value for _, value in expected], rel=1e-3)


def test_unknown_points_are_left_out() -> None:
    data = data_of(models.hostile())
    assert points(data, "stable_rank", models.HOSTILE, 0) == ([0, 1000], [2.0, 3.0])


def test_deep_profiles_are_thinned_evenly() -> None:
    deep = [(i / 199, float(i)) for i in range(200)]
    entry = ModelEntry("deep", "", "done", profiles={"Q": {"stable_rank": deep, "frobenius_norm": deep}})
    data = data_of([entry])
    _, values = points(data, "stable_rank", "Q", 0)
    assert (len(values), values[0], values[-1]) == (64, 0.0, 199.0)
    assert {round(b - a) for a, b in pairwise(values)} <= {3, 4}
    assert "Of deeper models 64 layers" in read([entry]).text


def test_many_profiles_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    def size(data: dict[str, Any]) -> int:
        by_role = data["profiles"]["stable_rank"] + data["profiles"]["frobenius_norm"]
        return sum(len(values) for _, _, several in by_role for values in several)

    entries = models.models(40)
    whole = data_of(entries)
    monkeypatch.setattr(profile_store, "BUDGET", size(whole) // 2)
    less = data_of(entries)
    assert size(less) <= size(whole) // 2
    assert 8 < less["profiles"]["points"] < 64
    assert less["profiles"]["without"] == 0
    assert points(less, "stable_rank", "Q", 39)[0][-1] == 1000
    monkeypatch.setattr(profile_store, "BUDGET", size(whole) // 20)
    least = data_of(entries)
    assert size(least) <= size(whole) // 20
    assert least["profiles"]["points"] == 8
    assert least["profiles"]["without"] > 10
    assert f"The last {least['profiles']['without']} models had no room here." in read(entries).text


def test_roles_beyond_those_that_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_store, "MOST_ROLES", 3)
    line = {"stable_rank": [(0.0, 1.0)], "frobenius_norm": [(0.0, 1.0)]}
    names = ("rare", "decoder XQ", "encoder Q", "decoder Q")
    entries = [ModelEntry(str(i), "", "done", profiles=dict.fromkeys(names[min(i, 1) :], line)) for i in range(3)]
    data = data_of(entries)
    assert data["profiles"]["roles"] == ["encoder Q", "decoder Q", "decoder XQ"]
    assert data["profiles"]["rolesLeftOut"] == 1


@pytest.mark.parametrize(("many", "most"), [(300, 900_000), pytest.param(5000, 12_000_000, marks=pytest.mark.slow)])
def test_thousands_of_models_make_a_page_of_some_megabytes(many: int, most: int, tmp_path: Path) -> None:
    """Of some kilobytes each; where there are very many, their profiles share a budget."""
    once = [models.model(i) for i in range(50)]
    write_index((once[i % 50] for i in range(many)), tmp_path, title="many")
    assert (tmp_path / "index.html").stat().st_size < most


@pytest.mark.parametrize("value", [1e39, -1e300, 1.7976931348623157e308, float("inf"), float("nan")])
def test_numbers_beyond_single_precision_are_not_drawn(value: float) -> None:
    """A checkpoint in double precision may have such norms, and must not keep the page of all from being made."""
    points = [(0.0, 2.0), (0.5, value), (1.0, 3.0)]
    store = profile_store.ProfileStore()
    store.add(0, {"Q": {"stable_rank": points, "frobenius_norm": points}})
    data = store.data()
    json.dumps(data, allow_nan=False)
    assert data["frobenius_norm"][0][2] == [[2.0, 3.0]]


def test_matrices_of_no_known_role_are_partners_by_their_tensors() -> None:
    def rows(*names: str) -> list[dict[str, Value]]:
        return [{"stack": "", "layer": None, "expert": None, "role": "OTHER", "tensors": name} for name in names]

    found = partners(rows("a", "b", "c"), rows("c", "b"))
    assert [(which, a and a["tensors"], b and b["tensors"]) for which, a, b in found] == [
        ("only a", "a", None),
        ("both", "b", "b"),
        ("both", "c", "c"),
    ]
