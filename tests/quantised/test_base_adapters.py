"""An adapter beside its base: how large the change is, and the weights that both make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file as np_load_file
from safetensors.numpy import save_file
from safetensors.torch import load_file

import weightaudit as wa
from tests.quantised import packers
from tests.quantised.adapters import golden
from tests.quantised.packers import quantise
from tests.support.adapters import ALPHA, RANK, SCALE, saved_adapter, saved_model, shapes_of
from tests.support.covering import covering
from tests.support.gguf_files import write_gguf
from tests.support.gguf_models import HEADS, KV, MODELS, Random, permuted, write_both
from weightaudit.arrays import Array
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import MappingError, UsageError
from weightaudit.records import LayerRow

ROUNDING = 2e-6
"""Of weights that are added up in float32."""


def check(row: LayerRow, W: Array, change: Array, effective: Array) -> None:
    """The facts of a row: ``change`` is W' − W, ``effective`` is W'."""
    facts = row.base
    assert facts is not None
    assert facts.relative_frobenius == pytest.approx(np.linalg.norm(change) / np.linalg.norm(W), rel=ROUNDING)
    spectral = np.linalg.norm(change, 2) / np.linalg.norm(W, 2)
    assert facts.relative_spectral <= spectral * (1 + ROUNDING)
    assert facts.relative_spectral_upper >= spectral * (1 - ROUNDING)
    assert facts.relative_spectral_upper <= 1.02 * facts.relative_spectral
    assert facts.effective is not None
    assert facts.effective.frobenius_norm == pytest.approx(np.linalg.norm(effective), rel=ROUNDING)
    largest = np.linalg.norm(effective, 2)
    assert facts.effective.spectral_norm <= largest * (1 + ROUNDING)
    assert facts.effective.spectral_norm_upper >= largest * (1 - ROUNDING)
    assert facts.effective.nonfinite == 0


def entries(model: Path) -> dict[str, Array]:
    return {matrix.key: matrix.load().double().numpy() for matrix in wa.matrices(model)}


@pytest.mark.parametrize("quantised", [pytest.param(False, marks=pytest.mark.slow), True])  # as a DoRA's base
def test_a_lora_and_the_weights_that_it_makes(quantised: bool, tmp_path: Path) -> None:
    base = saved_model(tmp_path / "base")
    ends = ("q_proj", "k_proj", "v_proj", "down_proj")
    adapter, changes = saved_adapter(tmp_path / "adapter", shapes_of(base, *ends))
    if quantised:
        stored, _ = quantise(
            load_file(base / "model.safetensors"), packers.int8, lambda name: name.endswith("proj.weight")
        )
        save_file({name: tensor.numpy() for name, tensor in stored.items()}, base / "model.safetensors")
    weights = entries(base)
    report = wa.scan(adapter, base=base)
    roles = {"Q": "self_attn.q_proj", "K": "self_attn.k_proj", "V": "self_attn.v_proj", "M2": "mlp.down_proj"}
    parts = {role: [role] for role in roles} | {"QKV": ["Q", "K", "V"]}
    assert {row.matrix.role for row in report.rows} == parts.keys()
    for row in report.rows:
        layer, W = row.matrix.layer, weights[row.matrix.key]
        change = np.concatenate([changes[f"model.layers.{layer}.{roles[one]}"] for one in parts[row.matrix.role]])
        check(row, W, change, W + change)
    assert not any("ompared" in note or "nly base" in note for note in report.notes)
    added = ["effective_frobenius_norm", "effective_spectral_norm", "effective_spectral_norm_upper"]
    assert [*report.layers.columns[-4:]] == [*added, "effective_stable_rank"]


def test_a_dora_scales_rows(tmp_path: Path) -> None:
    """The change is of the weights that are used, W' = diag(m / ‖W + s·B·A‖ by rows)(W + s·B·A)."""
    base = saved_model(tmp_path / "base")
    adapter, changes = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj", "o_proj"), magnitudes=True)
    weights, norms = entries(base), load_file(adapter / "adapter_model.safetensors")
    report = wa.scan(adapter, base=base)
    assert len(report.rows) == 4
    for row in report.rows:
        path = f"model.layers.{row.matrix.layer}.self_attn.{row.matrix.role.lower()}_proj"
        W = weights[row.matrix.key]
        added = W + changes[path]
        magnitude = norms[f"base_model.model.{path}.lora_magnitude_vector"].double().numpy()
        effective = added * (magnitude / np.linalg.norm(added, axis=1))[:, None]
        check(row, W, effective - W, effective)


