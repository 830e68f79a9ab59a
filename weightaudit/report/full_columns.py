"""What tables and the JSON say of whole spectra, where a scan was asked for all singular values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, get_type_hints

from weightaudit.records import ENERGY_SHARES, FullSpectrum, LayerRow, ModelIdentity, Place, ScanResult
from weightaudit.records.full_spectrum import Bulk, TailFit
from weightaudit.report.columns import Column, Rounding, Value, place_said

Read = Callable[[ModelIdentity, LayerRow], Value]


def all_asked(report: ScanResult) -> bool:
    """Whether the scan was asked for every singular value."""
    return report.options.get("spectrum") == "full"


def _of_full(told: Callable[[FullSpectrum], Value], unknown: Value = math.nan) -> Read:
    return lambda m, r: unknown if r.spectrum.full is None else told(r.spectrum.full)


def _of_bulk(told: Callable[[Bulk], Value], unknown: Value = math.nan) -> Read:
    return _of_full(lambda full: unknown if full.bulk is None else told(full.bulk), unknown)


def _of_tail(told: Callable[[TailFit], Value], unknown: Value = math.nan) -> Read:
    return _of_full(lambda full: unknown if full.tail is None else told(full.tail), unknown)


def _energy_rank(share: float) -> Read:
    return _of_full(lambda full: dict(full.energy_ranks).get(share), None)


def _number(name: str, label: str, meaning: str, read: Read, rounding: Rounding = "nearest") -> Column[LayerRow]:
    return Column(name, label, meaning, "float64", read, rounding)


def _count(name: str, label: str, meaning: str, read: Read) -> Column[LayerRow]:
    return Column(name, label, meaning, "Int64", read)


def _in_weights(name: str, label: str, meaning: str, read: Read) -> Column[LayerRow]:
    return Column(name, label, meaning, "float64", read, unit="weight")


FULL: tuple[Column[LayerRow], ...] = (
    _number(
        "alpha", "α", "exponent of the power law of the largest σ², by maximum likelihood", _of_tail(lambda t: t.alpha)
    ),
    _number(
        "alpha_lower", "α lower", "lower end of its 95 % bootstrap interval", _of_tail(lambda t: t.alpha_lower), "down"
    ),
    _number("alpha_upper", "α upper", "upper end of the same", _of_tail(lambda t: t.alpha_upper), "up"),
    Column(
        "alpha_fits",
        "α fits",
        "yes where the power law is not rejected and neither alternative is significantly likelier, else no: then α "
        "describes nothing",
        "string",
        _of_tail(lambda t: "yes" if t.fits else "no", None),
    ),
    _number(
        "alpha_p_value",
        "α p-value",
        "share of samples of the fit further from their own fits",
        _of_tail(lambda t: t.p_value),
    ),
    _number(
        "alpha_distance",
        "α distance",
        "Kolmogorov–Smirnov distance of the tail from the fit",
        _of_tail(lambda t: t.distance),
    ),
    Column(
        "alpha_x_min",
        "α from",
        "σ² from which on the power law was fitted, in squared units of the weights",
        "float64",
        _of_tail(lambda t: t.x_min),
    ),
    _count("alpha_count", "α values", "singular values in that tail", _of_tail(lambda t: t.count, None)),
    _number(
        "lognormal_ratio",
        "Against log-normal",
        "normalised log-likelihood ratio of the power law to a log-normal, negative where that is likelier",
        _of_tail(lambda t: t.lognormal.ratio),
    ),
    _number("lognormal_p_value", "Log-normal p-value", "of that ratio", _of_tail(lambda t: t.lognormal.p_value)),
    _number(
        "exponential_ratio",
        "Against exponential",
        "the same to an exponential",
        _of_tail(lambda t: t.exponential.ratio),
    ),
    _number("exponential_p_value", "Exponential p-value", "of that ratio", _of_tail(lambda t: t.exponential.p_value)),
    _number(
        "hill_alpha", "Hill α", "Hill's estimate of α from the largest half of all σ²", _of_tail(lambda t: t.hill_alpha)
    ),
    _in_weights(
        "bulk_deviation",
        "Bulk deviation",
        "standard deviation of the entries of the random matrix whose singular values the bulk would be",
        _of_bulk(lambda b: b.deviation),
    ),
    _in_weights("bulk_lower", "Bulk lower edge", "where its singular values begin", _of_bulk(lambda b: b.lower)),
    _in_weights("bulk_upper", "Bulk upper edge", "where they end", _of_bulk(lambda b: b.upper)),
    _count(
        "spikes",
        "Spikes",
        "singular values above what a random matrix has with a probability of 1 %",
        _of_bulk(lambda b: b.spikes, None),
    ),
    *(
        _count(
            f"rank_{100 * share:.0f}",
            f"Rank for {100 * share:.0f} %",
            f"least number of singular values that hold {100 * share:.0f} % of the squared Frobenius norm",
            _energy_rank(share),
        )
        for share in ENERGY_SHARES
    ),
)
"""Columns of scans that were asked for every singular value."""


def full_json(report: ScanResult) -> list[dict[str, Any]]:
    """One entry a matrix of which every singular value is known, in report order."""
    return [
        {**place_said(row.matrix.place), **asdict(row.spectrum.full)}
        for row in report.rows
        if row.spectrum.full is not None
    ]


def full_fields() -> dict[str, Any]:
    """The type of each field of an entry."""
    return {**get_type_hints(Place), **get_type_hints(FullSpectrum)}
