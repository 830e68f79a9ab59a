"""What a checkpoint of each model type and class holds, learned from models that transformers builds without weights:

python -m tests.architecture.inventories [MODEL_TYPE ...]

writes ``weightaudit/architecture/inventory.json``, or only these model types in it.

A class is built on the meta device at a small config and at many that differ from it in one value each. Of every name
it is seen when it is there, in which layers, and how its shape goes with the config; what holds in all of these builds,
and in further ones that differ in several values, is written down. What does not is left out: it is not missed.
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers
from torch import nn

from tests.architecture.contradictions import hold, weaken
from tests.architecture.exceptions import NO_INVENTORY, NOT_YET
from tests.support.tiny import all_model_types, model_class, tiny_config
from tests.support.tiny_sizes import NOT_BUILT, H
from weightaudit.architecture import inventory
from weightaudit.architecture.canonical import canonical
from weightaudit.architecture.completeness import numbers_in_layers
from weightaudit.architecture.dimensions import embeddings_tied, inner_config, layers_changed, resolve
from weightaudit.architecture.inventory import REST, TIED, numbers_of, truths_of
from weightaudit.architecture.registry import for_model_type, layers_of_towers, model_types, multimodal
from weightaudit.architecture.schema import Family

Shape = tuple[int, ...]
Key = tuple[str, ...]

COMBINATIONS = 16
"""Builds that differ in several values, against which what was learned is held."""
FEWEST = 10
"""Builds that must have a tensor that the first lacks for its shape to be told."""
MOSTLY = 0.5
"""Share of the slots that conditions must tell, or the type has no inventory."""
MOST_PARTS = 4
"""Parts of a layer that stand in for one another, at most: attention, a state space, an MLP."""


@dataclass(frozen=True)
class Build:
    """One class at one config: ``changes`` is how it differs from the first, ``held`` the shapes by canonical name.

    ``own`` are the numbers that are dimensions of the family, ``in_layers`` those that layers have otherwise.
    """

    changes: tuple[tuple[Key, Any], ...]
    own: frozenset[str]
    numbers: Mapping[str, int]
    truths: Mapping[str, Any]
    held: Mapping[str, Shape]
    tied: Mapping[str, tuple[str, ...]]
    in_layers: Mapping[int, Mapping[str, int]]


def classes_of(model_type: str) -> list[Any]:
    """The classes of transformers that take this type's configuration, the one with the language head first."""
    main = model_class(model_type)
    module = importlib.import_module(main.__module__)
    found = [
        one
        for name, one in sorted(vars(module).items())
        if inspect.isclass(one)
        and issubclass(one, transformers.PreTrainedModel)
        and getattr(one, "config_class", None) is main.config_class
        and one.__module__ == module.__name__
        and name in module.__all__
        and not re.search("Pre[tT]rained", name)
    ]
    return [main, *(one for one in found if one is not main)]


def held_by(model: Any, *, whole: bool = False) -> tuple[dict[str, Shape], dict[str, tuple[str, ...]]]:
    """(shapes by the name that it is saved under, the other names of what is tied); what a loader does not miss is in
    neither, but for a ``whole`` model's.
    """
    state = model.state_dict()
    source = dict(model.all_tied_weights_keys)
    by_place: dict[int, str] = {}
    for name, tensor in state.items():
        original = by_place.setdefault(id(tensor), name)
        if original != name:
            source.setdefault(name, original)
    patterns = () if whole else model._keys_to_ignore_on_load_missing or ()
    ignored = [re.compile(pattern) for pattern in patterns]
    unsaved = set(model._keys_to_ignore_on_save or ())
    kept = {
        name: tensor
        for name, tensor in state.items()
        if name not in source and name not in unsaved and not any(pattern.search(name) for pattern in ignored)
    }
    saved = transformers.core_model_loading.revert_weight_conversion(model, dict(kept))
    copies: dict[str, list[str]] = {}
    for copy, original in source.items():
        copies.setdefault(original, []).append(copy)
    return {name: tuple(tensor.shape) for name, tensor in saved.items()}, {
        name: tuple(names) for name, names in copies.items()
    }


@contextmanager
def unset() -> Iterator[None]:
    """Let modules leave their parameters as they are: of a model without weights they are not asked for."""
    with ExitStack() as stack:
        for kind in (nn.Linear, nn.Embedding, nn.LayerNorm, nn.modules.conv._ConvNd, nn.RMSNorm):
            stack.enter_context(patch.object(kind, "reset_parameters", lambda self: None))
        stack.enter_context(
            patch.object(transformers.PreTrainedModel, "initialize_weights", lambda self, *_, **__: None)
        )
        yield


