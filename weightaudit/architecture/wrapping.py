"""Names that wrappers of a model have changed: what they carry is found, taken off to read, and told.

A loader compares names as they are. It takes none that a compiled, data-parallel or sharded model, or a trainer that
holds the model as one part of its own, has put something before or into.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, takewhile

from weightaudit.architecture.matching import Match, Matcher
from weightaudit.architecture.schema import Family, MatrixRule
from weightaudit.records import ModelMap, TensorInfo, Wrapping

LEADING = ("module", "base_model.model", "_forward_module", "_module")
"""What known wrappers put before a name: data-parallel models, adapters, Lightning's Fabric, Opacus."""
ANYWHERE = ("_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module")
"""What known wrappers put before or into a name: compiled, fully sharded and checkpointed modules."""
MAX_PREFIX = 4
"""Parts of the longest unknown prefix that is looked for."""
MAX_NAMES = 4096
"""Names, numbers apart, among which an unknown wrapper is looked for; the largest models have some hundreds."""
MAX_PARTS = 32
"""Parts of a name that is looked at: no model nests modules as deep, and a file may have a thousand parts."""
MAX_CANDIDATES = 64
"""Prefixes and parts tried, the most frequent first."""
MOST_REPEATS = 2
"""Times in a row that a loader accepts the prefix of a class: with it, without it, and once too often."""
_KNOWN = re.compile(
    rf"^(?:(?:{'|'.join(map(re.escape, (*LEADING, *ANYWHERE)))})\.)+|(?<![^.])(?:{'|'.join(ANYWHERE)})\."
)
_PLAIN_WORD = re.compile(r"[\w-]+")
"""What a part of a name must be to be looked at, letters of any script: the pattern is shown as code to be run, and
names are a stranger's."""
_NUMBER = re.compile(r"(?<![^.])[0-9]+(?![^.])")


@dataclass(frozen=True)
class Found:
    """What names carry: ``leading`` and ``anywhere`` are known, ``prefix`` and ``infix`` are found by trying."""

    leading: tuple[str, ...] = ()
    anywhere: tuple[str, ...] = ()
    prefix: str = ""
    infix: str = ""

    @property
    def pattern(self) -> str:
        """What `re.sub` by "" takes off a name; "" where names carry nothing."""
        within = [re.escape(part) for part in (*self.anywhere, self.infix) if part]
        known = [re.escape(part) for part in (*self.leading, *self.anywhere)]
        before = rf"(?:(?:{'|'.join(known)})\.)" if known else ""
        optional = f"{before}*" if known else ""
        ways = [rf"^{optional}{re.escape(self.prefix)}\.{optional}"] if self.prefix else []
        ways += [f"^{before}+"] if self.leading else []
        ways += [rf"(?<![^.])(?:{'|'.join(within)})\."] if within else []
        return "|".join(ways)

    def plain(self, names: Iterable[str]) -> dict[str, str]:
        """Each name and what is left of it."""
        taken_off = re.compile(self.pattern or r"(?!)")
        return {name: taken_off.sub("", name) for name in names}


def without_wrappers(name: str) -> str:
    """``name`` without what known wrappers put before or into it.

    Example:
        >>> without_wrappers("module._orig_mod.layers.0._orig_mod.fc1.weight")
        'layers.0.fc1.weight'
    """
    return _KNOWN.sub("", name) if _may_be_wrapped(name) else name


def _may_be_wrapped(name: str) -> bool:
    """Whether a known wrapper's word stands in the name: few have one, and the pattern looks at every place."""
    return name.startswith(LEADING) or any(word in name for word in ANYWHERE)


def unwrap(tensors: Mapping[str, TensorInfo], family: Family | None) -> tuple[dict[str, TensorInfo], Wrapping | None]:
    """The tensors under the names that a loader expects, and what the names carry besides; None for nothing.

    Of a known ``family`` whatever stands before or within its names is found, of others only what known wrappers
    leave. A name that another tensor has already is kept as it is.
    """
    found = _known_wrappers(tensors)
    if family is not None:
        found = _search(found, tensors, family)
    if not found.pattern:
        return dict(tensors), None
    plain = found.plain(tensors)
    times = Counter(plain.values())
    changed = {name: new for name, new in plain.items() if new != name and new and times[new] == 1}
    if not changed:
        return dict(tensors), None
    renamed = {changed.get(name, name): info for name, info in tensors.items()}
    return {name: replace(info, name=name) for name, info in renamed.items()}, Wrapping(
        pattern=found.pattern, names=tuple(changed), plain=tuple(changed.values())
    )


def as_stored(model_map: ModelMap, wrapping: Wrapping | None) -> ModelMap:
    """``model_map``, made of plain names, with the names that the file has."""
    if wrapping is None:
        return model_map
    stored = dict(zip(wrapping.plain, wrapping.names, strict=True))

    def old(name: str) -> str:
        return stored.get(name, name)

    coverage = (replace(entry, tensor=old(entry.tensor)) for entry in model_map.coverage)
    return replace(
        model_map,
        matrices=tuple(
            replace(matrix, parts=tuple(replace(part, tensor=old(part.tensor)) for part in matrix.parts))
            for matrix in model_map.matrices
        ),
        coverage=tuple(sorted(coverage, key=lambda entry: entry.tensor)),
        ties=tuple((old(copy), old(original)) for copy, original in model_map.ties),
        discrepancies=tuple(replace(one, tensors=tuple(map(old, one.tensors))) for one in model_map.discrepancies),
        wrapping=wrapping,
    )


