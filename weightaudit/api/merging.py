"""`merge_check` and `merge`: several models that are added up."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from weightaudit.api.merge_report import MergeReport
from weightaudit.api.models import Model, as_list, as_model
from weightaudit.api.options import with_options
from weightaudit.audit import Progress
from weightaudit.config import DEFAULTS, NOT_OF_A_MERGE, OF_A_SUM, AuditConfig
from weightaudit.parse import parse_bytes

if TYPE_CHECKING:
    from weightaudit.merging.linear.merge import LinearMerge


@with_options(without=NOT_OF_A_MERGE)
def merge_check(
    models: Sequence[Model],
    *,
    base: Model | None = None,
    weights: str | Iterable[float] | None = None,
    merged: Model | None = None,
    progress: bool | Progress = False,
    config: AuditConfig = DEFAULTS,
    **options: Any,
) -> MergeReport:
    """Say what merging models would do to each: how much of its own change it keeps where its inputs lie, and what the
    others add there.

    All are streamed together, matrix by matrix; nothing is merged. A model is a local directory, a weight file, or a
    Hub id, which may carry a revision (``"id@revision"``); what exists as a path is one. What `scan` takes from
    memory is taken here too.

    Parameters
    ----------
    models
        What is to be merged, two to eight: models or adapters.
    base
        The model that all were made from. None adds up the weights as they are, as the source paper does.
    weights
        A weight for each model; None is 1 each, the sum.
    merged
        A merge of them that exists, made in whatever way, which is judged instead.
    progress
        True shows a bar on stderr or in the notebook; a `Progress` is told of every tensor.
    config
        Options all at once; those given by name count before it.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    MergeReport
        Retention, contamination and disturbance of every matrix and model, suggested weights, and the findings.

    Raises
    ------
    UsageError
        An option makes no sense; nothing was read.
    MappingError
        The models are of different architectures.
    ModelError
        A model cannot be read; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.merge_check(["./math", "./code"], base="gpt2", weights=(0.5, 0.5))  # doctest: +SKIP
    >>> report.to_html("merge.html")  # doctest: +SKIP
    """
    from weightaudit.merging.asked import weights_asked
    from weightaudit.merging.check import check_merge

    named = [as_model(model) for model in as_list(models, what="models")]
    asked = weights_asked(len(named), weights, merged=merged is not None)
    result = check_merge(
        named,
        config.with_written(options),
        base=None if base is None else as_model(base),
        merged=None if merged is None else as_model(merged),
        weights=asked or None,
        progress=progress,
    )
    return MergeReport(**vars(result))


@with_options(only=OF_A_SUM)
def merge(
    models: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    weights: str | Iterable[float] | None = None,
    dtype: str | None = None,
    shard_size: str | int = "5GB",
    progress: bool | Progress = False,
    config: AuditConfig = DEFAULTS,
    **options: Any,
) -> LinearMerge:
    """Add up what models changed of their base, or their weights as they are, and write the sum as a model.

    W₀ + Σ wᵢ(Wᵢ − W₀) of every tensor, or Σ wᵢWᵢ without a base, in float64, rounded as torch rounds; the recipe is in
    the files' metadata. All are streamed together; the folder is there when it is whole.

    Parameters
    ----------
    models
        What is merged, two to eight: models, or adapters to the base.
    out
        Folder for the merge, not there yet.
    base
        The model that all were made from. None adds up the weights as they are, as the source paper does.
    weights
        A weight for each model; None is 1 each, the sum.
    dtype
        "float32", "bfloat16", "float16" or "float64"; None stores floats as the base does.
    shard_size
        Bytes of a file of weights, at most.
    progress
        True shows a bar on stderr or in the notebook; a `Progress` is told of every tensor.
    config
        Options all at once; those given by name count before it.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    LinearMerge
        Which files were written.

    Raises
    ------
    UsageError
        An option makes no sense; nothing was read.
    OutputError
        The folder is there already, or cannot be written.
    ModelError
        A model cannot be read, or has other tensors or shapes; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> wa.merge(["./math", "./code"], "./both", base="gpt2", weights=(0.9, 0.6)).files  # doctest: +SKIP
    ('model.safetensors',)
    """
    from weightaudit.merging.asked import weights_asked
    from weightaudit.merging.linear.merge import merge_models

    named = [os.fspath(model) for model in as_list(models, what="models")]
    return merge_models(
        named,
        out,
        config.with_written(options),
        base=None if base is None else os.fspath(base),
        weights=weights_asked(len(named), weights),
        dtype=dtype,
        shard_size=parse_bytes(shard_size) or 0,
        progress=progress,
    )
