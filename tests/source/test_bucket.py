"""Models at s3:// and gs://, against stand-ins: ranges only, every error in words, nothing secret told."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import save

from tests.support.cloud import SECRET, Cloud, gs_server, pointed, s3_server
from tests.support.impatience import shorten_pauses
from weightaudit.checkpoint import open_checkpoint
from weightaudit.errors import (
    ChangedMeanwhile,
    CheckpointError,
    ModelNotFound,
    ModelUnavailable,
    ModelUnreachable,
    UsageError,
)
from weightaudit.source import open_repository
from weightaudit.source.bucket import mark_of
from weightaudit.source.bucket_calls import Absent, meaning
from weightaudit.source.http.retry import RetryableError

# Not imported here: that takes seconds, and every process that runs tests collects this file.
pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("s3fs", "gcsfs", "moto"))), reason="s3fs, gcsfs or moto is not installed"
)

CONFIG = b'{"model_type": "gpt2"}'
TENSORS = {"wte.weight": torch.arange(60_000.0).view(200, 300), "ln_f.weight": torch.ones(300)}
DATA = save(TENSORS)
OBJECTS = {
    "models/a/tiny/config.json": CONFIG,
    "models/a/tiny/model.safetensors": DATA,
    "models/a/tiny/checkpoint-5/model.safetensors": DATA,
    "models/a/quants/m-Q4_0.gguf": b"GGUF",
    "models/a/quants/m-Q8_0.gguf": b"GGUF",
    "models/a/odd names/b c+d%41&#é.safetensors": DATA,
}
SERVERS = {"s3": s3_server, "gs": gs_server}


@pytest.fixture(params=["gs", pytest.param("s3", marks=pytest.mark.slow)])
def scheme(request: pytest.FixtureRequest) -> str:
    """moto and s3fs take seconds to start: by default `test_errors_of_s3` shows what is ours of S3."""
    return str(request.param)


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)
    monkeypatch.setattr("weightaudit.source.http.retry.STALL", 20.0)  # botocore's own patience is no stall
    monkeypatch.setattr("gcsfs.retry.min", lambda *_: 0.002, raising=False)  # its own pauses, of a second and more
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[str], Cloud]]:
    """One of each kind for all tests that leave it as it is."""
    with ExitStack() as stack:
        started: dict[str, Cloud] = {}

        def server(scheme: str) -> Cloud:
            if scheme not in started:
                started[scheme] = stack.enter_context(SERVERS[scheme](OBJECTS))
            return started[scheme]

        yield server


@pytest.fixture
def cloud(servers: Callable[[str], Cloud], scheme: str, patient: None, tmp_path: Path) -> Iterator[Cloud]:
    server = servers(scheme)
    server.refuse = lambda asked: None
    server.log.clear()
    with pointed(server, tmp_path):
        yield server


def test_a_prefix_and_one_object(scheme: str, cloud: Cloud) -> None:
    for address, name, chosen in (
        (f"{scheme}://models/a/tiny", "tiny", None),
        (f"{scheme}://models/a/tiny/", "tiny", None),
        (f"{scheme}://models/a/tiny/model.safetensors", "tiny/model.safetensors", "model.safetensors"),
    ):
        repository = open_repository(address)
        assert (repository.name, repository.location, repository.chosen) == (name, address, chosen)
        assert repository.files() == ["config.json", "model.safetensors"]
        with open_checkpoint(address) as checkpoint:
            assert checkpoint.config == {"model_type": "gpt2"}
            assert torch.as_tensor(checkpoint.read("wte.weight")).equal(TENSORS["wte.weight"])
            assert (checkpoint.identity.name, checkpoint.identity.revision) == (name, "")
            checkpoint.check_unchanged()
    assert repository.below() == ["checkpoint-5/model.safetensors"]
    assert repository.size_of("checkpoint-5/model.safetensors") == len(DATA)
    assert repository.files_in("checkpoint-5") == ["model.safetensors"]
    assert repository.open_in("checkpoint-5", "model.safetensors").size == len(DATA)


def test_only_the_ranges_that_are_read_are_sent(scheme: str, cloud: Cloud) -> None:
    with open_checkpoint(f"{scheme}://models/a/tiny/model.safetensors") as checkpoint:
        checkpoint.read("ln_f.weight")
    header = int.from_bytes(DATA[:8], "little") + 8
    asked = [one for one in cloud.log if one.range and one.path.endswith("tiny/model.safetensors")]
    assert header + 1200 <= sum(one.sent for one in asked) <= 2 * header + 1200
    assert len(DATA) > 200_000
    # Without a range only what an object is, is asked for.
    assert cloud.sent("tiny/model.safetensors") < 5_000


def test_names_that_need_care(scheme: str, cloud: Cloud) -> None:
    source = open_repository(f"{scheme}://models/a/odd names").open("b c+d%41&#é.safetensors")
    out = bytearray(source.size)
    source.read_into(0, memoryview(out))
    assert out == DATA
    repository = open_repository(f"{scheme}://models/a/tiny")
    for name in ("../quants/m-Q4_0.gguf", "checkpoint-5/model.safetensors", ".."):
        with pytest.raises(CheckpointError, match="not a plain file name"):
            repository.open(name)
    with pytest.raises(CheckpointError, match=rf"{scheme}://models/a/tiny/gone\.bin: the file is missing"):
        repository.open("gone.bin")


def test_a_quantisation_after_a_colon(scheme: str, cloud: Cloud) -> None:
    repository = open_repository(f"{scheme}://models/a/quants:Q8_0")
    assert (repository.name, repository.label) == ("quants", "Q8_0")
    assert repository.files() == ["m-Q4_0.gguf", "m-Q8_0.gguf"]


NOT_THERE = {
    "models/a/tinx": "no such object or prefix. Did you mean tiny? Check the address",
    "models/a/tiny/modle.safetensors": "no such object or prefix. Did you mean model.safetensors?",
    "models/b/c/d": "no such bucket, object or prefix. Check the address",
    "nobucket/a": "no such bucket. Check the address",
    "nobucket": "no such bucket. Check the address",
}


@pytest.mark.parametrize("path", NOT_THERE)
def test_what_is_not_there(path: str, scheme: str, cloud: Cloud) -> None:
    with pytest.raises(ModelNotFound) as caught:
        open_repository(f"{scheme}://{path}")
    assert str(caught.value).startswith(f"{scheme}://{path}: the storage has {NOT_THERE[path]}")


def test_weights_in_folders_alone(scheme: str, cloud: Cloud) -> None:
    with pytest.raises(CheckpointError, match=r"in folders of it: .*a/tiny.*weightaudit scan") as caught:
        open_checkpoint(f"{scheme}://models")
    assert f"`weightaudit scan {scheme}://models/a/" in str(caught.value) or f"'{scheme}://models/a/" in str(
        caught.value
    )


def test_refused(scheme: str, cloud: Cloud) -> None:
    cloud.refuse = lambda asked: 403
    with pytest.raises(ModelUnavailable, match="the storage refuses access") as caught:
        open_checkpoint(f"{scheme}://models/a/tiny")
    assert not caught.value.temporary
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("scheme", [pytest.param("s3", marks=pytest.mark.slow)])
def test_nobody_who_asks(scheme: str, cloud: Cloud, tmp_path: Path) -> None:
    with pointed(cloud, tmp_path) as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(
            ModelUnavailable, match=r"no credentials for it were found.*'aws configure'.*FSSPEC_S3_ANON"
        ):
            open_checkpoint("s3://models/a/tiny")
        assert cloud.log == []


@pytest.fixture
def changing(cloud: Cloud) -> Iterator[Cloud]:
    yield cloud
    cloud.put("models/a/tiny/model.safetensors", DATA)


def test_an_object_that_changes(scheme: str, changing: Cloud) -> None:
    cloud, path = changing, f"{scheme}://models/a/tiny"
    other = save({**TENSORS, "wte.weight": torch.zeros(200, 300)})
    assert len(other) == len(DATA)
    with open_checkpoint(path) as checkpoint:
        checkpoint.read("ln_f.weight")
        checkpoint.check_unchanged()
        cloud.put("models/a/tiny/model.safetensors", other)
        with pytest.raises(ChangedMeanwhile, match=rf"{path}/model\.safetensors: it has changed while it was read"):
            checkpoint.check_unchanged()
    with open_checkpoint(path) as checkpoint:
        cloud.put("models/a/tiny/model.safetensors", DATA[:-100_000])
        with pytest.raises(ChangedMeanwhile, match="it has changed while it was read"):
            checkpoint.read("wte.weight")


def test_reading_past_the_end_and_after_closing(scheme: str, cloud: Cloud) -> None:
    source = open_repository(f"{scheme}://models/a/tiny").open("model.safetensors")
    with pytest.raises(CheckpointError, match=f"were expected, but it ends at {len(DATA)}"):
        source.read_into(len(DATA) - 1, memoryview(bytearray(2)))
    source.read_into(len(DATA), memoryview(b"").cast("B"))
    source.close()
    with pytest.raises(ValueError, match="is closed"):
        source.read_into(0, memoryview(bytearray(1)))
    source.check_unchanged()


def test_many_threads_and_pieces(scheme: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightaudit.source.bucket.PIECE", 70_000)
    source = open_repository(f"{scheme}://models/a/tiny").open("model.safetensors")
    parts = [bytearray(len(DATA) // 4) for _ in range(4)]
    threads = [Thread(target=source.read_into, args=(i * len(part), memoryview(part))) for i, part in enumerate(parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert b"".join(parts) == DATA[: 4 * (len(DATA) // 4)]


def test_trouble_that_passes(scheme: str, cloud: Cloud) -> None:
    source = open_repository(f"{scheme}://models/a/tiny").open("model.safetensors")
    struck: list[int] = []

    def refuse(asked: object) -> int | None:
        struck.append(1)
        return 503 if len(struck) == 1 else None

    cloud.refuse = refuse
    out = bytearray(1000)
    source.read_into(0, memoryview(out))
    assert out == DATA[:1000]
    assert len(struck) >= 2


def test_nobody_answers(scheme: str, patient: None, tmp_path: Path) -> None:
    with SERVERS[scheme]({}) as gone, pointed(gone, tmp_path):
        gone.stop()
        with pytest.raises(ModelUnreachable, match=r"the storage (cannot be reached|does not answer)") as caught:
            open_repository(f"{scheme}://models/a/tiny", max_wait=1.0)
    assert caught.value.temporary


def test_errors_of_s3() -> None:
    """Those that its library raises; `test_refused` and the like have them from a server when all tests run."""
    from botocore import exceptions

    def meant(error: Exception) -> Exception:
        try:
            raise OSError("what s3fs says") from error
        except OSError as raised:
            return meaning(raised, "s3://models/a", "s3")

    nobody = meant(exceptions.NoCredentialsError())
    assert isinstance(nobody, ModelUnavailable)
    assert "no credentials for it were found" in str(nobody)
    assert "'aws configure'" in str(nobody)
    assert isinstance(meant(exceptions.ParamValidationError(report=SECRET)), ModelNotFound)
    refused = meaning(PermissionError(SECRET), "s3://models/a", "s3")
    assert isinstance(refused, ModelUnavailable)
    assert "refuses access" in str(refused)
    assert SECRET not in str(refused)
    assert isinstance(meaning(FileNotFoundError("NoSuchKey"), "s3://models/a", "s3"), Absent)
    away = meant(exceptions.EndpointConnectionError(endpoint_url=f"http://{SECRET}"))
    assert isinstance(away, RetryableError)
    assert SECRET not in str(away)
    first, second = ({"ETag": f'"{tag}"', "size": 9, "LastModified": "now"} for tag in "ab")
    assert mark_of(first) != mark_of(second)
    assert mark_of({**first, "LastModified": "later"}) == mark_of(first)


def test_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="only models of the Hub have revisions"):
        open_repository("s3://models/a/tiny", revision="main")
    with pytest.raises(ModelUnreachable, match="offline, and it is in cloud storage"):
        open_repository("gs://models/a/tiny", offline=True)
    for library, address in (("s3fs", "s3://models/a"), ("gcsfs", "gs://models/a")):
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.setitem(sys.modules, f"{library}.core", None)
        with pytest.raises(UsageError, match=rf"needs {library}, which is not installed\. pip install {library}"):
            open_repository(address)


def test_the_libraries_are_not_loaded_for_other_models() -> None:
    import subprocess

    code = (
        "import sys, weightaudit.source.resolve, weightaudit.source.bucket; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'s3fs', 'gcsfs', 'fsspec', 'botocore'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
