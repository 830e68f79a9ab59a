"""The callback for Lightning's Trainer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from weightaudit.config import DEFAULTS
from weightaudit.errors import UsageError
from weightaudit.training.observer import Observer, Seen
from weightaudit.training.watch import BUDGET, EVERY, make_watch

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
else:
    try:
        # Both packages may be there, and a trainer is of the one that has been imported already.
        if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
            from pytorch_lightning import Callback
        else:
            from lightning.pytorch import Callback
    except ImportError as error:
        raise UsageError(
            "WeightauditLightningCallback", "Lightning is not installed", "pip install lightning"
        ) from error


class WeightauditLightningCallback(Callback):
    """Measure norms and stable ranks of the weights while Lightning trains them.

    Parameters
    ----------
    every, roles, layers, budget, at_start, stop_on_nonfinite, tol
        As in `WeightauditCallback`; steps are those of the optimizer (``trainer.global_step``).
    log
        The Parquet log; weightaudit.parquet in the trainer's ``default_root_dir`` without.
    submodule
        Name of the part of the LightningModule to watch; without, the model of transformers in it, or all of it.

    Raises
    ------
    UsageError
        An option makes no sense. What the model does not have is told when training begins.

    Examples
    --------
    >>> from weightaudit.training import WeightauditLightningCallback
    >>> trainer = Trainer(callbacks=[WeightauditLightningCallback(every=100)])  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        every: int = EVERY,
        roles: str | Iterable[str] | None = None,
        layers: str | Iterable[int] | None = None,
        budget: float | None = BUDGET,
        at_start: bool = True,
        stop_on_nonfinite: bool = False,
        log: str | os.PathLike[str] | None = None,
        submodule: str | None = None,
        tol: float = DEFAULTS.tol,
    ) -> None:
        super().__init__()
        self.watch = make_watch(
            every=every,
            roles=roles,
            layers=layers,
            budget=budget,
            at_start=at_start,
            stop_on_nonfinite=stop_on_nonfinite,
            log=log,
            submodule=submodule,
            tol=tol,
        )
        self.observer = Observer(self.watch)
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Map the model, go on with the log, and measure it as it starts."""
        self.observer = Observer(self.watch, first=trainer.is_global_zero)
        self._step = trainer.global_step
        self._act(self.observer.begin(pl_module, self._step, trainer.default_root_dir), trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Do what is due after a step of the optimizer; batches whose gradients are only added up are none."""
        if trainer.global_step != self._step:
            self._step = trainer.global_step
            self._act(self.observer.after_step(self._step), trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write the log, so that it reaches as far as the checkpoint."""
        self.observer.save()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the log to its end."""
        self.observer.end(trainer.global_step)

    def _act(self, seen: Seen, trainer: Trainer) -> None:
        if seen.stop:
            trainer.should_stop = True
        if seen.numbers:
            for logger in trainer.loggers:
                logger.log_metrics(seen.numbers, step=self._step)
