"""The families known: every ``specs/*.toml``, each read once, when first asked for."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from weightaudit.architecture.loader import parse_family, read_multimodal, read_reasons, read_towers
from weightaudit.architecture.multimodal import Multimodal
from weightaudit.architecture.schema import Family
from weightaudit.architecture.towers import Towers
from weightaudit.errors import SpecError, UsageError
from weightaudit.text import did_you_mean, printable


@cache
def families() -> tuple[Family, ...]:
    """All known families, by name.

    Example:
        >>> from weightaudit.architecture import families
        >>> "gpt2" in [family.name for family in families()]
        True
    """
    return tuple(sorted(map(_read, _texts()), key=lambda family: family.name))


@cache
def _texts() -> dict[str, str]:
    """The specs, by file name."""
    specs = [entry for entry in files(__package__).joinpath("specs").iterdir() if entry.name.endswith(".toml")]
    return {spec.name: spec.read_text("utf-8") for spec in specs}


@cache
def _read(spec: str) -> Family:
    texts = _texts()
    return parse_family(spec, texts[spec], lambda name: texts[f"{name}.toml"])


def _serving(model_type: str) -> Family | None:
    """The family of ``model_type``, by parsing none but the specs that have the word: all of them take 0.15 s."""
    named = (_read(spec) for spec, text in _texts().items() if f'"{model_type}"' in text)
    return next((known for known in named if model_type in known.model_types), None)


@cache
def _by_model_type() -> dict[str, Family]:
    table: dict[str, Family] = {}
    for known in families():
        for model_type in known.model_types:
            if model_type in table:
                raise SpecError(f"{known.name}.toml", f"{table[model_type].name} has model type '{model_type}' too")
            table[model_type] = known
    return table


@cache
def not_mapped() -> dict[str, str]:
    """Model types of transformers' language models that no family serves, and why; they are mapped by structure."""
    text = files(__package__).joinpath("not_mapped.toml").read_text("utf-8")
    return read_reasons("not_mapped.toml", text)


@cache
def multimodal() -> Multimodal:
    """Models that hold a language model of a family that is known."""
    text = files(__package__).joinpath("multimodal.toml").read_text("utf-8")
    return read_multimodal("multimodal.toml", text)


@cache
def layers_of_towers() -> Towers:
    """Towers for images and sound that may lie beside any language model."""
    text = files(__package__).joinpath("towers.toml").read_text("utf-8")
    return read_towers("towers.toml", text)


def model_types() -> tuple[str, ...]:
    """Every model type that a family serves, by itself or within a multimodal model."""
    return (*_by_model_type(), *multimodal().types)


def for_model_type(model_type: str, inner: str = "") -> Family | None:
    """The family that serves a config's model_type; None where none does.

    A multimodal model is served by the family of its language model, whose type ``inner`` is in the config.
    """
    own = _serving(model_type)
    if own is not None or model_type not in multimodal().types:
        return own
    within = _serving(inner or multimodal().types[model_type])
    return None if within is None else multimodal().around(within)


def family(name: str) -> Family:
    """A family by its own name or by a model type. Raises UsageError naming the nearest known names.

    Example:
        >>> from weightaudit.architecture import family
        >>> family("roberta").name
        'roberta'
    """
    table = {known.name: known for known in families()}
    found = table.get(name) or for_model_type(name)
    if found is not None:
        return found
    hint = did_you_mean(name.lower(), (*table, *model_types()), most=3)
    raise UsageError(f"family '{printable(name)}'", "not known", hint + "`weightaudit archs` lists the known families.")
