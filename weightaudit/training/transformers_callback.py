"""The callback for transformers' Trainer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from weightaudit.config import DEFAULTS
from weightaudit.training.observer import Observer, Seen
from weightaudit.training.watch import BUDGET, EVERY, make_watch

if TYPE_CHECKING:
    from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments


class WeightauditCallback(TrainerCallback):
    """Measure norms and stable ranks of the weights while transformers' Trainer trains them.

    Parameters
    ----------
    trainer
        The trainer whose logger gets the numbers (TensorBoard, W&B, what it reports to). Without it they are in the log
        alone, and in what callbacks after this one are given.
    every
        Steps from one measurement to the next.
    roles
        Roles to measure, such as "Q,K,M1"; all matrices of the layers without.
    layers
        Layers to measure, such as "0-3".
    budget
        Largest share of the time of training so far that measuring may take: 0.02 is 2 %; None for any. A measurement
        is spread over the steps that follow it where it would take more; one that is due before the last is complete
        is skipped, and the log says so.
    at_start
        Whether all is measured before the first step, in one go. It counts towards the budget.
    stop_on_nonfinite
        Whether training ends at a weight that is NaN or infinite. Then weights are looked at after every step, whatever
        the budget.
    log
        The Parquet log; weightaudit.parquet in the trainer's ``output_dir`` without.
    submodule
        Name of the part of the model to watch, where several models are trained together.
    tol
        Relative width of the certified interval on σ₁².

    Raises
    ------
    UsageError
        An option makes no sense. What the model does not have is told when training begins.

    Examples
    --------
    >>> from weightaudit.training import WeightauditCallback
    >>> trainer = Trainer(model, arguments, train_dataset=texts)  # doctest: +SKIP
    >>> trainer.add_callback(WeightauditCallback(trainer, every=100, roles="Q,K,M1,M2"))  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    """

    def __init__(
        self,
        trainer: Trainer | None = None,
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
        self.trainer = trainer
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
        self._numbers: dict[str, float] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Map the model, go on with the log, and measure it as it starts."""
        self.observer = Observer(self.watch, first=state.is_world_process_zero)
        self._act(self.observer.begin(kwargs["model"], state.global_step, args.output_dir or "."), control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Do what is due after this step."""
        self._act(self.observer.after_step(state.global_step), control)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Give the last numbers to the callbacks that come after, where no trainer's logger had them."""
        kwargs["logs"].update(self._numbers)
        self._numbers = {}

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the log, so that it reaches as far as the checkpoint."""
        self.observer.save()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the log to its end."""
        self.observer.end(state.global_step)

    def _act(self, seen: Seen, control: TrainerControl) -> None:
        if seen.stop:
            control.should_training_stop = True
        if not seen.numbers:
            return
        if self.trainer is None:
            self._numbers = seen.numbers
            return
        wanted = control.should_log  # logging takes it back, and the trainer's own numbers were due as well
        self.trainer.log(dict(seen.numbers))
        control.should_log = wanted
