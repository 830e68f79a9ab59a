"""The families known: every ``specs/*.toml``, each read once, when it is first asked for."""

from __future__ import annotations

from functools import cache, lru_cache
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
    return tuple(sorted(map(_read, _specs()), key=lambda family: family.name))


@cache
def _specs() -> dict[str, str]:
    """File name → text."""
    specs = [entry for entry in files(__package__).joinpath("specs").iterdir() if entry.name.endswith(".toml")]
    return {spec.name: spec.read_text("utf-8") for spec in specs}


def family_names() -> tuple[str, ...]:
    """The names of all known families; no spec is read for it."""
    return tuple(sorted(name.removesuffix(".toml") for name in _specs()))


def text_of(name: str) -> str:
    """The spec of a known family as TOML. SpecError where none is called so."""
    text = _specs().get(f"{name}.toml")
    if text is None:
        cause = f"'extends' names '{printable(name)}', which is no known family"
        raise SpecError("", cause, did_you_mean(name, family_names(), most=3))
    return text


@cache
def _read(file_name: str) -> Family:
    return parse_family(file_name, _specs()[file_name], text_of)


def shipped(name: str) -> Family:
    """The family of that name, which is known."""
    return _read(f"{name}.toml")


def _serving(model_type: str) -> Family | None:
    """The family that has the model type itself. To read all specs takes longer than to scan a small model, so only
    those are read in whose text it stands."""
    wanted, extended = f'"{model_type}"', f'extends = "{model_type}"'
    texts = ((name, text) for name, text in _specs().items() if wanted in text)
    mentioned = [_read(name) for name, text in texts if wanted in text.replace(extended, "")]
    serving = [known for known in mentioned if model_type in known.model_types]
    if len(serving) > 1:
        raise SpecError(f"{serving[1].name}.toml", f"{serving[0].name} has model type '{model_type}' too")
    return serving[0] if serving else None


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
    return (*(own for known in families() for own in known.model_types), *multimodal().types)


@lru_cache(maxsize=256)
def for_model_type(model_type: str, inner: str = "") -> Family | None:
    """The family that serves a config's model_type; None where none does.

    A multimodal model is served by the family of its language model, whose type ``inner`` is in the config.
    """
    own = _serving(model_type)
    if own is not None or model_type not in multimodal().types:
        return own
    within = _serving(inner or multimodal().types[model_type])
    return None if within is None else multimodal().around(within, model_type)


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
