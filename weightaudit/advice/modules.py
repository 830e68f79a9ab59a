"""The modules of a scanned model, as training libraries know them, each with the matrices that were measured of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from weightaudit.architecture import family
from weightaudit.config import SPECTRA, Spectra
from weightaudit.errors import UsageError
from weightaudit.records import LAYER_ROLES, TOWERS, LayerRow, ScanResult
from weightaudit.text import did_you_mean, listed, plural, printable

By = Literal["stable_rank", "entropy_effective_rank", "alpha"]
MEASURES: tuple[By, ...] = get_args(By)
"""What advice may go by."""
OPTION: dict[By, str] = {"stable_rank": "", "entropy_effective_rank": "--spectrum", "alpha": "--spectrum full"}
"""With which option a scan measures it."""
MEASURED_BY: dict[By, tuple[Spectra, ...]] = {
    "stable_rank": SPECTRA,
    "entropy_effective_rank": (True, "full"),
    "alpha": ("full",),
}
"""The values of that option with which it does."""
WEIGHT = ".weight"
BESIDE_TOWERS = "model.language_model."
"""Under which transformers has the layers of a language model that stands beside towers, whatever its files say."""
_LANGUAGE = re.compile(r"^(language_model\.model|model)\.(?=layers\.)")
_NUMBER = re.compile(r"(?<![^.])[0-9]+(?![^.])")


@dataclass(frozen=True)
class Module:
    """A module of the model: ``name`` is its path, ``rows`` are the matrices that its weight holds, (out, in) is its
    ``shape``. ``whole`` is its weight as one matrix, None where only parts of it were measured. ``loaded`` is its path
    in the model that transformers makes of the files; ``short`` what is left of it without what a model may have before
    it and its bare part has not, the same where other tensors' names end so, too.
    """

    name: str
    rows: tuple[LayerRow, ...]
    shape: tuple[int, int]
    whole: LayerRow | None
    loaded: str
    short: str

    @property
    def kind(self) -> str:
        """Its name, numbers apart: the same in each layer."""
        return _NUMBER.sub("*", self.name)

    def measure(self, by: By) -> float:
        """Its number; of a weight that was measured in parts alone the largest of theirs. NaN where there is none."""
        found = [number_of(row, by) for row in ([self.whole] if self.whole else self.rows)]
        return max((number for number in found if not math.isnan(number)), default=math.nan)


@dataclass(frozen=True)
class Modules:
    """``found`` in report order; ``notes`` say what was left out."""

    found: tuple[Module, ...]
    notes: tuple[str, ...] = ()


def modules_of(result: ScanResult, roles: Sequence[str] | None = None) -> Modules:
    """The modules that hold matrices of the layers, or of the ``roles`` wherever they are.

    UsageError where the names of the scan are not those of modules, where a role is none of the model, and where there
    is no such module.
    """
    _check_names(result)
    check_roles(result, roles)
    plain = dict(zip(result.map.wrapping.names, result.map.wrapping.plain, strict=True)) if result.map.wrapping else {}
    sizes = {entry.tensor: entry.parameters for entry in result.coverage_entries}
    held: dict[str, list[LayerRow]] = {}
    odd: list[str] = []
    for row in result.rows:
        wanted = row.matrix.role in roles if roles else row.matrix.layer is not None and row.matrix.role in LAYER_ROLES
        if not wanted or len(row.matrix.tensors) > 1:
            continue
        (name,) = row.matrix.tensors
        # Of files that have a tensor for each expert transformers makes models that have one for all.
        alone = row.matrix.expert is None and all(part.index is None for part in row.matrix.parts)
        if not (alone and name.endswith(WEIGHT)):
            odd.append(name)
        else:
            held.setdefault(name, []).append(row)
    found = []
    towers = any(row.matrix.stack in TOWERS for row in result.rows)
    for name, rows in held.items():
        whole = next((row for row in rows if row.matrix.parameters == sizes.get(name)), None)
        others = [row for row in rows if row is not whole] or rows
        shape = whole.matrix.shape if whole else (sum(row.matrix.shape[0] for row in others), rows[0].matrix.shape[1])
        own = plain.get(name, name).removesuffix(WEIGHT)
        loaded = _LANGUAGE.sub(BESIDE_TOWERS, own) if towers else own
        found.append(Module(own, tuple(rows), shape, whole, loaded, loaded))
    if not found:
        raise UsageError("advice", "no module holds such matrices alone", f"Name others with --roles. {_roles(result)}")
    odd = list(dict.fromkeys(odd))
    note = (
        f"Left out, for they are no weight of one module: {listed(map(printable, odd), 3, spare=1)} "
        f"({plural(len(odd), 'tensor')})."
    )
    if not towers:
        found = _shortened(found, [plain.get(name, name) for name in sizes], prefixes_of(result))
    return Modules(tuple(found), (note,) if odd else ())


def prefixes_of(result: ScanResult) -> tuple[str, ...]:
    """What names of a model of that family may begin with; nothing is known where the map was guessed or told."""
    return () if result.map.guessed or result.map.spec else family(result.map.family).prefixes


def _shortened(modules: Sequence[Module], tensors: Iterable[str], prefixes: Sequence[str]) -> list[Module]:
    """The ``modules`` with their short names, by which no other of the ``tensors`` would be taken for one of them."""
    short: dict[str, str] = {}
    for module in modules:
        prefix = next((one for one in prefixes if one.endswith(".") and module.name.startswith(one)), "")
        short[module.name.removeprefix(prefix)] = module.name
    depths = {name.count(".") + 1 for name in short}
    several = set()
    for tensor in tensors:
        own = tensor.removesuffix(WEIGHT)
        for depth in depths:
            end = ".".join(own.rsplit(".", depth)[-depth:])
            if short.get(end, own) != own:
                several.add(end)
    names = {own: end for end, own in short.items() if end not in several}
    return [replace(module, short=names.get(module.name, module.name)) for module in modules]


def check_roles(result: ScanResult, roles: Sequence[str] | None) -> None:
    """UsageError where one of the ``roles`` is none of the scan's matrices."""
    known = list(dict.fromkeys(row.matrix.role for row in result.rows))
    for role in roles or ():
        if role not in known:
            hint = did_you_mean(role, known) + _roles(result)
            raise UsageError(f"role '{printable(role)}'", "the report has no such role", hint)


