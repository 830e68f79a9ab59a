"""A family's spec of the user's own, by ``--spec``: read as the ones shipped are, and as a stranger's, bounded.

Nothing in it is run or followed. What it ``extends`` is a family that is shipped, by name; sizes are sums of products
(`expressions`), names are templates (`templates`). The limits here keep both from taking long: templates become
patterns, which names that a stranger wrote are matched with.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from weightaudit.architecture.loader import BUG, parse_family
from weightaudit.architecture.registry import family_names, multimodal, shipped, text_of
from weightaudit.architecture.schema import Family
from weightaudit.errors import MappingError, SpecError, UsageError
from weightaudit.parse import SpecFile
from weightaudit.records import OTHER, ModelMap
from weightaudit.text import did_you_mean, listed, plural, printable

HINT = "docs/adding-a-family.md describes the format"
MAX_RULES, MAX_NAMES, MAX_ROLES = 1000, 5000, 64
"""Rules of a spec, names of all of them, and roles of one fused tensor."""
MAX_TEMPLATE, MAX_CHOICES, MAX_WORDS = 300, 2, 16
"""Characters of a name's template, its ``{one|other}`` placeholders, and words of one."""
MAX_SIZE_TEXT = 200
"""Characters of a size."""
MAX_TEXT = 500
"""Characters of a text that is shown."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PREFIX = re.compile(r"\w{1,100}\.")
_PARTIAL = re.compile(
    r"(?<=[^.])\{(?:layer|pair|stack|enc|module|rest)\}|\{(?:layer|pair|expert|stack|enc|module|rest)\}(?=[^.])"
)
"""A placeholder that does not end where a part of a name does; one for an expert may begin within one."""
_WORDS = re.compile(r"\{([^{}]*\|[^{}]*)\}")


@lru_cache(maxsize=16)
def read_spec(spec: SpecFile) -> Family:
    """The family that a file describes. UsageError, which names the file, the table and the key, for one that cannot
    be used.
    """
    bases: list[str] = []

    def extended(name: str) -> str:
        bases.append(name)
        return text_of(name)

    try:
        family = parse_family(spec.name, spec.text, extended, called_freely=True)
    except SpecError as error:
        hint = error.hint.removesuffix(BUG)
        raise _wrong(spec, error.thing.removeprefix(spec.name).strip(), error.cause, hint) from error
    except (ValueError, RecursionError) as error:  # a number of 10,000 digits, a list in a list in a list
        raise _wrong(spec, "", f"not TOML that can be read: {error}") from error
    for where, cause in _faults(family, [shipped(name) for name in bases]):
        raise _wrong(spec, where, cause)
    return family


def _wrong(spec: SpecFile, where: str, cause: str, hint: str = "") -> UsageError:
    thing = f"spec {printable(spec.name)}" + (f" {printable(where)}" if where else "")
    return UsageError(thing, printable(cause, 400), hint + HINT)


def _faults(family: Family, bases: Sequence[Family]) -> Iterator[tuple[str, str]]:
    """What a spec that the schema takes may not have where a stranger wrote it: where, and why.

    What it has of its ``bases``, the families that it extends, may be so.
    """
    if not _NAME.fullmatch(family.name):
        yield "name", "it must be lower-case letters, digits and _, 64 at most, a letter first"
    if family.name in family_names():
        yield "name", f"'{family.name}' is a family of weightaudit's own; give yours another name, and extend that one"
    words = (family.origin, family.note, family.config_name, *family.model_types)
    if wrong := [text for text in (*words, *(one.rule for one in family.ignored)) if text != printable(text, MAX_TEXT)]:
        yield f"'{wrong[0]}'", f"texts must be one line of printable characters, {MAX_TEXT} at most"
    if not any(family.prefixes == base.prefixes for base in bases):
        if wrong := [prefix for prefix in family.prefixes if not _PREFIX.fullmatch(prefix)]:
            yield "prefixes", f"'{wrong[0]}' must be one part of a name and its dot, for example 'model.'"
        if len(set(family.prefixes)) < len(family.prefixes):
            yield "prefixes", "one is named twice"
    names = _names(family)
    if len(family.matrices) + len(family.ignored) > MAX_RULES or len(names) > MAX_NAMES:
        yield "", f"it has more than {MAX_RULES:,} rules, or {MAX_NAMES:,} names"
    if any(len(one.roles) > MAX_ROLES or max(map(len, one.roles)) > MAX_ROLES for one in family.matrices):
        yield "roles", f"more than {MAX_ROLES} of one tensor, or characters of one"
    if OTHER in family.roles:
        yield "roles", f"{OTHER} is what weightaudit calls a matrix of no known role; give yours another name"
    sizes = [one.rule for one in family.dimensions]
    sizes += [size for one in family.matrices for size in (*one.rows, one.cols, one.experts)]
    if wrong := [size for size in sizes if len(size) > MAX_SIZE_TEXT]:
        yield f"size '{wrong[0]}'", f"it has more than {MAX_SIZE_TEXT} characters"
    known = {name for base in bases for name in _names(base)}
    for name in names:
        if name not in known and (why := _fault_of_template(name)):
            yield f"name '{name}'", why


def _names(family: Family) -> list[str]:
    """The templates of all its rules."""
    own = [name for rule in family.matrices for name in rule.names]
    return [*own, *(name for rule in family.ignored for name in rule.names)]


def _fault_of_template(name: str) -> str:
    choices = _WORDS.findall(name)
    if len(name) > MAX_TEMPLATE:
        return f"it has more than {MAX_TEMPLATE} characters"
    if len(choices) > MAX_CHOICES or any(words.count("|") >= MAX_WORDS for words in choices):
        return f"it has more than {MAX_CHOICES} placeholders of words, or one of more than {MAX_WORDS} words"
    if "{prefix}" in name[1:]:
        return "its {prefix} is not what it begins with"
    if _PARTIAL.search(name.replace("{prefix}", "")):
        return "a placeholder stands for less than a part of a name: put dots around it"
    return ""


def serves(spec: SpecFile, model_type: str, inner: str) -> bool:
    """Whether the spec is for models of that type, or there is none that says otherwise."""
    types = read_spec(spec).model_types
    return not model_type or model_type in types or (model_type in multimodal().types and inner in types)


def own_family(spec: SpecFile, model_type: str, inner: str) -> Family:
    """The family by which a model of that type is read. MappingError where the spec is for others."""
    family = read_spec(spec)
    if not serves(spec, model_type, inner):
        raise MappingError(
            f"spec {printable(spec.name)}",
            f"it is for model types {listed(map(printable, family.model_types), 5)}, and config.json says "
            f"{printable(model_type)}",
            did_you_mean(model_type, family.model_types) + f'Add "{printable(model_type)}" to its model_types',
        )
    inside = model_type and model_type not in family.model_types
    return multimodal().around(family, model_type) if inside else family


def read_by(spec: SpecFile, model_map: ModelMap) -> ModelMap:
    """``model_map`` with a note that says by which spec it was made, and what that does not know."""
    lines = [f"Roles were read by the spec {spec}, which --spec names, and by none of weightaudit's own."]
    left = [e.tensor for e in model_map.coverage if e.status == "unmapped" and len(e.shape) > 1]
    if left:
        have = "has" if len(left) == 1 else "have"
        named = listed(map(printable, left), 3, spare=1)
        lines.append(f"{plural(len(left), 'matrix', 'matrices')} {have} no role by it: {named}.")
    return replace(model_map, notes=(*model_map.notes, *lines), spec=str(spec))


def not_fitting(error: MappingError, spec: SpecFile, tensors: Collection[str]) -> MappingError:
    """``error`` of a map by a ``spec``, whose rules fit none of the ``tensors``."""
    return MappingError(
        f"spec {printable(spec.name)}",
        f"it does not fit these {plural(len(tensors), 'tensor')}: {error.thing}: {error.cause}",
        "`weightaudit archs --check MODEL --spec FILE` says of each tensor what it is by a spec that fits some",
    )
