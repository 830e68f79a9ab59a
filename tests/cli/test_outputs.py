"""No output of any command replaces a file of a model, and finished work survives an output that fails."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.cli.disks import refusing
from tests.support.covering import in_turn, some_of
from tests.support.pictures import draw_coarsely, draw_few
from tests.support.running import CommandLine, full_stdout
from weightaudit import scan
from weightaudit.errors import OutputError
from weightaudit.report.atomic_write import replacing

Snapshot = dict[str, bytes]
TABLES = ("--csv", "--json", "--parquet")
LITTLE = ("--layers", "0", "--roles", "Q")
"""One matrix: as good as all where what is written is not looked at."""


def seldom(*values: object) -> Any:
    """A case like one that is by default, which goes through the same lines."""
    return pytest.param(*values, marks=pytest.mark.slow)


def contents(folder: Path) -> Snapshot:
    """Every file below ``folder`` with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_coarsely(monkeypatch)
    draw_few(monkeypatch)


@pytest.fixture
def model(tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> Path:
    """A model with the files that usually lie beside the weights."""
    folder = tmp_path / "home" / "model"
    shutil.copytree(tiny_checkpoints["gpt2"], folder)
    for name in ("tokenizer.json", "vocab.txt", "README.md", "pytorch_model.bin", "1_Pooling/config.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def linked(folder: Path, kind: str) -> str:
    """The name of a link to the weights, which lies outside the model."""
    path = folder.parent / f"{kind}.csv"
    if kind == "hard":
        os.link(folder / "model.safetensors", path)
    else:
        path.symlink_to(folder / "model.safetensors")
    return str(path)


OUTPUTS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "weights": lambda m: ("--csv", f"{m}/model.safetensors"),
    "weights by another way": lambda m: ("--csv", f"{m}/../model/./model.safetensors"),
    "config": lambda m: ("--json", f"{m}/config.json"),
    "nested config": lambda m: ("--json", f"{m}/1_Pooling/config.json"),
    "tokenizer": lambda m: ("--parquet", f"{m}/tokenizer.json"),
    "vocabulary": lambda m: ("--csv", f"{m}/vocab.txt"),
    "passed over": lambda m: ("--parquet", f"{m}/pytorch_model.bin"),
    "its card": lambda m: ("--json", f"{m}/README.md"),
    "new index": lambda m: ("--json", f"{m}/model.safetensors.index.json"),
    "new adapter": lambda m: ("--out", f"{m}/adapter_config.json"),
    "weight file elsewhere": lambda m: ("--csv", f"{m.parent}/other.GGUF"),
    "index elsewhere": lambda m: ("--json", f"{m.parent}/pytorch_model.bin.index.json"),
    "hard link": lambda m: ("--csv", linked(m, "hard")),
    "symbolic link": lambda m: ("--out", linked(m, "soft")),
    "second output": lambda m: ("--out", f"{m.parent}/fine.html", "--json", f"{m}/config.json"),
}


@pytest.mark.parametrize(("case", "lone"), in_turn(list(OUTPUTS), [False, True]))
def test_no_output_replaces_a_file_of_the_model(
    case: str, lone: bool, weightaudit: CommandLine, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = OUTPUTS[case](model)
    before = contents(model.parent)
    monkeypatch.setattr("weightaudit.api.scan", lambda *a, **k: pytest.fail("a byte was read"))
    done = weightaudit("scan", model / "model.safetensors" if lone else model, *words)
    assert done.code == 2
    assert "weight file" in done.stderr or "model" in done.stderr
    assert contents(model.parent) == before


def test_a_lone_file_is_not_its_own_report(weightaudit: CommandLine, model: Path) -> None:
    odd = model.parent / "weights.csv"
    shutil.copy(model / "model.safetensors", odd)
    before = odd.read_bytes()
    assert weightaudit("scan", odd, "--csv", odd).code == 2
    assert odd.read_bytes() == before


def test_the_cache_is_no_place_for_outputs(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--org--name"
    (cached / "blobs").mkdir(parents=True)
    blob = cached / "blobs" / "0f3a"
    shutil.copy(model / "model.safetensors", blob)
    snapshot = cached / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to(blob)
    shutil.copy(model / "config.json", snapshot)
    link = tmp_path / "report.csv"
    link.symlink_to(blob)
    before = contents(tmp_path)
    for output in (blob, link, snapshot / "new.csv", cached / "refs" / "x.json"):
        assert weightaudit("scan", snapshot, "--csv", output).code == 2
        assert weightaudit("scan", model, "--csv", output).code == 2  # another model's cache is none either
    assert contents(tmp_path) == before


@pytest.fixture
def cache(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with ``model`` as org/name, whose folder lies on another disk, and a blob that models share."""
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    away = tmp_path / "disk" / "m"
    snapshot = away / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (away / "blobs").mkdir()
    for name, blob in (("config.json", "c0"), ("model.safetensors", "c1")):
        shutil.copy(model / name, away / "blobs" / blob)
        (snapshot / name).symlink_to(f"../../blobs/{blob}")
    (away / "refs").mkdir()
    (away / "refs" / "main").write_text("0" * 40)
    cache.mkdir()
    (cache / "models--org--name").symlink_to(away)
    (cache / "blobs" / "ab").mkdir(parents=True)
    shutil.copy(model / "model.safetensors", cache / "blobs" / "ab" / "beef")
    return cache


def through(link: Path, target: Path) -> Path:
    link.symlink_to(target)
    return link


CACHED: dict[str, Callable[[Path, Path], Path]] = {
    "a shared blob": lambda cache, to: through(to / "o.csv", cache / "blobs" / "ab" / "beef"),
    "beside shared blobs": lambda cache, to: cache / "blobs" / "new.csv",
    "a folder that leads to shared blobs": lambda cache, to: through(to / "d", cache / "blobs" / "ab") / "beef",
    "a blob by a linked folder": lambda cache, to: through(to / "o.csv", cache / "models--org--name" / "blobs" / "c1"),
    "a blob on the other disk": lambda cache, to: through(to / "o.csv", to / "disk" / "m" / "blobs" / "c1"),
    "a snapshot's link": lambda cache, to: cache / "models--org--name" / "snapshots" / ("0" * 40) / "config.json",
    "a second name of a blob": lambda cache, to: hard_linked(
        cache / "models--org--name" / "blobs" / "c1", to / "o.csv"
    ),
}


def hard_linked(target: Path, name: Path) -> Path:
    os.link(target, name)
    return name


@pytest.mark.parametrize(("case", "kind"), in_turn(list(CACHED), ["--csv", "--json"]))
def test_a_cache_of_links_keeps_its_files(
    weightaudit: CommandLine, cache: Path, tmp_path: Path, case: str, kind: str
) -> None:
    output = CACHED[case](cache, tmp_path)
    files = [path for place in (cache, tmp_path / "disk") for path in place.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    done = weightaudit("scan", "org/name", "--offline", kind, output)
    assert done.code == 2
    assert {path: path.read_bytes() for path in files} == before


def test_a_strangers_json_is_no_report_of_ours(weightaudit: CommandLine, model: Path) -> None:
    mine = '{"schema": 3, "model": "gpt", "my": "data"}'
    (model / "results.json").write_text(mine)
    assert weightaudit("scan", model, "--json", model / "results.json").code == 2
    assert (model / "results.json").read_text() == mine


def test_a_comparison_knows_a_model_with_a_revision(weightaudit: CommandLine, model: Path) -> None:
    other = shutil.copytree(model, model.parent / "other")
    before = sorted(model.rglob("*"))
    done = weightaudit("compare", f"{model}@main", other, "--out", model / "sub")
    assert done.code == 2
    assert sorted(model.rglob("*")) == before


def test_a_report_may_lie_in_the_model_and_be_written_again(weightaudit: CommandLine, model: Path) -> None:
    words = ("--csv", model / "l.csv", "--json", model / "audit.json", "--out", model / "r.html", *LITTLE)
    for _ in range(2):
        assert weightaudit("scan", model, *words).code == 0
    (model / "audit.json").write_text('{"schema": 1}')  # no longer ours
    assert weightaudit("scan", model, *words).code == 2


def test_figures(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "stable-rank.svg").symlink_to(model / "model.safetensors")
    before = contents(model)
    assert weightaudit("scan", model, "--figures", tmp_path / "figures").code == 2
    assert contents(model) == before


@pytest.mark.parametrize("out", ["model", "model/../model", "link", ""])
def test_a_batch_writes_into_no_model(out: str, weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    # "": its folder for the model, in the directory that holds it, would be the model.
    (model.parent / "link").symlink_to(model)
    (tmp_path / "list.txt").write_text(f"{model}\n")
    before = contents(tmp_path)
    done = weightaudit("batch", tmp_path / "list.txt", "--out", model.parent / out, "--workers", "0")
    assert (done.code, "model's folder" in done.stderr) == (2, True)
    assert contents(tmp_path) == before


def test_neither_does_a_comparison(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    other = model.parent / "other"
    shutil.copytree(model, other)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "2-other").symlink_to(other)
    before = contents(tmp_path)
    for out in (model, tmp_path / "out"):
        assert weightaudit("compare", model, other, "--out", out).code == 2
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").symlink_to(other / "config.json")
    assert weightaudit("compare", model, other, "--out", tmp_path / "page").code == 2
    assert contents(model) == contents(other)
    assert contents(tmp_path).items() >= before.items()


def test_nor_an_experiment(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "figure1").symlink_to(model)
    before = contents(model)
    done = weightaudit("paper", "figure1", "--models", model, "--out", tmp_path / "out")
    assert (done.code, contents(model)) == (2, before)


def test_links_where_results_belong_are_not_followed(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    report = tmp_path / "a.json"
    assert weightaudit("scan", model, *LITTLE, "--json", report).code == 0
    kept = tmp_path / "kept"
    kept.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "differences.csv").symlink_to(report)
    (out / "index.html").symlink_to(kept)
    before = report.read_bytes()
    assert weightaudit("compare", report, report, "--out", out).code == 0
    assert (report.read_bytes(), kept.read_text()) == (before, "mine")
    assert not (out / "differences.csv").is_symlink()

    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "report.html").write_text("mine")
    (out / "1-model").symlink_to(tmp_path / "victim")
    assert weightaudit("compare", model, report, "--out", out).code == 2
    (out / "1-model").unlink()
    (out / "1-model").mkdir()
    (out / "1-model" / "report.html").symlink_to(kept)
    assert weightaudit("compare", model, report, "--out", out).code == 2
    assert [path.name for path in (tmp_path / "victim").iterdir()] == ["report.html"]
    assert kept.read_text() == "mine"


@pytest.mark.slow  # as every output does, which is tested above and below
def test_a_figure_replaces_a_link(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = tmp_path / "figures" / "stable-rank.svg"
    drawn.parent.mkdir()
    (tmp_path / "kept").write_text("mine")
    drawn.symlink_to(tmp_path / "kept")
    assert weightaudit("scan", model, "--figures", drawn.parent, *LITTLE).code == 0
    assert drawn.is_file()
    assert (tmp_path / "kept").read_text() == "mine"
    assert not drawn.is_symlink()


def test_a_merge_writes_into_no_model(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{model} layers=0 roles=Q\n")
    assert weightaudit("batch", tmp_path / "list.txt", "--out", tmp_path / "b", "--workers", "0").code == 0
    (model / "report.html").write_text("the model's own")
    before = contents(model)
    for out in (model.parent, model):
        assert weightaudit("batch", "--merge", tmp_path / "b", "--out", out).code == 2
    assert contents(model) == before


def test_a_linked_folder_is_the_model_s(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    shutil.move(model / "1_Pooling", tmp_path / "pool")
    (model / "1_Pooling").symlink_to(tmp_path / "pool")
    (model / "loop").symlink_to(model)
    before = contents(tmp_path / "pool")
    assert weightaudit("scan", model, "--json", tmp_path / "pool" / "config.json").code == 2
    assert contents(tmp_path / "pool") == before


def test_in_python(model: Path, tmp_path: Path) -> None:
    report = scan(model, layers=0)
    before = contents(model)
    for write, path in (
        (report.to_csv, tmp_path / "x.safetensors"),
        (report.to_json, model / "config.json"),
        (report.to_parquet, model / "model.safetensors"),
        (report.to_html, model / "tokenizer.json"),
        (report.to_sarif, tmp_path / "x.bin"),
        (report.write, linked(model, "hard")),
    ):
        with pytest.raises(OutputError):
            write(path)
    with pytest.raises(OutputError), replacing(tmp_path / "any.ckpt"):
        pass
    assert contents(model) == before


FOREIGN = ("labels.csv", "index.html", "figure.png", "README.svg", "data.parquet", "scan.sarif", "data.json")
"""A model's own files that merely end like a report."""


def put(folder: Path, *names: str) -> None:
    """Files of somebody else's in ``folder``."""
    for name in names:
        (folder / name).write_text(f"{name} of the publisher's")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        *in_turn(FOREIGN[::2], TABLES),
        *(seldom(name, option) for name in FOREIGN[1::2] for option in TABLES),
    ],
)
def test_a_file_that_ends_like_a_report_is_the_model_s(
    name: str, option: str, weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(model, name)
    (tmp_path / "soft.csv").symlink_to(model / name)
    os.link(model / name, tmp_path / "hard.csv")
    before = contents(tmp_path)
    monkeypatch.setattr("weightaudit.audit.scan", lambda *a, **k: pytest.fail("a byte was read"))
    for path in (model / name, tmp_path / "soft.csv", tmp_path / "hard.csv"):
        assert weightaudit("scan", model, option, path).code == 2
        assert weightaudit("scan", model / "model.safetensors", option, path).code == 2
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_figures_are_drawn_again_beside_pictures_of_the_model_s(weightaudit: CommandLine, model: Path) -> None:
    pytest.importorskip("matplotlib")
    put(model, "figure.png", "architecture.svg")
    for _ in range(2):  # other pictures are in nobody's way, and the second time there are ours
        assert weightaudit("scan", model, "--figures", model, *LITTLE).code == 0


def test_a_figure_replaces_no_picture_of_the_model_s(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("stable-rank.svg", "heat-map.png", "encoder-heat-map.svg"):
        drawn = model / name
        drawn.unlink(missing_ok=True)
        drawn.symlink_to(tmp_path / "nowhere")
        assert weightaudit("scan", model, "--figures", model).code == 2
        drawn.unlink()
        put(model, name)
        before = contents(model)
        assert weightaudit("scan", model, "--figures", model).code == 2
        assert contents(model) == before
        drawn.unlink()


@pytest.mark.parametrize("drawn", [False, seldom(True)])  # one figure is drawn below
def test_every_kind_of_report_is_written_again(drawn: bool, weightaudit: CommandLine, model: Path) -> None:
    pytest.importorskip("matplotlib")
    figures = ("--figures", model / "figures") if drawn else ()
    names = ("r.html", "r.sarif", "l.csv", "audit.json", "L.Parquet", "odd.html")
    options = ("--out", "--out", "--csv", "--json", "--parquet")
    words = [word for pair in zip(options, (model / name for name in names), strict=False) for word in pair]
    for _ in range(2):
        assert weightaudit("scan", model, *words, *figures, *LITTLE).code == 0
    for _ in range(2):  # in another format than its extension says
        assert weightaudit("scan", model, "--csv", model / names[-1], *LITTLE).code == 0
    assert (model / "odd.html").read_bytes() == (model / "l.csv").read_bytes()


NO_REPORTS = (
    *("merges.txt", "README", "report.csv.gz", "Generation_Config.JSON", "tokenizer.json", "modules.json"),
    *("1_Pooling/config.json", "2_Dense/new.txt", "any/deeper/still/and/beyond/config.json"),
)
"""By default, one of each ending, and of each way of being a loader's, in each folder."""
MORE_OF_THEM = (
    *("modeling_gpt2.py", "vocab.txt", "notes.txt", "chat_template.jinja", "source.spm"),
    *("config_sentence_transformers.json", "sentence_bert_config.json", "preprocessor_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "entity_vocab.json", "tekken.json"),
    *("model_index.json", "model.safetensors.index.fp16.json"),
)


@pytest.mark.parametrize(
    ("name", "option"),
    [*in_turn(NO_REPORTS, TABLES), *(seldom(name, option) for name in MORE_OF_THEM for option in TABLES)],
)
def test_in_a_model_s_folder_nothing_new_but_reports(
    name: str, option: str, weightaudit: CommandLine, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / name).parent.mkdir(parents=True, exist_ok=True)
    (model / name).unlink(missing_ok=True)
    before = contents(model)
    monkeypatch.setattr("weightaudit.audit.scan", lambda *a, **k: pytest.fail("a byte was read"))
    for scanned in (model, model / "model.safetensors"):
        assert weightaudit("scan", scanned, option, model / name).code == 2
    assert contents(model) == before


FRAMEWORKS = (
    *("w.onnx", "W.Msgpack", "w.tflite", "w.mlmodel", "w.npz", "w.pkl", "w.pdparams", "w.nemo", "w.ot", "w.engine"),
)


@pytest.mark.parametrize(("name", "option"), in_turn(FRAMEWORKS, TABLES))
def test_a_weight_file_of_any_framework(
    name: str, option: str, weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weightaudit.audit.scan", lambda *a, **k: pytest.fail("a byte was read"))
    done = weightaudit("scan", model, option, tmp_path / name)
    assert (done.code, "name of a weight file" in done.stderr) == (2, True)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("where", ["folder in it", "file", seldom("folder")])
def test_new_names_where_a_link_in_the_model_leads(
    where: str, weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "own").mkdir(parents=True)
    if where == "file":
        shutil.move(model / "1_Pooling" / "config.json", elsewhere)
        (model / "1_Pooling" / "config.json").symlink_to(elsewhere / "config.json")
    else:
        (model / "2_Dense").symlink_to(elsewhere if where == "folder" else elsewhere / "own")
    target = elsewhere / "own" if where == "folder in it" else elsewhere
    put(target, "labels.csv")
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("weightaudit.audit.scan", lambda *a, **k: pytest.fail("a byte was read"))
        for name in ("modules.json", "vocab.txt", "labels.csv"):
            assert weightaudit("scan", model, "--json", target / name).code == 2
        assert weightaudit("compare", model, model, "--out", target).code == 2
    assert contents(tmp_path) == before
    assert weightaudit("scan", model, "--csv", target / "report.csv", *LITTLE).code == 0
    beside = elsewhere.parent / "results"  # no folder of the model's
    beside.mkdir()
    assert weightaudit("scan", model, "--json", beside / "config.json", *LITTLE).code == 0


def test_no_results_in_any_folder_of_a_model(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{model} layers=0 roles=Q\n")
    before = contents(tmp_path)
    for out in ("audit", "1_Pooling", "1_Pooling/new"):
        for words in (
            ("batch", tmp_path / "list.txt", "--workers", "0"),
            ("compare", model, model),
            ("paper", "figure1", "--models", model),
            ("paper", "all", "--models", model),
        ):
            done = weightaudit(*words, "--out", model / out)
            assert (done.code, "a model's folder" in " ".join(done.stderr.split())) == (2, True)
    assert contents(tmp_path) == before
    assert not (model / "audit").exists()


@pytest.mark.parametrize("experiment", ["figure1", "figure2", "all"])
def test_no_experiment_writes_into_a_model(experiment: str, weightaudit: CommandLine, model: Path) -> None:
    before = contents(model)
    models = ("--models", model) if experiment != "figure2" else ()
    done = weightaudit("paper", experiment, *models, "--out", model)
    assert (done.code, "it is a model's folder" in done.stderr) == (2, True)
    assert contents(model) == before
    assert not (model / "figure1").exists()


def test_results_beside_a_lone_file(weightaudit: CommandLine, model: Path) -> None:
    alone = model / "model.safetensors"
    assert weightaudit("compare", alone, alone, "--out", model / "comparison").code == 2
    (model / "config.json").unlink()  # now its folder is no model
    part = ("--layers", "0", "--roles", "O")
    for _ in range(2):
        assert weightaudit("compare", alone, alone, "--out", model / "comparison", *part).code == 0
    assert weightaudit("scan", alone, "--json", model / "1_Pooling" / "any.json", *part).code == 0
    for name in ("tokenizer.json", "new.txt"):
        assert weightaudit("scan", alone, "--json", model / name).code == 2
    assert weightaudit("compare", alone, alone, "--out", model).code == 2


@pytest.mark.parametrize(
    "name",
    [
        *("all.csv", ".lock"),
        *map(seldom, ("all.parquet", "summary.csv", "index.html", ".run", "batch.json", "plotly.js")),
    ],
)
def test_a_batch_keeps_its_list(name: str, weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text(f"{model} layers=0 roles=Q\n")
    before = contents(tmp_path)
    os.link(out / name, tmp_path / "hard")
    (tmp_path / "soft").symlink_to(out / name)
    for listed in (out / name, tmp_path / "hard", tmp_path / "soft"):
        done = weightaudit("batch", listed, "--out", out, "--workers", "0")
        assert (done.code, "this command reads that file" in done.stderr) == (2, True)
    os.unlink(tmp_path / "hard")
    os.unlink(tmp_path / "soft")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["model", "model/layers.csv", "model/log.txt", "model/outcome.json"])
def test_a_batch_keeps_its_list_in_a_model_s_results(
    name: str, weightaudit: CommandLine, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text(f"{model} layers=0 roles=Q\n")
    before = contents(tmp_path)
    assert weightaudit("batch", path, "--out", tmp_path / "out", "--workers", "0").code == 2
    assert contents(tmp_path) == before


def test_a_list_is_no_directory(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{model} layers=0 roles=Q\n")
    for out in ("list.txt", "list.txt/results"):
        assert weightaudit("batch", tmp_path / "list.txt", "--out", tmp_path / out, "--workers", "0").code == 2
    assert (tmp_path / "list.txt").read_text() == f"{model} layers=0 roles=Q\n"


def test_a_batch_keeps_the_file_of_its_scheduler(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    if find_spec("distributed") is None:  # nothing of it is wanted here, and its import takes long
        pytest.skip("distributed is not installed")
    (tmp_path / "list.txt").write_text(f"{model}\n")
    (tmp_path / "all.csv").write_text("{}")
    done = weightaudit("batch", tmp_path / "list.txt", "--out", tmp_path, "--scheduler", tmp_path / "all.csv")
    assert (done.code, "all.csv: this command reads that file" in done.stderr) == (2, True)
    assert (tmp_path / "all.csv").read_text() == "{}"


def test_a_merge_keeps_what_it_merges(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{model} layers=0 roles=Q\n")
    part = tmp_path / "whole" / "model"  # what the model's own folder in the whole would be
    assert weightaudit("batch", tmp_path / "list.txt", "--out", part, "--workers", "0").code == 0
    before = contents(tmp_path)
    for out in (part, part.parent):
        done = weightaudit("batch", "--merge", part, "--out", out)
        assert (done.code, "it is one of those to be merged" in " ".join(done.stderr.split())) == (2, True)
    assert contents(tmp_path) == before


def test_a_comparison_keeps_the_reports_that_it_reads(
    weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert weightaudit("compare", model, model, *LITTLE, "--out", out).code == 0
    assert weightaudit("compare", out / "1-model", out / "2-model", "--out", out).code == 0
    os.link(out / "1-model" / "layers.parquet", tmp_path / "hard.parquet")
    os.link(out / "1-model" / "layers.parquet", tmp_path / "differences.csv")
    before = contents(tmp_path)
    monkeypatch.setattr("weightaudit.audit.scan", lambda *a, **k: pytest.fail("a byte was read"))
    for read in (out / "1-model", out / "1-model" / "layers.parquet", tmp_path / "hard.parquet"):
        done = weightaudit("compare", model, read, *LITTLE, "--out", out)
        assert (done.code, "this command reads that file" in " ".join(done.stderr.split())) == (2, True)
        assert weightaudit("compare", read, read, "--out", tmp_path).code == 2  # as differences.csv
    assert contents(tmp_path) == before


FAILING = ("r.html", "l.csv", "a.json", "l.parquet")


@pytest.mark.parametrize("failing", [FAILING[0], seldom(FAILING[1]), seldom(FAILING[2]), FAILING[3]])
def test_one_output_that_fails_leaves_the_others(
    failing: str, weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", refusing(failing))
    done = weightaudit("scan", model, *LITTLE, *(w for name in FAILING for w in ("--out", tmp_path / name)))
    assert done.code == 2
    assert f"{failing}: No space left on device" in done.stderr
    assert "parameters analysed" in done.stdout  # the summary
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted({*FAILING} - {failing})


def test_every_output_that_fails_is_told(
    weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(os, "replace", gone)
    done = weightaudit("scan", model, *LITTLE, *(w for name in FAILING for w in ("--out", tmp_path / name)))
    assert done.code == 2
    for name in FAILING:
        assert sum(f"{name}: File too large" in line for line in done.stderr.splitlines()) == 1
    assert list(tmp_path.glob(".weightaudit-*")) == []


def test_interrupted_while_writing_writes_no_more(
    weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    done = weightaudit("scan", model, *LITTLE, *(w for name in FAILING for w in ("--out", tmp_path / name)))
    assert done.code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_figures_that_fail_are_told_each_beside_the_others(
    weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")

    def gone(*_: object) -> None:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(os, "replace", gone)
    words = ("scan", model, *LITTLE, "--quiet", "--csv", tmp_path / "l.csv")
    done = weightaudit(*words, "--figures", tmp_path / "drawn")
    told = [line for line in done.stderr.splitlines() if line.startswith("weightaudit: ")]
    assert (done.code, done.stderr.count("File too large")) == (2, len(told))
    assert {Path(line.split(": ")[1]).suffix for line in told} == {".csv", ".png", ".svg"}


@pytest.mark.parametrize("format", ["text", "json"])
def test_stdout_is_one_output_among_the_others(
    format: str,
    weightaudit: CommandLine,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "replace", refusing("l.csv"))
    outputs = ("--csv", tmp_path / "l.csv", "--json", tmp_path / "a.json")
    with full_stdout():
        done = weightaudit("scan", model, *LITTLE, "--format", format, *outputs)
    assert done.code == 3
    for cause in ("l.csv: No space left on device", "standard output: no space left on device"):
        assert sum(cause in line for line in done.stderr.splitlines()) == 1
    assert (tmp_path / "a.json").is_file()


@pytest.mark.parametrize("failing", ["index.html", *map(seldom, ("all.parquet", "all.csv", "summary.csv"))])
def test_a_batch_joins_what_can_be(failing: str, weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{model} layers=0 roles=Q\n")
    out = tmp_path / "out"
    words = ("batch", tmp_path / "list.txt", "--out", out, "--workers", "0")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "replace", refusing(failing))
        done = weightaudit(*words)
    assert (done.code, f"{failing}: No space left" in done.stderr) == (2, True)
    assert "\n1 models, 0 failed: " in done.stderr
    joined = {"all.csv", "all.parquet", "summary.csv", "index.html"}
    assert joined & {path.name for path in out.iterdir()} == joined - {failing}
    assert weightaudit(*words).code == 0
    assert (out / failing).is_file()


def test_so_does_a_merge(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{model} layers=0 roles=Q\n")
    assert weightaudit("batch", tmp_path / "list.txt", "--out", tmp_path / "a", "--workers", "0").code == 0
    files = {"all.csv", "all.parquet", "summary.csv", "index.html", "plotly.js", "batch.json"}
    for failing in files:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "replace", refusing(failing))
            out = tmp_path / failing.replace(".", "-")
            done = weightaudit("batch", "--merge", tmp_path / "a", "--out", out)
        assert (done.code, f"{failing}: No space left" in done.stderr) == (2, True)
        assert "1 models, 0 failed: " in done.stderr
        assert files & {path.name for path in out.iterdir()} == files - {failing}


COMPARED = ("1-model/layers.parquet", "1-model/report.html", "index.html", "plotly.js", "differences.csv")


@pytest.mark.parametrize("failing", some_of(COMPARED, "1-model/report.html", "index.html", "differences.csv"))
def test_a_comparison_writes_what_can_be(failing: str, weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    report = tmp_path / "a.json"
    assert weightaudit("scan", model, *LITTLE, "--json", report).code == 0
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "replace", refusing(Path(failing).name))
        done = weightaudit("compare", model, report, *LITTLE, "--out", out)
    assert (done.code, done.stderr.count(f"{failing}: No space left")) == (2, 1)
    assert "matrices have a partner in the first, 0 have none" in done.stderr
    assert {name for name in COMPARED if (out / name).exists()} == {*COMPARED} - {failing}
    if failing != "index.html":
        linked = "1-model/report.html" in (out / "index.html").read_text()
        assert linked == (failing != "1-model/report.html")


def test_a_comparison_tells_with_a_model_that_fails_what_failed_before(
    weightaudit: CommandLine, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "1-model").write_text("in the way")
    (tmp_path / "empty").mkdir()
    done = weightaudit("compare", model, tmp_path / "empty", *LITTLE, "--out", tmp_path / "out")
    assert done.code == 3
    assert "1-model: file exists" in done.stderr
    assert f"weightaudit: {tmp_path / 'empty'}: " in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a link needs a privilege there")
def test_a_link_that_leads_back_to_itself_is_a_path_that_cannot_be_used(
    weightaudit: CommandLine, model: Path, tmp_path: Path
) -> None:
    loop, new, good = tmp_path / "loop", tmp_path / "new", tmp_path / "good"
    loop.symlink_to(loop)
    (tmp_path / "list.txt").write_text(f"{model} layers=0 roles=Q\n")
    assert weightaudit("batch", tmp_path / "list.txt", "--out", good, "--workers", "0").code == 0
    for words in (
        ("batch", "--merge", loop, "--out", new),
        ("batch", "--merge", good, loop / "below", "--out", new),
        ("batch", "--merge", good, "--out", loop),
        ("batch", "--merge", good, "--out", loop / "below"),
        ("batch", tmp_path / "list.txt", "--out", loop, "--workers", "0"),
        ("compare", good / "model", good / "model", "--out", loop),
        ("compare", good / "model", good / "model", "--out", loop / "below"),
    ):
        done = weightaudit(*words)
        assert (done.code, str(loop) in done.stderr, "bug" in done.stderr) == (2, True, False), (words, done.stderr)
    done = weightaudit("compare", good / "model", loop, "--out", new)
    assert (done.code, "too many levels of symbolic links" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    "words",
    [
        ("scan", "m", "--csv", "a", "--csv", "b"),
        ("scan", "m", "--json", "a", "--json=b"),
        ("scan", "m", "--tol", "0.1", "--tol", "0.2"),
        ("batch", "l", "--out", "a", "--out", "b"),
        ("batch", "l", "--out", "a", "--shard", "1/2", "--shard", "2/2"),
        ("compare", "a", "b", "--out", "c", "--out", "d"),
        ("compare", "a", "b", "--out", "c", "--roles", "Q", "--roles", "K"),
        ("paper", "figure2", "--out", "a", "--seed", "1", "--seed", "2"),
        ("archs", "--check", "a", "--check", "b"),
        ("paper", "table1", "--out", "a", "--offline", "--no-offline"),
        ("paper", "figure1", "--out", "a", "--no-offline", "--offline"),
        ("paper", "all", "--out", "a", "--offline", "--no-offline"),
    ],
    ids=" ".join,
)
def test_an_option_of_one_value_is_given_once(words: tuple[str, ...], weightaudit: CommandLine) -> None:
    done = weightaudit(*words)
    assert done.code == 2
    assert "was given 2 times" in " ".join(done.stderr.split())