def _roles(result: ScanResult) -> str:
    return f"It has {listed(dict.fromkeys(row.matrix.role for row in result.rows))}"


def _check_names(result: ScanResult) -> None:
    if result.identity.adapter is not None:
        raise UsageError("advice", "the report is of an adapter", "Scan the model that it changes")
    if result.map.family == "gguf":
        cause = "names of a GGUF file are not those of a model's modules"
        raise UsageError("advice", cause, "Scan the safetensors or PyTorch files of the model")


def number_of(row: LayerRow, by: By) -> float:
    """What was measured of a matrix: a rank, or α of its tail where that is a power law; NaN where it is not known."""
    spectrum = row.spectrum
    if by == "stable_rank":
        return spectrum.stable_rank
    if by == "entropy_effective_rank":
        return spectrum.detail.entropy_effective_rank if spectrum.detail else math.nan
    tail = spectrum.full.tail if spectrum.full else None
    return tail.alpha if tail and tail.fits else math.nan


def check_measure(result: ScanResult, by: str) -> By:
    """``by`` as one of `MEASURES`. UsageError for another, and where the scan did not measure it."""
    known = next((one for one in MEASURES if one == by), None)
    if known is None:
        raise UsageError(f"by '{printable(by)}'", f"it is none of {listed(MEASURES)}", did_you_mean(by, MEASURES))
    if known == "entropy_effective_rank" and not any(row.spectrum.detail for row in result.rows):
        raise UsageError(f"advice by {known}", "the report has no spectra", f"Scan with {OPTION[known]}")
    if known == "alpha" and not any(row.spectrum.full for row in result.rows):
        raise UsageError(f"advice by {known}", "the report has no whole spectra", f"Scan with {OPTION[known]}")
    return known


def check_asked(by: By, spectrum: Spectra) -> None:
    """UsageError where a scan with that ``spectrum`` will not measure what advice is to go ``by``."""
    if spectrum not in MEASURED_BY[by]:
        raise UsageError(f"advice by {by}", "the scan would not measure it", f"Add {OPTION[by]}")
