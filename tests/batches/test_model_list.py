"""Model lists: what a line may say, and what is said of lines that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from weightaudit.batches import Entry, read_model_list
from weightaudit.batches.model_list import _tokenize_line
from weightaudit.config import AuditConfig
from weightaudit.errors import UsageError

ROOT = Path(__file__).parent.parent.parent


def read(folder: Path, text: str | bytes, base: AuditConfig | None = None) -> list[Entry]:
    path = folder / "models.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_model_list(path, base or AuditConfig())


def refused(folder: Path, text: str | bytes) -> str:
    with pytest.raises(UsageError) as error:
        read(folder, text)
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gpt2", ["gpt2"]),
        ("gpt2@main roles=Q,K # small", ["gpt2@main", "roles=Q,K"]),
        ("a#b c", ["a#b", "c"]),
        ('"my models/a b" roles="Q, K"#no', ["my models/a b", "roles=Q, K#no"]),
        ("\tgpt2\t\tseed=1\t", ["gpt2", "seed=1"]),
        ("# all of it", []),
        ("", []),
        (r"C:\models\a", [r"C:\models\a"]),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert _tokenize_line(line) == words


def test_lines(tmp_path: Path) -> None:
    text = (
        "\ufeff# comment\r\n\r\ngpt2\r\norg/name@refs/pr/1\nbert-base-uncased@v1 roles=q,K layers=0-2 seed=7 tol=1e-3\n"
    )
    found = read(tmp_path, text, AuditConfig(method="exact", roles=("O",)))
    assert [(entry.line, entry.model, entry.local, entry.config.revision) for entry in found] == [
        (3, "gpt2", False, None),
        (4, "org/name", False, "refs/pr/1"),
        (5, "bert-base-uncased", False, "v1"),
    ]
    assert found[0].config.roles == ("O",)
    last = found[2].config
    assert (last.roles, last.layers, last.seed, last.tol, last.method) == (("Q", "K"), (0, 1, 2), 7, 1e-3, "exact")


def test_every_option_of_a_line(tmp_path: Path) -> None:
    line = "gpt2 method=krylov delta=1e-9 spectrum=yes device=cpu memory=2GB download=no"
    config = read(tmp_path, line, AuditConfig(download=True))[0].config
    assert config == AuditConfig(method="krylov", delta=1e-9, spectrum=True, memory=2_000_000_000, download=False)


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("gpt2", "my model@3", "file.safetensors"):
        (tmp_path / name).mkdir()
    lines = ["gpt2", '"my model@3"', "./absent", "~/away", "file.safetensors", "absent.safetensors", "deep/down/model"]
    found = read(tmp_path, "\n".join(lines))
    assert all(entry.local and entry.config.revision is None for entry in found)
    names = ["gpt2", "my model@3", "absent", "away", "file.safetensors", "absent.safetensors", "deep/down/model"]
    assert [entry.model for entry in found] == [str(tmp_path / name) for name in names]
    assert "a revision was asked for, but this is a local path" in refused(tmp_path, "gpt2@main")


def test_duplicates_are_merged(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    text = f"gpt2\n{tmp_path}/model\ngpt2@v1\ngpt2 memory=1GB\n{tmp_path}/./model/\ngpt2 roles=Q\ngpt2 roles=q,Q\n"
    assert [entry.line for entry in read(tmp_path, text)] == [1, 2, 3, 6]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gpt2 seed=1.5", "seed '1.5': it is no whole number"),
        ("gpt2 role=Q", "'role': it is no option of a line. Did you mean roles?"),
        ("gpt2 token=hf_x", "'token': it is no option of a line. A line may set roles, layers,"),
        ("gpt2 threads=2", "'threads': it is no option of a line"),
        ("gpt2 medium", "'medium': it is no option"),
        ("gpt2 seed=1 seed=2", "'seed': it is set twice"),
        ("gpt2 seed=one", "seed 'one': it is no whole number"),
        ("gpt2 tol=-1", "tol: -1.0 is not a positive number"),
        ("gpt2 tol=nan", "tol: nan is not a positive number"),
        ("gpt2 delta=2", "delta: 2.0 is not between 0 and 1"),
        ("gpt2 method=fast", "method: 'fast' is unknown"),
        ("gpt2 layers=5-2", "the range runs backwards"),
        ("gpt2 roles=", "the list is empty"),
        ("gpt2 memory=lots", "that is no amount of memory"),
        ("gpt2 spectrum=maybe", "spectrum: 'maybe' is none of yes, no and full"),
        ("gpt2 download=maybe", "download 'maybe': it is neither yes nor no"),
        ("gpt2 device=abacus", "is not a torch device"),
        ("gpt2@", "there is no revision after the @"),
        ("gpt2@../../etc", "cannot be a revision"),
        ("@main", "'@main': there is no model before the @"),
        ("gpt--2", "it cannot be a Hub id"),
        ("org/näme", "it cannot be a Hub id"),
        ('"gpt2', "a quote is not closed"),
        ("gpt2\x1b[2J", "it holds a character that cannot be printed"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, said: str) -> None:
    message = refused(tmp_path, f"# first\n\nbert-base-uncased\n{line}\n")
    assert "models.txt: 1 line cannot be used: line 4: " in message
    assert said in message
    assert message.isprintable()


def test_all_bad_lines_are_told_at_once(tmp_path: Path) -> None:
    message = refused(tmp_path, "gpt2 a=1\ngpt2\n" + "gpt2 seed=x\n" * 30)
    assert "31 lines cannot be used" in message
    assert " line 1: 'a': it is no option" in message
    assert " line 2: " not in message
    assert message.endswith("; and 23 more")


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "there is no model in it"), ("# none\n\n", "there is no model in it"), (b"\xff\xfegpt2", "not UTF-8 text")],
)
def test_what_is_no_list(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refused(tmp_path, content)


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.txt", "no such file"), (tmp_path, "no name in this directory tells a step")):
        with pytest.raises(UsageError, match=said):
            read_model_list(path, AuditConfig())


def test_a_device_that_only_workers_have(tmp_path: Path) -> None:
    path = tmp_path / "models.txt"
    path.write_text("gpt2 device=cuda:7\n")
    assert read_model_list(path, AuditConfig(), check_device=False)[0].config.device == "cuda:7"
    with pytest.raises(UsageError, match="no such CUDA device"):
        read_model_list(path, AuditConfig())


@pytest.mark.parametrize("path", sorted((ROOT / "model_lists").glob("*.txt")), ids=lambda path: path.name)
def test_the_lists_of_the_project(path: Path) -> None:
    entries = read_model_list(path, AuditConfig())
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert len(entries) == len(lines)  # no duplicates
    assert path.read_text().startswith("# ")
    local = {entry.local for entry in entries}
    assert local == {path.name == "offline.txt"}


def test_the_papers_six() -> None:
    entries = read_model_list(ROOT / "model_lists" / "paper.txt", AuditConfig())
    assert len(entries) == 6
