"""MkDocs hooks: pages of the repository's root are pages of the site too, and links between both lead somewhere.

Pages are written for those who read them in the repository, where ``docs/x.md`` and ``../README.md`` are right.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
FROM_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "RELEASE.md": "release.md",
    "reports/README.md": "reports/index.md",
    "reports/all-MiniLM-L6-v2/README.md": "reports/all-MiniLM-L6-v2.md",
    "reports/paper/README.md": "reports/paper.md",
}
"""Page of the repository outside docs → page of the site."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside docs."""
    for written, shown in FROM_ROOT.items():
        files.append(File.generated(config, shown, abs_src_path=str(ROOT / written)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite the page's relative links, from where it lies in the repository to where it lies on the site."""
    shown = page.file.src_uri
    written = next((old for old, new in FROM_ROOT.items() if new == shown), f"docs/{shown}")

    def rewritten(link: re.Match[str]) -> str:
        image, text, target = link.groups()
        path, hash_, anchor = target.partition("#")
        if "://" in target or not path:
            return link[0]
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(written), path))
        there = FROM_ROOT.get(meant) or FROM_ROOT.get(f"{meant}/README.md")
        if there is None and meant.startswith("docs/"):
            there = meant.removeprefix("docs/")
        if there is not None:
            return f"{image}[{text}]({posixpath.relpath(there, posixpath.dirname(shown))}{hash_}{anchor})"
        if config.repo_url:
            return f"{image}[{text}]({config.repo_url.rstrip('/')}/blob/main/{meant}{hash_}{anchor})"
        if not (ROOT / meant).exists():
            return link[0]  # left for MkDocs to complain of
        return f"{text} (`{meant}` in the repository)"

    return _LINK.sub(rewritten, markdown)
