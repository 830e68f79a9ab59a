"""Pairs that do not fit: a sentence that says which model and where, or a row that says so; and the same numbers
whatever the files, the formats and the Hub do.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.pairs.models import Tensors, at, derived, diff, noisy
from tests.support.adapters import saved_adapter, saved_model, shapes_of
from tests.support.bins import save_bin, save_bin_shards
from tests.support.covering import some_of
from tests.support.fault_table import PASSING
from tests.support.forge import write_index
from tests.support.gguf_models import MODELS, Random, write_both
from tests.support.hub import Hub, faults, folder_files, pointed_at, serve
from tests.support.impatience import shorten_pauses
from tests.support.linear_packers import GPTQ, gptq
from tests.support.models import build, tiny_model
from tests.support.packed_models import packed
from tests.support.running import CommandLine
from tests.support.tiny import tiny
from weightaudit.config import AuditConfig
from weightaudit.errors import ModelError
from weightaudit.pairs.comparing import Comparer
from weightaudit.pairs.diff import diff_models
from weightaudit.records import DiffResult, Place
from weightaudit.source.http import retry

ATTENTION, UP, DOWN = (f"transformer.h.1.{name}.weight" for name in ("attn.c_attn", "mlp.c_fc", "mlp.c_proj"))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    tiny_model("gpt2", folder)
    return folder


@pytest.fixture(scope="module")
def tuned(gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every number of a layer, of the embedding and of the last norm a little different, the rest as it was."""

    def some(tensors: Tensors) -> Tensors:
        other = dict(tensors)
        noisy(other)
        return {name: tensors[name] if ".h.0." in name or ".wpe." in name else other[name] for name in tensors}

    return derived(gpt2, tmp_path_factory.mktemp("tuned"), some)


@pytest.fixture(scope="module")
def expected(gpt2: Path, tuned: Path) -> list[tuple[str, str, float]]:
    """`numbers` of the two, from plain files on this disk."""
    found = numbers(diff(gpt2, tuned))
    assert {kind for _, kind, _ in found} > {"unchanged"}
    return found


def numbers(result: DiffResult) -> list[tuple[str, str, float]]:
    """What became of each matrix and vector, whatever their files are called."""
    return [(change.place.words() or change.tensors[0], change.kind, change.relative) for change in result.changes]


def kinds(result: DiffResult) -> dict[str, str]:
    return {change.place.words() or change.tensors[0]: change.kind for change in result.changes}


def test_a_matrix_of_another_shape_is_told_and_the_others_are_compared(gpt2: Path, tmp_path: Path) -> None:
    def cut(tensors: Tensors) -> None:
        tensors[UP] = tensors[UP][:, :20]

    for base, other in ((gpt2, derived(gpt2, tmp_path / "a", cut)), (derived(gpt2, tmp_path / "b", cut), gpt2)):
        result = diff(base, other)
        assert UP in " ".join(result.notes) or "layer 1 M1" in " ".join(result.notes)
        assert "layer 1 M1" not in kinds(result)
        assert any(UP in one.tensors for one in result.one_sided)
        assert not result.summary.identical
        assert {kind for place, kind in kinds(result).items() if place != "layer 1 M1"} == {"unchanged"}


def test_a_vector_of_another_shape_is_on_each_side_alone(gpt2: Path, tmp_path: Path) -> None:
    name = "transformer.ln_f.weight"
    result = diff(gpt2, derived(gpt2, tmp_path, lambda tensors: {**tensors, name: torch.ones(24, 2)}))
    assert [one.side for one in result.one_sided if name in one.tensors] == ["derived", "base"]
    assert not result.summary.identical


def test_a_tensor_that_is_called_as_a_place_hides_nothing(gpt2: Path, tmp_path: Path) -> None:
    def named(tensors: Tensors) -> None:
        tensors["/1//M1"] = torch.ones(3)

    def spoilt(tensors: Tensors) -> None:
        named(tensors)
        tensors[UP] += 1.0

    result = diff(derived(gpt2, tmp_path / "a", named), derived(gpt2, tmp_path / "b", spoilt))
    assert at(result, "layer 1 M1").kind != "unchanged"
    assert at(result, "/1//M1").kind == "unchanged"
    assert len(result.matrices) == len(diff(gpt2, gpt2).matrices)