def test_stacked_experts_beside_single_ones(tmp_path: Path) -> None:
    """One change of gate and up of all experts is put onto two matrices of each."""
    case = golden("experts")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.MixtralForCausalLM(transformers.MixtralConfig(**case.base)).float().save_pretrained(
            tmp_path / "base"
        )
    weights = entries(tmp_path / "base")
    report = wa.scan(case.write(tmp_path / "adapter"), base=tmp_path / "base")
    experts = [row for row in report.rows if row.matrix.expert is not None]
    assert {row.matrix.role for row in experts} == {"GATE", "M1", "M2"}
    for row in experts:
        (part,) = row.matrix.parts
        change = case.expected[part.tensor][row.matrix.expert].astype(np.float64)
        if part.rows is not None:
            change = change[part.rows.start : part.rows.start + part.rows.size]
        W = weights[row.matrix.key]
        check(row, W, change, W + change)


def test_one_of_stacked_experts_is_planned_and_read_at_a_time(tmp_path: Path) -> None:
    """Beside a base one expert's matrices are held, and its factors are to the last bit those of the whole stack."""
    case = golden("experts")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.MixtralForCausalLM(transformers.MixtralConfig(**case.base)).float().save_pretrained(
            tmp_path / "base"
        )
    adapter = case.write(tmp_path / "adapter")
    with pytest.raises(
        UsageError, match=r"gate_up_proj\[0\], [^,]+, [^,]+ of base must be held at once and take 5,312 bytes"
    ):
        wa.scan(adapter, base=tmp_path / "base", memory=2000)
    with open_checkpoint(adapter) as checkpoint:
        for name in ("gate_up_proj", "down_proj"):
            stack = checkpoint.tensors[f"model.layers.0.mlp.experts.{name}"]
            ones = [one for expert in range(3) if (one := stack.at(expert, 3)) is not None]
            with checkpoint.reader([stack, *ones], ahead=0) as read:
                whole = read.product(stack)
                for expert, one in enumerate(ones):
                    alone = read.product(one)
                    assert np.array_equal(alone.left, whole.left[expert])
                    assert np.array_equal(alone.right, whole.right[expert])
            assert len(ones) == 3


