"""The tokenizer beside the weights, against the rows of the embedding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import MAX_NAMED, listed
from weightaudit.records import RoleMatrix
from weightaudit.text import plural, printable

PADDING = 512
"""Vocabularies are padded to a multiple of at most this: 64 and 128 for tensor cores, times the number of GPUs."""


def text_embedding(context: RuleContext) -> RoleMatrix | None:
    """The embedding of text: of several, that of most rows, for others are of codes or of a smaller part."""
    if context.map.guessed:
        return None
    tables = [one for one in context.map.matrices if one.role == "EMBED"]
    return max(tables, key=lambda one: one.shape[0], default=None)


def _without_row(rule: Rule, context: RuleContext) -> Iterator[Match]:
    for fault in context.identity.faults:
        if fault.rule == rule.id:
            yield rule.of_model(fault.says)
    table = text_embedding(context)
    if context.vocabulary is None or table is None:
        return
    tokens, rows = context.vocabulary.tokens, table.shape[0]
    beyond = sorted(number for number in tokens if number >= rows)
    if beyond:
        which = listed((f"{printable(tokens[number], 40)} ({number})" for number in beyond), MAX_NAMED)
        match = rule.of_model(
            f"{len(beyond):,} of {plural(len(tokens), 'token')} of {context.vocabulary.file} have no row in the "
            f"embedding of {rows:,}: {which}.",
            value=float(len(beyond)),
        )
        yield replace(match, finding=replace(match.finding, stack=table.stack, role="EMBED", tensors=table.tensors))


def _without_token(rule: Rule, context: RuleContext) -> Iterator[Match]:
    table = text_embedding(context)
    if context.vocabulary is None or table is None:
        return
    used, rows = max(context.vocabulary.tokens) + 1, table.shape[0]
    padded = -(-used // PADDING) * PADDING
    if rows > padded:
        match = rule.of_model(
            f"The embedding has {rows:,} rows, and the last token of {context.vocabulary.file} is number {used - 1:,}: "
            f"{rows - used:,} rows belong to no token, more than padding to a multiple of {PADDING} leaves.",
            value=float(rows - used),
        )
        yield replace(match, finding=replace(match.finding, stack=table.stack, role="EMBED", tensors=table.tensors))


_WHAT = (
    "tokenizer.json (else vocab.json or vocab.txt) and the tokens added to it, in the "
    "directory of the weights; of a Hub model none is downloaded for it. Of several embeddings the one of most rows "
    "counts."
)

RULES = (
    Rule(
        id="tokenizer-size",
        title="Tokens that have no row in the embedding",
        severity="error",
        measures=f"Ids of the tokenizer from the number of the embedding's rows on; files of it that cannot be read. "
        f"{_WHAT}",
        threshold=0.0,
        source="A count; no threshold. Tokenizer and embedding of MiniLM-L6 (30,522) and of an ALBERT are of one size.",
        advice="The first text with such a token ends in an index out of range. Call "
        "`model.resize_token_embeddings(len(tokenizer))`, train the new rows, and save both; or take the tokenizer "
        "that belongs to these weights.",
        check=_without_row,
        needs=(),
    ),
    Rule(
        id="rows-without-token",
        title="Rows of the embedding that no token has",
        severity="info",
        measures=f"Rows of the embedding beyond the tokenizer's last id, rounded up to a multiple of {PADDING}. "
        f"{_WHAT}",
        threshold=0.0,
        source=f"A count. Vocabularies are padded to multiples of 64 to {PADDING}, for speed and to split them.",
        advice="Nothing by itself. Look whether this is the model's own tokenizer: one that is too small reads text "
        "in tokens that mean something else.",
        check=_without_token,
        needs=(),
    ),
)