def _known_wrappers(names: Iterable[str]) -> Found:
    leading: set[str] = set()
    anywhere: set[str] = set()
    for name in names:
        if not _may_be_wrapped(name):
            continue
        for carried in _KNOWN.findall(name):
            anywhere.update(part for part in ANYWHERE if part in carried.split("."))
            leading.update(part for part in LEADING if f".{part}." in f".{carried}")
    return Found(tuple(sorted(leading)), tuple(sorted(anywhere)))


def _search(known: Found, tensors: Mapping[str, TensorInfo], family: Family) -> Found:
    """``known`` with the prefix or the part within names that, taken off, lets most matrices of layers fit."""
    matcher = Matcher(family)
    matrices = [name for name, info in tensors.items() if len(info.shape) > 1 and name.count(".") < MAX_PARTS]
    plain = known.plain(matrices)
    kind = {name: _NUMBER.sub("0", name) for name in plain.values()}
    times = Counter(kind[name] for name in plain.values())
    # One name of each kind stands for all: numbers apart they fit, or do not fit, alike.
    kinds = {kind[name]: name for name in plain.values()}
    count = {name: times[kind] for kind, name in islice(kinds.items(), MAX_NAMES)}
    if repeated := _repeated_prefix(count, family):
        return replace(known, leading=(*known.leading, repeated))
    unfit = {name: number for name, number in count.items() if not _is_matrix(matcher.match(name))}
    best, most = known, 0
    several = len({name.partition(".")[0] for name in matrices if name[:1].isdigit()}) > 1
    for candidate in _candidates(unfit):
        if several and candidate.prefix[:1].isdigit():
            continue  # one model of a list of them
        changed = {name: new for name, new in candidate.plain(count).items() if new != name}
        matches = {name: match for name, new in changed.items() if (match := matcher.match(new)) is not None}
        score = sum(count[name] for name in matches)
        enough = 2 * score >= sum(count[name] for name in changed) and any(map(_is_matrix, matches.values()))
        if score <= most or not enough or not changed.keys() <= unfit.keys() or _has_rivals(changed, count):
            continue
        if _fits_in(candidate, plain.values(), matcher):
            best, most = replace(known, prefix=candidate.prefix, infix=candidate.infix), score
    return best


def _repeated_prefix(names: Collection[str], family: Family) -> str:
    """The family's own prefix where it stands before a name more often than a loader accepts."""
    for prefix in family.prefixes:
        if prefix.endswith(".") and any(name.startswith(prefix * (MOST_REPEATS + 1)) for name in names):
            return prefix[:-1]
    return ""


def _candidates(unfit: Mapping[str, int]) -> Iterator[Found]:
    """Prefixes and parts of names that do not fit, those of most names first; of equals the shorter one."""
    prefixes: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    for name, count in unfit.items():
        components = name.split(".")[:-1]
        if not all(map(_PLAIN_WORD.fullmatch, components)):
            continue
        first = components[:1]  # a number only where a list of modules holds the model: "0.auto_model"
        words = [*first, *takewhile(lambda one: not one.isdigit(), components[1:])]
        prefixes.update({".".join(words[:end]): count for end in range(1, min(len(words), MAX_PREFIX) + 1)})
        parts.update({word: count for word in components if not word.isdigit()})
    ranked = sorted(prefixes, key=lambda one: (-prefixes[one], len(one), one))[:MAX_CANDIDATES]
    yield from (Found(prefix=one) for one in ranked)
    ranked = sorted(parts, key=lambda one: (-parts[one], len(one), one))[:MAX_CANDIDATES]
    yield from (Found(infix=one) for one in ranked)


def _is_matrix(match: Match | None) -> bool:
    return match is not None and match.layer is not None and isinstance(match.rule, MatrixRule)


def _has_rivals(changed: Mapping[str, str], names: Collection[str]) -> bool:
    """Whether other names differ from the ``changed`` ones in the part taken off alone: two adapters' matrices, or two
    models, and neither is the one that is meant.
    """
    plain = set(changed.values())
    for name in names:
        if name in changed:
            continue
        parts = name.split(".")
        without_one = (".".join((*parts[:at], *parts[at + 1 :])) for at in range(len(parts)))
        without_first = (".".join(parts[end:]) for end in range(2, min(MAX_PREFIX, len(parts) - 1) + 1))
        if not plain.isdisjoint((*without_one, *without_first)):
            return True
    return False


def _fits_in(candidate: Found, names: Collection[str], matcher: Matcher) -> bool:
    """Whether no place of the model is taken twice, as by a second model or a tower beside the first."""
    places: set[tuple[tuple[str, ...], str, int | None, int | None]] = set()
    for name in candidate.plain(names).values():
        found = matcher.match(name)
        if found is None or not _is_matrix(found) or not isinstance(found.rule, MatrixRule):
            continue
        place = (found.rule.roles, found.stack, found.layer, found.expert)
        if place in places:
            return False
        places.add(place)
    return True
