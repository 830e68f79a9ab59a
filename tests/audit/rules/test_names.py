"""Wrapped names: told as a loader sees them, with a way to rename them that works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.covering import some_of
from tests.support.models import tiny_model
from weightaudit.records import Finding


def not_loaded(directory: Path, model: type) -> tuple[int, int]:
    """How many names transformers misses, and how many it does not expect."""
    _, info = model.from_pretrained(directory, output_loading_info=True)  # type: ignore[attr-defined]
    return len(info["missing_keys"]), len(info["unexpected_keys"])


def of_names(directory: Path) -> list[Finding]:
    return [one for one in wa.scan(directory).findings if one.id == "wrapped-names"]


@pytest.mark.parametrize(
    ("family", "prefix"),
    some_of(
        [
            ("phi", "policy."),
            ("gpt2", "_orig_mod.module."),
            ("roberta", "learner.nested."),
            ("bert", "_forward_module."),
        ],
        ("gpt2", "_orig_mod.module."),
    ),
)
def test_the_loader_takes_none_until_the_advice_is_followed(
    family: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = type(tiny_model(family, tmp_path))
    assert (of_names(tmp_path), not_loaded(tmp_path, model)) == ([], (0, 0))
    stored = tmp_path / "model.safetensors"
    tensors = {prefix + name: tensor for name, tensor in load_file(stored).items()}
    save_file(tensors, stored, {"format": "pt"})
    assert not_loaded(tmp_path, model)[0] >= len(tensors)
    (finding,) = of_names(tmp_path)
    assert (finding.severity, finding.value, len(finding.tensors)) == ("error", 1.0, min(50, len(tensors)))
    assert f"{len(tensors)} of {len(tensors)} names" in finding.detail
    advice = re.search(r"To rename: (.+)$", finding.detail)
    assert advice is not None
    monkeypatch.chdir(tmp_path)
    stored.rename("OLD.safetensors")
    exec(advice[1], {})
    Path("NEW.safetensors").rename(stored)
    Path("OLD.safetensors").unlink()
    assert (of_names(tmp_path), not_loaded(tmp_path, model)) == ([], (0, 0))