def build(model_type: str, cls: Any, changes: Sequence[tuple[Key, Any]], **given: Any) -> Build | None:
    """The class at the tiny config of the type with ``changes``; None where that is no model."""
    return built(model_type, cls, lambda: tiny_config(model_type, **changed({}, tuple(changes))), changes, **given)


def built(
    model_type: str, cls: Any, configure: Callable[[], Any], changes: Sequence[tuple[Key, Any]] = (), **given: Any
) -> Build | None:
    """The class at the config that is made; None where that is no model."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = configure()
            with torch.device("meta"), unset():
                model = cls(config, **given)
            held, copies = held_by(model)
        said = json.loads(json.dumps(config.to_dict(), default=str))
        family = family_of(model_type, said)
        own, numbers, truths, in_layers = read(family, model_type, said)
    except Exception:
        return None
    prefixes = (*family.prefixes, *([f"{cls.base_model_prefix}."] if cls.base_model_prefix else []))
    names = {canonical(name, prefixes): shape for name, shape in held.items()}
    if len(names) != len(held):
        raise ValueError(f"{cls.__name__}: two names become one")
    tied = {
        canonical(name, prefixes): tuple(canonical(one, prefixes) for one in others) for name, others in copies.items()
    }
    return Build(tuple(changes), own, numbers, truths, names, tied, in_layers)


def family_of(model_type: str, config: Mapping[str, Any]) -> Family:
    inner = config.get("text_config") or {}
    found = for_model_type(model_type, inner.get("model_type", ""))
    if found is None:
        raise LookupError(model_type)
    return found


def read(
    family: Family, model_type: str, config: Mapping[str, Any]
) -> tuple[frozenset[str], dict[str, int], dict[str, Any], dict[int, dict[str, int]]]:
    """(the family's dimensions, all numbers that shapes are written in, values that conditions read, numbers of single
    layers) of a config.
    """
    towers = layers_of_towers().of(config, model_type).values
    dimensions = resolve(family, model_type, config)
    own = {**dimensions.values, **towers}
    tied = embeddings_tied(family, model_type, config)
    in_layers = numbers_in_layers(layers_changed(inner_config(config, "")[0]), dimensions)
    return frozenset(own), numbers_of(config, own, {}), truths_of(config, tied), in_layers


# How a config is varied.

_COUNTS = re.compile(r"(layers?|depth|blocks?|n_layer|groups)s?$")
_LAYERS = re.compile(r"(layer|block|attention|mlp|moe|sparse|pattern|types?$)")
"""Keys of lists, and of words of letters, that have an entry a layer."""
_UNVARIED = re.compile(
    r"(_token_id|_token_index|^transformers_version|^architectures|^dtype|model_type|^problem_type|id2label|label2id"
    r"|initializer|dropout|_eps|return_|output_|_name_or_path|chunk_size_feed_forward"
    r"|is_gated_act|dense_act_fn)$|^_"
)
TEXTS = {"feed_forward_proj": ("relu", "gated-gelu", "gated-silu")}
"""Values of texts that decide what there is and that the code takes apart."""
_PATTERN = re.compile(r"(period|offset|step|interval|every|freq|pattern|dense)")
"""Keys of numbers that say which layers are of which kind."""
_WIDTH = re.compile(r"^(hidden_size|d_model|n_embd)$|expand$")
"""Keys of numbers that other sizes may have to go with."""
_NUMBERED = re.compile(r"expert_[0-9]")
"""Names of experts that are no numbers: no template counts them."""
_LITERAL = re.compile(r"config\.(?P<key>\w+)\s*(?:==|!=|in|not in)\s*(?P<values>\"[^\"]+\"|'[^']+'|[\[(][^\])]*[\])])")


def leaves(config: Mapping[str, Any], path: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Single values and lists of a config, by path."""
    for key, value in config.items():
        if _UNVARIED.search(key):
            continue
        if isinstance(value, dict):
            if len(path) < 2 and not key.startswith("rope"):
                yield from leaves(value, (*path, key))
        elif value is None or isinstance(value, (bool, int, str, list)):
            yield (*path, key), value


def literals(cls: Any) -> dict[str, set[str]]:
    """Config key → the texts that the class's code compares it with."""
    source = inspect.getsource(sys.modules[cls.__module__])
    found: dict[str, set[str]] = {}
    for match in _LITERAL.finditer(source):
        found.setdefault(match["key"], set()).update(re.findall(r"[\"']([^\"']+)[\"']", match["values"]))
    return found


Change = tuple[tuple[Key, Any], ...]


def _a_layer_each(key: Key, value: Any) -> bool:
    return isinstance(value, (list, str)) and _LAYERS.search(key[-1]) is not None


