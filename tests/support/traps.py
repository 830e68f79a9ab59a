"""A model's directory full of traps: what a Python program may run or follow because it lies where it was started."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
from pathlib import Path

import torch

from tests.support import forge
from tests.support.torch_files import Applied

CACHE = "compiled"
"""Where the trap for numba says that its cache is."""
COMMANDS = ("python", "python3", "fc-list", "uname", "git", "gcc", "ldconfig", "sh")
"""What programs are started by name."""
KERNELS = ("gram_rows", "row_squares", "row_counts", "row_statistics")
NUMBA_SETTINGS = {
    "a stranger's cache": f"cache_dir: {CACHE}\ncache_locator_classes: evil.Locator\n".encode(),
    "nothing compiled": b"disable_jit: 1\n",
    "no threads": b"num_threads: 0\n",
    "no such processor": b"cpu_features: nonsense\n",
    "files written": b"chrome_trace: trace.json\ndump_html: page.html\n",
    "no mapping": b"[disable_jit]\n",
    "broken": b"{:\n",
    "no text": b"\xff\xfe\n",
}
"""What a `.numba_config.yaml` may hold."""


def lay_traps(directory: Path, canary: Path) -> Path:
    """A small model in ``directory``, amid traps that would each leave a line in ``canary``; its path."""
    directory.mkdir()
    code = f"open({str(canary)!r}, 'a').write(__name__ + '\\n')\n"
    shadow_modules(directory, code)
    settings(directory)
    poisoned_cache(directory / CACHE, canary)
    odd_names(directory)
    for command in COMMANDS:
        (directory / command).write_text(f"#!/bin/sh\necho {command} >> '{canary}'\n")
        (directory / command).chmod(0o755)
    forge.write_model(directory, attention())
    forge.write_config(
        directory, {"auto_map": {"AutoConfig": "modeling_evil.Config", "AutoModel": "modeling_evil.Model"}}
    )
    (directory / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["evil.T", None]}}))
    payload = pickle.dumps(Applied(exec, code))
    for name in ("training_args.bin", "optimizer.pt", "rng_state.pth", "scheduler.pkl"):
        (directory / name).write_bytes(payload)
    other = directory / "other"
    other.mkdir()
    forge.write_model(other)
    pickled = directory / "pickled"
    pickled.mkdir()
    forge.write_config(pickled)
    (pickled / "pytorch_model.bin").write_bytes(payload)
    (directory / "list.txt").write_text(".\nother\n")
    return directory


def attention() -> dict[str, torch.Tensor]:
    """The weights of a layer with all the roles that an experiment of the source paper asks for."""
    stored = forge.tensors()
    matrix = stored[forge.LAYER + forge.ROLES["Q"]]
    return stored | {f"{forge.LAYER}self_attn.{name}_proj.weight": matrix + 0.1 * i for i, name in enumerate("kvo", 1)}


def shadow_modules(directory: Path, code: str) -> None:
    """A module or a package under every name that is imported here, and those that Python and tools look for."""
    tools = {"sitecustomize", "usercustomize", "conftest", "setup", "evil", "modeling_evil", "_ops", "_classes"}
    for name in {*sys.stdlib_module_names, *tools, "__main__"}:
        (directory / f"{name}.py").write_text(code)
    for name in {
        *filter(str.isidentifier, _installed()),
        "weightaudit",
        "tests",
        "benchmarks",
        "multiprocessing",
        "encodings",
    }:
        (directory / name).mkdir()
        (directory / name / "__init__.py").write_text(code)


def _installed() -> set[str]:
    """Names that what is installed can be imported by."""
    folders = {folder for folder in sys.path if folder.endswith("-packages") and os.path.isdir(folder)}
    return {entry.name.partition(".")[0] for folder in folders for entry in os.scandir(folder)}


def settings(directory: Path) -> None:
    """Settings files that one library or another reads."""
    understood = list(NUMBA_SETTINGS.values())[:5]
    (directory / ".numba_config.yaml").write_bytes(b"".join(understood))
    # Bytes that are no UTF-8 after lines that are understood: who reads the file notices.
    (directory / "matplotlibrc").write_bytes(b"backend: module://evil\ninteractive: True\n\xff\n")
    (directory / ".env").write_text("PYTHONPATH=.\nNUMBA_DISABLE_JIT=1\nHF_HOME=.\n")
    (directory / "evil.pth").write_text("import evil\n")
    (directory / "pyvenv.cfg").write_text("home = .\n")
    (directory / "setup.cfg").write_text("[options]\n")
    (directory / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-p evil'\n")
    for name in (".config/dask/evil.yaml", "dask.yaml"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("distributed:\n  client:\n    preload: [evil]\n  worker:\n    preload: [evil]\n")


def poisoned_cache(cache: Path, canary: Path) -> None:
    """Entries for our kernels, as numba lays out its cache."""
    from weightaudit.spectral import kernels

    source = Path(kernels.__file__)
    payload = pickle.dumps(Applied(exec, f"open({str(canary)!r}, 'a').write('a cached kernel\\n')"))
    folder = cache / f"{source.parent.name}_{hashlib.sha1(str(source.parent).encode()).hexdigest()}"
    folder.mkdir(parents=True)
    python = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
    for name in KERNELS:
        line = getattr(kernels, name).py_func.__code__.co_firstlineno
        (folder / f"kernels.{name}-{line}.{python}.nbi").write_bytes(payload)


def odd_names(directory: Path) -> None:
    """File names that steer a terminal, a shell or a runner of workflows, where the system allows them."""
    for name in ("a\nb.safetensors", "::error::x\n::add-mask::y", "-rf", "$(touch x)", ";x", "\x1b[2J.bin", "*", "a b"):
        try:
            (directory / name).write_text("")
        except OSError:
            continue
    if hasattr(os, "mkfifo"):
        os.mkfifo(directory / "pipe")
