"""What a model's directory may lead to.

A directory is read at its top level, and links in it are followed wherever they lead: the Hugging Face cache is made
of links out of the model's directory, and whoever could place a link could have placed a copy. Nothing is ever written
there, and of a file behind a link no more is told than of any other: sizes, tensor names, and numbers of its matrices.
Names that a file inside the model gives (a shard's, in an index) are another thing: plain names in the same directory,
or refused (`test_index`). Folders are not entered but for the modules that modules.json lists; pipes, devices and
sockets are refused and never waited for.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
from pathlib import Path

import pytest

from tests.hostile.attack import Attack
from tests.support import forge
from tests.support.covering import covering, in_turn, some_of

FILE, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and special files of POSIX")


def test_a_cache_of_links_out_of_the_directory_is_read(attack: Attack, model: Path) -> None:
    plain = attack.scanned(forge.write_model(model))
    blobs, snapshot = model / "blobs", model / "snapshots" / "a1b2"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for name in (FILE, CONFIG):
        (model / name).rename(blobs / f"sha-of-{name}")
        (snapshot / name).symlink_to(f"../../blobs/sha-of-{name}")
    linked = attack.scanned(snapshot)
    assert [row["frobenius_norm"] for row in linked.csv] == [row["frobenius_norm"] for row in plain.csv]
    assert "blobs" not in json.dumps(linked.json)


def test_directories_that_lead_in_circles_are_not_entered(attack: Attack, model: Path) -> None:
    inner = model / "inner"  # so that up leads to this model's folder, and not to those of all tests before
    inner.mkdir()
    forge.write_model(inner)
    (inner / "again").symlink_to(inner)
    (inner / "up").symlink_to("..")
    (inner / "self").symlink_to("self")
    (inner / "model-00001-of-00002.safetensors").symlink_to("again/model-00001-of-00002.safetensors")
    assert len(attack.scanned(inner).csv) == 3
    # Through the circle it is the same model.
    assert len(attack.scanned(inner / "again" / "again" / "again").csv) == 3


def test_a_directory_that_is_a_link_to_itself(attack: Attack, model: Path) -> None:
    (model / "loop").symlink_to("loop")
    attack.refused(model / "loop", "loop", "symbolic links", "leads back to itself")
    attack.refused(model / "loop" / "x", "x")


@pytest.mark.parametrize(("target", "name"), in_turn(["itself", "nowhere", "a circle"], [FILE, CONFIG]))
def test_a_file_that_is_a_bad_link(name: str, target: str, attack: Attack, model: Path) -> None:
    forge.write_model(model)
    (model / name).unlink()
    (model / "other").symlink_to(name)
    (model / name).symlink_to({"itself": name, "nowhere": "gone", "a circle": "other"}[target])
    attack.refused(model, name, "link")


@pytest.mark.parametrize(
    ("kind", "name"), in_turn(["pipe", "socket", "/dev/zero", "/dev/null", "/dev/tty"], [FILE, INDEX, CONFIG])
)
def test_what_is_no_file_is_refused_and_never_waited_for(
    kind: str, name: str, attack: Attack, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.write_model(model)
    if name == INDEX:
        (model / FILE).unlink()
    (model / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(model / name)
    elif kind == "socket":
        monkeypatch.chdir(model)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(name)
    elif not os.path.exists(kind):
        pytest.skip(f"no {kind} here")
    else:
        (model / name).symlink_to(kind)
    attack.refused(model, name)


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_a_shard_that_is_no_file(kind: str, attack: Attack, model: Path) -> None:
    shard = list(forge.write_shards(model).values())[1]
    (model / shard).unlink()
    os.mkfifo(model / shard) if kind == "pipe" else (model / shard).symlink_to(kind)
    attack.refused(model, shard, "not a regular file")


def test_a_folder_with_a_weight_file_s_name(attack: Attack, model: Path) -> None:
    forge.write_model(model)
    (model / FILE).rename(model / "kept")
    (model / FILE).mkdir()
    (model / "kept").rename(model / FILE / FILE)
    attack.refused(model, "no weights found at its top, but in folders of it", "Scan one of them: `weightaudit scan ")
    (model / CONFIG).unlink()
    (model / CONFIG).mkdir()
    shutil.move(model / FILE / FILE, model / "weights.safetensors")
    attack.refused(model, "no config.json")


@pytest.mark.parametrize(
    "folder",
    some_of(
        ["\x1b[2J", "\u202excod", "a\nb", "`touch canary`", "$(touch canary)", "x" * 255],
        *["\x1b[2J", "$(touch canary)", "x" * 255],
    ),
)
def test_a_folder_with_a_hostile_name_is_no_command(folder: str, attack: Attack, model: Path) -> None:
    for depth in range(3):
        inside = model.joinpath(*[folder] * (depth + 1))
        inside.mkdir(parents=True)
        forge.write_model(inside)
        said = attack.refused(model, "in folders of it")
        (command,) = re.findall(r"`weightaudit (scan .+)`", said) or [""]
        assert not command or shlex.split(command)[1].startswith(str(model))
        assert not command or Path(shlex.split(command)[1]).is_dir()


@pytest.mark.parametrize(
    ("name", "secret"),
    covering(
        [FILE, INDEX, CONFIG, "pytorch_model.bin", "pytorch_model.bin.index.json"],
        [b"s3cr3t-word\n", b'{"s3cr3t-word": "s3cr3t-word"}', b'["s3cr3t-word"]'],
        together=1,
    ),
)
def test_a_link_to_a_private_file_tells_nothing_of_it(name: str, secret: bytes, attack: Attack, model: Path) -> None:
    private = model.parent / f"{model.name}-private"
    private.write_bytes(secret)
    forge.write_model(model)
    if name != CONFIG:
        (model / FILE).unlink()
    (model / name).unlink(missing_ok=True)
    (model / name).symlink_to(private)
    assert "s3cr3t" not in attack.refused(model, name if name != CONFIG or b"{" not in secret else "no model_type")


def test_a_model_is_never_written_to(attack: Attack, model: Path) -> None:
    forge.write_model(model)
    before = {path: path.stat().st_mtime_ns for path in [model, *model.iterdir()]}
    for path in model.iterdir():
        path.chmod(0o400)
    model.chmod(0o500)
    attack.scanned(model)
    model.chmod(0o700)
    assert {path: path.stat().st_mtime_ns for path in [model, *model.iterdir()]} == before