def test_complex_numbers_beside_real_ones(gpt2: Path, tmp_path: Path) -> None:
    real = derived(gpt2, tmp_path / "real", lambda tensors: {**tensors, "freqs": torch.ones(4)})
    other = derived(gpt2, tmp_path / "c", lambda tensors: {**tensors, "freqs": torch.ones(4, dtype=torch.complex64)})
    turned = derived(gpt2, tmp_path / "t", lambda tensors: {**tensors, "freqs": 1j * torch.ones(4)})
    assert at(diff(real, other), "freqs").kind == at(diff(other, real), "freqs").kind == "unchanged"
    for change in (at(diff(real, turned), "freqs"), at(diff(other, turned), "freqs")):
        assert change.relative == pytest.approx(math.sqrt(2))


def _with_huge(value: float) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, "huge": torch.full((90_000,), value)}


def _as_bfloat16(stored: torch.dtype) -> Callable[[Tensors], Tensors]:
    """The numbers of bfloat16, in another dtype."""
    return lambda tensors: {name: tensor.bfloat16().to(stored) for name, tensor in tensors.items()}


def test_what_memory_leaves_out_is_no_sign_that_nothing_differs(gpt2: Path, tmp_path: Path) -> None:
    one, other = (derived(gpt2, tmp_path / str(value), _with_huge(value)) for value in (1.0, 2.0))
    result = diff_models(str(one), str(other), AuditConfig(memory=400_000))
    assert result.partial == ("--memory",)
    (finding,) = result.findings
    assert finding.detail.endswith("Compared was a part only (--memory).")
    assert not diff_models(str(one), str(other), AuditConfig()).summary.identical


@pytest.mark.parametrize(
    "dtypes",
    [
        (torch.float32, torch.bfloat16),
        pytest.param((torch.bfloat16, torch.float32), marks=pytest.mark.slow),
    ],
)
def test_layers_in_another_order_are_found_in_another_dtype(
    dtypes: tuple[torch.dtype, torch.dtype], gpt2: Path, tmp_path: Path
) -> None:
    def swapped(tensors: Tensors) -> Tensors:
        other = {name: name.replace(".0.", ".x.").replace(".1.", ".0.").replace(".x.", ".1.") for name in tensors}
        return {other[name]: w.bfloat16().to(dtypes[1]) for name, w in tensors.items()}

    base = derived(gpt2, tmp_path / "base", lambda tensors: {name: w.to(dtypes[0]) for name, w in tensors.items()})
    result = diff(base, derived(gpt2, tmp_path / "other", swapped))
    moved = at(result, "layer 0 M1")
    assert (moved.kind, moved.moved_from) == ("moved", Place(layer=1, role="M1"))
    assert {change.kind for change in result.matrices if change.place.layer is not None} == {"moved"}


def test_equal_matrices_that_were_cast_have_not_moved(gpt2: Path, tmp_path: Path) -> None:
    def equal(tensors: Tensors) -> None:
        tensors[UP] = tensors[UP.replace(".1.", ".0.")].clone()

    base = derived(gpt2, tmp_path / "base", equal)
    for dtype in (torch.bfloat16, torch.float32):  # what is stored in more bits too
        other = derived(base, tmp_path / str(dtype), _as_bfloat16(dtype))
        assert at(diff(base, other), "layer 1 M1").kind == "cast"


@pytest.mark.parametrize("dtype", some_of([torch.float64, torch.float16, torch.bfloat16], torch.bfloat16))
def test_dtypes_may_differ_on_either_side(dtype: torch.dtype, gpt2: Path, tmp_path: Path) -> None:
    """Equal numbers are unchanged whatever they are stored in; those that were rounded are cast, of vectors too."""
    other = derived(gpt2, tmp_path / "cast", lambda tensors: {name: w.to(dtype) for name, w in tensors.items()})
    rounds = dtype != torch.float64
    result = diff(gpt2, other)
    assert {change.kind for change in result.matrices} == ({"cast"} if rounds else {"unchanged"})
    assert result.summary.identical == (not rounds)
    assert set(kinds(diff(derived(other, tmp_path / "same", lambda tensors: None), other)).values()) == {"unchanged"}
    # What is stored in more bits holds the same numbers.
    wide = derived(other, tmp_path / "wide", lambda tensors: {name: w.to(torch.float64) for name, w in tensors.items()})
    assert set(kinds(diff(wide, other)).values()) == set(kinds(diff(other, wide)).values()) == {"unchanged"}


