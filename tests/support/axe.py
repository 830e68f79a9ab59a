"""axe-core in a page: what it finds that a person who hears, enlarges or cannot point at a page would stumble over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.browser import TALL, WIDE, asked

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(
    not AXE.is_file(), reason="no node_modules/axe-core (npm ci gets it): the pages were not asked by axe"
)
_ASK = """
for (const fold of document.querySelectorAll("details")) fold.open = true;
document.querySelector("#layers .opener")?.click();
const found = await axe.run(document, { preload: false, resultTypes: ["violations"], ...chosen });
answer.kept = found.passes.length;
answer.violations = found.violations.flatMap((rule) => rule.nodes.map((node) =>
  `${rule.id} (${rule.impact}): ${node.target.join(" ")}: ${node.any.concat(node.all, node.none).map((one) =>
    one.message).join("; ")}`));
"""


def violations(page: Path, *, width: int = WIDE, dark: bool = False, only: Sequence[str] = ()) -> list[str]:
    """Of every rule that axe has, or ``only`` some, each element that breaks it, with everything unfolded and a row of
    the table open.
    """
    chosen = json.dumps({"runOnly": list(only)} if only else {})
    answer = asked(
        page, f"{AXE.read_text('utf-8')}\nconst chosen = {chosen};\n{_ASK}", height=TALL, width=width, dark=dark
    )
    assert answer["kept"] >= (len(only) or 15)
    return list(map(str, answer["violations"]))
