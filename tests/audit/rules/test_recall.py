"""Each fault put into a sound checkpoint, alone, and scanned: exactly its rule finds it, at its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.models import HIDDEN as GPT2_HIDDEN
from tests.support.models import tiny_model
from tests.support.trained import EMBED, FEW, HEAD, HIDDEN, Tensors, name, sound, trained, write
from weightaudit.audit.rules import RULES, adapters, heads, quantised

LAYERS = 8
"""Fewer than six are too few for rules that compare layers, which must not tell of another rule's fault: of a matrix's
size, rank or randomness.
"""
of_eight, of_few = partial(write, layers=LAYERS), partial(write, layers=FEW)


@dataclass(frozen=True)
class Fault:
    """What is done to the sound checkpoint, and the (layer, role) of each finding, where it has one."""

    rule: str
    change: Callable[[Tensors], object] | None = None
    places: tuple[tuple[int | None, str], ...] = ((None, ""),)
    config: dict[str, Any] | None = None
    layers: int = FEW


def _set(tensor: str, index: Any, value: Any) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[tensor][index] = value

    return change


def _to(tensor: str, make: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[tensor] = make(tensors[tensor])

    return change


def _every(which: str, make: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        for one in list(tensors):
            if which in one and tensors[one].ndim == 2:
                tensors[one] = make(tensors[one])

    return change


def _nearly_one_direction(values: torch.Tensor) -> torch.Tensor:
    left, middle, right = torch.linalg.svd(values, full_matrices=False)
    middle[1:] *= 0.5
    return (left * middle) @ right * (values.norm() / middle.norm())


def _float16_with_many_subnormals(tensors: Tensors) -> None:
    _every("", torch.Tensor.half)(tensors)
    tensors[name(4, "k_proj")] = (tensors[name(4, "k_proj")].float() * 4e-4).half()


def _float16_clipped(tensors: Tensors) -> None:
    _every("", torch.Tensor.half)(tensors)
    tensors[name(2, "up_proj")][3, 5] = torch.finfo(torch.float16).max


def _random(values: torch.Tensor) -> torch.Tensor:
    seed = int(values.abs().sum() * 1000)  # another for each matrix
    return torch.randn(values.shape, generator=torch.Generator().manual_seed(seed)) * 0.02


def _flat(values: torch.Tensor) -> torch.Tensor:
    return torch.linalg.qr(values)[0] + values / 20


def _outliers_in_one_channel(tensors: Tensors) -> None:
    for layer in range(1, 7):
        matrix = tensors[name(layer, "down_proj")]
        matrix[17, 3 * layer] = -15 * matrix.square().mean().sqrt()


def _padded_with_unused(tensors: Tensors) -> None:
    tensors[EMBED][-5:] = 0


def _drop(which: str) -> Callable[[Tensors], object]:
    return lambda tensors: [tensors.pop(one) for one in list(tensors) if which in one]


def _shard_lost(tensors: Tensors) -> None:
    """What a last shard holds: part of a layer, those after it, the last norm and the head."""
    for which in (".7.", ".6.mlp.", ".6.self_attn.q_proj", "model.norm", HEAD):
        _drop(which)(tensors)


def _sharded(tensors: Tensors) -> None:
    for which in (EMBED, HEAD, name(2, "q_proj")):
        tensors[which] = torch.empty(0)


def _wrapped(tensors: Tensors) -> None:
    for one in list(tensors):
        tensors[f"policy.{one}"] = tensors.pop(one)


def _one_layer_more(tensors: Tensors) -> None:
    for one in [one for one in tensors if ".layers.1." in one]:
        copy = tensors[one].clone()
        tensors[one.replace(".1.", f".{FEW}.")] = copy * 1.01


def _adapter(tensors: Tensors) -> None:
    tensors["model.adapter.down"] = trained((HIDDEN, 20), torch.Generator().manual_seed(9))


def _mostly_unknown(tensors: Tensors) -> None:
    for layer in range(12):
        tensors[f"model.memory.{layer}.keys"] = trained((8 * HIDDEN, HIDDEN), torch.Generator().manual_seed(layer))


def _copied(tensors: Tensors) -> None:
    for which in ("q_proj", "up_proj"):
        tensors[name(2, which)] = tensors[name(1, which)].clone()


HALF = {"dtype": "float16"}
FAULTS = (
    Fault("wrapped-names", _wrapped),
    Fault("nonfinite", _set(name(2, "k_proj"), (3, 4), float("nan")), ((2, "K"),)),
    Fault("zero-matrix", _to(name(0, "o_proj"), torch.zeros_like), ((0, "O"),)),
    Fault("dead-rows", _set(name(2, "up_proj"), 7, 0.0), ((2, "M1"),)),
    Fault("dead-columns", _set(name(1, "down_proj"), (slice(None), slice(4, 9)), 1e-12), ((1, "M2"),)),
    Fault("at-limit", _float16_clipped, ((2, "M1"),), HALF),
    Fault("subnormals", _float16_with_many_subnormals, ((4, "K"),), HALF, LAYERS),
    Fault("unused-tokens", _padded_with_unused, ((None, "EMBED"),)),
    Fault("missing", _drop("layers.1.self_attn.v_proj"), ((1, "V"),)),
    Fault("missing", _drop("norm")),
    Fault("missing", _shard_lost, ((7, ""),), layers=LAYERS),
    Fault("extra", _one_layer_more, ((FEW, ""),)),
    Fault("misshapen", _to(name(1, "q_proj"), lambda values: values[: HIDDEN - 4]), ((1, "Q"),)),
    Fault("misshapen", _to(name(1, "q_proj"), torch.Tensor.flatten), ((1, "Q"),)),
    Fault("misshapen", _to("model.norm.weight", lambda values: values[:7])),
    Fault("placeholder", _sharded),
    Fault("unmapped", _adapter),
    Fault("low-coverage", _mostly_unknown),
    Fault("tie-broken", config={"tie_word_embeddings": True}),
    Fault("tie-undeclared", lambda tensors: _to(HEAD, lambda _: tensors[EMBED].clone())(tensors)),
    Fault("dtype-mismatch", config={"dtype": "bfloat16"}),
    Fault("loaded-otherwise", config={"configuration_files": ["config.4.0.0.json"]}),
    Fault("mixed-dtypes", _to(name(2, "q_proj"), torch.Tensor.bfloat16), ((2, "Q"),)),
    Fault(
        "near-rank-one", _to(name(6, "gate_proj"), lambda v: torch.outer(v[:, 0], v[0])), ((6, "GATE"),), None, LAYERS
    ),
    Fault("rank-collapse", _every("q_proj", _nearly_one_direction), ((None, "Q"),), layers=LAYERS),
    Fault("norm-preservation", _every("up_proj", lambda values: 50 * values), layers=LAYERS),
    Fault("untrained", _to(name(1, "v_proj"), _random), ((1, "V"),)),
    Fault("untrained-model", _every("", _random)),
    Fault("magnitude", _to(name(5, "q_proj"), lambda values: 1e30 * values), ((5, "Q"),), layers=LAYERS),
    Fault("magnitude", _set(HEAD, slice(3, 40), 3e37), ((None, "HEAD"),)),
    Fault("duplicate", _copied),
    Fault("super-weight", _outliers_in_one_channel, ((None, "M2"),), layers=LAYERS),
    Fault("outlier-norm", _to(name(5, "v_proj"), lambda values: 10 * values), ((5, "V"),), layers=LAYERS),
    Fault("outlier-stable-rank", _to(name(5, "o_proj"), _flat), ((5, "O"),), layers=LAYERS),
)
OTHER_WAYS = (
    Fault("zero-matrix", _to(name(0, "o_proj"), torch.zeros_like), ((0, "O"),)),
    Fault("untrained", _to(name(5, "v_proj"), _random), ((5, "V"),)),
    Fault("nonfinite", _set(HEAD, (0, 0), float("inf")), ((None, "HEAD"),)),
    Fault("missing", _drop("layers.7."), ((7, ""),)),
    Fault("missing", _drop("model.norm.weight")),
    Fault("misshapen", _to(name(3, "q_proj"), lambda values: values > 0), ((3, "Q"),)),
    Fault("misshapen", _to("model.norm.weight", lambda values: values > 0)),
    Fault("misshapen", _to("model.norm.weight", torch.Tensor.char)),
    Fault("near-rank-one", _to(name(6, "o_proj"), lambda v: torch.full_like(v, 0.01)), ((6, "O"),)),
    Fault("rank-collapse", _every(".layers.", _nearly_one_direction)),
    Fault("rank-collapse", _every("_proj", lambda v: torch.outer(v[:, 0], v[0]) / 8)),
    Fault("untrained", _to(HEAD, _random), ((None, "HEAD"),)),
    Fault("untrained", _to(HEAD, lambda values: torch.nn.init.orthogonal_(values.clone())), ((None, "HEAD"),)),
    Fault("untrained", _every("layers.4.", _random), ((4, ""),)),
    Fault("untrained", _every("v_proj", _random), ((None, "V"),)),
    Fault("untrained", _every(".mlp.", _random)),
    Fault("untrained-model", _every(".layers.", _random)),
    Fault("magnitude", _to(name(5, "q_proj"), lambda values: 1e-30 * values), ((5, "Q"),)),
    Fault("magnitude", _to(EMBED, lambda values: 1e8 * values), ((None, "EMBED"),)),
    Fault("magnitude", _every("", lambda values: 1e10 * values)),
    Fault("outlier-norm", _to(name(5, "down_proj"), lambda values: 0.1 * values), ((5, "M2"),)),
)
"""To rules that `FAULTS` has: when all tests run, in eight layers."""
SHOWN_ELSEWHERE = {
    *(
        "nonfinite",
        "zero-matrix",
        "untrained-model",
        "magnitude",
    ),  # test_causes and test_precision, alone in a scan too
    *(
        "dead-columns",
        "subnormals",
        "mixed-dtypes",
    ),  # test_entries and test_config_agreement: as the one beside it here
    *("outlier-norm", "norm-preservation"),  # test_outliers and test_spectra
    *("rank-collapse", "outlier-stable-rank"),  # the same, of the numbers in which one beside them is found here
    *("super-weight", "low-coverage", "duplicate"),  # test_peaks, below, and test_copies, each in a scan
}
"""Rules that other tests hold to their faults by default."""


def cases() -> list[Any]:
    """The faults, slow but for one of each rule that is not shown elsewhere."""
    first = {fault.rule: fault for fault in reversed(FAULTS) if fault.rule not in SHOWN_ELSEWHERE}
    found = [one if one is first.get(one.rule) else pytest.param(one, marks=pytest.mark.slow) for one in FAULTS]
    return [*found, *(pytest.param(replace(one, layers=LAYERS), marks=pytest.mark.slow) for one in OTHER_WAYS)]


def found(report: wa.ScanReport) -> list[tuple[str, int | None, str]]:
    return [(one.id, one.layer, one.role) for one in report.findings]


def test_nothing_is_found_in_the_sound_checkpoint(tmp_path: Path) -> None:
    report = wa.scan(of_eight(tmp_path))
    assert found(report) == []
    assert report.verdict == "clean"


@pytest.mark.parametrize("fault", cases(), ids=lambda fault: fault.rule)
def test_a_fault_is_found_by_its_rule_alone(fault: Fault, tmp_path: Path) -> None:
    report = wa.scan(write(tmp_path, fault.change, layers=fault.layers, **(fault.config or {})))
    assert found(report) == [(fault.rule, *place) for place in fault.places]


def test_pickles_beside_the_weights(tmp_path: Path) -> None:
    of_few(tmp_path)
    torch.save(sound(FEW), tmp_path / "pytorch_model.bin")
    assert found(wa.scan(tmp_path)) == [("pickle", None, "")]


def test_a_shard_named_alone_misses_nothing(tmp_path: Path) -> None:
    of_few(tmp_path, shards=3)
    assert found(wa.scan(tmp_path)) == []
    report = wa.scan(tmp_path / "model-00002-of-00003.safetensors")
    assert found(report) == []
    assert any("one of 3 shards" in note for note in report.notes)


def test_a_restricted_scan_judges_what_it_saw(tmp_path: Path) -> None:
    of_few(tmp_path, _set(name(2, "k_proj"), (3, 4), float("nan")))
    assert found(wa.scan(tmp_path, roles="QKV")) == [("nonfinite", 2, "QKV")]
    assert found(wa.scan(tmp_path, roles="QKV,Q,K,V")) == [("nonfinite", 2, "K")]
    assert found(wa.scan(tmp_path, layers="0-1")) == []


def test_nan_in_a_norm_or_bias_is_found_though_it_has_no_role(tmp_path: Path) -> None:
    norm, bias = "model.layers.1.input_layernorm.weight", "model.layers.2.self_attn.q_proj.bias"

    def spoil(tensors: Tensors) -> None:
        tensors[norm][7] = float("nan")
        tensors[bias] = torch.full((HIDDEN,), float("inf"), dtype=torch.float16)
        tensors["model.layers.0.self_attn.q_proj.bias"] = torch.zeros(HIDDEN)

    report = wa.scan(of_few(tmp_path, spoil))
    assert [(one.id, one.severity, one.tensors, one.value) for one in report.findings] == [
        ("nonfinite", "error", (norm,), 1.0),
        ("nonfinite", "error", (bias,), 64.0),
    ]
    assert report.findings[0].detail == f"1 of 64 entries of {norm} is NaN or infinite."
    assert wa.scan(tmp_path, ignore="nonfinite").verdict == "clean"
    assert wa.scan(tmp_path, roles="Q,K,V,O").verdict == "clean"  # nothing was asked of vectors


def test_a_fault_in_a_fused_tensor_is_found_in_its_part(tmp_path: Path) -> None:
    tiny_model("gpt2", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["transformer.h.1.attn.c_attn.weight"][5, GPT2_HIDDEN + 3] = float("nan")  # (in, out): output 3 of K
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    assert [place for place in found(wa.scan(tmp_path)) if place[0] != "untrained-model"] == [("nonfinite", 1, "K")]


def test_every_rule_is_put_to_the_test() -> None:
    of_files = {"pickle", "shards", "unlisted", "two-sets", "modules"}  # above, in test_files and in test_modules
    of_tokenizers = {"tokenizer-size", "rows-without-token"}  # in test_vocabulary
    of_quantised = {"zero-scales", *(rule.id for rule in quantised.RULES)}  # in test_others and test_quantised
    of_adapters = {rule.id for rule in adapters.RULES}  # in quantised/test_adapters_hostile
    of_tables = {"untrained-tokens", "identical-tokens", "undertrained-tokens"}  # in test_tables
    of_heads = {rule.id for rule in heads.RULES}  # in test_heads
    elsewhere = of_files | of_tokenizers | of_tables | of_quantised | of_adapters | of_heads
    assert {fault.rule for fault in FAULTS} | elsewhere == {rule.id for rule in RULES}


def test_a_quantised_checkpoint_does_not_pass_unread(tmp_path: Path) -> None:
    """By a method that is not known here: eight weights in each integer, with scales and zero points beside."""

    def pack(tensors: Tensors) -> None:
        for one in [one for one in tensors if ".layers." in one and tensors[one].ndim == 2]:
            rows, cols = tensors.pop(one).shape
            stem = one.removesuffix("weight")
            tensors[f"{stem}words"] = torch.ones(cols // 8, rows, dtype=torch.int32)
            tensors[f"{stem}zero_points"] = torch.ones(1, rows // 8, dtype=torch.int32)
            tensors[f"{stem}word_scales"] = torch.ones(1, rows, dtype=torch.float16)

    of_few(tmp_path, pack, quantization_config={"quant_method": "words", "bits": 4})
    report = wa.scan(tmp_path)
    assert [(one.id, one.severity) for one in report.findings] == [("low-coverage", "error")]
    assert "quantised (words)" in report.findings[0].detail
    assert [one.rule for one in report.not_judged if not one.partly] == ["missing"]
    assert {one.rule for one in report.not_judged if one.partly} >= {"untrained", "nonfinite", "zero-matrix"}
    assert wa.scan(tmp_path, min_coverage=0).verdict == "warnings"  # of unmapped, which it says more than


def test_a_layout_of_a_known_method_that_is_not_read_does_not_pass(tmp_path: Path) -> None:
    """A layout of GPTQ that nothing here decodes."""

    def pack(tensors: Tensors) -> None:
        for one in [one for one in tensors if ".layers." in one and tensors[one].ndim == 2]:
            rows, cols = tensors.pop(one).shape
            stem = one.removesuffix("weight")
            tensors[f"{stem}qweight"] = torch.ones(cols // 8, rows, dtype=torch.int32)
            tensors[f"{stem}qzeros"] = torch.ones(1, rows // 8, dtype=torch.int32)
            tensors[f"{stem}scales"] = torch.ones(1, rows, dtype=torch.float16)

    method = {"quant_method": "gptq", "bits": 4, "checkpoint_format": "gptq_p"}
    of_few(tmp_path, pack, quantization_config=method)
    report = wa.scan(tmp_path)
    assert [(one.id, one.severity) for one in report.findings] == [("low-coverage", "error")]
    assert "GPTQ" in report.findings[0].detail
    assert "missing" not in [one.rule for one in report.not_judged]
    assert {one.rule for one in report.not_judged if one.partly} >= {"untrained", "nonfinite", "zero-matrix"}
    assert wa.scan(tmp_path, min_coverage=0).verdict == "warnings"  # of unmapped, which it says more than
