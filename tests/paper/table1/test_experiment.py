"""Table 1 against configs of the real six, from directories and from a Hub; what is not at hand is inconclusive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.models import MODELS
from tests.support.hub import pointed_at, serve
from weightaudit.audit.progress import Silent
from weightaudit.paper.table1.experiment import SIX, TABLE, Table1Config, run

NAMES = ("bert-base-uncased", "roberta-base", "gpt2-large", "gpt2-xl", "phi-2", "gpt-j-6b")
FIELDS = tuple(row.field for row in TABLE)


def config_bytes(name: str, **changes: object) -> bytes:
    return json.dumps({**MODELS[name].config, **changes}).encode()


@pytest.fixture
def six(tmp_path: Path) -> dict[str, Any]:
    """Setting → a directory with that model's config.json and nothing else."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_bytes(config_bytes(name))
    return {field: str(tmp_path / name) for field, name in zip(FIELDS, NAMES, strict=True)}


def test_the_six_configs_say_what_the_table_says(six: dict[str, Any]) -> None:
    result = run(Table1Config(**six), Silent())
    assert [claim.outcome for claim in result.claims] == ["true"] * 6
    assert result.lacking == ()
    assert result.notes == ()
    points = result.points
    assert len(points) == 18
    assert (points["stated"] == points["read"]).all()
    xl = points[points["name"] == "GPT2-XL"]
    assert xl[["size", "read"]].to_numpy().tolist() == [
        ["layers", 48],
        ["model dimension", 1600],
        ["FF dimension", 6400],
    ]


def test_another_size_is_false_and_named(six: dict[str, Any]) -> None:
    (Path(six["phi_2"]) / "config.json").write_bytes(config_bytes("phi-2", num_hidden_layers=31))
    claims = {claim.id: claim for claim in run(Table1Config(**six), Silent()).claims}
    assert claims["phi-2"].outcome == "false"
    assert "layers 31, not 32" in claims["phi-2"].why
    assert "FF" not in claims["phi-2"].why
    assert claims["phi-2"].numbers["layers, read"] == 31
    assert claims["gpt-j"].outcome == "true"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "JSON"),
        ('{"model_type": "unheard-of"}', "not known"),
        ('{"model_type": "bert", "hidden_size": "big"}', "hidden_size"),
    ],
)
def test_a_config_that_tells_nothing_is_inconclusive(text: str, says: str, six: dict[str, Any]) -> None:
    (Path(six["bert"]) / "config.json").write_text(text)
    result = run(Table1Config(**six), Silent())
    assert [claim.outcome for claim in result.claims] == ["inconclusive"] + ["true"] * 5
    assert says in result.claims[0].why
    assert result.lacking == (six["bert"],)
    assert result.notes == (f"1 of 6 models are not at hand: {six['bert']}",)
    assert result.claims[0].numbers["layers, read"] is None


def test_a_single_weight_file_has_no_config(six: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "alone.safetensors").write_bytes(b"")
    changed = {**six, "bert": str(tmp_path / "alone.safetensors")}
    assert run(Table1Config(**changed), Silent()).claims[0].outcome == "inconclusive"


def test_from_the_hub_only_configs_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    repos = {
        model: {"config.json": config_bytes(name), "model.safetensors": b"never read"}
        for model, name in zip(SIX, NAMES, strict=True)
        if name != "gpt-j-6b"
    }
    with serve(repos) as hub, pointed_at(hub.url, tmp_path / "home"):
        result = run(Table1Config(), Silent())
        assert hub.asked("model.safetensors") == []
    assert [claim.outcome for claim in result.claims] == ["true"] * 5 + ["inconclusive"]
    assert result.lacking == ("EleutherAI/gpt-j-6b",)


def test_offline_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with serve({}) as hub, pointed_at(hub.url, tmp_path / "home"):
        result = run(Table1Config(offline=True), Silent())
        assert list(hub.log) == []
    assert {claim.outcome for claim in result.claims} == {"inconclusive"}
    assert result.lacking == SIX