def test_each_tensor_may_have_a_dtype_of_its_own(gpt2: Path, tmp_path: Path) -> None:
    def some(tensors: Tensors) -> None:
        tensors[UP], tensors[DOWN] = tensors[UP].to(torch.bfloat16), tensors[DOWN].to(torch.float16)

    result = diff(gpt2, derived(gpt2, tmp_path, some))
    assert "bfloat16" in (at(result, "layer 1 M1").entries or fail()).casts
    assert "float16" in (at(result, "layer 1 M2").entries or fail()).casts
    assert at(result, "layer 0 M1").kind == "unchanged"


def fail() -> Any:
    pytest.fail("it has no entries")


def test_not_a_number_on_either_side_or_on_both(gpt2: Path, tmp_path: Path) -> None:
    def spoilt(tensors: Tensors) -> None:
        tensors[DOWN][3, 4] = math.nan
        tensors["transformer.ln_f.bias"][:] = -math.inf

    broken = derived(gpt2, tmp_path, spoilt)
    places = ("layer 1 M2", "transformer.ln_f.bias")
    for result in (diff(broken, gpt2), diff(gpt2, broken)):
        for place in places:
            change = at(result, place)
            assert (change.kind, math.isnan(change.relative)) == ("not finite", True)
            assert change.spectrum is None
        assert math.isnan(result.summary.relative)
        assert {kind for place, kind in kinds(result).items() if place not in places} == {"unchanged"}
        assert not result.summary.identical
    assert (at(diff(broken, gpt2), "layer 1 M2").entries or fail()).nonfinite_base == 1
    # The same bytes are the same, whatever they stand for.
    assert set(kinds(diff(broken, broken)).values()) <= {"unchanged", "not finite"}


@pytest.mark.parametrize("size", some_of([1e300, 1e154, 1e80, 1e-80, 1e-160, 1e-300], 1e300))
def test_numbers_whose_squares_leave_float64(size: float, gpt2: Path, tmp_path: Path) -> None:
    """Of their change no size is told and nothing claimed, of others' all is."""

    def sized(tensors: Tensors) -> None:
        tensors[UP], tensors["transformer.ln_f.bias"] = (
            size * torch.randn(tensors[name].shape, dtype=torch.float64) for name in (UP, "transformer.ln_f.bias")
        )

    def noisier(tensors: Tensors) -> None:
        for name in (UP, DOWN, "transformer.ln_f.bias"):
            tensors[name] *= 1 + 0.1 * torch.randn(tensors[name].shape)

    base = derived(gpt2, tmp_path / "base", sized)
    other = derived(base, tmp_path / "other", noisier)
    result = diff(base, other, parents=[str(other), str(gpt2)], intruders=True)
    for place in ("layer 1 M1", "transformer.ln_f.bias"):
        assert (at(result, place).kind, math.isnan(at(result, place).relative)) == ("dense", True)
    matrix = at(result, "layer 1 M1")
    assert matrix.spectrum is not None
    assert matrix.spectrum.spectral_norm > 0.0
    assert matrix.ranks is not None
    assert matrix.ranks.rank is None
    assert matrix.recipe is not None
    assert not matrix.recipe.exact
    assert at(result, "layer 1 M2").relative == pytest.approx(0.1, rel=0.3)
    assert set(kinds(diff(base, base)).values()) == {"unchanged"}


@pytest.fixture(scope="module")
def in_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in shards")
    tiny_model("gpt2", folder, max_shard_size="20KB")
    return folder


@pytest.mark.parametrize(
    ("lost", "side"), some_of(product([1, 8, 4000], ["base", "derived"]), (1, "base"), (8, "derived"))
)
def test_a_shard_that_ends_too_early(
    side: str, lost: int, in_shards: Path, tmp_path: Path, weightaudit: CommandLine
) -> None:
    for name in ("base", "derived"):
        shutil.copytree(in_shards, tmp_path / name)
    shard = sorted((tmp_path / side).glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-lost])
    done = weightaudit("diff", tmp_path / "base", tmp_path / "derived", "--csv", tmp_path / "d.csv")
    assert (done.code, done.stdout) == (3, "")
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("weightaudit: ")]
    assert shard.name in said
    assert said.startswith("weightaudit: base ") == (side == "base")
    assert not (tmp_path / "d.csv").exists()


