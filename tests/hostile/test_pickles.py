"""Pickles with code, in every file that may hold one. None is executed: the payloads would make a canary file."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.hostile.attack import Attack
from tests.support import forge
from tests.support.covering import in_turn
from tests.support.torch_files import (
    Applied,
    archive,
    legacy,
    pickled,
    saved_bytes,
    storage,
    tensor,
    torch_zip,
)
from weightaudit.checkpoint.formats import pickle_vm

NAME = forge.LAYER + forge.ROLES["Q"]
Payload = Callable[[Path], Any]

PAYLOADS: dict[str, tuple[Payload, str]] = {
    "os.system": (lambda canary: Applied(os.system, f"touch '{canary}'"), f"{os.name}.system"),
    "builtins.open": (lambda canary: Applied(open, str(canary), "w"), "io.open"),
    "builtins.exec": (lambda canary: Applied(exec, f"open({str(canary)!r}, 'w')"), "builtins.exec"),
    "subprocess": (lambda canary: Applied(subprocess.check_call, ["touch", str(canary)]), ".check_call"),
    "a chain of getattr": (
        lambda canary: Applied(Applied(getattr, Applied(__import__, "os"), "system"), f"touch '{canary}'"),
        "builtins.getattr",
    ),
    "code within the arguments of a tensor": (
        lambda canary: Applied(
            torch._utils._rebuild_tensor_v2, None, Applied(os.system, f"touch '{canary}'"), (2, 3), (3, 1), False, {}
        ),
        f"{os.name}.system",
    ),
    "code in the state of a parameter": (
        lambda canary: Applied(torch._utils._rebuild_parameter, None, True, Applied(open, str(canary), "w")),
        "io.open",
    ),
    "a class of another package": (lambda canary: Path(str(canary)), "pathlib."),
}
"""name → (the object whose pickle would make the canary, the name that the refusal must tell)"""


def global_of(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def text_of(text: str) -> bytes:
    return pickle.BINUNICODE + len(text).to_bytes(4, "little") + text.encode()


def by_hand(canary: Path) -> dict[str, bytes]:
    """Programs in the pickle language that no pickler writes: every instruction that can call, name or import."""
    shell = text_of(f"touch '{canary}'")
    return {
        "REDUCE": global_of("os", "system") + shell + b"\x85R.",
        "OBJ": b"(" + global_of("os", "system") + shell + b"o.",
        "INST": b"(" + shell + b"ios\nsystem\n.",
        "NEWOBJ": global_of("os", "system") + shell + b"\x85\x81.",
        "NEWOBJ_EX": global_of("os", "system") + shell + b"\x85}\x92.",
        "STACK_GLOBAL": text_of("os") + text_of("system") + b"\x93" + shell + b"\x85R.",
        "STACK_GLOBAL by memo": text_of("os") + b"\x94" + text_of("system") + b"h\x00\x8c\x00" + b"\x93.",
        "BUILD on a function": global_of("os", "system") + b"}" + text_of("__call__") + b"Nsb.",
        "BUILD of slots": global_of("torch", "Size") + b")R" + b"N}" + text_of("x") + b"Ns\x86b.",
        "a persistent id of code": global_of("os", "system") + shell + b"\x85RQ.",
        "a persistent id in text": b"Pstorage\n.",
        "EXT1": b"\x82\x01.",
        "EXT4": b"\x84\x01\0\0\0.",
        "a dotted name": text_of("torch") + text_of("os.system") + b"\x93" + shell + b"\x85R.",
        "a name through torch": global_of("torch.serialization", "os.system") + shell + b"\x85R.",
        "a call of what is named later": b")" + global_of("os", "system") + b"R.",
        "code behind the end": b"}." + global_of("os", "system") + shell + b"\x85R.",
        "an allowed name's import": global_of("torch._utils", "_rebuild_tensor_v2.__globals__") + b".",
        "a name in other letters": global_of("os", "ſystem") + shell + b"\x85R.",
        "READONLY_BUFFER": b"\x97\x98.",
        "DUP and POP": global_of("collections", "OrderedDict") + b"20)R.",
        "LONG4": b"\x8b\xff\xff\xff\x7f.",
        "FLOAT in text": b"F1e999\n.",
    }


HANDMADE = list(by_hand(Path("canary")))


FORMS = ("zip", "legacy")


def written(contents: Any, form: str) -> bytes:
    """A file of ``contents``, with the 24 bytes of one storage; ``contents`` in bytes are a pickle already."""
    if form == "zip":
        return torch_zip(contents)
    if not isinstance(contents, bytes):
        return legacy(contents)
    return b"".join(pickled(part) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})) + contents


def a_tensor(form: str, **changes: Any) -> Applied:
    """A tensor of 2 by 3, but for ``changes``, whose storage is referred to as the format does."""
    return tensor(**{"of": storage() if form == "zip" else storage(torch.FloatStorage, "0", 6, None), **changes})


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.mark.parametrize(("payload", "form"), in_turn(list(PAYLOADS), ["zip", "legacy", "bare"]))
def test_code_is_told_and_not_run(payload: str, form: str, attack: Attack, model: Path, canary: Path) -> None:
    make, told = PAYLOADS[payload]
    contents = {"z": make(canary)} if form == "bare" else {NAME: a_tensor(form), "z": make(canary)}
    forge.write_config(model)
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(contents) if form == "bare" else written(contents, form))
    said = attack.refused(model, "pytorch_model.bin", told, "Nothing of it was executed")
    assert "safetensors" in said
    assert not canary.exists()


def test_the_payloads_would_run(canary: Path) -> None:
    """The canary proves something: whoever unpickles them freely makes it."""
    for name in ("os.system", "builtins.open", "builtins.exec", "subprocess", "a chain of getattr"):
        pickle.loads(pickle.dumps(PAYLOADS[name][0](canary)))
        assert canary.exists(), name
        canary.unlink()


@pytest.mark.parametrize(("what", "form"), in_turn(HANDMADE, FORMS))
def test_programs_of_the_pickle_language(what: str, form: str, attack: Attack, model: Path, canary: Path) -> None:
    program = b"\x80\x02" + by_hand(canary)[what]
    forge.write_config(model)
    (model / "pytorch_model.bin").write_bytes(written(program, form))
    attack.refused(model, "pytorch_model.bin")
    assert not canary.exists()


# where a file that torch would unpickle may hide: (how it is written, words of the refusal)
def _named_safetensors(model: Path, code: bytes) -> tuple[str, ...]:
    (model / "model.safetensors").write_bytes(code)
    return ("model.safetensors", "it is not safetensors, but a")


def _shard(model: Path, code: bytes) -> tuple[str, ...]:
    shard = list(forge.write_shards(model, suffix="bin").values())[2]
    (model / shard).write_bytes(code)
    return (shard, "contains code")


def _shard_of_safetensors(model: Path, code: bytes) -> tuple[str, ...]:
    shard = next(iter(forge.write_shards(model).values()))
    (model / shard).write_bytes(code)
    return (shard, "it is not safetensors, but a")


def _config(model: Path, code: bytes) -> tuple[str, ...]:
    forge.write_model(model)
    (model / "config.json").write_bytes(code)
    return ("config.json",)


def _index(model: Path, code: bytes) -> tuple[str, ...]:
    forge.write_index(model, code, suffix="bin")
    return ("pytorch_model.bin.index.json",)


def _other_suffix(model: Path, code: bytes) -> tuple[str, ...]:
    (model / "weights.pth").write_bytes(code)
    return ("weights.pth", "contains code")


PLACES = [_named_safetensors, _shard, _shard_of_safetensors, _config, _index, _other_suffix]


@pytest.mark.parametrize(("place", "form"), in_turn(PLACES, FORMS), ids=lambda each: getattr(each, "__name__", each))
def test_wherever_it_hides(
    place: Callable[[Path, bytes], tuple[str, ...]], form: str, attack: Attack, model: Path, canary: Path
) -> None:
    contents = {"z": PAYLOADS["os.system"][0](canary)}
    forge.write_config(model)
    says = place(model, written(contents, form))
    attack.refused(model, *says)
    assert not canary.exists()


NO_WEIGHTS = ["training_args.bin"]
MORE_OF_A_TRAINER = ["x.ckpt", "optimizer.pt", "rng_state.pth", "scheduler.pt"]


@pytest.mark.parametrize(
    "name", [*NO_WEIGHTS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_OF_A_TRAINER)]
)
def test_files_that_are_no_weights_are_not_opened(name: str, attack: Attack, model: Path, canary: Path) -> None:
    forge.write_model(model)
    (model / name).write_bytes(written({"z": PAYLOADS["os.system"][0](canary)}, "zip"))
    assert len(attack.scanned(model).csv) == 3
    # Named by the user it is looked at, and refused.
    attack.refused(model / name, name, "contains code", "Nothing of it was executed")
    assert not canary.exists()


def test_an_archive_within_an_archive_is_not_opened(attack: Attack, model: Path, canary: Path) -> None:
    forge.write_config(model)
    inner = torch_zip({"z": PAYLOADS["os.system"][0](canary)})
    extra: dict[str, Any] = {"inner.pt": inner, "data.pkl.zip": inner}
    (model / "pytorch_model.bin").write_bytes(torch_zip({NAME: tensor()}, **extra))
    assert len(attack.scanned(model).csv) == 1
    (model / "pytorch_model.bin").write_bytes(archive({"data.pkl": inner, "version": b"3\n"}))
    attack.refused(model, "pytorch_model.bin", "its pickle")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        info = tarfile.TarInfo("pickle")
        info.size = len(inner)
        file.addfile(info, io.BytesIO(inner))
    (model / "pytorch_model.bin").write_bytes(tar.getvalue())
    attack.refused(model, "pytorch_model.bin", "tar archive too")
    assert not canary.exists()


def test_safetensors_named_bin_and_the_other_way_round(attack: Attack, model: Path) -> None:
    forge.write_model(model)
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    attack.refused(model, "pytorch_model.bin", "looks like safetensors", "a name that ends in .safetensors")
    torch.save(forge.tensors(), model / "model.safetensors")
    attack.refused(model, "model.safetensors", "it is not safetensors, but a zip archive")


def test_no_part_of_a_bin_scan_unpickles(attack: Attack, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forge.write_config(model)
    torch.save(forge.tensors(), model / "pytorch_model.bin")
    for module, function in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, function, lambda *_, **__: pytest.fail("unpickled"))
    assert len(attack.scanned(model).csv) == 3


SIZE = global_of("torch", "Size") + b"r\x01\0\0\0"
ORDERED = global_of("collections", "OrderedDict") + b"r\x01\0\0\0"
COUNTER = global_of("collections", "Counter") + b"r\x01\0\0\0"
PARAMETER = global_of("torch._utils", "_rebuild_parameter") + b"r\x01\0\0\0"
LONG = b"}r\0\0\0\0(" + b"".join(text_of(str(i)) + b"N" for i in range(10_000)) + b"u"
AGAIN = b"j\x01\0\0\0j\x00\0\0\0\x85R"  # apply the name to the list, once more
PAIR = text_of("a") + b"N\x86"
ENDLESS: dict[str, tuple[bytes, str]] = {
    "a long list copied again and again": (
        SIZE + b"]r\0\0\0\0(" + b"K\0" * 10_000 + b"e" + AGAIN * 10_000 + b".",
        "more than",
    ),
    "a long dictionary made again and again": (
        ORDERED + b"]r\0\0\0\0(" + PAIR * 10_000 + b"e" + AGAIN * 10_000 + b".",
        "more than",
    ),
    "a long dictionary counted again and again": (COUNTER + LONG + AGAIN * 10_000 + b".", "more than"),
    "long state set again and again": (
        ORDERED + LONG + b"j\x01\0\0\0)R" + b"j\0\0\0\0b" * 10_000 + b".",
        "replaces what an OrderedDict does",
    ),
    "a pair of long states": (
        LONG + (global_of("torch._utils", "_rebuild_parameter_with_state") + b"(NNN}j\0\0\0\0\x86tR") * 10_000 + b".",
        "in a way",
    ),
    "one table under ten thousand names": (
        b"}r\0\0\0\0("
        + b"".join(text_of(str(i)) + b"N" for i in range(10_000))
        + b"u}("
        + b"".join(text_of(str(i)) + b"j\0\0\0\0" for i in range(10_000))
        + b"u.",
        "no tensors",
    ),
    "tuples within tuples, twice each": (
        b"}" + text_of("a") + b")" + b"r\0\0\0\0j\0\0\0\0\x86" * 10_000 + b"s.",
        "no tensors",
    ),
    "calls within calls": (
        PARAMETER + b"j\x01\0\0\0" * 5_000 + b")" + b"R\x85" * 5_000 + b"N\x85.",
        "something else",
    ),
    "dictionaries out of dictionaries": (
        ORDERED + b"j\x01\0\0\0" * 5_000 + b")" + b"R\x85" * 5_000 + b".",
        "in a way",
    ),
    "lists within lists": (b"]" * 20_000 + b"a" * 19_999 + b".", "something else"),
    "dictionaries within dictionaries": ((b"}" + text_of("model")) * 10_000 + b"N" + b"s" * 10_000 + b".", "no"),
    "marks": (b"(" * 100_000 + b".", "damaged"),
    "a dictionary in itself": (b"}r\0\0\0\0" + text_of("model") + b"j\0\0\0\0s.", "no tensors"),
    "text longer than the file": (b"X\xff\xff\xff\xff.", "cut short"),
    "bytes longer than memory": (b"\x8e" + (2**62).to_bytes(8, "little") + b".", "BINBYTES8"),
    "an array longer than memory": (b"\x96" + (2**62).to_bytes(8, "little") + b".", "BYTEARRAY8"),
    "a frame longer than memory": (b"\x95" + (2**62).to_bytes(8, "little") + b"N.", "something else"),
    "a memo far away": (b"Nr\xff\xff\xff\xff.", "something else"),
    "an endless line": (b"c" + b"x" * 1_000_000, "cut short"),
    "an endless name": (b"c" + b"x" * 1_000_000 + b"\ny\n.", "contains code"),
}


SUMMED = {what for what, (_, says) in ENDLESS.items() if says == "more than"}
"""Refused for the steps that they take in all, millions where as many are allowed."""


@pytest.mark.parametrize(("what", "form"), in_turn(list(ENDLESS), FORMS))
def test_pickles_that_never_end_or_fill_the_memory(
    what: str, form: str, attack: Attack, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pickle_vm.MAX_STEPS <= 2_000_000
    if what in SUMMED:  # after the list itself and a few times more
        monkeypatch.setattr(pickle_vm, "MAX_STEPS", 100_000)
    never_ends(what, form, attack, model)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", sorted(SUMMED))
def test_pickles_of_as_many_steps_as_are_allowed(what: str, form: str, attack: Attack, model: Path) -> None:
    never_ends(what, form, attack, model)


def never_ends(what: str, form: str, attack: Attack, model: Path) -> None:
    program, says = ENDLESS[what]
    forge.write_config(model)
    (model / "pytorch_model.bin").write_bytes(written(b"\x80\x04" + program, form))
    attack.refused(model, "pytorch_model.bin", says)


TENSORS: dict[str, tuple[dict[str, Any], str]] = {
    "offset beyond": ({"offset": 5}, "needs 44 bytes of its storage, which has 24"),
    "offset of 2000 bits": ({"offset": 2**2000}, "is described in a way"),
    "offset before": ({"offset": -1}, "is described in a way"),
    "shape that overflows": ({"shape": (2**33, 2**33), "strides": (0, 0)}, "impossible shape"),
    "shape of 2000 bits": ({"shape": (2**2000, 1)}, "impossible shape"),
    "a billion elements of one": ({"shape": (2**15, 2**15), "strides": (0, 0)}, "repeats its elements"),
    "strides beyond": ({"strides": (2**59, 1)}, "bytes of its storage"),
    "strides of 2000 bits": ({"shape": (1, 3), "strides": (2**2000, 2)}, "is described in a way"),
    "strides backwards": ({"strides": (-3, 1)}, "is described in a way"),
    "sizes that are booleans": ({"shape": (True, True)}, "is described in a way"),
    "thousands of dimensions": ({"shape": (1,) * 10_000, "strides": (0,) * 10_000}, "10000 dimensions"),
    "more sizes than strides": ({"shape": (2, 3, 1)}, "is described in a way"),
}


@pytest.mark.parametrize(("what", "form"), in_turn(list(TENSORS), FORMS))
def test_tensors_outside_their_storage(what: str, form: str, attack: Attack, model: Path) -> None:
    changes, says = TENSORS[what]
    forge.write_config(model)
    (model / "pytorch_model.bin").write_bytes(written({NAME: a_tensor(form, **changes)}, form))
    attack.refused(model, "pytorch_model.bin", NAME, says)


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\nb", "a\0b", "\ud800", "n" * 2000], ids=ascii)
def test_names_that_steer_are_refused_here_too(name: str, attack: Attack, model: Path) -> None:
    forge.write_config(model)
    (model / "pytorch_model.bin").write_bytes(torch_zip({name: tensor()}))
    attack.refused(model, "pytorch_model.bin", "name")


def test_names_of_what_is_no_tensor_are_told_printable(attack: Attack, model: Path) -> None:
    forge.write_config(model)
    contents = {NAME: tensor(), "\x1b[2J\nnote: all is well": 1, "\u202e": []}
    (model / "pytorch_model.bin").write_bytes(torch_zip(contents))
    outputs = attack.scanned(model)
    assert "'\\x1b[2J\\nnote: all is well' and '\\u202e'" in outputs.stderr


def test_an_honest_file_is_read(attack: Attack, model: Path) -> None:
    """Or the refusals above would prove nothing."""
    forge.write_config(model)
    expected = {row["tensors"]: row["frobenius_norm"] for row in attack.scanned(forge.write_model(model)).csv}
    (model / "model.safetensors").unlink()
    for form in ("zip", "legacy"):
        (model / "pytorch_model.bin").write_bytes(saved_bytes(forge.tensors(), form))
        assert {row["tensors"]: row["frobenius_norm"] for row in attack.scanned(model).csv} == expected