def widened(said: Mapping[str, Any], path: Key, value: int, times: int) -> Change:
    """The count at ``path`` that many times, and the lists beside it that have an entry a layer."""
    lists = [(p, v) for p, v in leaves(said) if p[:-1] == path[:-1] and _a_layer_each(p, v) and len(v) == value]
    return ((path, value * times), *((p, v * times) for p, v in lists))


SIZES_OF_HEADS = (6, 10)
"""Sizes of attention heads that do not make up the hidden size; even, for rotary embeddings."""


def changes_of(said: Mapping[str, Any], cls: Any) -> Iterator[Change]:
    """Changes of one value each; lists of layers are turned and reversed."""
    texts = literals(cls)
    numbers = {p: v for p, v in leaves(said) if isinstance(v, int) and not isinstance(v, bool)}
    for path in numbers:
        if _WIDTH.search(path[-1]):
            for other in numbers:
                if other[:-1] == path[:-1] and re.search("heads|d_ssm", other[-1]):
                    yield ((path, 2 * numbers[path]), (other, 2 * numbers[other]))
    for path in numbers:
        if path[-1] == "num_attention_heads" and (*path[:-1], "head_dim") not in numbers:
            # Classes read it of any config, though their own configuration may not have it.
            yield from ((((*path[:-1], "head_dim"), size),) for size in SIZES_OF_HEADS)
    yield ((("num_labels",), 5),)
    yield ((("is_decoder",), True), (("add_cross_attention",), True))
    for path, value in leaves(said):
        if isinstance(value, bool):
            yield ((path, not value),)
        elif isinstance(value, int):
            sizes: list[int | None] = [2 * value, value + 1, *([4] if value < 0 else [])]
            sizes += [1, 3] if _PATTERN.search(path[-1]) else []
            # What is of the hidden size needs no projection to it.
            sizes += [] if _COUNTS.search(path[-1]) else [0, None, H]
            yield from (((path, other),) for other in dict.fromkeys(sizes) if other != value)
        elif value is None:
            yield from (((path, other),) for other in (4, True))
        elif isinstance(value, str) and _a_layer_each(path, value):
            yield from (((path, other),) for other in (value[::-1], value[1:] + value[:1]) if other != value)
        elif isinstance(value, str):
            words = {*texts.get(path[-1], ()), *TEXTS.get(path[-1], ())} - {value}
            yield from (((path, other),) for other in sorted(words))
        elif isinstance(value, list) and value:
            turned = [value[::-1], value[1:] + value[:1], [value[0]] * len(value), [value[-1]] * len(value), []]
            yield from (((path, other),) for other in turned if other != value)


def merged(changes: Iterable[Change]) -> Change:
    together: dict[Key, Any] = {}
    for change in changes:
        together.update(change)
    return tuple(together.items())


def told(model_type: str) -> dict[str, Any]:
    return json.loads(json.dumps(tiny_config(model_type).to_dict(), default=str))


def wide_base(model_type: str, main: Any) -> tuple[Change, list[Change]]:
    """(the change that doubles every stack of layers, for each stack the change that does not double it)."""
    said = told(model_type)
    plain = build(model_type, main, ())
    if plain is None:
        raise ValueError(f"{model_type}: the tiny model cannot be built")
    counts = []
    for path, value in leaves(said):
        if isinstance(value, int) and not isinstance(value, bool) and value and _COUNTS.search(path[-1]):
            change = widened(said, path, value, 2)
            wide = build(model_type, main, change)
            if wide is not None and len(wide.held) > len(plain.held):
                counts.append(change)
    for path, value in leaves(said) if not counts else ():
        if isinstance(value, list) and re.search(r"layers?_(block_)?types?$", path[-1]):
            # The list is all that says how many there are; what the tiny config says beside it is left out.
            change = (
                (path, value * 2),
                (("num_hidden_layers",), 2 * len(value)),
                (("hybrid_override_pattern",), "omit"),
            )
            wide = build(model_type, main, change)
            if wide is not None and len(wide.held) > len(plain.held):
                counts.append(change)
    base = merged(counts)
    if build(model_type, main, base) is None:
        return (), counts
    return base, [tuple((p, _half(v) if _within(p, one) and v != "omit" else v) for p, v in base) for one in counts]


def changed(said: dict[str, Any], change: Change) -> dict[str, Any]:
    """The config with the change made."""
    for path, value in change:
        inner = said
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
    return said


def rich_base(model_type: str, main: Any, base: Change, said: Mapping[str, Any]) -> Change:
    """``base`` with every flag turned that adds more names than it takes, so that most tensors are in most builds."""
    current = build(model_type, main, base)
    assert current is not None
    for path, value in leaves(said):
        if isinstance(value, bool):
            turned = merged([base, ((path, not value),)])
            other = build(model_type, main, turned)
            if other is not None and len(other.held) > len(current.held):
                base, current = turned, other
    return base


