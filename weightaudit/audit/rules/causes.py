"""Faults that share a cause, found by where they are: what befell the whole model, a shard, layers or a role is told
once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from weightaudit.audit.rules.context import Other, RuleContext, Subject
from weightaudit.audit.rules.wording import MAX_NAMED, listed
from weightaudit.records import CodeFacts, LayerRow, Place, Scheme
from weightaudit.text import plural, printable, ranges, shortened

Key = TypeVar("Key", bound=Hashable)

SEVERAL = 3
"""Weights that a common cause is looked for from."""
MOSTLY = 0.5
"""Share of the weights of the model or of a layer above which a fault is of the whole."""


@dataclass(frozen=True)
class Weight:
    """One weight that rules look at: a matrix with a role, or a tensor without one.

    ``label`` is what it is called within its layer. ``row`` is what was measured of a matrix, ``other`` what was seen
    of another tensor: one of the two.
    """

    subject: Subject
    place: Place
    label: str
    tensors: tuple[str, ...]
    files: frozenset[str]
    entries: int
    row: LayerRow | None = None
    other: Other | None = None

    @property
    def codes(self) -> CodeFacts | None:
        """What its codes are; None where it is not quantised."""
        return self.row.codes if self.row else self.other.codes if self.other else None

    @property
    def scheme(self) -> Scheme | None:
        """How it is quantised; None where it is not."""
        return self.row.matrix.scheme if self.row else self.other.entry.scheme if self.other else None


def matrices(context: RuleContext, rows: Iterable[LayerRow]) -> list[Weight]:
    """The matrices of ``rows``, some of the scan's, in their order."""
    known = context.once(_matrices)
    return [known[row.matrix.key] for row in rows]


def others(context: RuleContext) -> list[Weight]:
    """Tensors without a role that were looked at, in name order; each in the layer of the matrices it lies beside."""
    return [one for one in context.once(_others) if one.subject not in context.suppressed]


def _matrices(context: RuleContext) -> Mapping[str, Weight]:
    """The matrix of each row, by its key."""
    file_of = {entry.tensor: entry.file for entry in context.coverage_entries}

    def weight(row: LayerRow) -> Weight:
        matrix = row.matrix
        files = frozenset(file_of.get(name, "") for name in matrix.tensors)
        label = label_of(matrix.place)
        return Weight(("matrix", matrix.key), matrix.place, label, matrix.tensors, files, matrix.parameters, row=row)

    return {row.matrix.key: weight(row) for row in context.rows}


def _others(context: RuleContext) -> list[Weight]:
    layer_of = _layers_by_path(context)

    def weight(name: str, other: Other) -> Weight:
        path = next((path for path in _paths(name) if path in layer_of), "")
        place = layer_of.get(path, Place())
        label = _numbers_apart(name[len(path) :])
        files, entries = frozenset((other.entry.file,)), other.entry.parameters
        return Weight(("tensor", name), place, label, (name,), files, entries, other=other)

    return [weight(name, other) for name, other in context.others.items()]


def _numbers_apart(name: str) -> str:
    return ".".join("*" if part.isdecimal() else part for part in name.split("."))


def _layers_by_path(context: RuleContext) -> Mapping[str, Place]:
    """The beginnings of names up to a layer's number → that layer, by the tensors of its matrices."""
    found = {}
    for row in context.rows:
        if row.matrix.layer is not None:
            for name in row.matrix.tensors:
                for path in _paths(name):
                    if path.split(".")[-2] == str(row.matrix.layer):
                        found[path] = Place(row.matrix.stack, row.matrix.layer)
                        break
    return found


def _paths(name: str) -> Iterator[str]:
    """The beginnings of a dotted name that end after a number: "model.layers.3.", shortest first."""
    end = 0
    for part in name.split(".")[:-1]:
        end += len(part) + 1
        if part.isdecimal():
            yield name[:end]


def by_cause(faulty: Sequence[Weight], judged: Sequence[Weight]) -> list[list[Weight]]:
    """``faulty``, some of the ``judged``, in groups that are one finding each.

    The whole where most of all are; else all of a file where there are several; most of the tensors without a role
    whose names end alike, such as norms or scales; most of a layer, with other such layers of its stack; most of an
    expert, with other such experts; at least `SEVERAL` of one role or name in layers or experts, with other roles in
    the same ones; those without a role or layer that are in one module, such as a projector; the rest alone.
    """
    if not faulty:
        return []
    if len(faulty) >= SEVERAL and len(faulty) > MOSTLY * len(judged):
        return [list(faulty)]
    groups: list[list[Weight]] = []
    in_file, of_ending, in_layer = (_grouped(judged, key) for key in (_file, _ending, _layer))
    left = list(faulty)
    if len(in_file) > 1:
        files = {key: bad for key, bad in _known(left, _file) if len(bad) == len(in_file[key])}
        groups += files.values()
        left = [one for one in left if _file(one) not in files]
    endings = {key: bad for key, bad in _known(left, _ending) if len(bad) > MOSTLY * len(of_ending[key])}
    groups += endings.values()
    left = [one for one in left if _ending(one) not in endings]
    layers = {key for key, bad in _known(left, _layer) if len(bad) > MOSTLY * len(in_layer[key])}
    groups += _grouped((one for one in left if _layer(one) in layers), lambda one: one.place.stack).values()
    left = [one for one in left if _layer(one) not in layers]
    in_expert = _grouped(judged, _expert)
    bad_of = _grouped(left, _expert).items()
    experts = {key for key, bad in bad_of if key is not None and len(bad) > max(1, MOSTLY * len(in_expert[key]))}
    groups += _grouped((one for one in left if _expert(one) in experts), lambda one: one.place.stack).values()
    left = [one for one in left if _expert(one) not in experts]
    labels = dict(_known(left, _label))
    places: dict[Hashable, Hashable] = {label: _everywhere(bad) or label for label, bad in labels.items()}
    groups += _grouped((one for bad in labels.values() for one in bad), lambda one: places[_label(one)]).values()
    left = [one for one in left if _label(one) not in labels]
    modules = {key: bad for key, bad in _grouped(left, _module).items() if key is not None and len(bad) > 1}
    groups += modules.values()
    return [*groups, *([one] for one in left if _module(one) not in modules)]


