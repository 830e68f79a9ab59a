"""Synthetic reports: realistic ones and the odd ones, built without reading a model."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from weightaudit import ScanReport
from weightaudit.records import (
    CoverageEntry,
    Finding,
    LayerRow,
    ModelIdentity,
    ModelMap,
    Part,
    RoleMatrix,
    SourceFile,
    Spectrum,
)

HOSTILE = "<img src=x onerror=document.title='pwned'>"
HOSTILE_NAMES = (
    HOSTILE,
    "</script><script>document.title='pwned'</script>",
    "\"><svg onload=document.title='pwned'>",
    "<!--<script>",
    '=HYPERLINK("http://example.invalid","x")',
    "line\nbreak,comma;\rsemi",
    "bidi\u202eevil\u2066",
    "null\x00bell\x07",
    "sep\u2028par\u2029",
    "lone\ud800surrogate",
    "<b>bold</b>&amp;%{x}",
)
OPTIONS = {"method": "auto", "tol": 0.01, "delta": 1e-6, "seed": 0, "device": "cpu", "threads": 2}
VERSIONS = {"weightaudit": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6", "python": "3.11.9"}


def spectrum(
    frob: float, stable_rank: float, *, width: float = 0.0, method: str = "exact", **changes: object
) -> Spectrum:
    """A consistent Spectrum whose stable rank is at most ``stable_rank``; ``width`` is relative, on σ₁²."""
    sigma = frob / math.sqrt(stable_rank)
    result = Spectrum(
        frobenius_norm=frob,
        spectral_norm=sigma,
        spectral_norm_upper=sigma * math.sqrt(1 + width),
        stable_rank=stable_rank,
        stable_rank_lower=stable_rank / (1 + width),
        norm_ratio=math.sqrt(stable_rank),
        method=method,
        passes=1 if method == "exact" else 14,
        converged=True,
        nonfinite=0,
        zeros=0,
        max_abs=frob / 60,
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def nan_spectrum(nonfinite: int = 3) -> Spectrum:
    """What is measured of a matrix that holds NaN."""
    nan = math.nan
    return Spectrum(nan, nan, nan, nan, nan, nan, "exact", 1, False, nonfinite, 0, 0.5)


def matrix(
    role: str,
    layer: int | None,
    shape: tuple[int, int],
    *tensors: str,
    stack: str = "",
    expert: int | None = None,
    dtype: str = "float32",
) -> RoleMatrix:
    return RoleMatrix(stack, layer, expert, role, tuple(Part(name) for name in tensors), shape, dtype)


def entry(name: str, shape: tuple[int, ...], status: str = "analysed", detail: str = "", *roles: str) -> CoverageEntry:
    return CoverageEntry(name, shape, "float32", math.prod(shape), status, detail, roles)  # type: ignore[arg-type]


def summary(rows: tuple[LayerRow, ...], coverage: tuple[CoverageEntry, ...]) -> dict[str, object]:
    """The summary as the audit room computes it, over finite rows."""
    finite = [row for row in rows if math.isfinite(row.spectrum.stable_rank)]
    roles = dict.fromkeys(row.matrix.role for row in finite)
    by_role = {role: [row.spectrum for row in finite if row.matrix.role == role] for role in roles}

    def harmonic(spectra: list[Spectrum]) -> float | None:
        return len(spectra) / sum(1 / s.stable_rank for s in spectra) if spectra else None

    def spread(norms: list[float]) -> dict[str, float]:
        return {
            "min": min(norms),
            "max": max(norms),
            "mean": sum(norms) / len(norms),
            "ratio": max(norms) / min(norms),
        }

    total = sum(item.parameters for item in coverage)
    analysed = sum(item.parameters for item in coverage if item.status == "analysed")
    return {
        "parameters": total,
        "parameters_analysed": analysed,
        "share_analysed": analysed / total if total else None,
        "tensors": len(coverage),
        "matrices": len(rows),
        "dtypes": {"float32": total},
        "stable_rank_harmonic_mean": {
            "all": harmonic([row.spectrum for row in finite]),
            **{role: harmonic(spectra) for role, spectra in by_role.items()},
        },
        "norm_spread": {role: spread([s.frobenius_norm for s in spectra]) for role, spectra in by_role.items()},
        "norm_preservation": {"median": 1.31, "max": 1.62} if finite else {"median": None, "max": None},
        "nonfinite": sum(row.spectrum.nonfinite for row in rows),
        "zeros": sum(row.spectrum.zeros or 0 for row in rows),
        "not_converged": sum(not row.spectrum.converged for row in rows),
    }


def report_of(
    rows: list[LayerRow],
    coverage: list[CoverageEntry],
    *,
    name: str = "bert-base-uncased",
    revision: str = "86b5e0934494bd15c9632b12f734a8a67f723594",
    family: str = "bert",
    dimensions: dict[str, int] | None = None,
    guessed: bool = False,
    nearest: tuple[str, ...] = (),
    findings: tuple[Finding, ...] = (),
    notes: tuple[str, ...] = (),
    rules: tuple[str, ...] = (),
) -> ScanReport:
    identity = ModelIdentity(
        name,
        revision,
        f"https://huggingface.co/{name}",
        (SourceFile("config.json", 570), SourceFile("model.safetensors", 440_449_768)),
    )
    matrices = tuple(row.matrix for row in rows)
    model_map = ModelMap(family, family, guessed, dimensions or {}, matrices, tuple(coverage), nearest)
    return ScanReport(
        identity,
        model_map,
        tuple(rows),
        tuple(coverage),
        summary(tuple(rows), tuple(coverage)),
        dict(OPTIONS),
        dict(VERSIONS),
        findings,
        notes,
        rules,
    )


def bert(layers: int = 12, hidden: int = 768, ff: int = 3072) -> ScanReport:
    """Like BERT-base: 12 layers, seven roles, embeddings, a pooler and a tied head. The same numbers every
    time.
    """
    rng = random.Random(1)
    rows: list[LayerRow] = []
    coverage: list[CoverageEntry] = []

    def add(role: str, layer: int | None, shape: tuple[int, int], frob: float, rank: float, *names: str) -> None:
        method, width = ("krylov", 0.008) if max(shape) > 2 * hidden else ("exact", 1e-13)
        m = matrix(role, layer, shape, *names)
        rows.append(LayerRow(m, spectrum(frob, rank, width=width, method=method)))
        if role != "QKV":
            coverage.append(entry(names[0], shape, "analysed", "", role, *(("QKV",) if role in "QKV" else ())))

    base = "bert.embeddings."
    add("EMBED", None, (30522, hidden), 221.4, 3.2, base + "word_embeddings.weight")
    add("POSITION", None, (512, hidden), 18.9, 5.4, base + "position_embeddings.weight")
    add("TOKEN_TYPE", None, (2, hidden), 0.43, 1.3, base + "token_type_embeddings.weight")
    for i in range(layers):
        at = f"bert.encoder.layer.{i}."
        attention = [at + f"attention.self.{name}.weight" for name in ("query", "key", "value")]
        wave = 1 + 0.12 * math.sin(i / 2)
        q, k, v = (wave * rng.uniform(0.93, 1.07) * scale for scale in (33.0, 33.4, 26.0))
        depth = 0.6 + i / layers
        ranks = [depth * rng.uniform(12, 22) for _ in range(3)]
        add("Q", i, (hidden, hidden), q, ranks[0], attention[0])
        add("K", i, (hidden, hidden), k, ranks[1], attention[1])
        add("V", i, (hidden, hidden), v, 3.5 * ranks[2], attention[2])
        add(
            "O",
            i,
            (hidden, hidden),
            24 * wave,
            40 * rng.uniform(0.8, 1.4),
            at + "attention.output.dense.weight",
        )
        add("QKV", i, (3 * hidden, hidden), math.hypot(q, k, v), 1.4 * ranks[0], *attention)
        add("M1", i, (ff, hidden), 63 * wave, 9 * depth + rng.uniform(0, 4), at + "intermediate.dense.weight")
        add("M2", i, (hidden, ff), 60 * wave, 14 * depth + rng.uniform(0, 9), at + "output.dense.weight")
        coverage.append(entry(at + "output.LayerNorm.weight", (hidden,), "ignored", "rule: norm weights"))
        coverage.append(entry(at + "output.dense.bias", (hidden,), "ignored", "rule: biases"))
    add("POOLER", None, (hidden, hidden), 29.0, 11.8, "bert.pooler.dense.weight")
    tied_to = base + "word_embeddings.weight"
    coverage.append(entry("cls.predictions.decoder.weight", (30522, hidden), "tied", tied_to))
    coverage.append(entry("cls.extra.weight", (7, 5), "unmapped", "no pattern of the family matches"))
    coverage.sort(key=lambda item: item.tensor)
    return report_of(rows, coverage, dimensions={"layers": layers, "hidden": hidden, "ff": ff, "heads": hidden // 64})


RULES = ("nonfinite", "missing", "duplicate", "pickle", "outlier-norm", "untrained", "dead-rows")


def clean() -> ScanReport:
    """Rules were checked and found nothing."""
    return replace(bert(), rules=RULES)


def judged() -> ScanReport:
    """Findings of every severity: of one matrix, of many, of the whole model and of tensors without a row."""
    report = bert()
    broken = [
        LayerRow(row.matrix, nan_spectrum(7) if (row.matrix.layer, row.matrix.role) == (3, "M1") else row.spectrum)
        for row in report.rows
    ]

    def at(layer: int, role: str, rule: str, severity: str, title: str, **rest: Any) -> Finding:
        row = next(row for row in broken if (row.matrix.layer, row.matrix.role) == (layer, role))
        return Finding(rule, severity, title, "", layer, None, role, row.matrix.tensors, **rest)  # type: ignore[arg-type]

    advice = "Compare it with its neighbours; a norm that far off is seldom trained."
    outliers = [
        at(
            *(layer, role, "outlier-norm", "warning", "A norm unlike its neighbours'"),
            detail=f"‖W‖ is {4.5 + layer / 10:.1f} times the median of {role}.",
            value=4.5 + layer / 10,
            threshold=4.0,
            advice=advice,
        )
        for layer in range(12)
        for role in ("Q", "K")
    ]
    nan = at(
        *(3, "M1", "nonfinite", "error", "NaN or infinite entries"),
        detail="7 of 2,359,296 entries are NaN or infinite.",
        value=7.0,
        threshold=0.0,
        advice="Do not use this checkpoint; download it again or go back to an earlier one.",
    )
    missing = Finding(
        *("missing", "error", "Tensors that the config describes are missing"),
        layer=11,
        tensors=tuple(f"bert.encoder.layer.11.output.{i}" for i in range(5)),
        detail="Layer 11 lacks 5 tensors.",
        advice="Download the checkpoint again.",
    )
    pickle = Finding("pickle", "info", "The weights are a pickle", detail="model.bin can run code when it is loaded.")
    return replace(
        report,
        rows=tuple(broken),
        findings=(nan, missing, *outliers, pickle),
        rules=RULES,
        summary=summary(tuple(broken), report.coverage_entries),
        notes=("config.json names no dtype.",),
    )


def embeddings_only() -> ScanReport:
    """No layers at all."""
    rows = [LayerRow(matrix("EMBED", None, (500, 32), "wte.weight"), spectrum(12.0, 4.0))]
    return report_of(rows, [entry("wte.weight", (500, 32), "analysed", "", "EMBED")], name="org/embeddings")


def one_layer() -> ScanReport:
    return bert(layers=1, hidden=64, ff=256)


def all_nan() -> ScanReport:
    """Every matrix holds NaN, so no number but the counts is known."""
    rows = [
        LayerRow(matrix(role, i, (8, 8), f"layers.{i}.{role}"), nan_spectrum())
        for i in range(3)
        for role in ("Q", "M1")
    ]
    return report_of(rows, [entry(f"layers.{i}.Q", (8, 8), "analysed", "", "Q") for i in range(3)], name="org/broken")


def guessed() -> ScanReport:
    """Roles guessed from names and shapes, no dimension known, an interval that stayed wide."""
    wide = spectrum(5.0, 3.0, width=0.4, method="krylov", converged=False, zeros=17)
    rows = [LayerRow(matrix("M1", i, (96, 24), f"blocks.{i}.up"), wide) for i in range(4)]
    coverage = [entry(f"blocks.{i}.up", (96, 24), "analysed", "", "M1") for i in range(4)]
    return report_of(
        rows,
        coverage,
        name="acme/novel",
        revision="",
        family="structural",
        guessed=True,
        nearest=("llama", "mistral"),
        notes=("config.json names the unknown model type 'novel'.",),
        findings=(
            Finding("wide-interval", "warning", "The interval stayed wide", role="M1", advice="Raise the passes."),
        ),
    )


def hostile() -> ScanReport:
    """Names that try to break out of every place they are shown in."""
    rows = [
        LayerRow(matrix("Q" if i % 2 else HOSTILE, i // 2, (16, 8), name), spectrum(3.0 + i, 2.0))
        for i, name in enumerate(HOSTILE_NAMES)
    ]
    coverage = [entry(name, (16, 8), "analysed", HOSTILE, HOSTILE) for name in HOSTILE_NAMES]
    return report_of(
        rows,
        coverage,
        name=HOSTILE + "\u202e",
        revision="",
        family=HOSTILE,
        guessed=True,
        nearest=(HOSTILE,),
        notes=(HOSTILE,),
        findings=(Finding(HOSTILE, "error", HOSTILE, tensors=(HOSTILE,), advice=HOSTILE),),
    )


def seq2seq(layers: int = 4) -> ScanReport:
    """Encoder and decoder, with cross attention in the decoder."""
    rng = random.Random(2)
    rows, coverage = [], []
    for stack, roles in (("encoder", "Q K V O M1 M2"), ("decoder", "Q K V O XQ XK XV XO M1 M2")):
        for i in range(layers):
            for role in roles.split():
                name = f"{stack}.{i}.{role}.weight"
                shape = {"M1": (512, 128), "M2": (128, 512)}.get(role, (128, 128))
                measured = spectrum(rng.uniform(8, 30), rng.uniform(3, 60), width=0.005, method="krylov")
                rows.append(LayerRow(matrix(role, i, shape, name, stack=stack), measured))
                coverage.append(entry(name, shape, "analysed", "", role))
    return report_of(
        rows, coverage, name="org/seq2seq", family="t5", dimensions={"layers": layers, "hidden": 128, "ff": 512}
    )


def mixture(layers: int = 6, experts: int = 64) -> ScanReport:
    """A mixture of experts: over a thousand rows, a gated MLP per expert."""
    rng = random.Random(3)
    rows, coverage = [], []
    shapes = {"Q": (256, 256), "K": (64, 256), "V": (64, 256), "O": (256, 256)}
    for i in range(layers):
        for role, shape in shapes.items():
            name = f"model.layers.{i}.self_attn.{role.lower()}_proj.weight"
            rows.append(LayerRow(matrix(role, i, shape, name), spectrum(rng.uniform(8, 12), rng.uniform(9, 30))))
            coverage.append(entry(name, shape, "analysed", "", role))
        for expert in range(experts):
            for role in ("GATE", "M1", "M2"):
                name = f"model.layers.{i}.mlp.experts.{expert}.{role.lower()}.weight"
                shape = (256, 128) if role == "M2" else (128, 256)
                m = matrix(role, i, shape, name, expert=expert, dtype="bfloat16")
                rows.append(LayerRow(m, spectrum(rng.gauss(15, 2), 20 * rng.uniform(0.5, 2))))
                coverage.append(entry(name, shape, "analysed", "", role))
    return report_of(rows, coverage, name="org/mixture", family="mixtral", dimensions={"layers": layers, "hidden": 256})


def judged_mixture(layers: int = 6, experts: int = 64) -> ScanReport:
    """A mixture of which every expert's M2 was found odd, and whose rows have digests."""
    report = mixture(layers, experts)
    rows = tuple(replace(row, digest=f"{random.Random(i).getrandbits(128):032x}") for i, row in enumerate(report.rows))
    findings = tuple(
        Finding(
            *("untrained", "warning", "A matrix that looks untrained", "", m.layer, m.expert, m.role, m.tensors),
            value=row.spectrum.stable_rank,
            threshold=10.0,
            detail=f"Its stable rank is {row.spectrum.stable_rank:.1f}.",
            advice="Look whether training reached it.",
        )
        for row in rows
        if (m := row.matrix).role == "M2"
    )
    return replace(report, rows=rows, findings=findings, rules=RULES)


ALL = {
    "bert": bert,
    "clean": clean,
    "judged": judged,
    "embeddings_only": embeddings_only,
    "one_layer": one_layer,
    "all_nan": all_nan,
    "guessed": guessed,
    "hostile": hostile,
    "seq2seq": seq2seq,
    "mixture": mixture,
    "judged_mixture": judged_mixture,
}
SMALL: dict[str, Callable[[], ScanReport]] = {
    **ALL,
    "mixture": partial(mixture, 2, 8),
    "judged_mixture": partial(judged_mixture, 2, 8),
}
"""The same without a thousand rows, where their number is not what matters."""
