"""What the specs can say, and which of it a checkpoint is read by: roles, kinds of rules, kinds of numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from weightaudit.architecture import Family, families
from weightaudit.architecture.dimensions import flag, resolve
from weightaudit.architecture.mapping import types_of
from weightaudit.architecture.matching import Matcher
from weightaudit.architecture.registry import for_model_type, layers_of_towers, multimodal
from weightaudit.architecture.schema import Dimension, IgnoreRule, MatrixRule
from weightaudit.architecture.templates import compile_template
from weightaudit.records import TOWERS

_OF_FAMILIES = ("vectors", "hybrid", "note", "alternatives", "otherwise")
_OF_RULES = ("transposed", "either", "experts", "flat", "stack", "when", "beside", "tied_to")
_OF_DIMENSIONS = ("rule", "rule_if_missing", "optional", "open")


def features(model_types: Collection[str]) -> set[str]:
    """Every feature of the specs of the families that have one of these types, and of what is said of towers."""
    found: set[str] = set()
    within = multimodal()
    own = {*model_types, *(within.types[name] for name in model_types if name in within.types)}
    for family in families():
        if own & set(family.model_types):
            found |= {*_of_family(family), *_of_rules((*family.matrices, *family.ignored))}
    for tower in layers_of_towers().towers:
        found |= set(_of_rules(tower.matrices))
    found |= {f"ignored {rule.rule}" for rule in within.ignored}
    found |= {f"multimodal {what} of its own" for what, of in _own(within) if of}
    return found


def used(config: Mapping[str, Any], tensors: Collection[str]) -> set[str]:
    """The features by which a checkpoint of these names is read."""
    model_type, inner = types_of(config)
    family = for_model_type(model_type, inner)
    assert family is not None
    towers = layers_of_towers().of(config, model_type).matrices
    holds = partial(flag, config=config, model_type=model_type)
    whole = replace(family, matrices=(*towers, *family.matrices), ignored=(*multimodal().ignored, *family.ignored))
    matcher = Matcher(whole if towers else family, holds, "", tensors)
    found = {one for one in _of_family(family) if one != "otherwise"}
    found |= {"otherwise"} if resolve(family, model_type, config).layers else set()
    found |= {f"multimodal {what} of its own" for what, of in _own(multimodal()) if model_type in of}
    for name in tensors:
        match = matcher.match(name)
        if match is not None:
            fitting = (one for one in match.rule.names if compile_template(one, family.prefixes).fullmatch(name))
            found |= set(_of_rule(match.rule, next(fitting)))
    return found


def _own(within: Any) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return (("towers", within.ignored_of), ("layers", within.layers))


def _of_family(family: Family) -> Iterator[str]:
    yield f"family {family.name}"
    yield f"tied: {family.tied}"
    yield from (key for key in _OF_FAMILIES if getattr(family, key))
    yield from (one for dimension in family.dimensions for one in _of_dimension(dimension))


def _of_dimension(dimension: Dimension) -> Iterator[str]:
    yield from (f"dimension {key}" for key in _OF_DIMENSIONS if getattr(dimension, key))
    yield from (f"dimension by a key with {mark}" for mark in ".#" if any(mark in key for key in dimension.keys))


def _of_rules(rules: Iterable[MatrixRule | IgnoreRule]) -> Iterator[str]:
    yield from (one for rule in rules for template in rule.names for one in _of_rule(rule, template))


def _of_rule(rule: MatrixRule | IgnoreRule, template: str) -> Iterator[str]:
    yield from (f"{{{one}}}" for one in re.findall(r"\{([a-z]+)\}", template))
    if isinstance(rule, IgnoreRule):
        yield f"ignored {rule.rule}"
        yield from ["buffer"] if rule.buffer else []
        return
    where = f"{rule.stack} tower: " if rule.stack in TOWERS else ""
    yield from (f"{where}role {role}" for role in rule.roles)
    yield from (key for key in _OF_RULES if getattr(rule, key) and not where)
    if rule.packing:
        more = [key for key in ("experts", "transposed") if getattr(rule, key)]
        yield " ".join((f"{where}packing {rule.packing}", *more))
