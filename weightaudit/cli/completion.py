"""What a shell offers when somebody presses Tab: words of options that have a known set, found without heavy imports.

Choices complete by themselves, and so do paths; here is what is known beyond these.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, MutableMapping

Suggest = Callable[[str], list[str]]
"""The words that an incomplete one may become."""
ASKED_BY_A_SHELL = "_WEIGHTAUDIT_COMPLETE"
"""The variable by which typer's scripts ask for words."""


def keep_help_on_one_line(environ: MutableMapping[str, str] = os.environ) -> None:
    """Where a shell asks for words: have what each means be one line, for some shells take a second one for a word."""
    if ASKED_BY_A_SHELL in environ:
        environ["COLUMNS"] = "10000"


def _starting(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _in_list(words: Iterable[str], incomplete: str) -> list[str]:
    """The same of a list with commas, whose last word is being typed; those that are in it are not offered again."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{word}" for word in _starting(words, last) if word not in taken]


def roles(incomplete: str) -> list[str]:
    """Roles that most models have: ``Q,K``."""
    from weightaudit.records.place import EMBEDDING_ROLES, LAYER_ROLES

    return _in_list((*EMBEDDING_ROLES, *LAYER_ROLES, "HEAD", "POOLER"), incomplete)


def rules(incomplete: str) -> list[str]:
    """Ids of rules of every kind."""
    from weightaudit.audit.rules import RULES
    from weightaudit.merging.rules import RULES as OF_A_MERGE
    from weightaudit.pairs.rules import RULES as OF_A_DIFFERENCE

    return _in_list([rule.id for rule in (*RULES, *OF_A_DIFFERENCE, *OF_A_MERGE)], incomplete)


def severities(incomplete: str) -> list[str]:
    """A rule and the severity that it gets: ``untrained=error``."""
    from weightaudit.records import SEVERITIES

    rule, equals, severity = incomplete.partition("=")
    if equals:
        return [f"{rule}={word}" for word in _starting((*SEVERITIES, "off"), severity)]
    return [f"{word}=" for word in rules(incomplete)]


def families(incomplete: str) -> list[str]:
    """Families, and model types that they serve."""
    from weightaudit.architecture import families as known

    return _starting(dict.fromkeys(name for one in known() for name in (one.name, *one.model_types)), incomplete)


def lists(incomplete: str) -> list[str]:
    """Model lists that come with the package, where one is meant: ``@small``. Else it is a file, which shells know."""
    from weightaudit.batches.shipped_lists import shipped_lists

    return _starting([f"@{name}" for name in shipped_lists()], incomplete) if incomplete.startswith("@") else []


OF_OPTIONS: dict[str, Suggest] = {"roles": roles, "ignore": rules, "severity": severities}
"""For options of `AuditConfig`, by name."""