@pytest.mark.parametrize("side", ["base", "derived"])
def test_a_shard_that_is_not_there(side: str, in_shards: Path, tmp_path: Path) -> None:
    for name in ("base", "derived"):
        shutil.copytree(in_shards, tmp_path / name)
    shard = sorted((tmp_path / side).glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(ModelError, match=rf"^{'base' if side == 'base' else '(?!base)'}.*{side}") as error:
        diff(tmp_path / "base", tmp_path / "derived")
    assert shard.name in str(error.value)


OTHERS: dict[str, tuple[Callable[[], Any], str]] = {
    "phi": (lambda: tiny("phi"), "of family gpt2 and not phi"),
    "bert": (lambda: tiny("bert"), "of family gpt2 and not bert"),
    "wider": (lambda: build("gpt2", n_embd=48), "layer 0 Q is 48 × 48 here and 24 × 24 there"),
    "longer": (lambda: build("gpt2", n_inner=64), "layer 0 M1 is 64 × 24 here and 40 × 24 there"),
}


@pytest.mark.parametrize("name", some_of(["phi", "bert", "wider"], "phi", "wider"))
def test_another_architecture_is_one_message_that_says_where(
    name: str, gpt2: Path, tmp_path: Path, weightaudit: CommandLine
) -> None:
    make, said = OTHERS[name]
    make().save_pretrained(tmp_path / "other")
    done = weightaudit("diff", gpt2, tmp_path / "other")
    assert (done.code, done.stdout) == (3, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("weightaudit: ")]
    assert "it is another model" in line
    assert said in line


def test_a_model_of_the_same_family_with_wider_layers_is_compared_where_it_can_be(gpt2: Path, tmp_path: Path) -> None:
    make, said = OTHERS["longer"]
    make().save_pretrained(tmp_path)
    result = diff(gpt2, tmp_path)
    assert said in " ".join(result.notes)
    assert {change.place.role for change in result.matrices if change.place.layer is not None} == {"Q", "K", "V", "O"}
    assert {one.place.role for one in result.one_sided if one.place.role} == {"M1", "M2"}


def test_more_layers_are_on_one_side_alone(tmp_path: Path) -> None:
    """Pruned or grown in depth: layers of the same numbers are compared."""
    short, long = (saved(build("gpt2", n_layer=layers), tmp_path / str(layers)) for layers in (2, 3))
    result = diff(long, short)
    assert {one.side for one in result.one_sided} == {"base"}
    assert {one.place.layer for one in result.one_sided if one.place.role} == {2}
    assert {one.side for one in diff(short, long).one_sided} == {"derived"}


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


# Files


def sharded(tensors: Tensors, folder: Path) -> None:
    """Two shards, the other way round."""
    names = list(reversed(tensors))
    files = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, held in files.items():
        save_file({name: tensors[name].contiguous() for name in held}, folder / file)
    write_index(folder, {name: file for file, held in files.items() for name in held})


FILES: dict[str, Callable[[Tensors, Path], None]] = {
    "shards": sharded,
    "bin": save_bin,
    "bin in shards": lambda tensors, folder: save_bin_shards(tensors, folder, 3),
}


@pytest.mark.parametrize(
    ("kind", "sides"),
    some_of(
        product(FILES, [("base",), ("tuned",), ("base", "tuned")]),
        ("bin in shards", ("base",)),
    ),
)
def test_files_of_any_kind_on_either_side(
    kind: str, sides: tuple[str, ...], gpt2: Path, tuned: Path, expected: list[tuple[str, str, float]], tmp_path: Path
) -> None:
    of = {"base": gpt2, "tuned": tuned}
    for side in sides:
        (folder := tmp_path / side).mkdir()
        FILES[kind](load_file(of[side] / "model.safetensors"), folder)
        shutil.copy(of[side] / "config.json", folder)
        assert set(kinds(diff(folder, of[side])).values()) == {"unchanged"}
        of[side] = folder
    assert numbers(diff(of["base"], of["tuned"])) == expected


@pytest.mark.parametrize(("name", "turned"), some_of(product(MODELS, [False, True]), ("llama", False), ("gpt2", True)))
def test_gguf_beside_safetensors(name: str, turned: bool, tmp_path: Path) -> None:
    """Permuted and fused as they are there, the matrices are the same."""
    own, converted = write_both(MODELS[name](Random(np.float32)), tmp_path)
    result = diff(converted, own) if turned else diff(own, converted)
    assert len(result.matrices) > 5
    assert {change.kind for change in result.matrices} == {"unchanged"}
    assert not [one for one in result.one_sided if one.place.role]


def test_gptq_as_derived_is_its_weights_after_decoding(tmp_path: Path) -> None:
    model, base = packed("llama", gptq, GPTQ, tmp_path)
    result = diff(base, model)
    packed_roles = {"Q", "K", "V", "O", "GATE", "M1", "M2"}
    assert {change.place.role for change in result.matrices} >= packed_roles
    for change in result.matrices:
        if change.place.layer is not None:
            assert change.kind in ("quantised", "dense", "noise"), change.place
            assert 0 < change.relative < 0.5
            assert change.dtype == "GPTQ 4 bits"
        else:
            assert change.kind == "unchanged"
    assert "diff-quantised" not in {one.id for one in result.findings}  # which is of what is stored as numbers
    assert diff(model, base).summary.matrices == result.summary.matrices
    assert not result.one_sided


def test_an_adapter_as_derived_and_never_as_base(tmp_path: Path) -> None:
    base = saved_model(tmp_path / "llama")
    adapter, changes = saved_adapter(tmp_path / "adapter", shapes_of(base, "q_proj"))
    result = diff(base, adapter)
    assert {change.kind for change in result.changes} == {"low rank"}
    assert len(result.changes) == len(changes)
    with pytest.raises(ModelError, match=r"^base .*: it is .* itself"):
        diff(adapter, base)
    tiny("gpt2").save_pretrained(tmp_path / "other")
    with pytest.raises(ModelError, match=r"^base "):
        diff(tmp_path / "other", adapter)


def test_an_index_that_lies_is_one_message(gpt2: Path, tmp_path: Path) -> None:
    sharded(load_file(gpt2 / "model.safetensors"), tmp_path)
    shutil.copy(gpt2 / "config.json", tmp_path)
    path = tmp_path / "model.safetensors.index.json"
    said = json.loads(path.read_text())
    said["weight_map"] = dict.fromkeys(said["weight_map"], "../../etc/passwd")
    path.write_text(json.dumps(said))
    with pytest.raises(ModelError, match=r"^base "):
        diff(tmp_path, gpt2)
    with pytest.raises(ModelError, match=r"^(?!base )"):
        diff(gpt2, tmp_path)


# Hub


@pytest.fixture(scope="module")
def published(gpt2: Path, tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both in shards, by their ids on the Hub."""
    folders = {}
    for name, model in (("base", gpt2), ("tuned", tuned)):
        folders[f"org/{name}"] = folder = tmp_path_factory.mktemp(name)
        sharded(load_file(model / "model.safetensors"), folder)
        shutil.copy(model / "config.json", folder)
    return folders


@pytest.fixture
def hub(published: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    shorten_pauses(monkeypatch)
    folders = {name: folder_files(folder) for name, folder in published.items()}
    with serve(folders) as server, pointed_at(server.url, tmp_path / "home", token=server.token):
        yield server
        assert not (tmp_path / "home").exists()  # streamed, nothing kept


def of_hub(base: str = "org/base", other: str = "org/tuned") -> DiffResult:
    return diff(base, other)  # type: ignore[arg-type]  # names


def stored(hub: Hub, repo: str, file: str) -> bytes:
    content = hub.repos[repo].commits[hub.sha][file]
    return b"".join(content.chunks(0, content.size, 1 << 20))


def test_both_are_streamed_and_each_byte_comes_once(
    hub: Hub, gpt2: Path, expected: list[tuple[str, str, float]]
) -> None:
    assert numbers(of_hub()) == expected
    read: dict[str, list[tuple[int, int]]] = {}
    for request in hub.asked("cdn"):
        assert request.span is not None
        read.setdefault(request.path, []).append(request.span)
    assert len(read) == 4  # two shards of each
    size = sum(tensor.nbytes for tensor in load_file(gpt2 / "model.safetensors").values())
    for repo in ("org/base", "org/tuned"):
        of_tensors = 0
        for path, spans in read.items():
            if repo not in path:
                continue
            content = stored(hub, repo, path.rpartition("/")[2])
            start = 8 + int.from_bytes(content[:8], "little")
            times = np.zeros(len(content), int)
            for first, last in spans:
                if first >= start:  # what is read of the header may reach into so small a file's tensors
                    times[first:last] += 1
            assert set(times[start:].tolist()) == {1}
            of_tensors += len(content) - start
        assert of_tensors == size


def test_revisions_are_those_of_each_side(hub: Hub, expected: list[tuple[str, str, float]]) -> None:
    assert numbers(of_hub("org/base@v1", "org/tuned@v1")) == expected
    with pytest.raises(ModelError, match=r"^base .*no-such"):
        of_hub("org/base@no-such")
    with pytest.raises(ModelError, match=r"^(?!base ).*no-such"):
        of_hub(other="org/tuned@no-such")


@pytest.mark.slow
def test_a_revision_beside_the_latest(hub: Hub) -> None:
    assert {change.kind for change in of_hub("org/base", "org/base@v1").changes} == {"unchanged"}


@pytest.mark.parametrize(
    ("name", "repo"),
    some_of(
        product(
            ["drop in mid-body", "short 206", "403", "503", "an expiry told as 410", "429 with Retry-After"],
            ["org/base", "org/tuned"],
        ),
        ("drop in mid-body", "org/base"),
    ),
)
@pytest.mark.slow
def test_faults_that_pass_leave_no_trace(
    name: str, repo: str, hub: Hub, expected: list[tuple[str, str, float]]
) -> None:
    fault = PASSING[name](hub, 300)
    hub.faults.append(lambda request, answer: fault(request, answer) if repo in request.path else answer)
    assert numbers(of_hub()) == expected
    assert fault.struck > 0


LASTING: dict[str, tuple[Any, str]] = {
    "drop": (faults.drop_after(100, times=None), "breaks the connection"),
    "403": (faults.status(403, times=None), "refuses to serve the file (HTTP 403)"),
    "no such model": (
        faults.status(404, {"X-Error-Code": "RepoNotFound"}, where=faults.API, times=None),
        "no such model on the Hub",
    ),
}


@pytest.mark.parametrize(
    ("kind", "repo"),
    some_of(
        product(LASTING, ["org/base", "org/tuned"]),
        *[("drop", "org/tuned"), ("no such model", "org/base")],
    ),
)
def test_faults_that_last_are_one_message_that_says_whose(
    kind: str, repo: str, hub: Hub, weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, said = LASTING[kind]
    monkeypatch.setattr(retry, "LONGEST_PAUSE", 0.2)  # half a second of tries is full of them else
    hub.faults.append(lambda request, answer: fault(request, answer) if repo in request.path else answer)
    done = weightaudit("diff", "org/base", "org/tuned", "--max-wait", "0.5")
    assert (done.code, done.stdout) == (3, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("weightaudit: ")]
    assert said in line
    assert repo in line
    assert line.startswith("weightaudit: base ") == (repo == "org/base")


def test_a_file_that_changes_while_it_is_read(hub: Hub) -> None:
    other = stored(hub, "org/tuned", "model-00001-of-00002.safetensors")[::-1]
    hub.faults.append(faults.change_file(hub, "org/tuned", "model-00001-of-00002.safetensors", other, skip=3))
    with pytest.raises(ModelError):
        of_hub()


@pytest.mark.parametrize("role", some_of(["base", "parent", "derived"], "base"))
def test_a_file_here_that_changes_while_it_is_read_is_called_what_it_is(
    role: str, gpt2: Path, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {name: tmp_path / name for name in ("base", "derived", "parent")}
    for name, folder in folders.items():
        shutil.copytree(gpt2 if name == "base" else tuned, folder)
    file = folders[role] / "model.safetensors"
    compare = Comparer.change

    def meanwhile(*given: Any) -> Any:
        with file.open("r+b") as opened:  # in place: a file that is shorter for a moment is another fault
            opened.seek(-4, os.SEEK_END)
            opened.write(b"else")
        return compare(*given)

    monkeypatch.setattr(Comparer, "change", meanwhile)
    with pytest.raises(
        ModelError, match=rf"^{'' if role == 'derived' else role + ' '}/.*{role}.model.safetensors: it was"
    ):
        diff(folders["base"], folders["derived"], parents=[str(folders["parent"])])
