"""Shard indexes made to lead elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.hostile.attack import Attack
from tests.support import forge
from tests.support.covering import some_of
from weightaudit import strict_json
from weightaudit.checkpoint import opening

INDEX = "model.safetensors.index.json"
FIRST = forge.LAYER + forge.ROLES["Q"]

OUTSIDE = [
    "/etc/passwd",
    "/outside.safetensors",
    "../outside.safetensors",
    "./model-00001-of-00003.safetensors",
    "sub/../model-00001-of-00003.safetensors",
    "sub/model.safetensors",
    "..\\outside.safetensors",
    "sub\\model.safetensors",
    "\\\\server\\share\\model.safetensors",
    "C:model.safetensors",
    "C:\\model.safetensors",
    "file:///etc/passwd.safetensors",
    "model.safetensors\0.txt",
    "model\n.safetensors",
    "\x1b]0;pwned\x07.safetensors",
    "\u202esrosnetefas.safetensors",
    "..",
    ".",
    "",
]


@pytest.mark.parametrize(
    "name",
    # `tests/source/test_local` has all of them, as names of files.
    some_of(
        OUTSIDE,
        *("/etc/passwd", "../outside.safetensors", "sub/../model-00001-of-00003.safetensors", "sub\\model.safetensors"),
        *("C:model.safetensors", "model.safetensors\0.txt", "\u202esrosnetefas.safetensors", ""),
    ),
    ids=ascii,
)
def test_a_name_that_leads_elsewhere_is_refused_unopened(name: str, attack: Attack, model: Path) -> None:
    weight_map = forge.write_shards(model)
    save_file({FIRST: forge.tensors()[FIRST]}, model.parent / "outside.safetensors")
    (model / "sub").mkdir()
    forge.write_index(model, {**weight_map, FIRST: name})
    attack.refused(model, INDEX, "not a plain file name in the same directory", "could lead outside")


@pytest.mark.parametrize("name", [INDEX, "config.json", "model-00001-of-00003.safetensors.index.json", "x.html"])
def test_a_name_of_no_weight_file_is_refused(name: str, attack: Attack, model: Path) -> None:
    weight_map = forge.write_shards(model)
    forge.write_index(model, {**weight_map, FIRST: name})
    attack.refused(model, INDEX, name, "is not a *.safetensors file")


def test_a_very_long_name_is_told_short(attack: Attack, model: Path) -> None:
    weight_map = forge.write_shards(model)
    forge.write_index(model, {**weight_map, FIRST: "n" * 1_000_000 + ".safetensors", "t" * 1_000_000: "n" * 999})
    attack.refused(model, INDEX)


def test_many_missing_shards_are_told_short(attack: Attack, model: Path) -> None:
    weight_map = forge.write_shards(model)
    forge.write_index(model, {**weight_map, **{f"t{i}": f"x{i}.safetensors" for i in range(5000)}})
    attack.refused(model, INDEX, "x0.safetensors", "and 4,995 more")


def test_missing_and_extra_names(attack: Attack, model: Path) -> None:
    weight_map = forge.write_shards(model)
    forge.write_index(model, {**weight_map, "ghost\x1b[2J": weight_map[FIRST]})
    (fault,) = found(attack, model, "shards")
    assert r"no shard holds: 'ghost\x1b[2J'" in fault
    forge.write_index(model, {name: shard for name, shard in weight_map.items() if name != FIRST})
    # The shard of the name left out is not opened any more: nothing of it can be wrong.
    assert len(attack.scanned(model).csv) == 2
    two = {FIRST: forge.tensors()[FIRST], "stowaway\u202e": forge.tensors()[FIRST].clone()}
    save_file(two, model / weight_map[FIRST])
    forge.write_index(model, weight_map)
    (fault,) = found(attack, model, "unlisted")
    assert r"its shards hold: 'stowaway\u202e'" in fault


def found(attack: Attack, model: Path, rule: str) -> list[str]:
    """What findings of this rule say, in a scan that the attack did not escape."""
    return [one["detail"] for one in attack.scanned(model).json["findings"] if one["id"] == rule]


def test_one_file_under_many_names_is_not_kept_many_times(model: Path) -> None:
    """A header may be large, and copies of a file cost a Hub nothing: of each only what it is to have is kept."""
    forge.write_config(model)
    save_file({f"t{i}": torch.zeros(1) for i in range(60)}, model / "s-000.safetensors")
    for number in range(1, 60):
        os.link(model / "s-000.safetensors", model / f"s-{number:03}.safetensors")
    forge.write_index(model, {f"t{i}": f"s-{i:03}.safetensors" for i in range(60)})
    with opening.open_checkpoint(model) as checkpoint:
        assert [tensor.file for tensor in checkpoint.tensors.values()] == [
            f"s-{int(name[1:]):03}.safetensors" for name in checkpoint.tensors
        ]
        (fault,) = checkpoint.identity.faults
        assert len(fault.tensors) == 50


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"weight_map":' + b"[" * 10 + b"]" * 10 + b"}", "no 'weight_map' object"),
        (b'{"weight_map":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"weight_map":{"a":' + b"[" * 10 + b"]" * 10 + b"}}", "no file for tensor 'a'"),
        (b'{"weight_map":{"\\u001b[2J":1}}', r"no file for tensor '\x1b[2J'"),
        (b'{"weight_map":{"a":"x.safetensors","a":"x.safetensors"}}', "'a' occurs twice"),
        (b'{"weight_map":{},"weight_map":{"a":"x.safetensors"}}', "'weight_map' occurs twice"),
        (b'{"metadata":{"total_size":' + b"9" * 4000 + b'},"weight_map":{}}', "absurdly long"),
        (b'{"weight_map":{"a":"\xff.safetensors"}}', "not UTF-8"),
        (b"\x80\x04K\x01.", "not UTF-8"),
        (b"null", "JSON null where an object"),
    ],
    ids=range(10),
)
def test_a_malformed_index(content: bytes, says: str, attack: Attack, model: Path) -> None:
    forge.write_shards(model)
    forge.write_index(model, content)
    attack.refused(model, INDEX, says)


def test_a_huge_index_is_not_read(attack: Attack, model: Path) -> None:
    forge.write_shards(model)
    os.truncate(model / INDEX, 101_000_000)  # sparse
    attack.refused(model, INDEX, "101000000 bytes, more than 100000000")


def test_an_index_of_endless_values(attack: Attack, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight_map = forge.write_shards(model)
    monkeypatch.setattr(strict_json, "MAX_VALUES", 1000)
    forge.write_index(model, json.dumps({"weight_map": weight_map, "metadata": [0] * 1000}).encode())
    attack.refused(model, INDEX, "more than 1000 values")


def test_shards_beside_it_that_it_does_not_name_are_left_alone(attack: Attack, model: Path) -> None:
    forge.write_shards(model)
    (model / "model-00009-of-00009.safetensors").write_bytes(b"\x80\x04 not to be opened")
    os.mkfifo(model / "model-00008-of-00009.safetensors")
    assert len(attack.scanned(model).csv) == 3
