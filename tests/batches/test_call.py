"""A batch from Python: what it returns is what lies in its directory."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import weightaudit as wa
from weightaudit.errors import ModelNotFound, UsageError


def test_models_by_name(few: list[Path], tmp_path: Path) -> None:
    models: list[str | Path] = [few[1], str(few[0]), tmp_path / "none"]
    done = wa.batch(models, tmp_path / "out", workers=0, roles="Q,K")
    assert repr(done) == f"<Batch {tmp_path / 'out'}: 3 models, 1 failed>"
    assert list(done.failed) == ["none"]
    assert "no such file or directory" in done.failed["none"]
    summary = done.summary
    assert list(summary["status"]) == ["done", "done", "failed"]
    assert set(done.layers["role"]) == {"Q", "K"}
    assert "gpt2" in done._repr_html_()
    alone = wa.scan(few[1], roles="Q,K")
    pd.testing.assert_frame_equal(
        done.layers[done.layers.model == few[1].name].reset_index(drop=True)[["role", "stable_rank"]],
        alone.layers[["role", "stable_rank"]],
        check_dtype=False,
    )


def test_a_list_goes_on_where_it_was(few: list[Path], tmp_path: Path) -> None:
    models = tmp_path / "models.txt"
    models.write_text(f"{few[1]}\n{few[3]} roles=Q\n")
    first = wa.batch(models, tmp_path / "out", workers=0, config=wa.AuditConfig(tol=1e-3))
    assert len(first.result.scanned) == 2
    again = wa.batch(models, tmp_path / "out", workers=0, tol=1e-3)
    assert (len(again.result.scanned), len(again.result.kept)) == (0, 2)


def test_what_makes_no_sense_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="models: there is none"):
        wa.batch([], tmp_path / "out")
    with pytest.raises(UsageError, match="a batch shows itself"):
        wa.batch(["gpt2"], tmp_path / "out", progress=lambda: None)  # type: ignore[arg-type]
    with pytest.raises((UsageError, ModelNotFound), match="cannot be a Hub id"):
        wa.batch(["not a model"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