def _known(weights: Iterable[Weight], key: Callable[[Weight], Key | None]) -> Iterable[tuple[Key, list[Weight]]]:
    """The groups of at least `SEVERAL` weights that have the ``key``."""
    return [(of, some) for of, some in _grouped(weights, key).items() if of is not None and len(some) >= SEVERAL]


def _label(one: Weight) -> tuple[str, bool, str]:
    return one.place.stack, one.place.expert is None, one.label


def _everywhere(weights: Sequence[Weight]) -> frozenset[tuple[str, int | None, int | None]]:
    """Where they are, stack, layer and expert of each; nowhere, where one is in no layer."""
    if any(one.place.layer is None for one in weights):
        return frozenset()
    return frozenset((one.place.stack, one.place.layer, one.place.expert) for one in weights)


def _file(one: Weight) -> str | None:
    return next(iter(one.files)) if len(one.files) == 1 else None


def _ending(one: Weight) -> str | None:
    return one.tensors[0].rpartition(".")[2] if one.other else None


def _module(one: Weight) -> str | None:
    """The module of a tensor without a role or a layer, its own and those beside it: ``projector`` of
    ``projector.linear_1.weight``.
    """
    path = one.tensors[0].rsplit(".", 2)
    return path[0] if one.other and one.place.layer is None and len(path) == 3 else None


def _layer(one: Weight) -> tuple[str, int] | None:
    return None if one.place.layer is None else (one.place.stack, one.place.layer)


def _expert(one: Weight) -> tuple[str, int | None, int] | None:
    return None if one.place.expert is None else (one.place.stack, one.place.layer, one.place.expert)


def _grouped(weights: Iterable[Weight], key: Callable[[Weight], Key]) -> dict[Key, list[Weight]]:
    groups: dict[Key, list[Weight]] = defaultdict(list)
    for one in weights:
        groups[key(one)].append(one)
    return groups


def of_all(group: Sequence[Weight], judged: Sequence[Weight]) -> str:
    """How many of the ``judged`` the group is: "42 of 111 weights", and which file they all lie in."""
    said = f"{len(group):,} of {plural(len(judged), 'weight')}"
    files = {_file(one) for one in group}
    (file,) = files if len(files) == 1 else (None,)
    whole = file is not None and sum(_file(one) == file for one in judged) == len(group) < len(judged)
    return f"{said}, all of {printable(file)}," if file and whole else said


def named(weights: Sequence[Weight]) -> str:
    """All of them in a few words: "layer 3 V"; "Q, K and V of layers 0-5, EMBED and HEAD"."""
    if len(weights) == 1:
        (one,) = weights
        return listed([one.place.words() if one.row else one.tensors[0]])
    return labelled((one.place, one.label) for one in weights)


def labelled(places: Iterable[tuple[Place, str]]) -> str:
    """Places and what stands there, several in a few words: "Q, K and V of layers 0-5; GATE of expert 3 of layer 2"."""
    layers_of: dict[tuple[str, int | None, str], set[int | None]] = defaultdict(set)
    for place, label in places:
        layers_of[place.stack, place.expert, label].add(place.layer)
    experts_of: dict[tuple[str, frozenset[int | None], bool, str], list[int]] = defaultdict(list)
    for (stack, expert, label), layers in layers_of.items():
        experts_of[stack, frozenset(layers), expert is None, label] += [] if expert is None else [expert]
    alike: dict[tuple[str, frozenset[int | None], tuple[int, ...]], list[str]] = defaultdict(list)
    for (stack, within, _, label), experts in experts_of.items():
        alike[stack, within, tuple(experts)].append(label)
    return "; ".join(shortened((_together(*where, labels) for where, labels in alike.items()), MAX_NAMED, spare=1))


def label_of(place: Place) -> str:
    """What a matrix is called within its layer or expert; one of no known role by its tensor's name, numbers apart."""
    return _numbers_apart(place.label)


def _together(stack: str, layers: frozenset[int | None], experts: Sequence[int], labels: Sequence[str]) -> str:
    what = listed(labels, 2 * MAX_NAMED)
    of = [_numbered("expert", experts), _numbered("layer", layers)]
    *inner, where = [one for one in of if one] or [""]
    what = " of ".join([what, *inner])
    if not where:
        return f"{stack} {what}".strip()
    return f"{what} of {stack} {where}" if stack else f"{what} of {where}"


def _numbered(noun: str, numbers: Iterable[int | None]) -> str:
    """ "layers 0-5"; "" where no number is known."""
    known = [number for number in numbers if number is not None]
    runs = ",".join(shortened(ranges(known).split(","), 2 * MAX_NAMED, spare=1)) if known else ""
    return f"{noun}{'s' * (len(known) > 1)} {runs}" if known else ""
