"""Quantised weights before the rules: what their codes and scales say, and what their dtype does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.audit.rules.healthy import FF, HIDDEN, changed, evidence, facts, found
from tests.support.factory import entry
from weightaudit.audit.rules import RuleContext, run_rules
from weightaudit.audit.rules.unmeasured import measured_share
from weightaudit.records import CodeFacts, CoverageEntry, Discrepancy, LayerRow, Scheme
from weightaudit.text import percent

GPTQ = Scheme("GPTQ", 4, "128", symmetric=True)
CODES = CodeFacts(codes=HIDDEN * HIDDEN, extreme=9000, unused=0, scales=4608, wrapped=0)


def quantised(context: RuleContext, codes: CodeFacts = CODES, scheme: Scheme = GPTQ, layer: int = 3) -> RuleContext:
    """``context`` with Q of one layer quantised."""
    shown = changed(
        context,
        _key(context, layer),
        lambda row: replace(row, matrix=replace(row.matrix, scheme=scheme), codes=codes),
    )
    tensors = {name for row in shown.rows if row.matrix.scheme for name in row.matrix.tensors}
    entries = (replace(one, scheme=scheme) if one.tensor in tensors else one for one in shown.coverage_entries)
    return replace(shown, coverage_entries=tuple(entries))


def _key(context: RuleContext, layer: int) -> str:
    return next(row.matrix.key for row in context.rows if (row.matrix.layer, row.matrix.role) == (layer, "Q"))


@pytest.mark.parametrize(
    ("codes", "rule", "said"),
    [
        ({"zero_scales": 2}, "zero-scales", "2 of 4,608 scales of layer 3 Q are zero."),
        ({"nonfinite_scales": 1}, "nonfinite-scales", "1 of 4,608 scales of layer 3 Q is NaN or infinite."),
        ({"negative_scales": 7}, "negative-scales", "7 of 4,608 scales of layer 3 Q are negative."),
        ({"subnormal_scales": 7}, "subnormal-scales", "7 of 4,608 scales of layer 3 Q are subnormal."),
        ({"wrapped": 25}, "wrapped-zeros", "25 zero points of layer 3 Q are stored as all ones."),
        ({"extreme": HIDDEN * HIDDEN // 3}, "clipped-codes", "layer 3 Q (33%)"),
        ({}, "", ""),
        ({"extreme": HIDDEN * HIDDEN // 5, "unused": 5}, "", ""),
    ],
)
def test_codes_and_scales(codes: dict[str, int], rule: str, said: str) -> None:
    findings = run_rules(quantised(evidence(), replace(CODES, **codes)))
    assert [one.id for one in findings] == ([rule] if rule else [])
    assert said in "".join(one.detail for one in findings)
    if rule:
        assert (findings[0].layer, findings[0].role) == (3, "Q")


def test_signs_that_a_format_means_are_no_finding() -> None:
    for name in ("Q4_0", "Q6_K", "MLX", "IQ4_XS"):
        assert found(quantised(evidence(), replace(CODES, negative_scales=2000), Scheme(name, 4))) == []


def test_of_two_or_three_bits_many_codes_are_outermost() -> None:
    shown = quantised(evidence(), replace(CODES, extreme=CODES.codes // 2), replace(GPTQ, bits=2))
    assert found(shown) == []


def test_codes_of_one_tensor_are_told_once() -> None:
    """Q and K of a fused tensor share its scales."""
    shown = evidence()
    rows = {row.matrix.role: row for row in shown.rows if row.matrix.layer == 3}
    parts = rows["Q"].matrix.parts
    for role in ("Q", "K"):
        matrix = replace(rows[role].matrix, parts=parts, scheme=GPTQ)
        codes = replace(CODES, subnormal_scales=5)
        shown = changed(shown, rows[role].matrix.key, lambda row, m=matrix, c=codes: replace(row, matrix=m, codes=c))  # type: ignore[misc]
    assert [one.value for one in run_rules(shown) if one.id == "subnormal-scales"] == [5.0]


def test_scales_that_are_not_finite_explain_entries_that_are_not() -> None:
    shown = quantised(evidence(), replace(CODES, nonfinite_scales=2))
    key = _key(shown, 3)
    shown = changed(shown, key, lambda row: replace(row, spectrum=replace(row.spectrum, nonfinite=256)))
    (finding,) = run_rules(shown)
    assert finding.id == "nonfinite"
    assert finding.detail.endswith("2 of its 4,608 scales are NaN or infinite.")


@pytest.mark.parametrize("fact", ["at_limit", "subnormals"])
def test_limits_of_a_dtype_that_nothing_is_stored_in(fact: str) -> None:
    """The numbers are float32 because a codec makes them; plain ones are judged by it."""
    count = HIDDEN * HIDDEN // 2
    plain = changed(evidence(), _key(evidence(), 3), facts(**{fact: count}))
    assert found(plain) != []
    assert found(quantised(plain)) == []


def test_dtypes_are_those_of_weights_that_have_one() -> None:
    """A bfloat16 model of which some matrices are quantised: neither mixed nor another than the config says."""

    def stored(row: LayerRow, dtype: str, scheme: Scheme | None = None) -> LayerRow:
        return replace(row, matrix=replace(row.matrix, dtype=dtype, scheme=scheme))

    shown = evidence()
    plain_or_not = [
        stored(row, "float32", GPTQ)
        if row.matrix.role in ("M1", "M2") or row.matrix.layer == 5
        else stored(row, "bfloat16")
        for row in shown.rows
    ]
    mixed = replace(shown, rows=tuple(plain_or_not), config={"dtype": "bfloat16"})
    assert found(mixed) == []
    codes_as_plain = tuple(replace(row, matrix=replace(row.matrix, scheme=None)) for row in plain_or_not)
    assert {one[0] for one in found(replace(mixed, rows=codes_as_plain))} == {"dtype-mismatch", "mixed-dtypes"}


def test_a_tie_of_weights_that_are_quantised_in_two_ways_is_not_judged() -> None:
    head = evidence().coverage_entries[-1].tensor
    embedding = evidence().coverage_entries[0].tensor
    broken = replace(evidence(), broken_ties=((head, embedding),))
    assert [one.id for one in run_rules(broken)] == ["tie-broken"]
    entries = tuple(replace(one, scheme=GPTQ) if one.tensor == head else one for one in broken.coverage_entries)
    assert run_rules(replace(broken, coverage_entries=entries)) == ()


def unread(name: str, shape: tuple[int, int]) -> CoverageEntry:
    scheme = Scheme("EXL2")
    return replace(entry(name, shape, "unmapped", "quantised: EXL2, no decoder is written"), scheme=scheme)


def test_what_is_not_read_is_named_with_its_reason() -> None:
    left = tuple(unread(f"layers.{i}.up_proj.weight", (FF, HIDDEN)) for i in range(5))
    shown = evidence()
    shown = replace(shown, coverage_entries=(*shown.coverage_entries, *left))
    (finding,) = run_rules(shown)
    assert finding.id == "unmapped"
    assert finding.detail.endswith("EXL2 is not read: no decoder is written.")
    (finding,) = run_rules(replace(shown, min_coverage=0.99))
    assert finding.id == "low-coverage"
    assert finding.detail.startswith(
        f"{percent(measured_share(shown))} of the parameters of all matrices were measured; at least 99 %"
    )
    assert "EXL2 is not read: no decoder is written." in finding.detail


def test_a_model_that_lacks_a_layer_lacks_it_though_some_of_it_is_not_read() -> None:
    """Weights that are not read stand under their own names; only those that nothing knows excuse what is missing."""
    shown = evidence()
    lacks = replace(shown.map, discrepancies=(Discrepancy("missing", "Layer 3 is missing.", layers=(3,)),))
    named = replace(shown, map=lacks, coverage_entries=(*shown.coverage_entries, unread("w", (FF, HIDDEN))))
    assert {one.id for one in run_rules(named)} == {"missing", "unmapped"}
    nameless = replace(unread("w", (FF, HIDDEN)), detail="no pattern of family gpt2 fits")
    shown = replace(named, coverage_entries=(*shown.coverage_entries, nameless))
    assert {one.id for one in run_rules(shown)} == {"unmapped"}
