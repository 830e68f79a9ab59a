"""A family's spec from TOML, strictly: an unknown key, a wrong type or an undefined size is a SpecError."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from weightaudit.architecture import expressions, templates
from weightaudit.architecture.layouts import PACKINGS
from weightaudit.architecture.multimodal import Multimodal, tower_rules
from weightaudit.architecture.schema import ANY, Dimension, Family, IgnoreRule, MatrixRule, Otherwise
from weightaudit.architecture.towers import Tower, Towers
from weightaudit.errors import SpecError
from weightaudit.records import TOWERS
from weightaudit.text import did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_DIMENSION_KEYS = ("keys", "rule", "rule_if_missing", "optional", "open")
_OWN = ("name", "model_types", "remote", "origin", "note")
"""Keys that no spec takes from another."""
_LISTS = ("matrix", "fused", "ignored")
"""Rules: the spec's own come first, and the first that fits a name counts, fused before single ones."""
BUG = "This is a bug in weightaudit, not in your model; please report it."


class _Table:
    """One TOML table being read: values are asked for by key and type; a key the schema lacks is an error."""

    def __init__(self, where: str, values: Mapping[str, Any], keys: Collection[str]) -> None:
        self.where = where
        self.values = values
        for key in values:
            if key not in keys:
                raise self.error(f"unknown key '{key}'", did_you_mean(key, keys))

    def error(self, cause: str, hint: str = "") -> SpecError:
        return SpecError(self.where, cause, hint + BUG)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.error(f"key '{key}' must be a text")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(f"key '{key}' must be true or false")
        return value

    def texts(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        value = self.values.get(key, default)
        good = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        if not good or (default is None and not value):
            raise self.error(f"key '{key}' must be a list of texts")
        return tuple(value or ())

    def tables(self, key: str, keys: Collection[str]) -> list[_Table]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error(f"'{key}' must be written as [[{key}]] tables")
        return [_Table(f"{self.where} [[{key}]] {number}", item, keys) for number, item in enumerate(value, 1)]


_KEYS = (
    *("name", "extends", "model_types", "remote", "origin", "prefixes", "tied", "vectors", "hybrid", "note"),
    *("alternatives", "config_name"),
    *("dimensions", "otherwise", "matrix", "fused", "ignored"),
)
_RULE_KEYS = ("names", "rows", "cols", "transposed", "either", "stack", "experts", "when", "beside")


def parse_family(
    file_name: str, text: str, others: Callable[[str], str] | None = None, *, called_freely: bool = False
) -> Family:
    """The family that ``text`` (TOML) defines; ``file_name`` (``gpt2.toml``) names it in errors.

    ``others`` gives the text of the spec that it extends, by name; ``called_freely`` says that the file may be called
    otherwise than the family. Raises SpecError naming file and table for anything
    that the schema does not know.
    """

    def read(name: object) -> dict[str, Any]:
        if not isinstance(name, str):
            raise SpecError(file_name, "key 'extends' must be a text", BUG)
        if others is None:
            raise SpecError(file_name, f"'{name}' cannot be extended here", BUG)
        return _toml(f"{name}.toml", others(name))

    values = _inherit(_toml(file_name, text), read)
    table = _Table(file_name, values, _KEYS)
    dimensions = _dimensions(table)
    known = [dimension.name for dimension in dimensions]
    single = table.tables("matrix", ("role", "tied_to", "flat", *_RULE_KEYS))
    fused = table.tables("fused", ("roles", "packing", *_RULE_KEYS))
    family = Family(
        name=table.text("name"),
        model_types=table.texts("model_types"),
        origin=table.text("origin"),
        prefixes=table.texts("prefixes", []),
        tied=table.flag("tied") if "tied" in values else None,
        dimensions=dimensions,
        matrices=tuple([_fused(item, known) for item in fused] + [_matrix(item, known) for item in single]),
        ignored=tuple(_ignored(item, known) for item in table.tables("ignored", ("rule", "names", "buffer"))),
        vectors=table.flag("vectors", False),
        hybrid=table.flag("hybrid", False),
        alternatives=_alternatives(table),
        config_name=table.text("config_name", "config.json"),
        note=table.text("note", ""),
        remote=table.texts("remote", []),
        otherwise=_otherwise(table, known),
    )
    if not called_freely and file_name != f"{family.name}.toml":
        raise table.error(f"the file of family '{family.name}' must be called {family.name}.toml")
    if not family.matrices:
        raise table.error("no [[matrix]] and no [[fused]]")
    for model_type in family.remote:
        if model_type not in family.model_types:
            raise table.error(f"remote model type '{model_type}' is none of model_types")
    for rule in family.matrices:
        if rule.tied_to and rule.tied_to not in family.roles:
            raise table.error(f"{rule.roles[0]} is tied to {rule.tied_to}, which is no role of the family")
    return family


def _alternatives(table: _Table) -> tuple[tuple[str, ...], ...]:
    value = table.values.get("alternatives", [])
    if not isinstance(value, list) or not all(isinstance(one, list) and one for one in value):
        raise table.error("key 'alternatives' must be a list of lists of roles")
    return tuple(_roles(table, tuple(map(str, one))) for one in value)


def _otherwise(table: _Table, known: Collection[str]) -> Otherwise | None:
    if "otherwise" not in table.values:
        return None
    values = table.values["otherwise"]
    if not isinstance(values, dict):
        raise table.error("'otherwise' must be a table")
    item = _Table(f"{table.where} [otherwise]", values, ("key", "every", *known))
    rules = tuple((name, item.text(name)) for name in values if name not in ("key", "every"))
    for expression in (item.text("every"), *(rule for _, rule in rules)):
        _check_size(item, expression, known)
    return Otherwise(item.text("key"), item.text("every"), rules)


def _toml(file_name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(file_name, f"not TOML: {error}", BUG) from error


def read_reasons(file_name: str, text: str) -> dict[str, str]:
    """Model type → why no family serves it. Raises SpecError for what is no text."""
    values = _toml(file_name, text)
    table = _Table(file_name, values, tuple(values))
    return {key: table.text(key) for key in values}


def read_multimodal(file_name: str, text: str) -> Multimodal:
    """What the file says of models that hold a language model. Raises SpecError for what the schema does not know."""
    table = _Table(file_name, _toml(file_name, text), ("prefixes", "ignored", "ignored_of", "layers", "types"))
    parts: dict[str, _Table] = {}
    for key in ("ignored", "ignored_of", "layers", "types"):
        values = table.values.get(key, {} if key == "ignored_of" else None)
        if not isinstance(values, dict):
            raise table.error(f"'{key}' must be a table")
        parts[key] = _Table(f"{file_name} [{key}]", values, tuple(values))
    types = {key: parts["types"].text(key) for key in parts["types"].values}
    rules = _tower_rules(parts["ignored"])
    own = {one.where.rpartition(" ")[2]: _tower_rules(one) for one in _subtables(parts["ignored_of"])}
    layers = {key: parts["layers"].text(key) for key in parts["layers"].values}
    return Multimodal(types, table.texts("prefixes"), rules, layers, own)


def _subtables(table: _Table) -> list[_Table]:
    """The tables within one, each named after its key."""
    if not all(isinstance(value, dict) for value in table.values.values()):
        raise table.error("each value must be a table")
    return [_Table(f"{table.where} {key}", value, tuple(value)) for key, value in table.values.items()]


def _tower_rules(table: _Table) -> tuple[IgnoreRule, ...]:
    rules = tower_rules({rule: table.texts(rule) for rule in table.values})
    for name in (name for rule in rules for name in rule.names):
        wrong = templates.check(name)
        if wrong:
            raise table.error(wrong)
    return rules


def read_towers(file_name: str, text: str) -> Towers:
    """The towers that the file describes. Raises SpecError for what the schema does not know."""
    table = _Table(file_name, _toml(file_name, text), ("dimensions", "tower", "fused", "matrix"))
    dimensions = _dimensions(table)
    known = [dimension.name for dimension in dimensions]
    rules = [_fused(item, known) for item in table.tables("fused", ("roles", "packing", *_RULE_KEYS))]
    rules += [_matrix(item, known) for item in table.tables("matrix", ("role", *_RULE_KEYS))]
    towers = []
    for item in table.tables("tower", ("stack", "configs", "layers")):
        stack = item.text("stack")
        if stack not in TOWERS:
            raise item.error(f"'stack' must be {' or '.join(TOWERS)}")
        layers = item.texts("layers")
        matrices = [
            replace(rule, stack=stack, names=tuple(f"{layer}{name}" for layer in layers for name in rule.names))
            for rule in rules
        ]
        for name in (name for rule in matrices for name in rule.names):
            wrong = templates.check(name) or ("" if "{layer}" in name else f"'{name}' has no {{layer}}")
            if wrong:
                raise item.error(wrong)
        towers.append(Tower(stack, item.texts("configs"), tuple(matrices)))
    return Towers(dimensions, tuple(towers))


def _dimensions(table: _Table) -> tuple[Dimension, ...]:
    value = table.values.get("dimensions", {})
    if not isinstance(value, dict):
        raise table.error("'dimensions' must be a table")
    read: list[Dimension] = []
    for name, content in value.items():
        if not isinstance(content, dict):
            raise table.error(f"dimension '{name}' must be a table with 'keys'")
        item = _Table(f"{table.where} dimension '{name}'", content, _DIMENSION_KEYS)
        dimension = Dimension(
            name,
            item.texts("keys", [] if "rule" in content else None),
            item.text("rule", ""),
            item.flag("rule_if_missing", False),
            item.flag("optional", False),
            item.flag("open", False),
        )
        if not re.fullmatch(r"[a-z_]+", name) or name == ANY:
            raise item.error("a dimension's name is lower-case letters and _")
        if dimension.rule_if_missing and not dimension.rule:
            raise item.error("rule_if_missing needs a rule")
        if dimension.rule:
            _check_size(item, dimension.rule, [earlier.name for earlier in read])
        read.append(dimension)
    return tuple(read)


def _matrix(item: _Table, known: Collection[str]) -> MatrixRule:
    role, rows, cols = item.text("role"), item.text("rows"), item.text("cols")
    for size in (rows, cols):
        if size != ANY:
            _check_size(item, size, known)
    return MatrixRule(
        names=_names(item, known),
        roles=_roles(item, (role,)),
        rows=(rows,),
        cols=cols,
        transposed=item.flag("transposed", False),
        either=item.flag("either", False),
        tied_to=item.text("tied_to", ""),
        flat=item.flag("flat", False),
        stack=_stack(item),
        experts=_experts(item, known),
        when=_when(item),
        beside=_beside(item),
    )


def _fused(item: _Table, known: Collection[str]) -> MatrixRule:
    roles, rows, cols, packing = (
        item.texts("roles"),
        item.texts("rows"),
        item.text("cols"),
        item.text("packing"),
    )
    if len(roles) != len(rows) or len(set(roles)) != len(roles):
        raise item.error("'rows' must give one size for each of the different 'roles'")
    alike = set(rows) == {ANY}
    for size in (cols,) if alike else (*rows, cols):
        _check_size(item, size, known)
    if packing not in PACKINGS:
        raise item.error(f"unknown packing '{packing}'", did_you_mean(packing, PACKINGS))
    return MatrixRule(
        names=_names(item, known),
        roles=_roles(item, roles),
        rows=rows,
        cols=cols,
        transposed=item.flag("transposed", False),
        either=item.flag("either", False),
        packing=packing,
        stack=_stack(item),
        experts=_experts(item, known),
        when=_when(item),
        beside=_beside(item),
    )


def _stack(item: _Table) -> str:
    stack = item.text("stack", "")
    if stack not in ("", "encoder", "decoder"):
        raise item.error("'stack' must be encoder or decoder")
    return stack


def _experts(item: _Table, known: Collection[str]) -> str:
    experts = item.text("experts", "")
    if experts:
        _check_size(item, experts, known)
    return experts


def _when(item: _Table) -> tuple[str, ...]:
    flags = item.texts("when", [])
    for flag in flags:
        if not re.fullmatch(r"(not )?[a-z_0-9.]+", flag):
            raise item.error(f"'{flag}' is no flag of a config, nor 'not' and one")
    return flags


def _ignored(item: _Table, known: Collection[str]) -> IgnoreRule:
    return IgnoreRule(item.text("rule"), _names(item, known), item.flag("buffer", False))


def _names(item: _Table, known: Collection[str]) -> tuple[str, ...]:
    names = item.texts("names")
    for name in names:
        wrong = templates.check(name)
        if wrong:
            raise item.error(wrong)
        numbered = next((word for word in ("{layer}", "{pair}") if word in name), "")
        if numbered and "layers" not in known:
            raise item.error(f"'{numbered}' needs a dimension 'layers'")
    return names


def _beside(item: _Table) -> tuple[str, ...]:
    others = item.texts("beside", [])
    if others and not all("{layer}" in name for name in item.texts("names")):
        raise item.error("'beside' is of tensors in the same layer, so each of 'names' needs {layer}")
    return others


def _roles(item: _Table, roles: tuple[str, ...]) -> tuple[str, ...]:
    for role in roles:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", role):
            raise item.error(f"role '{role}' must be upper case")
    return roles


def _check_size(item: _Table, expression: str, known: Collection[str]) -> None:
    wrong = expressions.check(expression, known)
    if wrong:
        raise item.error(wrong)


def _inherit(values: Mapping[str, Any], read: Callable[[object], Mapping[str, Any]]) -> dict[str, Any]:
    """``values`` (a spec as TOML gives it) completed by the spec it extends, which ``read`` gives by name.

    Dimensions keep the base's order, new ones come last, but for those that the rule of a restated one names. What is
    of a wrong type is left for the schema to refuse.
    """
    if "extends" not in values:
        return dict(values)
    base = _inherit(read(values["extends"]), read)
    merged = {key: value for key, value in base.items() if key not in _OWN}
    for key, value in values.items():
        inherited = merged.get(key)
        if key in _LISTS and isinstance(value, list) and isinstance(inherited, list):
            merged[key] = [*value, *inherited]
        elif key == "dimensions" and isinstance(value, dict) and isinstance(inherited, dict):
            merged[key] = {**_needed_by_restated(inherited, value), **inherited, **value}
        elif key != "extends":
            merged[key] = value
    return merged


def _needed_by_restated(inherited: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The new ones of ``own`` dimensions that rules of its inherited ones name."""
    rules = (str(own[name].get("rule", "")) for name in own if name in inherited and isinstance(own[name], dict))
    named = {name for rule in rules for name in expressions.names_in(rule)}
    return {name: content for name, content in own.items() if name in named and name not in inherited}
