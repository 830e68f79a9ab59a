"""Questions to a page that is open in a browser."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

from tests.support.browser import opened
from weightaudit import ScanReport


def written(report: ScanReport, folder: Path) -> Path:
    report.write(folder / "page.html")
    return folder / "page.html"


def asked(report: ScanReport, folder: Path, script: str, *, height: int = 2000) -> dict[str, Any]:
    """What ``script`` puts into ``answer`` when run in the page, whose policy is lifted for it.

    In a window 1280 wide and ``height`` high; of the usual one, plots are near enough to be drawn.
    """
    page = written(report, folder)
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    assert "</body>" in text
    told = "document.body.dataset.answer = JSON.stringify(answer);"
    ask = f"<script>addEventListener('load', () => {{const answer = {{}};\n{script}\n{told}}});</script></body>"
    page.write_text(text.replace("</body>", ask), encoding="utf-8")
    dom, console = opened(page, height)
    assert console == []
    found = re.search(r'data-answer="([^"]*)"', dom)
    assert found
    answer: dict[str, Any] = json.loads(unescape(found[1]))
    return answer
