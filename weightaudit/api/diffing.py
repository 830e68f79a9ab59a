"""`diff`: a model and what was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weightaudit.api.diff_report import DiffReport
from weightaudit.api.models import Model, as_model
from weightaudit.api.options import with_options
from weightaudit.audit import Progress
from weightaudit.config import DEFAULTS, NOT_OF_A_DIFFERENCE, AuditConfig


@with_options(without=NOT_OF_A_DIFFERENCE)
def diff(
    base: Model,
    derived: Model,
    *,
    parents: Model | Sequence[Model] = (),
    adapter: Model | None = None,
    directions: bool = False,
    intruders: bool = False,
    progress: bool | Progress = False,
    config: AuditConfig = DEFAULTS,
    **options: Any,
) -> DiffReport:
    """Say what a model changed of the one that it was made from: every matrix and vector beside its own, how far apart
    they are, and what was done.

    Both are streamed together. A model is a local directory, a weight file, or a Hub id, which may carry a revision
    (``"id@revision"``); what exists as a path is one. What `scan` takes from memory is taken here too.

    Parameters
    ----------
    base
        The model that was changed.
    derived
        What was made of it: a model, or an adapter.
    parents
        Models of whose changes those of ``derived`` may be a sum, as a linear merge makes them; or a single one.
    adapter
        An adapter that should have been merged into ``derived``.
    directions
        Whether to look where the changes point as well.
    intruders
        Whether to look for leading singular vectors that are like none of the base; ``directions`` with it.
    progress
        True shows a bar on stderr or in the notebook; a `Progress` is told of every tensor.
    config
        Options all at once; those given by name count before it.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    DiffReport
        What became of every matrix and vector, what that comes to, and the findings.

    Raises
    ------
    UsageError
        An option makes no sense; nothing was read.
    MappingError
        The two are models of different architectures.
    ModelError
        A model cannot be read; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.diff("gpt2", "./merged", adapter="./adapter")  # doctest: +SKIP
    >>> report.to_html("diff.html")  # doctest: +SKIP
    """
    from weightaudit.pairs.diff import diff_models

    others: Sequence[Any] = parents if isinstance(parents, (list, tuple)) else [parents]
    result = diff_models(
        as_model(base),
        as_model(derived),
        config.with_written(options),
        parents=[as_model(parent) for parent in others],
        adapter=None if adapter is None else as_model(adapter),
        directions=directions,
        intruders=intruders,
        progress=progress,
    )
    return DiffReport(**vars(result))