def _within(path: Key, change: Change) -> bool:
    return any(path == other for other, _ in change)


def _half(value: Any) -> Any:
    return value[: len(value) // 2] if isinstance(value, (list, str)) else value // 2


def builds_of(
    model_type: str, cls: Any, base: Change, changes: Sequence[Change], rng: random.Random
) -> tuple[list[Build], list[Change]]:
    """(the builds, the first the base; the changes that made another model)."""
    first = build(model_type, cls, base)
    if first is None:
        return [], []
    builds, structural = [first], []
    seen = set()
    for change in changes:
        whole = merged([base, change])
        key = json.dumps(whole, sort_keys=True, default=str)
        one = None if key in seen else build(model_type, cls, whole)
        seen.add(key)
        if one is not None:
            builds.append(replace(one, changes=change))
            if one.held.keys() != first.held.keys():
                structural.append(change)
    sizes = _sizes(changes)
    known = set(first.held)
    for change in structural:
        new = {name for one in builds if one.changes == change for name in one.held} - known
        for size in sizes if new else ():
            if not {path for path, _ in size} & {path for path, _ in change}:
                one = build(model_type, cls, merged([base, change, size]))
                if one is not None:
                    builds.append(replace(one, changes=merged([change, size])))
        known |= new
    for _ in range(COMBINATIONS if len(structural) > 1 else 0):
        some = rng.sample(structural, min(len(structural), rng.choice((2, 2, 3))))
        one = build(model_type, cls, merged([base, *some]))
        if one is not None:
            builds.append(replace(one, changes=merged(some)))
    return builds, structural


# What is learned of the builds.


class Solver:
    """Expressions for numbers that go with the configs' numbers, found by trying simple ones on all builds."""

    def __init__(self, builds: Sequence[Build]) -> None:
        self.builds = builds
        self._tables: dict[tuple[int, ...], dict[tuple[int, ...], str]] = {}
        self._atoms: dict[tuple[int, ...], list[tuple[str, tuple[int, ...]]]] = {}

    def solve(self, values: Mapping[int, int]) -> str:
        """The simplest expression that has ``values[b]`` in build b; "" where none was found."""
        where = tuple(sorted(values))
        wanted = tuple(values[b] for b in where)
        if len(set(wanted)) == 1:
            return str(wanted[0])
        table = self._table(where)
        if wanted in table:
            return table[wanted]
        for term, name in list(table.items()):
            rest = tuple(w - t for w, t in zip(wanted, term, strict=True))
            if min(rest) > 0 and rest in table and "+" not in name and "+" not in table[rest]:
                return f"{name}+{table[rest]}"
        for name, vector in self._atoms[where]:
            if all(v and w % v == 0 for v, w in zip(vector, wanted, strict=True)):
                rest = tuple(w // v for v, w in zip(vector, wanted, strict=True))
                if rest in table and "/" not in table[rest]:
                    return f"{name}*{table[rest]}"
        return ""

    def share(self, values: Mapping[int, int]) -> str:
        """The two numbers of which one goes ``values[b]`` whole times into the other in build b, as where each nth
        layer is of a kind; "" where none do.
        """
        where = tuple(sorted(values))
        wanted = tuple(values[b] for b in where)
        self._table(where)
        for (a, left), (b, right) in permutations(self._atoms[where], 2):
            if all(right) and tuple(x // y for x, y in zip(left, right, strict=True)) == wanted:
                return f"{a}//{b}"
        return ""

    def _table(self, where: tuple[int, ...]) -> dict[tuple[int, ...], str]:
        if where not in self._tables:
            self._tables[where] = self._made(where)
        return self._tables[where]

    def _made(self, where: tuple[int, ...]) -> dict[tuple[int, ...], str]:
        first = self.builds[where[0]].numbers
        names = [n for n in first if all(n in self.builds[b].numbers for b in where)]
        # The family's own names are the shortest and hold for every way of writing a config.
        own = self.builds[where[0]].own
        names.sort(key=lambda name: (name not in own, name.startswith("video"), len(name), name))
        table: dict[tuple[int, ...], str] = {}
        atoms: list[tuple[str, tuple[int, ...]]] = []
        for name in names:
            vector = tuple(self.builds[b].numbers[name] for b in where)
            if len(set(vector)) > 1 and vector not in table:
                table[vector] = name
                atoms.append((name, vector))
        for factor in (2, 3, 4):
            for name, vector in atoms:
                table.setdefault(tuple(factor * v for v in vector), f"{factor}*{name}")
                if all(v % factor == 0 for v in vector):
                    table.setdefault(tuple(v // factor for v in vector), f"{name}/{factor}")
        for (a, left), (b, right) in combinations(atoms, 2):
            vector = tuple(x * y for x, y in zip(left, right, strict=True))
            table.setdefault(vector, f"{a}*{b}")
            table.setdefault(tuple(2 * x for x in vector), f"2*{a}*{b}")
        self._atoms[where] = atoms
        for a, left in atoms:
            for b, right in atoms:
                if a != b and all(y and x % y == 0 for x, y in zip(left, right, strict=True)):
                    table.setdefault(tuple(x // y for x, y in zip(left, right, strict=True)), f"{a}/{b}")
        return table


@dataclass
class Seen:
    """One template over the builds: build → outer and inner numbers → shape."""

    at: dict[int, dict[tuple[int, ...], Shape]] = field(default_factory=dict)


def counted_paths(builds: Sequence[Build], solver: Solver) -> dict[tuple[str, ...], str]:
    """Template of a module list → how many it has; "" for one whose numbers are names."""
    known: dict[tuple[str, ...], str] = {}
    while True:
        found: dict[tuple[str, ...], dict[int, int]] = {}
        for b, one in enumerate(builds):
            for name in one.held:
                key, number = _unknown(name.split("."), known)
                if key is not None:
                    counts = found.setdefault(key, {})
                    counts[b] = max(counts.get(b, 0), number + 1)
        if not found:
            return known
        for key, counts in found.items():
            known[key] = "" if len(set(counts.values())) == 1 else solver.solve(counts) or solver.share(counts)


def _unknown(parts: Sequence[str], known: Mapping[tuple[str, ...], str]) -> tuple[tuple[str, ...] | None, int]:
    path: list[str] = []
    for part in parts:
        if part.isdigit():
            count = known.get(tuple(path))
            if count is None:
                return tuple(path), int(part)
            part = f"{{{count}}}" if count else part
        path.append(part)
    return None, 0


def template_of(name: str, known: Mapping[tuple[str, ...], str]) -> tuple[str, tuple[int, ...]]:
    path: list[str] = []
    numbers: list[int] = []
    for part in name.split("."):
        count = known.get(tuple(path), "") if part.isdigit() else ""
        if count:
            numbers.append(int(part))
        path.append(f"{{{count}}}" if count else part)
    return ".".join(path), tuple(numbers)


def learn(builds: Sequence[Build]) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """(slots, alternatives) as inventory.json has them, of one class."""
    solver = Solver(builds)
    known = counted_paths(builds, solver)
    seen: dict[str, Seen] = {}
    for b, one in enumerate(builds):
        for name, shape in one.held.items():
            template, numbers = template_of(name, known)
            seen.setdefault(template, Seen()).at.setdefault(b, {})[numbers] = shape
    counts = {b: _stack_sizes(one, known) for b, one in enumerate(builds)}
    parts = Parts()
    placed = [(one, _placed(template, one, counts, parts)) for template, one in sorted(seen.items())]
    slots = []
    for instances, where in placed:
        if where is not None:
            there = parts.there(where["part"]) if "." in where.get("part", "") else None
            slots.append(_slot(where, instances, builds, there, solver))
    return slots, parts.alternatives(counts)


def _stack_sizes(one: Build, known: Mapping[tuple[str, ...], str]) -> dict[str, int]:
    """Module list → how many it has in this build."""
    sizes: dict[str, int] = {}
    for name in one.held:
        path: list[str] = []
        for part in name.split("."):
            count = known.get(tuple(path), "") if part.isdigit() else ""
            if count:
                key = ".".join(path)
                sizes[key] = max(sizes.get(key, 0), int(part) + 1)
            path.append(f"{{{count}}}" if count else part)
    return sizes


class Parts:
    """Names that are in the same layers, where not every layer has them."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], list[tuple[str, dict[int, frozenset[int]]]]] = {}

    def of(self, template: str, layers: dict[int, frozenset[int]]) -> str:
        stack, _, rest = template.partition(".{")
        module = rest.split(".")[1]
        groups = self.found.setdefault((stack, module), [])
        for name, pattern in groups:
            if all(pattern[b] == where for b, where in layers.items() if b in pattern):
                pattern.update(layers)
                return name
        name = f"{stack}.{module}" + (f" {len(groups) + 1}" if groups else "")
        groups.append((name, dict(layers)))
        return name

    def there(self, name: str) -> set[int]:
        """Builds in which some layer has the part."""
        return {b for groups in self.found.values() for own, pattern in groups if own == name for b in pattern}

    def alternatives(self, counts: Mapping[int, Mapping[str, int]]) -> list[list[str]]:
        """Sets of parts of which every layer has just one, in every build."""
        found: list[list[str]] = []
        stacks = sorted({stack for stack, _ in self.found})
        for stack in stacks:
            parts = [one for (own, _), groups in sorted(self.found.items()) if own == stack for one in groups]
            sizes = {b: own[stack] for b, own in counts.items() if stack in own}
            for most in range(2, MOST_PARTS + 1):
                for some in combinations(parts, most):
                    names = [name for name, _ in some]
                    if any(set(one) <= set(names) for one in found):
                        continue
                    if all(
                        sorted(n for _, pattern in some for n in pattern.get(b, ())) == list(range(size))
                        for b, size in sizes.items()
                    ):
                        found.append(names)
        return found


def _placed(template: str, one: Seen, counts: Mapping[int, Mapping[str, int]], parts: Parts) -> dict[str, Any] | None:
    """The slot's name, and its part where not every layer has it; None where a layer has only some of it."""
    if _NUMBERED.search(template):
        return None
    if ".{" not in template:
        return {"name": template}
    stack = template.partition(".{")[0]
    layers = {b: frozenset(numbers[0] for numbers in at) for b, at in one.at.items()}
    whole = {b: frozenset(range(counts[b][stack])) for b in layers}
    if not _inner_whole(one, template, counts):
        return None
    if all(where == {0} for where in layers.values()) and any(len(every) > 1 for every in whole.values()):
        head, _, tail = template.partition("}")
        return {"name": f"{head[: head.index('{')]}0{tail}"}
    if layers == whole:
        return {"name": template}
    if all(where == whole[b] - {0} for b, where in layers.items()):
        return {"name": template, "part": REST}
    return {"name": template, "part": parts.of(template, layers)}


def _slot(
    slot: dict[str, Any], one: Seen, builds: Sequence[Build], there: set[int] | None, solver: Solver
) -> dict[str, Any]:
    """The slot whole; ``there`` are the builds that have its part, None where it is in every layer."""
    when, sure = _conditions(one, builds, there)
    if not sure:
        slot["sure"] = False
    elif when:
        slot["when"] = when
    shape = _shape(one, builds, solver)
    if shape is not None:
        slot["shape"] = shape
    return slot


def _inner_whole(one: Seen, template: str, counts: Mapping[int, Mapping[str, int]]) -> bool:
    """Whether each layer that has it has all of it (every expert)."""
    places = [match.start() for match in re.finditer(r"\.\{", template)]
    for b, at in one.at.items():
        for depth, place in enumerate(places[1:], 1):
            size = counts[b][template[:place]]
            by_outer: dict[tuple[int, ...], set[int]] = {}
            for numbers in at:
                by_outer.setdefault(numbers[:depth], set()).add(numbers[depth])
            if any(inner != set(range(size)) for inner in by_outer.values()):
                return False
    return True


def _conditions(one: Seen, builds: Sequence[Build], there: set[int] | None) -> tuple[dict[str, Any], bool]:
    """(key → whether it must be true, or the values for which it is there; whether they tell when it is there).

    Of the builds ``there`` alone, where that is given.
    """
    base = 0 in one.at
    with_: dict[str, list[Any]] = {}  # key → its values in builds that have the tensor
    without: dict[str, list[Any]] = {}
    for b, other in enumerate(builds[1:], 1):
        if there is not None and b not in there:
            continue
        keys = {".".join(path) for path, value in other.changes if not isinstance(value, list)}
        if len(keys) != 1:
            continue
        key = keys.pop()
        if key.endswith("tie_word_embeddings"):
            key = TIED
        value = other.truths.get(key)
        (with_ if b in one.at else without).setdefault(key, []).append(value)
    when: dict[str, Any] = {}
    sure = True
    for key in with_.keys() | without.keys():
        own = builds[0].truths.get(key)
        having, lacking = list(with_.get(key, ())), list(without.get(key, ()))
        if there is None or 0 in there:
            (having if base else lacking).append(own)
        if not having or not lacking:
            continue
        if all(map(bool, having)) and not any(map(bool, lacking)):
            when[key] = True
        elif all(map(bool, lacking)) and not any(map(bool, having)):
            when[key] = False
        elif all(isinstance(value, str) for value in (*having, *lacking)) and not set(having) & set(lacking):
            when[key] = sorted(set(having))
        else:
            sure = False
    if there is None and not base and len(when) != 1:
        sure = False
    considered = set(range(len(builds))) if there is None else there
    predicted = {b for b in considered if hold(when, builds[b].truths)}
    if predicted - one.at.keys():
        sure = False
    return dict(sorted(when.items())), sure


def _of_a_real_model(one: Build) -> bool:
    """Whether the sizes are some that a model may have: none is gone, and heads divide what they share."""
    shared, heads = one.numbers.get("hidden", 0), one.numbers.get("heads", 0)
    gone = any(value in (0, None) and not isinstance(value, bool) for _, value in one.changes)
    return not gone and not (heads and shared % heads)


def _shape(one: Seen, builds: Sequence[Build], solver: Solver) -> list[str] | None:
    usable = {b: at for b, at in one.at.items() if b == 0 or _of_a_real_model(builds[b])}
    if 0 not in usable and len(usable) < FEWEST:
        return None
    ranks = {len(shape) for at in usable.values() for shape in at.values()}
    if len(ranks) != 1:
        return None
    shape = []
    for axis in range(ranks.pop()):
        sizes = {b: {shape[axis] for shape in at.values()} for b, at in usable.items()}
        alike = all(len(of) == 1 for of in sizes.values())
        shape.append((solver.solve({b: next(iter(of)) for b, of in sizes.items()}) if alike else "") or "any")
    return shape


# The file.


def body_of(model_type: str) -> tuple[dict[str, Any], str]:
    """(what inventory.json says of the type, how its classes' names begin)."""
    rng = random.Random(0)
    main, *others = classes_of(model_type)
    base, halved = wide_base(model_type, main)
    base = rich_base(model_type, main, base, told(model_type))
    changes = [*halved, *changes_of(changed(told(model_type), base), main)]
    builds, structural = builds_of(model_type, main, base, changes, rng)
    learned = {main.__name__: learn(builds)}
    # Of a list that no number counts each is a slot, however many a build has.
    usual = [slot for slot in learned[main.__name__][0] if "{" in slot["name"] or slot["name"] in builds[0].held]
    if sum(slot.get("sure", True) for slot in usual) < MOSTLY * len(usual):
        raise ValueError("its config does not tell what there is")
    for other in others:
        own = builds_of(model_type, other, base, [*halved, *structural, *_sizes(changes), *_joint(changes)], rng)[0]
        if own:
            learned[other.__name__] = learn(own)
    stem = _stem(list(learned))
    merged_slots: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for name, (slots, _) in learned.items():
        for slot in slots:
            key = json.dumps(slot, sort_keys=True)
            merged_slots.setdefault(key, (slot, []))[1].append(name.removeprefix(stem))
    every = sorted(name.removeprefix(stem) for name in learned)
    slots = []
    for slot, names in merged_slots.values():
        slots.append(slot if sorted(names) == every else {**slot, "classes": sorted(names)})
    body: dict[str, Any] = {"classes": every, "slots": sorted(slots, key=lambda slot: json.dumps(slot))}
    tied = {name: sorted(copies) for name, copies in builds[0].tied.items()}
    tied |= {name: sorted(copies) for one in builds for name, copies in one.tied.items()}
    if tied:
        body["tied"] = tied
    alternatives = sorted({tuple(some) for _, found in learned.values() for some in found})
    if alternatives:
        body["alternatives"] = [list(some) for some in alternatives]
    optional = sorted({name for cls in (main, *others) for name in _optional(model_type, cls, base)})
    if optional:
        body["optional"] = optional
    body["defaults"] = _defaults(body, model_type)
    configure = transformers.CONFIG_MAPPING[model_type]
    at_defaults = ((cls.__name__, built(model_type, cls, configure)) for cls in (main, *others))
    weaken(body, stem, builds[0].numbers, ((name, one) for name, one in at_defaults if one is not None))
    body["defaults"] = _defaults(body, model_type)
    return body, stem


def _sizes(changes: Iterable[Change]) -> list[Change]:
    """One change of each size, so that shapes can be told."""
    chosen: dict[Key, Change] = {}
    for change in changes:
        (path, value), *more = change
        if not more and isinstance(value, int) and not isinstance(value, bool) and value > 1:
            chosen.setdefault(path, change)
    return list(chosen.values())


def _joint(changes: Iterable[Change]) -> list[Change]:
    """Changes of several sizes at once."""
    return [change for change in changes if len(change) > 1 and all(type(value) is int for _, value in change)]


def _stem(names: Sequence[str]) -> str:
    stem = names[0]
    for name in names[1:]:
        while not name.startswith(stem):
            stem = stem[:-1]
    return stem


def _optional(model_type: str, cls: Any, base: Change) -> set[str]:
    """Modules that the class is built without if asked so (a pooler): their names."""
    if "add_pooling_layer" not in inspect.signature(cls.__init__).parameters:
        return set()
    with_, without = (build(model_type, cls, base, add_pooling_layer=flag) for flag in (True, False))
    if with_ is None or without is None:
        return set()
    return {name.split(".")[0] for name in with_.held.keys() - without.held.keys()}


def _defaults(body: Mapping[str, Any], model_type: str) -> dict[str, Any]:
    """Values of the configuration class for the keys that the body reads."""
    text = json.dumps(body)
    try:
        config = json.loads(json.dumps(transformers.CONFIG_MAPPING[model_type]().to_dict(), default=str))
    except Exception:
        return {}
    found = {}
    for path, value in leaves(config):
        key = ".".join(path)
        if (value is None or isinstance(value, (bool, int, str))) and re.search(
            rf"(?<![\w.]){re.escape(key)}(?![\w.])", text
        ):
            found[key] = value
    return found


def nested(bodies: Mapping[str, dict[str, Any]], which: Iterable[str]) -> None:
    """Of those that hold another model by its configuration, take what is that one's: it may be of another type."""
    for model_type in which:
        body = bodies[model_type]
        said = told(model_type)
        config_class = model_class(model_type).config_class
        for key, sub in (getattr(config_class, "sub_configs", None) or {}).items():
            own = (said.get(key) or {}).get("model_type")
            if sub is not transformers.AutoConfig or not own:
                continue
            if key == "text_config":
                _take_inner(body, own, bodies.get(own))
            else:
                _ask_type(body, key, own)


def _take_inner(body: dict[str, Any], own: str, inner: Mapping[str, Any] | None) -> None:
    base = next((name for name in ("Model", "TextModel") if inner and name in inner["classes"]), "")
    if inner is None or not base:
        return
    theirs = {slot["name"] for slot in inner["slots"] if base in slot.get("classes", [base])}
    having: dict[str, set[str]] = {}
    for slot in body["slots"]:
        having.setdefault(slot["name"].replace("text_config.", ""), set()).update(slot.get("classes", body["classes"]))
    if theirs <= having.keys():
        body["slots"] = [s for s in body["slots"] if s["name"].replace("text_config.", "") not in theirs]
        body["inner"] = own
        classes = set(body["classes"]).intersection(*(having[name] for name in theirs))
        if len(classes) < len(body["classes"]):
            body["inner_of"] = sorted(classes)


def _ask_type(body: dict[str, Any], key: str, own: str) -> None:
    stack = key.removesuffix("_config")
    counted = re.compile(rf"\{{(?:[^}}]*\b)?(?:{key}\.|{stack}_)")
    modules = {slot["name"].split(".")[0] for slot in body["slots"] if counted.search(slot["name"])}
    for slot in body["slots"]:
        if slot["name"].split(".")[0] in modules:
            slot["when"] = {**slot.get("when", {}), f"{key}.model_type": [own]}
    body["defaults"][f"{key}.model_type"] = own


def built_types() -> list[str]:
    """Model types that can be built here and that a family or the multimodal table serves."""
    known = [name for name in all_model_types() if name in model_types() or name in multimodal().types]
    return sorted(dict.fromkeys(name for name in known if name not in NOT_BUILT))


def learnable() -> list[str]:
    """Those of which what is learned holds."""
    return [name for name in built_types() if NO_INVENTORY.get(name, NOT_YET) == NOT_YET]


FILE = Path(inventory.__file__).with_name("inventory.json")


def shipped() -> dict[str, tuple[dict[str, Any], str]]:
    """Model type → (what inventory.json says of it, how its classes' names begin)."""
    read = json.loads(FILE.read_text("utf-8"))
    return {name: (read["bodies"][number], stem) for name, (number, stem) in read["types"].items()}


def main() -> None:
    transformers.utils.logging.set_verbosity_error()
    found = shipped()
    learned: dict[str, tuple[dict[str, Any], str]] = {}
    for model_type in sys.argv[1:] or learnable():
        started = time.process_time()
        try:
            learned[model_type] = body_of(model_type)
        except Exception as error:
            print(f"{model_type}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        seconds = time.process_time() - started
        print(f"{model_type} {len(learned[model_type][0]['slots'])} slots, {seconds:.0f} s", flush=True)
        found |= deepcopy(learned)
        nested({name: body for name, (body, _) in found.items()}, learned)
        FILE.write_text(text_of(found), "utf-8")


def text_of(found: Mapping[str, tuple[dict[str, Any], str]]) -> str:
    """The file: bodies, each once, and which types have which."""
    texts = {name: json.dumps(body, sort_keys=True) for name, (body, _) in found.items()}
    bodies = list(dict.fromkeys(texts.values()))
    lines = ",\n".join(_lines(json.loads(text)) for text in bodies)
    types = {name: (bodies.index(text), found[name][1]) for name, text in sorted(texts.items())}
    named = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in types.items())
    return f'{{"transformers": "{transformers.__version__}",\n"bodies": [\n{lines}\n],\n"types": {{\n{named}\n}}}}\n'


def _lines(body: Mapping[str, Any]) -> str:
    """A body as JSON, a slot a line."""
    slots = ",\n".join(json.dumps(slot) for slot in body["slots"])
    rest = {key: value for key, value in body.items() if key != "slots"}
    return f'{json.dumps(rest)[:-1]}, "slots": [\n{slots}]}}'


if __name__ == "__main__":
    main()
