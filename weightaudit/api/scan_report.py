"""What a Python program gets of a scan: its result with ways to look at it and to write it down."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from weightaudit.api.written import Target, Written
from weightaudit.parse import parse_roles
from weightaudit.records import ScanResult
from weightaudit.report import write_figures

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from weightaudit.advice import Compression, RankPattern, Unfrozen


class ScanReport(Written, ScanResult):
    """The audit of one model, with ways to look at it and to write it down; `ScanResult` is its data.

    Attributes
    ----------
    identity
        Which model this is, and the files that were read.
    map
        Which tensor is which matrix, by which family.
    rows
        A matrix and what was measured of it each, in report order.
    coverage_entries
        What became of every tensor of the checkpoint, in name order.
    summary
        Numbers of the whole model.
    options
        Options that change numbers.
    versions
        Of the libraries that computed them.
    findings
        What the rules found, most severe first.
    notes
        Sentences for the reader.
    rules
        Ids of all rules that were checked.
    partial
        Why it is of a part of the model only: "--roles", "one of 3 shards"; () where it is of all.
    not_judged
        Rules that could not judge, or not all, and why.
    suppressed
        Findings that do not count, as an option says.
    gate
        How findings were judged: options that move no number, and what the baseline came to.
    base
        Which model its matrices were compared with; None for none.
    heads
        The heads of its attentions; None where they were not asked for.

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.scan("gpt2")  # doctest: +SKIP
    >>> report.layers.groupby("role").stable_rank.mean()  # doctest: +SKIP
    """

    @property
    def layers(self) -> pd.DataFrame:
        """One row per (stack, layer, expert, role), the CSV's columns in order, numbers in full precision."""
        from weightaudit.report.tables import layers_frame

        return layers_frame(self)

    @property
    def coverage(self) -> pd.DataFrame:
        """One row per tensor of the checkpoint: what it is and what became of it."""
        from weightaudit.report.tables import coverage_frame

        return coverage_frame(self)

    @property
    def heads_frame(self) -> pd.DataFrame:
        """One row per head of attention, where the scan was made with ``heads=True``: see docs/heads.md."""
        from weightaudit.report.heads import heads_frame

        return heads_frame(self)

    @overload
    def to_html(self, path: None = None, *, plotly: str = "") -> str: ...
    @overload
    def to_html(self, path: Target, *, plotly: str = "") -> None: ...
    def to_html(self, path: Target | None = None, *, plotly: str = "") -> str | None:
        """Write one self-contained page, or return it. OutputError where ``path`` cannot be written.

        ``plotly`` is the address, from the page, of a plotly.js that several pages share, such as "../plotly.js".
        """
        return self._out(path, ".html", plotly=plotly)

    def plot(
        self,
        number: str = "stable_rank",
        kind: Literal["lines", "heat map", "spectrum", "esd"] = "lines",
        *,
        matrix: str = "",
    ) -> Figure:
        """Draw a number of every matrix by layer, or the spectra, as a plotly Figure: see `weightaudit.report.charts`.

        ``number`` is a column of `layers` that holds numbers: "stable_rank", "frobenius_norm", "max_abs". Lines have a
        role each, with the certified interval of what has one; a heat map has roles by layers; a spectrum has the
        leading singular values of each matrix, where the scan was made with ``spectrum=True``. "esd" has the density
        of all eigenvalues σ² of one ``matrix``, named by its place ("layer 3 Q"), beside a random matrix and the
        fitted power law, where it was made with ``spectrum="full"``. UsageError for what there is not.
        """
        from weightaudit.report.charts import chart

        return chart(self, number, kind, matrix)

    def rank_pattern(
        self,
        *,
        r: int = 8,
        by: str = "stable_rank",
        min_rank: int | None = None,
        max_rank: int | None = None,
        alpha: float | None = None,
        roles: str | Sequence[str] | None = None,
    ) -> RankPattern:
        """Choose a rank of LoRA for each module, at a mean of ``r``: ``LoraConfig(**pattern.for_peft())``.

        Ranks follow ``by``: "stable_rank", "entropy_effective_rank" (of a scan with ``spectrum``) or "alpha" (of one
        with whole spectra). They lie between ``min_rank``, a quarter of ``r`` where that is None, and ``max_rank``,
        four times ``r``; ``alpha`` is ``lora_alpha``, ``r`` where it is None, and the scaling is the same everywhere.
        ``roles`` are those of matrices whose modules are meant, None all in layers. UsageError where the scan does not
        tell.
        """
        from weightaudit.advice import rank_pattern

        asked = parse_roles(roles)
        return rank_pattern(self, r=r, by=by, min_rank=min_rank, max_rank=max_rank, alpha=alpha, roles=asked)

    def unfrozen_parameters(
        self,
        *,
        by: str = "stable_rank",
        share: float = 0.25,
        take: Literal["lowest", "highest"] = "lowest",
        roles: str | Sequence[str] | None = None,
    ) -> Unfrozen:
        """Choose modules to train while all others stay frozen: of each kind that ``share`` whose number ``by`` is the
        lowest or highest.

        What is returned has ``patterns``, ``to_yaml()`` for Axolotl and ``to_mergekit()``. UsageError where the scan
        does not tell.
        """
        from weightaudit.advice import unfrozen_parameters

        return unfrozen_parameters(self, by=by, share=share, take=take, roles=parse_roles(roles))

    def compressibility(self, roles: str | Sequence[str] | None = None) -> Compression:
        """Find the rank that holds 90, 95 and 99 % of the energy of each matrix, what it saves, and its error.

        ``roles`` are those of the matrices that are meant, None all.

        What is returned has a ``frame``, ``to_csv()`` and ``to_markdown()``. What the scan does not tell is missing
        there: whole spectra tell all.
        """
        from weightaudit.advice import compressibility

        return compressibility(self, parse_roles(roles))

    def to_figures(self, directory: str | os.PathLike[str]) -> list[Path]:
        """Draw norms and stable ranks by layer as PNG and SVG: see `weightaudit.report.write_figures`."""
        return write_figures(self, directory)