@pytest.mark.parametrize("lies", ["beside other columns", "transposed"])
def test_stacked_factors_that_do_not_lie_row_by_row(lies: str, tmp_path: Path) -> None:
    """torch.save keeps how a tensor lies: no expert's factor is a piece of the file then."""
    case = golden("experts")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.MixtralForCausalLM(transformers.MixtralConfig(**case.base)).float().save_pretrained(
            tmp_path / "base"
        )
    adapter = Path(case.write(tmp_path / "adapter"))
    known = {row.matrix.key: row.spectrum.frobenius_norm for row in wa.scan(adapter, base=tmp_path / "base").rows}
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name, values in tensors.items():
        if "lora_A" in name:
            wider = torch.cat([values, values], 1)
            tensors[name] = values.T.contiguous().T if lies == "transposed" else wider[:, : values.shape[1]]
            assert not tensors[name].is_contiguous()
    torch.save(tensors, adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    found = {row.matrix.key: row.spectrum.frobenius_norm for row in wa.scan(adapter, base=tmp_path / "base").rows}
    assert found == known


@pytest.mark.parametrize(("rows", "norms"), [(9, (7,)), (7, (7,)), (9, (9,))])
def test_norms_of_an_embedding_s_columns_are_not_put_onto_rows(
    rows: int, norms: tuple[int, ...], tmp_path: Path
) -> None:
    """PEFT gives the columns of an embedding the norms of a DoRA, also where there are as many rows."""
    generator = np.random.default_rng(3)
    path, linear = "base_model.model.model.embed_tokens", "model.layers.0.self_attn.q_proj"
    base = tmp_path / "base"
    base.mkdir()
    W = generator.standard_normal((rows, 7)).astype(np.float32)
    save_file({"model.embed_tokens.weight": W, f"{linear}.weight": W}, base / "model.safetensors")
    (base / "config.json").write_text('{"model_type": "own"}')
    adapter, _ = saved_adapter(tmp_path / "adapter", {linear: (rows, 7)}, magnitudes=True)
    stored = {
        f"{path}.lora_embedding_A": generator.standard_normal((RANK, rows)).astype(np.float32),
        f"{path}.lora_embedding_B": generator.standard_normal((7, RANK)).astype(np.float32),
        f"{path}.lora_magnitude_vector": np.ones(norms, np.float32),
    }
    save_file(stored | np_load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.safetensors")
    report = wa.scan(adapter, base=base)
    assert {row.matrix.role: row.base is not None for row in report.rows} == {"EMBED": False, "Q": True}
    assert any(
        note.startswith("Not compared, for the norms that they set are not those of rows") for note in report.notes
    )


@pytest.mark.parametrize(
    ("kind", "heads"),
    covering(
        ["float", "GGUF"],
        [{}, {"llama.attention.head_count": HEADS, "llama.attention.head_count_kv": KV}],
        together=1,
    ),
)
def test_a_gguf_adapter_beside_its_base(kind: str, heads: Mapping[str, int], tmp_path: Path) -> None:
    """Rows of Q and K are put onto the base's in their order, also where only the base tells it."""
    model = MODELS["llama"](Random(np.float32))
    base = write_both(model, tmp_path)[kind == "GGUF"]
    generator = np.random.default_rng(4)
    stored: dict[str, Array] = {}
    changes: dict[str, Array] = {}
    for role, own in (("Q", "q"), ("K", "k"), ("V", "v")):
        name = f"model.layers.1.self_attn.{own}_proj.weight"
        rows, cols = model.own[name].shape
        A, B = (generator.standard_normal(shape).astype(np.float32) for shape in ((RANK, cols), (rows, RANK)))
        count = {"Q": HEADS, "K": KV}.get(role)
        stored[f"blk.1.attn_{own}.weight.lora_a"] = A
        stored[f"blk.1.attn_{own}.weight.lora_b"] = B if count is None else permuted(B, count)
        changes[role] = SCALE * (B.astype(np.float64) @ A.astype(np.float64))
    said = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}
    adapter = write_gguf(tmp_path / "a.gguf", {**said, "adapter.lora.alpha": float(ALPHA), **heads}, stored)
    weights = entries(base)
    report = wa.scan(adapter, base=base)
    assert {row.matrix.role for row in report.rows} == {"Q", "K", "V", "QKV"}
    for row in report.rows:
        W, role = weights[row.matrix.key], row.matrix.role
        change = np.concatenate([*changes.values()]) if role == "QKV" else changes[role]
        check(row, W, change, W + change)
    assert not any("ompared" in note for note in report.notes)


def test_rows_whose_order_nothing_tells_are_not_put_onto_a_base(tmp_path: Path) -> None:
    modules = {f"model.layers.0.self_attn.{role}_proj": (8, 6) for role in "qv"}
    base = tmp_path / "base"
    base.mkdir()
    save_file(
        {f"{path}.weight": np.ones(shape, np.float32) for path, shape in modules.items()}, base / "model.safetensors"
    )
    (base / "config.json").write_text('{"model_type": "own"}')
    stored = {
        f"blk.0.attn_{role}.weight.lora_{side}": np.ones(shape, np.float32)
        for role in "qv"
        for side, shape in (("a", (RANK, 6)), ("b", (8, RANK)))
    }
    said = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}
    report = wa.scan(write_gguf(tmp_path / "a.gguf", {**said, "adapter.lora.alpha": 4.0}, stored), base=base)
    assert {row.matrix.role: row.base is not None for row in report.rows} == {"Q": False, "V": True}
    assert [note for note in report.notes if note.startswith("Not compared, for nothing says how many heads")]


