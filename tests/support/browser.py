"""A headless Chromium for the tests that open a page, where one is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --dump-dom"
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on the PATH: the page was not opened in a browser"
)


def opened(page: Path, height: int = 2000) -> tuple[str, list[str]]:
    """The document after its scripts ran, and what they wrote to the console."""
    profile = page.parent / "profile"
    command = [
        str(CHROMIUM),
        *OPTIONS.split(),
        f"--window-size=1280,{height}",
        f"--user-data-dir={profile}",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
