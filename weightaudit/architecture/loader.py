"""A family's spec from TOML, strictly: an unknown key, a wrong type or an undefined size is a SpecError."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Collection, Mapping
from typing import Any

from weightaudit.architecture import expressions, templates
from weightaudit.architecture.schema import ANY, Dimension, Family, IgnoreRule, MatrixRule
from weightaudit.architecture.views import PACKINGS
from weightaudit.errors import SpecError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HINT = "This is a bug in weightaudit, not in your model; please report it."


class _Table:
    """One TOML table being read: values are asked for by key and type; a key the schema lacks is an error."""

    def __init__(self, where: str, values: Mapping[str, Any], keys: Collection[str]) -> None:
        self.where = where
        self.values = values
        for key in values:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
                raise self.error(f"unknown key '{key}'" + (f", did you mean '{near[0]}'?" if near else ""))

    def error(self, cause: str) -> SpecError:
        return SpecError(self.where, cause, _HINT)

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


def parse_family(file_name: str, text: str) -> Family:
    """The family that ``text`` (TOML) defines; ``file_name`` (``gpt2.toml``) names it in errors.

    Raises SpecError naming file and table for anything that the schema does not know.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(file_name, f"not TOML: {error}", _HINT) from error
    keys = ("name", "model_types", "origin", "prefixes", "tied", "dimensions", "matrix", "fused", "ignored")
    table = _Table(file_name, values, keys)
    dimensions = _dimensions(table)
    known = [dimension.name for dimension in dimensions]
    single = table.tables("matrix", ("role", "names", "rows", "cols", "transposed", "tied_to"))
    fused = table.tables("fused", ("roles", "names", "rows", "cols", "transposed", "packing"))
    family = Family(
        name=table.text("name"),
        model_types=table.texts("model_types"),
        origin=table.text("origin"),
        prefixes=table.texts("prefixes", []),
        tied=table.flag("tied"),
        dimensions=dimensions,
        matrices=tuple([_matrix(item, known) for item in single] + [_fused(item, known) for item in fused]),
        ignored=tuple(_ignored(item, known) for item in table.tables("ignored", ("rule", "names", "buffer"))),
    )
    if file_name != f"{family.name}.toml":
        raise table.error(f"the file of family '{family.name}' must be called {family.name}.toml")
    if not family.matrices:
        raise table.error("no [[matrix]] and no [[fused]]")
    for rule in family.matrices:
        if rule.tied_to and rule.tied_to not in family.roles:
            raise table.error(f"{rule.roles[0]} is tied to {rule.tied_to}, which is no role of the family")
    return family


def _dimensions(table: _Table) -> tuple[Dimension, ...]:
    value = table.values.get("dimensions", {})
    if not isinstance(value, dict):
        raise table.error("'dimensions' must be a table")
    read: list[Dimension] = []
    for name, content in value.items():
        if not isinstance(content, dict):
            raise table.error(f"dimension '{name}' must be a table with 'keys'")
        item = _Table(f"{table.where} dimension '{name}'", content, ("keys", "rule", "rule_if_missing"))
        dimension = Dimension(name, item.texts("keys"), item.text("rule", ""), item.flag("rule_if_missing", False))
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
        tied_to=item.text("tied_to", ""),
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
    for size in (*rows, cols):
        _check_size(item, size, known)
    if packing not in PACKINGS:
        near = difflib.get_close_matches(packing, PACKINGS, n=1)
        raise item.error(f"unknown packing '{packing}'" + (f", did you mean '{near[0]}'?" if near else ""))
    return MatrixRule(
        names=_names(item, known),
        roles=_roles(item, roles),
        rows=rows,
        cols=cols,
        transposed=item.flag("transposed", False),
        packing=packing,
    )


def _ignored(item: _Table, known: Collection[str]) -> IgnoreRule:
    return IgnoreRule(item.text("rule"), _names(item, known), item.flag("buffer", False))


def _names(item: _Table, known: Collection[str]) -> tuple[str, ...]:
    names = item.texts("names")
    for name in names:
        wrong = templates.check(name)
        if wrong:
            raise item.error(wrong)
        if "{layer}" in name and "layers" not in known:
            raise item.error("'{layer}' needs a dimension 'layers'")
    return names


def _roles(item: _Table, roles: tuple[str, ...]) -> tuple[str, ...]:
    for role in roles:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", role):
            raise item.error(f"role '{role}' must be upper case")
    return roles


def _check_size(item: _Table, expression: str, known: Collection[str]) -> None:
    wrong = expressions.check(expression, known)
    if wrong:
        raise item.error(wrong)
