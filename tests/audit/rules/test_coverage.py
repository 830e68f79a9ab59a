"""What the map says of config and checkpoint, as findings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.audit.rules.healthy import evidence
from tests.support.factory import entry
from weightaudit.audit.rules import RuleContext, run_rules
from weightaudit.records import CoverageEntry, Discrepancy, SourceFile
from weightaudit.text import percent


def told_by_map(*discrepancies: Discrepancy, unmapped: tuple[CoverageEntry, ...] = ()) -> RuleContext:
    shown = evidence()
    coverage = (*shown.coverage_entries, *unmapped)
    return replace(shown, map=replace(shown.map, discrepancies=discrepancies), coverage_entries=coverage)


@pytest.mark.parametrize(("kind", "severity"), [("missing", "error"), ("misshapen", "error"), ("extra", "warning")])
def test_each_kind_is_a_rule(kind: str, severity: str) -> None:
    one = Discrepancy(kind, "The config says 12, the file 13.", "decoder", (3,), 7, "M1", ("w",))  # type: ignore[arg-type]
    (finding,) = run_rules(told_by_map(one, unmapped=() if kind == "missing" else (entry("w", (4, 4), "unmapped"),)))
    assert (finding.id, finding.severity, finding.detail) == (kind, severity, "The config says 12, the file 13.")
    assert (finding.stack, finding.layer, finding.expert, finding.role) == ("decoder", 3, 7, "M1")
    assert finding.tensors == ("w",)


def test_several_layers_are_no_one_place() -> None:
    (finding,) = run_rules(told_by_map(Discrepancy("missing", "Layers 3 and 4 are missing.", layers=(3, 4))))
    assert (finding.id, finding.layer) == ("missing", None)


def test_what_is_missing_is_told_in_a_restricted_scan_too() -> None:
    shown = replace(told_by_map(Discrepancy("missing", "Layer 3 is missing.", layers=(3,))), restricted=True)
    assert [one.id for one in run_rules(shown)] == ["missing"]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["model-00001-of-00003.safetensors"], []),
        (["model-00001-of-00001.safetensors"], ["missing"]),
        ([f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)], ["missing"]),
        (["model.safetensors"], ["missing"]),
    ],
)
def test_one_shard_read_alone_misses_nothing(files: list[str], found: list[str]) -> None:
    shown = told_by_map(Discrepancy("missing", "Layer 3 is missing.", layers=(3,)))
    identity = replace(shown.identity, files=tuple(SourceFile(name, 1) for name in files))
    assert [one.id for one in run_rules(replace(shown, identity=identity))] == found


def test_a_guessed_map_misses_nothing_for_sure() -> None:
    shown = told_by_map(Discrepancy("missing", "Layer 3 is missing.", layers=(3,)))
    assert run_rules(replace(shown, map=replace(shown.map, guessed=True))) == ()


def test_unmapped_tensors_are_one_finding() -> None:
    left = tuple(entry(f"u{i}", (1000, 1000), "unmapped") for i in range(7))
    (finding,) = run_rules(told_by_map(unmapped=left))
    total = sum(one.parameters for one in evidence().coverage_entries) + 7_000_000
    assert (finding.id, finding.layer, finding.role) == ("unmapped", None, "")
    assert finding.value == pytest.approx(7_000_000 / total)
    assert (
        finding.detail == f"7 tensors with {percent(7_000_000 / total)} of the parameters: u0, u1, u2, u3 and 3 more."
    )
    assert finding.tensors == tuple(f"u{i}" for i in range(7))


def test_vectors_and_buffers_need_no_role() -> None:
    buffer = replace(entry("mask", (64, 64), "unmapped"), buffer=True)
    vectors = [entry("scale", (64,), "unmapped"), entry("token", (1, 1, 64), "unmapped")]
    assert run_rules(told_by_map(unmapped=(buffer, *vectors))) == ()


def test_what_contradicts_the_config_is_not_unmapped_too() -> None:
    extra = Discrepancy("extra", "Layer 12 is beyond the 12 of the config.", layers=(12,), tensors=("h.12.w",))
    (finding,) = run_rules(told_by_map(extra, unmapped=(entry("h.12.w", (8, 8), "unmapped"),)))
    assert finding.id == "extra"


def quantised(unmapped: CoverageEntry, config: dict[str, object]) -> RuleContext:
    lacks = Discrepancy("missing", "config.json has 12 layers; the checkpoint holds no matrix of any.")
    return replace(told_by_map(lacks, unmapped=(unmapped,)), config={"dtype": "float32"} | config)


def test_packed_weights_are_unmapped_and_not_missing() -> None:
    packed = replace(entry("layers.0.q_proj.qweight", (8, 160), "unmapped"), dtype="int32")
    (finding,) = run_rules(quantised(packed, {"quantization_config": {"quant_method": "gptq"}}))
    assert (finding.id, finding.severity) == ("unmapped", "warning")
    assert finding.detail.endswith(" The config says that weights are quantised (gptq): such are not measured.")


@pytest.mark.parametrize("said", [{}, {"quantization_config": None}, {"quantization_config": [1]}])
def test_integers_alone_excuse_nothing(said: dict[str, object]) -> None:
    packed = replace(entry("layers.0.q_proj.qweight", (8, 160), "unmapped"), dtype="int32")
    assert {one.id for one in run_rules(quantised(packed, said))} == {"missing", "unmapped"}


def test_a_quantised_model_without_packed_weights_misses_what_it_lacks() -> None:
    plain = entry("layers.0.q_proj.weight_scale", (8, 160), "unmapped")
    shown = quantised(plain, {"quantization_config": {"quant_method": "fp8"}})
    assert {one.id for one in run_rules(shown)} == {"missing", "unmapped"}


def test_weights_packed_into_one_column_are_unmapped() -> None:
    packed = replace(entry("layers.0.q_proj.weight", (5120, 1), "unmapped"), dtype="uint8")
    assert [one.id for one in run_rules(told_by_map(unmapped=(packed,)))] == ["unmapped"]


def test_many_layers_beyond_the_config_are_one_finding() -> None:
    def beyond(*layers: int) -> RuleContext:
        several = (Discrepancy("extra", f"Layer {i} is beyond.", layers=(i,), tensors=(f"w{i}",)) for i in layers)
        return told_by_map(*several, unmapped=tuple(entry(f"w{i}", (4, 4), "unmapped") for i in layers))

    assert [(one.id, one.layer) for one in run_rules(beyond(12, 13, 14))] == [("extra", i) for i in (12, 13, 14)]
    (finding,) = run_rules(beyond(*range(12, 24)))  # nor is any of them unmapped too
    assert (finding.id, finding.layer, len(finding.tensors)) == ("extra", None, 12)
    assert finding.detail == ("Layer 12 is beyond. So are 11 more: layer 13, layer 14, layer 15, layer 16 and 7 more.")
