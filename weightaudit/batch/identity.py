"""What makes two scans the same scan: the model's bytes, the options that change what is found, this package's
version.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields
from typing import Any

import weightaudit
from weightaudit.config import AuditConfig

NO_NUMBERS = frozenset({"revision", "token", "offline", "download", "max_wait", "memory", "threads"})
"""Options that leave a model's numbers and findings as they are; ``threads`` but for the last digit, and the revision
counts as the commit that it means. Any option not named here belongs to the key."""
ABSENT = "absent"


def number_options(config: AuditConfig) -> dict[str, Any]:
    """The options that change numbers or findings, by name."""
    return {known.name: getattr(config, known.name) for known in fields(config) if known.name not in NO_NUMBERS}


def key_of(model: str, state: str, label: str, config: AuditConfig) -> str:
    """The key under which a finished scan is known again. ``state`` is the commit, or `local_state`."""
    parts = [model, state, label, number_options(config), weightaudit.__version__]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def local_state(path: str) -> str:
    """Sizes and times of the files that a scan of ``path`` may read; `ABSENT` where it cannot be seen from here."""
    from weightaudit.model_files import WEIGHT_SUFFIXES

    folder, chosen = (path, None) if os.path.isdir(path) else os.path.split(path)
    found = []
    try:
        for name in sorted(os.listdir(folder)):
            if name == "config.json" or name.endswith(WEIGHT_SUFFIXES):
                # A file's own shards lie beside it, so that all weights there count for an index.
                if chosen is not None and name not in ("config.json", chosen) and not chosen.endswith(".json"):
                    continue
                status = os.stat(os.path.join(folder, name))
                found.append([name, status.st_size, status.st_mtime_ns])
    except OSError:
        return ABSENT
    if chosen is not None and not os.path.exists(path):
        return ABSENT
    return json.dumps(found)
