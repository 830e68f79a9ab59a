"""`scan` and `matrices`: one model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from weightaudit.api.models import Model, as_model
from weightaudit.api.options import with_options
from weightaudit.api.scan_report import ScanReport
from weightaudit.audit import Progress, model_matrices, scan_model
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.records import RoleMatrix


@with_options()
def scan(
    model: Model,
    *,
    model_config: object = None,
    progress: bool | Progress = False,
    config: AuditConfig = DEFAULTS,
    **options: Any,
) -> ScanReport:
    """Measure every weight matrix of a model, and check what was measured against the rules.

    A Hub model that is not in the local cache is streamed, and nothing of it is kept on disk. The options are those of
    `AuditConfig`.

    Parameters
    ----------
    model
        Local directory, weight file, Hub id (what exists as a path is one), or address (``https://``, ``hf://``,
        ``s3://``, ``gs://``); or what is in memory: an `nn.Module`, a transformers model, a PEFT model (its active
        adapter, as it would be saved), a state dict, a checkpoint from `open_checkpoint`, which stays open.
    model_config
        Of a model in memory what its config.json would say: a dict or a transformers config. None takes a transformers
        model's own; without any, roles are guessed by the names of the tensors.
    progress
        True shows a bar on stderr or in the notebook; a `Progress` is told of every tensor.
    config
        Options all at once; those given by name count before it.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    ScanReport
        The numbers of every matrix, the findings, and what became of every tensor.

    Raises
    ------
    UsageError
        An option makes no sense; nothing was read.
    ModelError
        The model cannot be read; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.scan("gpt2", roles="Q,K,V")  # doctest: +SKIP
    >>> report.layers[["layer", "role", "stable_rank"]]  # doctest: +SKIP
    """
    result = scan_model(as_model(model, model_config), config.with_written(options), progress)
    return ScanReport(**vars(result))


@with_options(panels=("Hub",))
def matrices(
    model: Model, *, model_config: object = None, config: AuditConfig = DEFAULTS, **options: Any
) -> Iterator[RoleMatrix]:
    """Iterate over every matrix of a model with its role, in report order.

    Of the model only headers are read; a matrix is read by its ``load()``.

    Parameters
    ----------
    model
        What `scan` takes.
    model_config
        As `scan` has it.
    config
        Options all at once; those given by name count before it.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    Iterator[RoleMatrix]
        Matrices in the order of the report's rows.

    Raises
    ------
    ModelError
        The model cannot be read; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> for m in wa.matrices("gpt2"):  # doctest: +SKIP
    ...     print(m.layer, m.role, m.shape)
    """
    return model_matrices(as_model(model, model_config), config.with_written(options))
