"""Model lists: one model a line, every line checked before anything is scanned."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from weightaudit.batches.checkpoints import checkpoints_in
from weightaudit.config import AuditConfig
from weightaudit.errors import ModelError, UsageError
from weightaudit.model_files import split_label
from weightaudit.options import options_of
from weightaudit.redact import without_secrets
from weightaudit.source.addresses import check_endpoint
from weightaudit.source.hub_place import hub_id, hub_place
from weightaudit.source.mistyped import looks_like_path
from weightaudit.source.places import check_address, is_elsewhere
from weightaudit.source.schemes import is_address, safely
from weightaudit.text import did_you_mean, listed, plural, printable

MOST_SHOWN = 8
"""Bad lines told one by one."""
_WORD = re.compile(r'[ \t]*(?:(?P<comment>#.*)|(?P<word>(?:"[^"]*"|[^ \t"])+)|(?P<end>$))')


@dataclass(frozen=True)
class Entry:
    """One model of a list: what to scan and how.

    ``model`` is a Hub id, an address, or an absolute path where ``local``; ``config`` holds its revision and all
    options; ``line`` counts from 1; ``written`` is how the list calls the model.
    """

    line: int
    model: str
    local: bool
    config: AuditConfig
    written: str = field(default="", compare=False)

    @property
    def elsewhere(self) -> bool:
        """Whether it is on a web server or in a bucket: neither here nor on the Hub."""
        return not self.local and is_elsewhere(self.model)

    @property
    def known_as(self) -> str:
        """``model`` as it may be written down: an address without its password and query."""
        return safely(self.model) if self.elsewhere else self.model


def read_model_list(path: str | os.PathLike[str], base: AuditConfig, *, check_device: bool = True) -> list[Entry]:
    """The models of the list at ``path``, in its order, each once. Of a directory they are the checkpoints in it, in
    order of steps (`checkpoints_in`), by ``base``.

    A line is a Hub id, ``id@revision``, an address or a path (from the working directory, as for a scan), then options
    such as ``roles=Q,K``, which win over ``base``; ``#`` starts a comment. What exists here as a path is one.
    UsageError, with every bad line in one message, unless all lines can be used; a path or model that does not exist is
    no fault of the line. ``check_device=False`` lets devices pass that this machine does not have.
    """
    shown = printable(str(path), limit=1000)
    if os.path.isdir(path):
        return _checkpoints(Path(path), base, check_device)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(shown, (error.strerror or str(error)).lower(), "Give a text file of models") from error
    except UnicodeDecodeError as error:
        raise UsageError(shown, "it is not UTF-8 text", "Give a text file with one model a line") from error
    entries: list[Entry] = []
    bad: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        try:
            entries += _entries(number, line, base, check_device)
        except (UsageError, ModelError, ValueError) as error:
            bad.append(f"line {number}: {error}")
    if bad:
        more = [f"and {len(bad) - MOST_SHOWN} more"] if len(bad) > MOST_SHOWN else []
        raise UsageError(shown, f"{plural(len(bad), 'line')} cannot be used: {'; '.join([*bad[:MOST_SHOWN], *more])}")
    if not entries:
        raise UsageError(
            shown, "there is no model in it", "Write one model a line: a Hub id, id@revision, an address or a path"
        )
    return list(_each_once(entries))


def _checkpoints(directory: Path, base: AuditConfig, check_device: bool) -> list[Entry]:
    config = replace(base, revision=None)
    entries = [
        Entry(number, _absolute(str(path)), True, config, written=str(path))
        for number, (_, path) in enumerate(checkpoints_in(directory), 1)
    ]
    for entry in entries:
        _check(entry.model, entry.local, entry.config, check_device)
    return entries


def models_named(models: Iterable[str | os.PathLike[str]], base: AuditConfig) -> list[Entry]:
    """The same of ``models`` that a program names, each a Hub id, ``id@revision`` or a path. UsageError."""
    entries: list[Entry] = []
    for number, named in enumerate(models, 1):
        if not isinstance(named, (str, os.PathLike)):
            hint = "Save it, and name the folder; weightaudit.scan takes what is in memory"
            raise UsageError("models", f"a {type(named).__name__} is neither a path nor a Hub id", hint)
        model, local, revision = _model(os.fspath(named))
        config = replace(base, revision=revision)
        _check(model, local, config, check_device=True)
        entries.append(Entry(number, model, local, config, written=os.fspath(named)))
    if not entries:
        raise UsageError("models", "there is none", "Name Hub ids or paths")
    return list(_each_once(entries))


def _entries(number: int, line: str, base: AuditConfig, check_device: bool) -> Iterator[Entry]:
    """The entry of one line, none for a blank one or a comment."""
    words = _tokenize_line(line.strip())
    if not words:
        return
    if not all(word.isprintable() for word in words):
        raise ValueError("it holds a character that cannot be printed")
    model, local, revision = _model(words[0])
    config = _with_options(words[1:], base)
    if revision is not None:
        config = replace(config, revision=revision)
    elif local or is_elsewhere(model):
        config = replace(config, revision=None)
    _check(model, local, config, check_device)
    yield Entry(number, model, local, config, written=without_secrets(words[0]))


def _model(word: str) -> tuple[str, bool, str | None]:
    """(model, whether it is a path, revision)."""
    if is_address(word):
        place = hub_place(word)
        if place is None:
            check_address(word)
        return (word, False, None) if place is None else (place.name, False, place.revision)
    if os.path.lexists(os.path.expanduser(word)):
        return _absolute(word), True, None
    named, label = split_label(word)
    if label and os.path.isdir(os.path.expanduser(named)):
        return f"{_absolute(named)}:{label}", True, None
    name, at, revision = word.partition("@")
    if at and not name:
        hint = "Write id@revision; a list that comes along, such as @paper, is named on the command line"
        raise UsageError(f"'{printable(word)}'", "there is no model before the @", hint)
    if looks_like_path(name):
        return _absolute(word), True, None
    if os.path.lexists(os.path.expanduser(name)):
        raise UsageError(f"'{printable(word)}'", "a revision was asked for, but this is a local path", "Leave it out")
    if not at:
        return name, False, None
    if not revision:
        raise UsageError(f"'{printable(word)}'", "there is no revision after the @", "Write id@revision, or the id")
    return name, False, revision


def _absolute(path: str) -> str:
    """Not resolved: links keep the name they are called by."""
    return os.path.abspath(os.path.expanduser(path))


def _check(model: str, local: bool, config: AuditConfig, check_device: bool) -> None:
    """Raise for what no scan could be started with."""
    from weightaudit.audit import check_config

    if not local and not is_elsewhere(model):
        check_endpoint(model)
        from weightaudit.source.names import check_model, check_revision

        check_model(hub_id(model))
        check_revision(model, config.revision)
    check_config(config, check_device=check_device)


def _each_once(entries: list[Entry]) -> Iterator[Entry]:
    seen: set[tuple[object, ...]] = set()
    for entry in entries:
        what = (entry.model, entry.config.revision, *entry.config.result_options().values())
        if what not in seen:
            seen.add(what)
            yield entry


def _tokenize_line(line: str) -> list[str]:
    """The words of ``line``; ValueError where a quote is not closed. A # inside a word is part of it.

    Example:
        >>> _tokenize_line('gpt2@main roles="Q, K"  # small')
        ['gpt2@main', 'roles=Q, K']
    """
    words: list[str] = []
    at = 0
    while at < len(line):
        found = _WORD.match(line, at)
        if found is None:
            raise ValueError("a quote is not closed")
        if found["word"] is None:
            break
        words.append(found["word"].replace('"', ""))
        at = found.end()
    return words


def _with_options(words: Iterable[str], base: AuditConfig) -> AuditConfig:
    """``base`` with what ``words`` (``name=value`` each) say. Raises UsageError for the first that cannot be used."""
    known = [name for name, option in options_of(base).items() if option.in_lists]
    found: set[str] = set()
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(
                f"'{printable(word)}'",
                "it is no option",
                "Options are written name=value; a name with blanks needs double quotes",
            )
        if name not in known:
            hint = did_you_mean(name, known) + f"A line may set {listed(known)}"
            raise UsageError(f"'{printable(name)}'", "it is no option of a line", hint)
        if name in found:
            raise UsageError(f"'{name}'", "it is set twice", "Keep one of them")
        found.add(name)
        base = base.with_text(name, text)
    return base
