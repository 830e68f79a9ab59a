"""Every default, once, with its unit beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from weightaudit.options import option, options_of, types_of
from weightaudit.parse import (
    SpecFile,
    as_typed,
    parse_base,
    parse_baseline,
    parse_bytes,
    parse_layers,
    parse_roles,
    parse_selectors,
    parse_severities,
    parse_share,
    parse_spec,
    parse_spectrum,
    parse_value,
)
from weightaudit.redact import without_secrets

Method = Literal["auto", "exact", "krylov"]
METHODS: tuple[Method, ...] = ("auto", "exact", "krylov")
Spectra = Literal[False, True, "full"]
"""How much is wanted of the singular values beyond σ₁: nothing, what its passes say anyway, all of them."""
SPECTRA: tuple[Spectra, ...] = (False, True, "full")


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """What a scan is asked to do. ``AuditConfig()`` is the default scan.

    The options that change numbers or findings are written into every JSON report.
    """

    roles: tuple[str, ...] | None = option(
        None,
        help="Roles to analyse, for example Q,K,M1.",
        panel="Selection",
        default_text="all",
        parse=parse_roles,
        changes_results=True,
        in_lists=True,
        in_settings=True,
    )
    layers: tuple[int, ...] | None = option(
        None,
        help="Layers to analyse, for example 0-5,11 (from 0).",
        panel="Selection",
        default_text="all",
        parse=parse_layers,
        changes_results=True,
        in_lists=True,
        in_settings=True,
    )
    """Layer numbers to analyse, from 0; None is all, and matrices outside the layers too."""
    all: bool = option(
        False,
        help="Also measure matrices whose role is not known, as OTHER: those of any checkpoint, with or without a "
        "config.json, of images, sound or anything else.",
        panel="Selection",
        changes_results=True,
        adds=True,
        in_lists=True,
    )
    """Whether matrices without a role are measured too; then any checkpoint is read, whatever its config says."""
    spec: SpecFile | None = option(
        None,
        help="A spec of your own, a TOML file, that says which tensor is which matrix; it comes before the families "
        "that are known.",
        panel="Selection",
        parse=parse_spec,
        changes_results=True,
        adds=True,
        in_lists=True,
    )
    """An architecture spec, as `weightaudit.parse.parse_spec` reads it from a file."""
    method: Method = option(
        "auto",
        help="How σ₁ is computed.",
        panel="Measurement",
        choices=METHODS,
        changes_results=True,
        in_lists=True,
    )
    """How the spectral norm is computed; "auto" takes the cheaper route by shape."""
    tol: float = option(
        1e-2,
        help="Relative width of the certified interval on σ₁².",
        panel="Measurement",
        changes_results=True,
        in_lists=True,
    )
    """Relative width of the certified interval on σ₁² (dimensionless)."""
    delta: float = option(
        1e-6,
        help="Probability, per matrix, that an upper end is too low.",
        panel="Measurement",
        changes_results=True,
        in_lists=True,
    )
    seed: int = option(0, help="Seed of the random starts.", panel="Measurement", changes_results=True, in_lists=True)
    """Seed of the random starts; each matrix draws from (seed, its own name, its own entries)."""
    spectrum: Spectra = option(
        False,
        help="Also estimate the spectrum: leading singular values, density, effective rank. With 'full' behind it all "
        "singular values are computed, at their cost, with the power law of their tail, the random matrix of the "
        "same shape beside them, and the same entries shuffled.",
        panel="Measurement",
        parse=parse_spectrum,
        may_have=("full",),
        changes_results=True,
        in_lists=True,
    )
    """Whether leading singular values, density and effective ranks are wanted too, from the same passes, ten at least;
    "full" asks for every singular value, which takes a dense eigensolver."""
    heads: bool = option(
        False,
        help="Also measure each head of attention: norms of its Q, K, V and O, how large its logits can be, what it "
        "writes.",
        panel="Measurement",
        changes_results=True,
        adds=True,
        in_lists=True,
    )
    """Whether each head of attention is measured too, by what is read anyway."""
    base: str | None = option(
        None,
        help="The model that this one was made from, a directory, a weight file or a Hub id, quantised or not: how far "
        "each matrix is from the same one there, and the weights that an adapter makes of it.",
        panel="Measurement",
        parse=parse_base,
        changes_results=True,
        adds=True,
    )
    """The model to compare each matrix with, as `open_checkpoint` takes it; of a Hub model its default branch."""
    ignore: tuple[str, ...] = option(
        (),
        help="Findings that do not count: a rule's id (see 'weightaudit rules'), with a colon and a place only those "
        "there, for example untrained:POOLER, outlier-norm:decoder layer 3 M1 or dead-rows:tensor=*.c_fc.weight. May "
        "be given several times.",
        panel="Findings",
        parse=parse_selectors,
        many=True,
        changes_results=True,
        in_lists=True,
        in_settings=True,
    )
    severity: tuple[str, ...] = option(
        (),
        help="Another severity for a rule's findings, or for those at a place: untrained=error, "
        "untrained:POOLER=info, pickle=off. May be given several times; the last that fits counts.",
        panel="Findings",
        parse=parse_severities,
        many=True,
        changes_results=True,
        judges=True,
        in_lists=True,
        in_settings=True,
    )
    min_coverage: float | None = option(
        None,
        help="Least share of the matrices' parameters that must be measured, from 0 to 1, below which low-coverage is "
        "an error; partial scans are judged by it too.",
        panel="Findings",
        default_text="0.5, of whole scans",
        parse=parse_share,
        changes_results=True,
        judges=True,
        in_lists=True,
        in_settings=True,
    )
    """Least share of the matrices' parameters, from 0 to 1; None is 0.5 in whole scans, and none in partial ones."""
    baseline: str | None = option(
        None,
        help="A JSON report of an earlier scan: findings that it has too are known, and do not count for --fail-on; an "
        "empty text is none, whatever a file of settings says.",
        panel="Findings",
        parse=parse_baseline,
        changes_results=True,
        judges=True,
        in_settings=True,
    )
    """Path of an earlier report as JSON."""
    device: str = option(
        "cpu",
        help="Where to compute: cpu, cuda, cuda:1.",
        panel="Measurement",
        changes_results=True,
        in_lists=True,
    )
    threads: int | None = option(
        None, help="Compute threads.", panel="Measurement", least=1, default_text="the cores there are"
    )
    memory: int | None = option(
        None,
        help="Weights held in memory at once, for example 2GB.",
        panel="Measurement",
        default_text="the largest tensor, as much again up to 1 GB, and 128 MB",
        parse=parse_bytes,
        in_lists=True,
    )
    """Bytes of weights held at once; None is the largest tensor, as much again up to 1 GB, and some 128 MB."""
    revision: str | None = option(
        None, help="Branch, tag or commit of a Hub model.", panel="Hub", default_text="the default branch"
    )
    token: str | None = option(None, repr=False, help="Hub access token.", panel="Hub", envvar="HF_TOKEN")
    """Hub access token; None lets huggingface_hub find one. Never written anywhere."""
    offline: bool = option(False, help="Use only local files and the local Hugging Face cache.", panel="Hub")
    download: bool = option(
        False,
        help="Download a Hub model into the Hugging Face cache first; else it is streamed and not kept.",
        panel="Hub",
        in_lists=True,
    )
    max_wait: float = option(
        120.0, help="Seconds to wait for a network that makes no progress, all retries included.", panel="Hub"
    )

    def with_written(self, written: Mapping[str, Any]) -> AuditConfig:
        """This with options as people write them: ``roles="Q,K"``, ``memory="2GB"``. UsageError; TypeError for a name
        that is none.
        """
        known, types = options_of(self), types_of(AuditConfig)
        read = {
            name: parse(value) if (parse := known[name].parse) else as_typed(name, value, types[name])
            for name, value in written.items()
        }
        return replace(self, **read)

    def with_text(self, name: str, text: str) -> AuditConfig:
        """This with one option as a line of a model list has it: ``tol``, ``1e-3``. UsageError."""
        parse = options_of(self)[name].parse
        value: Any = parse(text) if parse else parse_value(name, text, types_of(AuditConfig)[name])
        return replace(self, **{name: value})

    def result_options(self) -> dict[str, Any]:
        """The options that numbers and findings depend on, by name, but for those that add numbers and are not set.
        ``threads`` moves no more than a last digit.
        """
        return {
            name: value
            for name, known in options_of(self).items()
            if known.changes_results and ((value := getattr(self, name)) or not known.adds)
        }

    def gate_options(self) -> dict[str, Any]:
        """Of these the options that findings alone depend on; ``ignore`` is with the others, where it always was."""
        return {name: getattr(self, name) for name, known in options_of(self).items() if known.judges}


DEFAULTS = AuditConfig()
OF_A_SUM = ("memory", "token", "offline", "download", "max_wait")
"""Options that a linear merge has: it reads models, and measures nothing."""
NOT_OF_A_DIFFERENCE = ("spectrum", "heads", "base", "min_coverage", "baseline", "revision", "all", "spec")
"""Options that a difference of two models does not have: it is of two, each with a revision of its own."""
NOT_OF_A_MERGE = (*NOT_OF_A_DIFFERENCE, "method", "tol", "delta", "device")
"""Options that a check of a merge does not have: it measures no spectral norm, and computes on the CPU."""


def as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name as JSON has them; what is left open is None. Of addresses what may be shown is there."""

    def shown(value: Any) -> Any:
        return without_secrets(str(value)) if isinstance(value, (str, SpecFile)) else value

    return {
        name: list(map(shown, value)) or None if isinstance(value, tuple) else shown(value)
        for name, value in options.items()
    }
