"""The tokenizer's files beside the weights: which ids it can give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from weightaudit.checkpoint.small_reads import read_all
from weightaudit.errors import CheckpointError, ModelError
from weightaudit.records import FileFault, Vocabulary
from weightaudit.source import Repository
from weightaudit.strict_json import parse_object
from weightaudit.text import printable

TOKENIZER, VOCAB_JSON, VOCAB_TEXT = "tokenizer.json", "vocab.json", "vocab.txt"
SETTINGS, ADDED = "tokenizer_config.json", "added_tokens.json"
FILES = (TOKENIZER, VOCAB_JSON, VOCAB_TEXT, SETTINGS, ADDED)
MAX_BYTES = 100_000_000
"""Of one file; those of the largest vocabularies, with 256,000 tokens and their merges, have some 33 million."""
MAX_VALUES = 8_000_000
"""Values in one file: such a vocabulary and its merges have some 2 million."""
MAX_ID = 1 << 31
"""Ids beyond are no tokens."""


def read_vocabulary(repository: Repository) -> tuple[Vocabulary | None, list[FileFault]]:
    """The tokens of the tokenizer at the top of ``repository``, and what is wrong with its files.

    tokenizer.json decides, else vocab.json, else vocab.txt, as in transformers; tokens that the settings add are among
    them. None where there is none of these, or it is of a kind that lists its tokens in another way.
    """
    there = [name for name in FILES if name in repository.files()]
    main = next((name for name in there if name in (TOKENIZER, VOCAB_JSON, VOCAB_TEXT)), None)
    if main is None:
        return None, []
    try:
        tokens = _listed(repository, main)
        if tokens is not None:
            settings = _object(repository, SETTINGS) if SETTINGS in there else {}
            decoder = settings.get("added_tokens_decoder")
            if isinstance(decoder, Mapping):
                tokens |= dict(_decoder(decoder))
            elif ADDED in there and main != TOKENIZER:
                tokens |= dict(_by_token(_object(repository, ADDED)) or ())
    except ModelError as error:
        if error.temporary:
            raise
        says = f"{printable(error.thing, 200)} cannot be read: {error.cause}."
        return None, [FileFault("tokenizer-size", says)]
    return (Vocabulary(main, tokens) if tokens else None), []


def _listed(repository: Repository, main: str) -> dict[int, str] | None:
    """What the file ``main`` lists; None where it is of a kind that is not known."""
    if main == VOCAB_TEXT:
        lines = _read(repository, main).decode("utf-8", "replace").removesuffix("\n").split("\n")
        return dict(enumerate(line.rstrip("\r") for line in lines))
    found = _object(repository, main)
    if main == VOCAB_JSON:
        return _by_token(found)
    model = found.get("model")
    vocabulary = model.get("vocab") if isinstance(model, Mapping) else None
    tokens: dict[int, str] | None = None
    if isinstance(vocabulary, Mapping):
        tokens = _by_token(vocabulary)
    elif isinstance(vocabulary, list):  # a unigram model's pieces and their scores: the id is the position
        tokens = {i: str(piece[0]) for i, piece in enumerate(vocabulary) if isinstance(piece, list) and piece}
    added = found.get("added_tokens")
    if tokens is not None and isinstance(added, list):
        tokens |= {
            one["id"]: str(one.get("content")) for one in added if isinstance(one, Mapping) and _is_id(one.get("id"))
        }
    return tokens


def _by_token(vocabulary: Mapping[str, Any]) -> dict[int, str] | None:
    """id → token of an object token → id; None where it is something else (one object a language, for one)."""
    if not all(map(_is_id, vocabulary.values())):
        return None
    return {number: token for token, number in vocabulary.items()}


def _decoder(decoder: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    for key, token in decoder.items():
        if key.isascii() and key.isdecimal() and len(key) <= len(str(MAX_ID)) and _is_id(int(key)):
            content = token.get("content") if isinstance(token, Mapping) else token
            yield int(key), str(content)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_ID


def _object(repository: Repository, name: str) -> dict[str, Any]:
    return parse_object(
        _read(repository, name), thing=name, error=CheckpointError, hint="", machine_made=False, max_values=MAX_VALUES
    )


def _read(repository: Repository, name: str) -> bytes:
    source = repository.open(name)
    try:
        return read_all(source, limit=MAX_BYTES, error=CheckpointError)
    finally:
        source.close()
