"""What is written like a path and is not there: nobody is asked, and names that are near are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import Hub, pointed_at, serve
from weightaudit.errors import ModelError, ModelNotFound, ModelUnreachable
from weightaudit.source import open_repository
from weightaudit.source.mistyped import looks_like_path


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A working directory with some models, and a Hub that should not hear of it."""
    here = tmp_path / "here"
    for folder in ("checkpoints/step-1000", "checkpoints/step-2000", "my-model", "gpt2-large"):
        (here / folder).mkdir(parents=True)
    for file in ("model.safetensors", "my-model/pytorch_model.bin"):
        (here / file).touch()
    monkeypatch.chdir(here)
    with serve({}) as server, pointed_at(server.url, tmp_path / "home"):
        yield server


def told(model: str) -> str:
    with pytest.raises(ModelError) as caught:
        open_repository(model)
    assert isinstance(caught.value, ModelNotFound)
    return str(caught.value)


MISTYPED = {
    "model.safetensor": "Did you mean model.safetensors?",
    "modle.safetensors": "Did you mean model.safetensors?",
    "Model.SafeTensors": "Did you mean model.safetensors?",
    "./model.safetensrs": "Did you mean model.safetensors?",
    "my-modle/": "Did you mean my-model?",
    "my model": "Did you mean my-model?",
    "my-model/pytorch_modle.bin": "Did you mean my-model/pytorch_model.bin?",
    "checkpoints/step-100": "Did you mean checkpoints/step-1000",
    "checkpoints/last": "It has step-1000 and step-2000",
    "./checkpoint/step-1000/model.bin": "Did you mean checkpoints?",
    "modle.bin": "Check the path",
    "./x": "Check the path",
    "weights.ckpt": "Check the path",
    "x.guff": "Check the path",
    "model.onnx": "Check the path",
    "report.json": "Check the path",
    "https:/huggingface.co/gpt2": "An address has two slashes after the colon",
    "huggingface.co/org/name": "Write https://huggingface.co/org/name for the Hub's model",
    "C:\\models\\x": "Check the path",
}


@pytest.mark.parametrize("model", MISTYPED)
def test_the_hub_is_never_asked(model: str, hub: Hub) -> None:
    message = told(model)
    assert MISTYPED[model] in message
    assert "no such file or directory" in message
    assert hub.log == []


def test_a_directory_that_is_here_is_meant_with_what_it_holds(hub: Hub) -> None:
    message = told("checkpoints/step-100")
    assert message.startswith("checkpoints/step-100: no such file or directory: checkpoints has no 'step-100'. ")
    assert message.endswith("For the Hub's model of that name write hf://checkpoints/step-100")
    assert hub.log == []
    assert "no such model on the Hub" in told("hf://checkpoints/step-100")
    assert hub.log != []


def test_a_word_may_be_an_id_and_what_is_near_is_told(hub: Hub) -> None:
    message = told("gpt2-larg")
    assert "Did you mean gpt2-large, which is here?" in message
    assert [request.path for request in hub.log] == ["/api/models/gpt2-larg"]


def test_names_of_other_files_are_made_harmless(hub: Hub) -> None:
    Path("model\x1b[2J.bin").touch()
    assert "\\x1b[2J" in told("model.bin")
    assert "\x1b" not in told("model.bin")
    assert told("a\nb").isprintable()
    assert hub.log == []


@pytest.mark.parametrize(
    "model",
    [
        "gpt2",
        "org/name",
        "org/Qwen2.5-7B",
        "org/name.v1-x_2",
        "org/phi-1.5",
        "org/mamba-2.8b",
        "org/x.Q4",
        "org/m.model",
    ],
)
def test_ids_of_the_hub_are_no_paths(model: str) -> None:
    assert not looks_like_path(model)


@pytest.mark.parametrize(
    ("model", "said"),
    {
        "gpt2-larg": "Did you mean gpt2-large, which is here? Check the network",
        "my-modle": "Did you mean my-model, which is here? Check the network",
        "nowhere": "Check the network",
    }.items(),
)
def test_a_word_may_be_a_path_where_the_hub_cannot_be_reached(
    model: str, said: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weightaudit.source.http.retry.FIRST_PAUSE", 0.001)
    url = hub.url
    hub.stop()
    with pytest.raises(ModelUnreachable) as caught:
        open_repository(model)
    assert str(caught.value).startswith(f"{model}: no such file or directory here, and {url} cannot be reached")
    assert f". {said}" in str(caught.value)
