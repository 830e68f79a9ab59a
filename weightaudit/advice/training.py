"""Which modules to train of a model whose others stay frozen: the ones that stand out in each kind.

As Spectrum does it (Hartford et al. 2024), by a number that the scan has in the place of its signal-to-noise ratio.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from weightaudit.advice.modules import By, Module, check_measure, modules_of, prefixes_of
from weightaudit.errors import UsageError
from weightaudit.records import ScanResult
from weightaudit.text import did_you_mean, listed, percent, plural, printable

Take = Literal["lowest", "highest"]
SHARE = 0.25
"""Of the modules of each kind, as Spectrum's own examples have it."""
_PLAIN = re.compile(r"[A-Za-z_(][A-Za-z0-9_.()?]*")
"""What YAML reads as a text without quotes, whatever follows."""


@dataclass(frozen=True)
class Unfrozen:
    """Modules to be trained, by kind, the most outstanding of each first.

    Attributes
    ----------
    modules
        Their names in the model's files.
    prefix
        What the names in a model may begin with that those in its files leave out, "" for nothing.
    notes
        Sentences for the reader.
    also
        What they are called in the model that transformers makes of the files, where that is another name.
    """

    modules: tuple[str, ...]
    prefix: str = ""
    notes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def patterns(self) -> list[str]:
        """A regular expression a module, as Axolotl has them: matched from the start of a parameter's name, a dot in
        them is a dot. Weight and bias both fit.
        """
        before = f"({self.prefix})?" if self.prefix else ""
        own = [before + _escaped(name) + "." for name in self.modules]
        return own + [_escaped(name) + "." for name in self.also]

    def to_yaml(self) -> str:
        """``unfrozen_parameters`` of an Axolotl configuration."""
        lines = [f"# {note}" for note in self.notes]
        return "\n".join([*lines, "unfrozen_parameters:", *(f"- {_scalar(one)}" for one in self.patterns)]) + "\n"

    def to_mergekit(self) -> str:
        """``parameters`` of a model in a mergekit configuration: its weight is 1 in these modules, else 0.

        A filter fits what its text is a part of: weight and bias both, as in `patterns`.
        """
        lines = [f"# {note}" for note in self.notes]
        for name in self.modules:
            lines += [f"  - filter: {_scalar(f'{name}.')}", "    value: 1"]
        top = lines[: len(self.notes)]
        return "\n".join([*top, "parameters:", "  weight:", *lines[len(self.notes) :], "  - value: 0"]) + "\n"


def unfrozen_parameters(
    result: ScanResult,
    *,
    by: str = "stable_rank",
    share: float = SHARE,
    take: str = "lowest",
    roles: Sequence[str] | None = None,
) -> Unfrozen:
    """That ``share`` of the modules of each kind whose number is ``take``: "lowest" or "highest".

    ``by`` is "stable_rank", "entropy_effective_rank" or "alpha". A kind has the same name in each layer, numbers apart:
    at least one of each is taken. Modules are those of the layers, or those that hold ``roles``. UsageError for options
    that make no sense, and where the scan did not measure the number.
    """
    known: By = check_measure(result, by)
    check_choice(share, take)
    modules = modules_of(result, roles)
    kinds: dict[str, list[tuple[float, Module]]] = {}
    for module in modules.found:
        number = module.measure(known)
        if math.isfinite(number):
            kinds.setdefault(module.kind, []).append((number, module))
    if not kinds:
        raise UsageError(f"advice by {known}", "no module has such a number", "Go by stable_rank")
    taken: list[Module] = []
    for own in kinds.values():
        ordered = sorted(own, key=lambda pair: pair[0], reverse=take == "highest")
        taken += [module for _, module in ordered[: math.ceil(share * len(own) - 1e-9)]]
    chosen = tuple(module.name for module in taken)
    also = tuple(module.loaded for module in taken if module.loaded != module.name)
    measured = sum(map(len, kinds.values()))
    notes = [
        f"{plural(len(chosen), 'module')} of {measured}: of each kind the {percent(share)} whose {known} is {take}.",
        *modules.notes,
    ]
    if measured < len(modules.found):
        notes.append(f"Left out, for they have no {known}: {plural(len(modules.found) - measured, 'module')}.")
    return Unfrozen(chosen, _prefix(result, chosen), tuple(notes), also)


def check_choice(share: float, take: str) -> None:
    """UsageError for a ``share`` or ``take`` that makes no sense."""
    if take not in get_args(Take):
        raise UsageError(
            f"take '{printable(take)}'", f"it is none of {listed(get_args(Take))}", did_you_mean(take, get_args(Take))
        )
    if not 0 < share <= 1:
        raise UsageError(f"share {share:g}", "it is no share above 0 and up to 1", "Write for example --share 0.25")


def _prefix(result: ScanResult, names: Sequence[str]) -> str:
    """The first prefix of the model's family, where no name has any of them: files may leave it out, models do not."""
    prefixes = prefixes_of(result)
    return prefixes[0] if prefixes and not any(name.startswith(prefixes) for name in names) else ""


def _escaped(name: str) -> str:
    """``name`` as a pattern in which a dot needs no backslash."""
    return re.escape(name).replace("\\.", ".")


def _scalar(text: str) -> str:
    """``text`` as YAML: as it is where that is safe, else between quotes."""
    if _PLAIN.fullmatch(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    # JSON escapes a character beyond 16 bits as two, which YAML does not join.
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
