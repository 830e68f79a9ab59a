"""docs/findings.md, from the rules: ``python -m weightaudit.merging.findings_page > docs/findings.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weightaudit.audit.rules.checking import MAX_PER_RULE, RULES
from weightaudit.audit.rules.rule import AnyRule
from weightaudit.merging.rules import RULES as OF_A_MERGE
from weightaudit.pairs.rules import RULES as OF_A_DIFFERENCE

_HEAD = f"""# Findings

Generated from the rules in `weightaudit/audit/rules`, `weightaudit/pairs/rules` and `weightaudit/merging/rules.py` by
`python -m weightaudit.merging.findings_page`; do not edit.

Every scan is checked against the rules below. A finding says where, what was measured, the threshold, and what to do.
**error**: do not use or release the file as it is. **warning**: look at it first. **info**: good to know.

One fault is one finding. A rule that is *suppressed by* others does not look at what one of those has found, nor
compare anything with it: an all-zero matrix is no outlier too. Of a fused matrix and its parts (QKV; Q, K and V) the
parts are judged, and the whole only where a part is not there. Of each rule {MAX_PER_RULE} findings are told one by one
and the rest counted. `--ignore untrained,pickle` leaves rules out, `--ignore untrained:POOLER` what one finds at a
place; what they find stays hidden from the rules that they suppress. `--severity untrained=error` gives another
severity. A rule that lacks what it needs in order to judge is listed as not judged, with the reason: see
[auditing.md](auditing.md).
"""


_DIFFERENCE = """\
What `weightaudit diff BASE DERIVED` finds. A rule that is *suppressed by* others is not asked where one of them found
something: that has told the cause. `--ignore` and `--severity` take these ids too.
"""

_MERGE = """\
What `weightaudit merge-check MODEL…` finds. None says that a merge is safe: what the numbers are worth
([merge-check.md](merge-check.md)) is said wherever they are shown. `--ignore` and `--severity` take these ids too.
"""


def page() -> str:
    """The page as Markdown."""
    lines = [_HEAD, *_table("Rules", RULES)]
    lines += ["", *_table("Rules of a difference", OF_A_DIFFERENCE, _DIFFERENCE)]
    lines += ["", *_table("Rules of a merge", OF_A_MERGE, _MERGE)]
    return "\n".join(lines) + "\n"


def _table(title: str, rules: Sequence[AnyRule], said: str = "") -> Iterator[str]:
    yield from (f"## {title} ({len(rules)})", "", *([said] if said else []))
    yield from ("| id | severity | finding |", "|---|---|---|")
    yield from (f"| [{rule.id}](#{rule.id}) | {rule.severity} | {rule.title} |" for rule in rules)
    for rule in rules:
        yield from ("", *_section(rule))


def _section(rule: AnyRule) -> list[str]:
    threshold = [] if rule.threshold is None else [f"- **threshold**: {rule.threshold:g}"]
    yields = [f"- **suppressed by**: {', '.join(rule.suppressed_by)}"] if rule.suppressed_by else []
    return [
        f"### {rule.id}",
        "",
        f"{rule.title} ({rule.severity}).",
        "",
        f"- **measured**: {rule.measures}",
        *threshold,
        f"- **source**: {rule.source}",
        *yields,
        f"- **what to do**: {rule.advice}",
    ]


if __name__ == "__main__":
    print(page(), end="")
