"""A cache folder as the Hub's client lays it out."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.support.hub import SHA


def put_in_cache(cache: Path, model: str, files: dict[str, bytes], *, sha: str = SHA, ref: str = "main") -> Path:
    """Lay ``files`` of ``model`` into ``cache`` as the Hub's client does, links to blobs."""
    folder = cache / f"models--{model.replace('/', '--')}"
    snapshot = folder / "snapshots" / sha
    for part in (snapshot, folder / "blobs", folder / "refs"):
        part.mkdir(parents=True, exist_ok=True)
    if ref:
        (folder / "refs" / ref).write_text(sha)
    for name, content in files.items():
        blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot
