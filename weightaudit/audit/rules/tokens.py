"""Rows of the embedding and the output head that no training has shaped, or that repeat one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.vocabulary import text_embedding
from weightaudit.audit.rules.wording import MAX_NAMED, listed, where
from weightaudit.records import LayerRow, TableFacts
from weightaudit.text import plural, printable, ranges, shortened

MANY = 0.01
"""Share of a table's rows that repeat others from which on that is a warning: vocabularies are filled up by less."""


def _tables(context: RuleContext, key: Callable[[TableFacts], Hashable]) -> Iterator[tuple[list[LayerRow], TableFacts]]:
    """The tables that have something of the ``key``; those that have the same of it and as many rows, together."""
    together: dict[Hashable, list[LayerRow]] = defaultdict(list)
    for row in context.measured:
        facts = context.tables.get(row.matrix.key)
        if facts is not None and key(facts):
            together[row.matrix.shape[0], key(facts)].append(row)
    for rows in together.values():
        yield rows, context.tables[rows[0].matrix.key]


def _tokens(context: RuleContext, row: LayerRow) -> Mapping[int, str]:
    """The tokens of the rows of a table; none where the tokenizer is not known, or is that of another table."""
    table = text_embedding(context)
    if context.vocabulary is None or table is None or table.shape[0] != row.matrix.shape[0]:
        return {}
    return context.vocabulary.tokens


def _named(tokens: Mapping[int, str], row: int) -> str:
    return f"{printable(tokens[row], 40)} ({row})" if row in tokens else f"{row}"


def _places(rows: Sequence[LayerRow]) -> str:
    return listed(where(row.matrix) for row in rows)


def _identical(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for rows, facts in _tables(context, lambda facts: facts.equal):
        tokens, number = _tokens(context, rows[0]), rows[0].matrix.shape[0]
        repeated = sum(map(len, facts.equal))
        groups = listed(
            (
                " = ".join(shortened((_named(tokens, row) for row in group), MAX_NAMED, spare=1))
                for group in facts.equal
            ),
            MAX_NAMED,
        )
        match = rule.of_rows(
            rows,
            f"{repeated:,} of the {number:,} rows of {_places(rows)} are equal to others, in "
            f"{plural(len(facts.equal), 'group')}: {groups}.",
            value=float(repeated),
        )
        many = repeated - len(facts.equal) >= MANY * number
        yield replace(match, finding=replace(match.finding, severity="warning")) if many else match


def _untrained(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for kind, what in (("mean", "are the mean of all"), ("random", "are random numbers, unlike the others")):
        for rows, facts in _tables(context, partial(_rows_of, kind)):
            tokens, number = _tokens(context, rows[0]), rows[0].matrix.shape[0]
            found = _rows_of(kind, facts)
            of_tokens = [row for row in found if row in tokens]
            if tokens and not of_tokens:
                continue  # padding
            runs = ",".join(shortened(ranges(found).split(","), MAX_NAMED, spare=1))
            if tokens:
                known = f"Of tokens there are {len(of_tokens):,}: {_listed(tokens, of_tokens)}."
            else:
                known = "No tokenizer lies beside the weights, so whether they are of tokens is not known."
            match = rule.of_rows(
                rows,
                f"{len(found):,} of the {number:,} rows of {_places(rows)} ({runs}) {what}. {known}",
                value=float(len(of_tokens) if tokens else len(found)),
            )
            yield match if tokens else replace(match, finding=replace(match.finding, severity="info"))


def _rows_of(kind: str, facts: TableFacts) -> tuple[int, ...]:
    return facts.mean if kind == "mean" else facts.random


def _undertrained(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for rows, facts in _tables(context, lambda facts: (facts.unused, facts.alike) if facts.alike else ()):
        tokens, number = _tokens(context, rows[0]), rows[0].matrix.shape[0]
        point = "points" if len(facts.alike) == 1 else "point"
        yield rule.of_rows(
            rows,
            f"{len(facts.alike):,} of the {number:,} rows of {_places(rows)} {point} where the "
            f"{len(facts.unused):,} do that no training has shaped (cosine at least {facts.likeness:.3f}, taken from "
            f"the mean of all rows): {_listed(tokens, facts.alike)}.",
            value=float(len(facts.alike)),
        )


def _listed(tokens: Mapping[int, str], rows: Iterable[int]) -> str:
    return listed((_named(tokens, row) for row in rows), 2 * MAX_NAMED)


_SUPPRESSED_BY = ("nonfinite", "zero-matrix", "magnitude", "untrained-model", "untrained")
_WHICH = (
    "Of embeddings and output heads of at least 256 rows and 32 columns that are stored whole; rows of zeros are in "
    "unused-tokens. Tokens are named where the tokenizer's files lie beside the weights."
)

RULES = (
    Rule(
        id="untrained-tokens",
        title="Tokens whose rows were never trained",
        severity="warning",
        measures="Rows among the last ones, as new tokens get them, that are the mean of all rows (no farther from it "
        "than 0.05 of the median distance, where no other row comes closer than 0.2), or that are normal random "
        "numbers of one scale: each within 4 standard deviations of what chance gives of their energy in the leading "
        "directions of the table, in the length of their sum, and, of fewer than 8, in their scale, which is that of "
        "initializer_range. Rows that no token has are padding and not told; where that is not known, it is a note. "
        f"{_WHICH}",
        threshold=0.0,
        source="resize_token_embeddings of transformers gives new rows the mean of all, with noise of 3e-5 of their "
        "spread, or normal numbers of initializer_range. No table of MiniLM-L6, SmolLM2-135M and a chemical ALBERT has "
        "such a row; of 3,700 pieces of them, cut at random or in random order, 2 have, and none of 4,800 generated "
        "tables (normal, uniform, Student t of 1.5 and 3 degrees, rows of all sizes, structured as trained ones are, "
        "in 16 steps a row). Planted into such pieces, 5 mean rows are found in 150 of 150, 1 to 64 random ones in "
        "1,500 of 1,500.",
        advice="The model reads and writes noise where these tokens stand. Train them (a fine-tuning that freezes "
        "embeddings, as LoRA does by default, leaves them), or take them out of the tokenizer.",
        check=_untrained,
        suppressed_by=_SUPPRESSED_BY,
    ),
    Rule(
        id="identical-tokens",
        title="Tokens whose rows are identical",
        severity="info",
        measures="Groups of rows with the same bytes, but for tokens that are named as unused, rows that no token has "
        f"and those of untrained-tokens. A warning where at least {MANY:.0%} of the rows repeat others. {_WHICH}",
        threshold=0.0,
        source="Equality; no threshold. MiniLM-L6 and a chemical ALBERT have none; SmolLM2-135M has 15 in 4 groups "
        "(numbers 5 to 16 and three more), all of one direction and norm, as rows without training come to be.",
        advice="The model cannot tell these tokens apart. If no training text has them, see that no input of yours "
        "has; if one does, or where they are many, look for a conversion or merge that repeated rows.",
        check=_identical,
        suppressed_by=_SUPPRESSED_BY,
    ),
    Rule(
        id="undertrained-tokens",
        title="Tokens that look like unused ones",
        severity="info",
        measures="Rows whose cosine, both taken from the mean of all rows, to the mean direction of rows without "
        "training is at least 0.95, or the lowest tenth of the cosines of these themselves. Rows without training are "
        "those of tokens that are named so ([unused7], <|reserved_special_token_7|>), those that no token has, and "
        "those of identical-tokens; at least 3, nine in ten of which have a cosine of 0.8 or more. Norms are not "
        f"looked at: they tell rare tokens from frequent ones. {_WHICH}",
        threshold=0.0,
        source="The indicator of Land & Bartolo 2024 (Fishing for Magikarp). MiniLM-L6 has 423 beside 994 unused ones, "
        "letters of scripts that English text lacks; SmolLM2-135M has 14 beside 15, numbers 1 and 2 among "
        "them. Of 300 tables of Student t entries with 20 unused rows and of 500 structured ones with 20 random "
        "rows called unused, none has any.",
        advice="Such tokens make a model say what nobody expects (glitch tokens). Keep them out of prompts; before "
        "release, train those that you use, as the marks of a chat template are.",
        check=_undertrained,
        suppressed_by=_SUPPRESSED_BY,
    ),
)
