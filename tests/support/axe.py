"""axe-core in a page: what it finds that a person who hears, enlarges or cannot point at a page would stumble over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.browser import SHORT, WIDE, asked

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(
    not AXE.is_file(), reason="no node_modules/axe-core (npm ci gets it): the pages were not asked by axe"
)
INK = "rgb(25, 29, 34)"
"""The colour of words where it is light."""
_ASK = """
for (const fold of document.querySelectorAll("details")) fold.open = true;
document.querySelector("#layers .opener")?.click();
const states = ["aria-pressed", "aria-current", "aria-expanded", "aria-sort", "disabled", "hidden"];
const made = (one, coloured) => [...new Set([one, ...one.querySelectorAll("*")].map((node) =>
  `${node.tagName}.${node.getAttribute("class")} ${states.map((state) => node.getAttribute(state))}`
    .replace(coloured ? /c-(?!name)[\\w-]+/ : /role-\\d+|c-(?!name)[\\w-]+/, "")))].sort().join();
const thinned = (parents, kept, coloured) => {
  for (const parent of few ? document.querySelectorAll(parents) : []) {
    const seen = {};
    for (const one of [...parent.children].filter((one) => !kept || !one.matches(kept)))
      if ((seen[made(one, coloured)] = (seen[made(one, coloured)] ?? 0) + 1) > few) one.remove();
  }
};
const run = async (more) => {
  const found = await axe.run(document, { preload: false, resultTypes: ["violations"], ...more });
  answer.violations.push(...found.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id} (${rule.impact}): ${node.target.join(" ")}: ${node.any.concat(node.all, node.none).map((one) =>
      one.message).join("; ")}`)));
  return found.passes.length;
};
answer.violations = [];
const contrast = { runOnly: ["color-contrast"] };
thinned("tbody, ul, ol, dl, select, svg, .profiles");
answer.kept = [await run(few ? { rules: { "color-contrast": { enabled: false } } } : chosen)];
thinned("body *", "[id]", true);
if (few) answer.kept[0] += await run(contrast);
"""
"""Contrast takes most of the time, for every word: it is asked last, of only some of what stands alike side by side."""
_ASK_IN_THE_DARK = """
let turned = 0;
for (const sheet of document.styleSheets)
  for (const rule of sheet.cssRules)
    if (rule.media?.mediaText.includes("(prefers-color-scheme: dark)")) {
      rule.media.mediaText = "screen";
      turned++;
    }
answer.turned = [turned, getComputedStyle(document.body).color];
answer.kept.push(await run(contrast));
"""
"""What the dark theme makes of the page that is open: all but the drawn plots, whose colours its script chose."""


def violations(
    page: Path,
    *,
    width: int = WIDE,
    height: int = SHORT,
    dark: bool = False,
    only: Sequence[str] = (),
    then_dark: bool = False,
    few: int = 0,
) -> list[str]:
    """Of every rule that axe has, or ``only`` some, each element that breaks it, with everything unfolded and a row of
    the table open; ``then_dark``: and of the rule on contrast, in the colours of the dark.
    Where ``few`` is given, of every rule, and of rows, items of a list and parts of a drawing that are made alike only
    so many are left.
    """
    assert not (few and only)
    chosen = json.dumps({"runOnly": list(only)} if only else {})
    answer = asked(
        page,
        f"const [chosen, few] = [{chosen}, {few}];\n{_ASK}{_ASK_IN_THE_DARK * then_dark}",
        first=AXE.read_text("utf-8"),
        height=height,
        width=width,
        dark=dark,
    )
    kept, *kept_in_the_dark = answer["kept"]
    assert kept >= (len(only) or 15)
    if then_dark:
        assert kept_in_the_dark == [1]
        assert answer["turned"][0] > 0
        assert answer["turned"][1] != INK
    return list(map(str, answer["violations"]))
