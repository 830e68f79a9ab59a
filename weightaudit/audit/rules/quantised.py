"""Codes and scales of quantised weights that tell of a fault, or that readers take for different numbers."""

from __future__ import annotations

from collections.abc import Iterator

from weightaudit.audit.rules.causes import Weight, matrices
from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.scales import of_codes, scales_like
from weightaudit.audit.rules.wording import listed, where

LEAST_BITS = 4
"""Bits of a code from which on its outermost levels are few among all."""
CLIPPED = 0.25
"""Share of the codes at the lowest and highest level from which on much was clipped."""
POSITIVE = ("GPTQ", "AWQ", "FP8", "MXFP8", "NF4", "NVFP4")
"""How formats begin whose quantisers take scales from magnitudes; others (Q4_0, Q6_K, MLX) may store a sign there."""


def _nonfinite_scales(rule: Rule, context: RuleContext) -> Iterator[Match]:
    yield from scales_like(rule, context, lambda codes: codes.nonfinite_scales, "NaN or infinite")


def _negative_scales(rule: Rule, context: RuleContext) -> Iterator[Match]:
    yield from scales_like(rule, context, lambda codes: codes.negative_scales, "negative", judged=_is_positive)


def _is_positive(one: Weight) -> bool:
    return one.scheme is not None and one.scheme.format.startswith(POSITIVE)


def _subnormal_scales(rule: Rule, context: RuleContext) -> Iterator[Match]:
    yield from scales_like(rule, context, lambda codes: codes.subnormal_scales, "subnormal")


def _wrapped_zeros(rule: Rule, context: RuleContext) -> Iterator[Match]:
    yield from scales_like(
        rule, context, lambda codes: codes.wrapped, "stored as all ones", of=lambda codes: 0, noun="zero points"
    )


def _clipped_codes(rule: Rule, context: RuleContext) -> Iterator[Match]:
    rows = [row for row in context.measured if row.matrix.scheme and row.matrix.scheme.bits >= LEAST_BITS]
    codes = of_codes(matrices(context, rows))
    share = {key: one.extreme / one.codes for (_, key), one in codes.items() if one.codes}
    clipped = [row for row in rows if share.get(row.matrix.key, 0.0) > CLIPPED]
    if clipped:
        most = max(clipped, key=lambda row: share[row.matrix.key])
        yield rule.of_rows(
            clipped,
            f"More than {CLIPPED:.0%} of the codes of {len(clipped):,} of {len(codes):,} quantised matrices are at the "
            f"lowest or highest level, most of {where(most.matrix)} ({share[most.matrix.key]:.0%}): "
            f"{listed(where(row.matrix) for row in clipped)}.",
            value=share[most.matrix.key],
        )


_COUNT = "A count, by the tensor; no threshold."

RULES = (
    Rule(
        id="nonfinite-scales",
        title="Quantised weights whose scale is NaN or infinite",
        severity="error",
        measures="Scales of quantised weights that are no finite number, where the entries that they give are: no code "
        "uses them, or not in every reader.",
        threshold=0.0,
        source=_COUNT,
        advice="Quantise again: no reader gives a number for a group with such a scale.",
        check=_nonfinite_scales,
        suppressed_by=("nonfinite",),
    ),
    Rule(
        id="negative-scales",
        title="Quantised weights whose scale is negative",
        severity="info",
        measures=f"Scales below zero of formats whose quantisers take them from magnitudes: {', '.join(POSITIVE)}. "
        "GGUF types and MLX store a sign there on purpose.",
        threshold=0.0,
        source=f"{_COUNT} Scales are largest magnitudes over the highest level, which is positive.",
        advice="Look what wrote the file. Kernels that take the sign for granted give other numbers than this audit "
        "measured.",
        check=_negative_scales,
    ),
    Rule(
        id="subnormal-scales",
        title="Quantised weights whose scale is too small for its format",
        severity="info",
        measures="Scales other than zero below the smallest normal magnitude of the data type that they are stored in.",
        threshold=0.0,
        source=f"{_COUNT} Digits are lost there, and hardware that takes such numbers for zero drops the whole group.",
        advice="Where the groups matter, quantise again and keep the scales in float32 or bfloat16.",
        check=_subnormal_scales,
    ),
    Rule(
        id="wrapped-zeros",
        title="Zero points that readers take for different numbers",
        severity="info",
        measures="Zero points stored as all ones, in formats that store them less one: adding the one wraps.",
        threshold=0.0,
        source="AutoGPTQ adds the one to whole 32-bit words, and so does this audit; readers that add it field by "
        "field (llama.cpp, GPTQModel's own `model_dequant`) get other weights.",
        advice="Convert the file to checkpoint_format gptq_v2, which stores zero points as they are, with the library "
        "that wrote it; then every reader agrees.",
        check=_wrapped_zeros,
    ),
    Rule(
        id="clipped-codes",
        title="Many codes at the ends of their range",
        severity="info",
        measures="The share of a matrix's codes at the lowest or the highest level of its format, of codes of "
        f"{LEAST_BITS} bits or more.",
        threshold=CLIPPED,
        source="Of generated weights (normal, Laplace, Student t of 3 degrees of freedom, uniform) in groups of 16 to "
        "128, quantised to 4 and 8 bits by their largest magnitude or their range, 0.8 to 18 % of the codes are at an "
        "end; of all but uniform ones at most 15 % with scales of 0.8 times that, as searches for the least error take "
        "them.",
        advice="Compare with the weights that these were quantised from: a scale that is too small clips the largest "
        "weights of its group.",
        check=_clipped_codes,
    ),
)
