"""adapter_config.json: what PEFT writes of an adapter, as untrusted as anything that is downloaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from weightaudit.checkpoint.small_reads import read_all
from weightaudit.errors import ConfigError
from weightaudit.source import Repository
from weightaudit.source.base import MAX_CONFIG
from weightaudit.strict_json import parse_object
from weightaudit.text import plural, printable

ADAPTER_CONFIG = "adapter_config.json"
HINT = "Get the adapter's own adapter_config.json again"
MAX_NUMBER = 1e9
"""Of alpha and r: a scale beyond it is no adapter's."""
MAX_TEXT = 300
"""Characters of the base model's name and of a module's; MAX_MODULES of these are told."""
MAX_MODULES = 100
VARIANTS = {
    "use_qalora": "QA-LoRA",
    "use_bdlora": "BD-LoRA",
    "kasa_config": "KaSA",
    "velora_config": "VeLoRA",
    "arrow_config": "Arrow",
    "monteclora_config": "MonteCLoRA",
    "megatron_config": "Megatron LoRA",
}
"""Entries that, where they are set, make PEFT compute something else of the two factors."""
CHANGING = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""How values of init_lora_weights begin that change the base's weights too."""
_PLAIN = re.compile(r"[\w.\-]+")
"""A module's path, as opposed to a regular expression; its points stand for themselves."""


@dataclass(frozen=True)
class Pattern:
    """Values for modules whose paths end in certain names; the first that fits counts.

    ``ends`` and ``whole`` give the number and the value of each name, of those that are to be the whole path apart.
    """

    ends: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    whole: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    def of(self, path: str) -> float | None:
        """The value for the module at ``path``; None where no name fits."""
        found = [known for known in (self.whole.get(path), self.ends.get(path)) if known is not None]
        at = path.find(".")
        while at >= 0 and self.ends:
            if (known := self.ends.get(path[at + 1 :])) is not None:
                found.append(known)
            at = path.find(".", at + 1)
        return min(found)[1] if found else None


@dataclass(frozen=True)
class PeftConfig:
    """What counts here of an adapter_config.json: ``kind`` is its peft_type in capitals, "" where it has none, and
    ``variant`` the name of a way of computing LoRA that is another than s·B·A.
    """

    kind: str
    variant: str
    rank: int | None
    alpha: float | None
    rslora: bool
    dora: bool
    ranks: Pattern
    alphas: Pattern
    base: str
    modules: tuple[str, ...]
    parameters: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_peft_config(repository: Repository) -> PeftConfig | None:
    """adapter_config.json beside the weights; None where there is none. ConfigError where it is unusable."""
    if ADAPTER_CONFIG not in repository.files():
        return None
    repository.fetch([ADAPTER_CONFIG])
    source = repository.open(ADAPTER_CONFIG)
    try:
        data = read_all(source, limit=MAX_CONFIG, error=ConfigError)
    finally:
        source.close()
    said = parse_object(data, thing=source.label, error=ConfigError, hint=HINT, machine_made=False)
    return peft_config(said, source.label)


def peft_config(said: Mapping[str, Any], label: str) -> PeftConfig:
    """The config ``said``, which messages call ``label``. ConfigError for numbers that are none."""
    kind = said.get("peft_type")
    ranks, unapplied = _pattern(said, "rank_pattern", label)
    alphas, more = _pattern(said, "alpha_pattern", label)
    rank = said.get("r")  # of the tensors' own, this is only told, and divides stacked ones
    known = isinstance(rank, int) and not isinstance(rank, bool) and 0 < rank <= MAX_NUMBER
    base = said.get("base_model_name_or_path")
    return PeftConfig(
        kind=kind.upper()[:MAX_TEXT] if isinstance(kind, str) else "",
        variant=next((name for key, name in VARIANTS.items() if said.get(key)), ""),
        rank=rank if known else None,
        alpha=_number(said.get("lora_alpha"), "lora_alpha", label),
        rslora=said.get("use_rslora") is True,
        dora=said.get("use_dora") is True,
        ranks=ranks,
        alphas=alphas,
        base=base[:MAX_TEXT] if isinstance(base, str) else "",
        modules=_names(said.get("target_modules")),
        parameters=_names(said.get("target_parameters")),
        notes=(*unapplied, *more, *_of_the_base(said)),
    )


def _number(value: object, key: str, label: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
        shown = printable(repr(value), 40) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
        raise ConfigError(label, f"{key} must be a number of at most {MAX_NUMBER:g}, it is {shown}", HINT)
    return float(value)


def _names(value: object) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(name[:MAX_TEXT] for name in listed[:MAX_MODULES] if isinstance(name, str))


def _pattern(said: Mapping[str, Any], key: str, label: str) -> tuple[Pattern, tuple[str, ...]]:
    """The values under ``key``, and a note on those whose names are regular expressions.

    PEFT matches ``(.*\\.)?(NAME)$`` at the path. A name of letters and points is compared as text, and so are several
    with | between them; a stranger's regular expression may take forever.
    """
    values = said.get(key)
    if values is None:
        return Pattern(), ()
    if not isinstance(values, Mapping):
        raise ConfigError(label, f"{key} must be an object, it is {printable(repr(values), 40)}", HINT)
    ends: dict[str, tuple[int, float]] = {}
    whole: dict[str, tuple[int, float]] = {}
    others: list[str] = []
    for number, (name, value) in enumerate(values.items()):
        told = _number(value, f"{key} of {printable(name, 60)}", label)
        if told is None or not math.isfinite(told):
            raise ConfigError(label, f"{key} of {printable(name, 60)} must be a number", HINT)
        for one in name.split("|"):
            plain = one.removeprefix("^").removesuffix("$")
            if not _PLAIN.fullmatch(plain):
                others.append(name)
                break
            (whole if one.startswith("^") else ends).setdefault(plain, (number, told))
    if not others:
        return Pattern(ends, whole), ()
    count = plural(len(others), "name")
    return Pattern(ends, whole), (
        f"{key} of {ADAPTER_CONFIG} has {count} that are regular expressions ({printable(others[0], 60)}): they were "
        "not applied, so scales of modules that they fit are not those that PEFT uses.",
    )


def _of_the_base(said: Mapping[str, Any]) -> Iterator[str]:
    """What the adapter is put on, where that is another thing than the model that it names."""
    started = said.get("init_lora_weights")
    if isinstance(started, str) and started.lower().startswith(CHANGING):
        yield (
            f"{ADAPTER_CONFIG} says that the adapter was started by {printable(started, 40)}, which takes what it puts "
            "into the factors out of the base's weights: unless it was converted when it was saved, s·B·A is not the "
            "whole change of the published model."
        )
    if said.get("layer_replication"):
        yield f"{ADAPTER_CONFIG} repeats layers of the base (layer_replication): layers are numbered as repeated."