def test_sizes_of_which_no_matrix_fills_cache_lines(tmp_path: Path) -> None:
    """Effective weights of several matrices of one group are made beside each other, each on cache lines."""
    generator = np.random.default_rng(3)
    modules = [f"model.layers.0.self_attn.{role}_proj" for role in "qkv"]
    stored = {f"{path}.weight": generator.standard_normal((7, 7)).astype(np.float32) for path in modules}
    base = tmp_path / "base"
    base.mkdir()
    save_file(stored, base / "model.safetensors")
    (base / "config.json").write_text('{"model_type": "own"}')
    adapter, changes = saved_adapter(tmp_path / "adapter", dict.fromkeys(modules, (7, 7)))
    report = wa.scan(adapter, base=base)
    assert [row.matrix.role for row in report.rows] == ["Q", "K", "V", "QKV"]
    for row in report.rows:
        W = np.concatenate([stored[name].astype(np.float64) for name in row.matrix.tensors])
        change = np.concatenate([changes[name.removesuffix(".weight")] for name in row.matrix.tensors])
        check(row, W, change, W + change)


def test_a_base_that_is_stored_in_out(tmp_path: Path) -> None:
    """GPT-2's Conv1D: factors are of (out, in), and one change of Q, K and V is three."""
    base = saved_model(tmp_path / "base", "gpt2")
    shapes = {path: (cols, rows) for path, (rows, cols) in shapes_of(base, "c_attn", "c_fc").items()}
    adapter, changes = saved_adapter(tmp_path / "adapter", shapes, fan_in_fan_out=True)
    weights = entries(base)
    report = wa.scan(adapter, base=base)
    assert {"Q", "K", "V", "M1"} <= {row.matrix.role for row in report.rows}
    for row in report.rows:
        end = "mlp.c_fc" if row.matrix.role == "M1" else "attn.c_attn"
        change = next(one for path, one in changes.items() if path.endswith(f"h.{row.matrix.layer}.{end}"))
        if row.matrix.role in ("Q", "K", "V"):
            change = np.split(change, 3)["QKV".index(row.matrix.role)]
        W = weights[row.matrix.key]
        check(row, W, change, W + change)


def test_what_does_not_fit(tmp_path: Path) -> None:
    base = saved_model(tmp_path / "base")
    shapes = {path: (rows, cols + 8) for path, (rows, cols) in shapes_of(base, "q_proj").items()}
    adapter, _ = saved_adapter(tmp_path / "adapter", shapes)
    told = r"it is another model: layer 0 .*q_proj is 64 × 56 here and 64 × 48 there; of 2"
    with pytest.raises(MappingError, match=told):
        wa.scan(adapter, base=base)
    with pytest.raises(MappingError, match=r"^base .*adapter: it is a LoRA adapter itself.* --adapter"):
        wa.scan(base, base=adapter)


def test_the_memory_holds_what_is_made_of_both(tmp_path: Path) -> None:
    """The weights that base and adapter make are counted before they are made."""
    base = saved_model(tmp_path / "base")
    adapter, _ = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj"))
    assert wa.scan(adapter, memory=20_000).rows
    with pytest.raises(UsageError, match=r"weight of \S+ must be held at once"):
        wa.scan(adapter, base=base, memory=20_000)
