"""What a report warns of."""

from __future__ import annotations

import math
from dataclasses import replace

from tests.audit.test_summary import row
from weightaudit.audit.notes import notes
from weightaudit.records import ModelMap

KNOWN = ModelMap(family="gpt2", model_type="gpt2", guessed=False, dimensions={}, matrices=(), coverage=())


def test_nothing_to_say() -> None:
    assert list(notes(KNOWN, [], [row(0, "Q", 1.0, 2.0)])) == []


def test_guessed_map() -> None:
    guessed = replace(KNOWN, model_type="\x1b[31mgpt9", guessed=True, nearest=("gpt2",))
    (note,) = notes(guessed, [("head", "embed")], [])
    assert "GUESSED" in note
    assert "gpt2" in note
    assert "\x1b" not in note


def test_map_ties_and_numbers() -> None:
    nonfinite = row(1, "K", math.nan, math.nan, nonfinite=3)
    wide = row(2, "V", 1.0, 2.0)
    wide = replace(wide, spectrum=replace(wide.spectrum, converged=False))
    said = list(notes(replace(KNOWN, notes=("layer 3 is absent",)), [("head", "embed")], [nonfinite, wide]))
    assert said[0] == "layer 3 is absent"
    assert said[1].startswith("The config ties head to embed, but the file stores different values")
    assert said[2].startswith("layer 1 K (t) has 3 entries that are NaN or infinite")
    assert said[3].startswith("layer 2 V (t): the interval is wider than the tolerance")


def test_a_wholly_broken_model_is_told_briefly() -> None:
    said = list(notes(KNOWN, [], [row(i, "Q", math.nan, math.nan, nonfinite=1) for i in range(100)]))
    assert len(said) == 9
    assert said[-1].startswith("So have 92 more matrices")
