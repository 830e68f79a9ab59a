"""Point the real huggingface_hub client at a stand-in Hub: in this process, or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from tests.support.authorities import trust_few

CLEAN = ("HF_", "HUGGING", "TRANSFORMERS_", "http_proxy", "https_proxy", "all_proxy")
NO_PROXY = "127.0.0.1,localhost"


@contextmanager
def pointed_at(url: str, home: Path, *, token: str | None = None) -> Iterator[Path]:
    """Within the block, this process's Hub client talks to ``url`` and caches under ``home``; gives the cache folder.

    huggingface_hub reads its settings from the environment once, when it is imported, into the module ``constants``,
    and looks them up there at each use; its one HTTP client is closed here, so that no connection or proxy outlives
    the block. Telemetry is off: it would add a request to the first log of a process and to no other.
    """
    cache = home / "hub"
    settings = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(cache),
        "HUGGINGFACE_HUB_CACHE": str(cache),
        "HF_ASSETS_CACHE": str(home / "assets"),
        "HF_XET_CACHE": str(home / "xet"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": False,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(CLEAN[:3]) or name.lower() in CLEAN[3:]:
                patch.delenv(name)
        patch.setenv("NO_PROXY", NO_PROXY)
        patch.setenv("no_proxy", NO_PROXY)
        trust_few(patch)
        if token is not None:
            patch.setenv("HF_TOKEN", token)
        for name, value in settings.items():
            patch.setattr(constants, name, value, raising=False)
        huggingface_hub.close_session()
        try:
            yield cache
        finally:
            huggingface_hub.close_session()


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    """The environment of a process whose Hub client talks to ``url`` and keeps its files under ``home``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(CLEAN[:3]) and name.lower() not in CLEAN[3:]
    }
    ours = {"HF_ENDPOINT": url, "HF_HOME": str(home), "NO_PROXY": NO_PROXY, "no_proxy": NO_PROXY}
    return {**kept, **ours, **more}


def run(
    words: list[str], env: Mapping[str, str], cwd: Path, timeout: float = 300.0
) -> subprocess.CompletedProcess[str]:
    """``weightaudit`` with those words as a process of its own, with that environment and working directory."""
    return subprocess.run(
        [sys.executable, "-m", "weightaudit", *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
