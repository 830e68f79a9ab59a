"""One run watched: when which matrix is measured, what is written and told. Both callbacks are made of this."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from weightaudit.errors import OutputError
from weightaudit.records import Finding, RoleMatrix, SeriesRow, told_together
from weightaudit.report.series.log import LOG_NAME, is_log, read_log, table_of, write_log
from weightaudit.spectral import measure
from weightaudit.text import plural
from weightaudit.training.budget import Budget
from weightaudit.training.finite import nonfinite_tensors, settle
from weightaudit.training.live import LiveMatrices, watched, why_not_whole
from weightaudit.training.medians import RoleMedian, medians_of
from weightaudit.training.numbers import PREFIX, logged
from weightaudit.training.rules import findings_at, nonfinite_finding
from weightaudit.training.watch import Watch

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from weightaudit.arrays import Array

logger = logging.getLogger("weightaudit.training")


@dataclass(frozen=True)
class Seen:
    """What a callback is to do after a step: numbers for the trainer's logger, and whether training should end."""

    numbers: dict[str, float] = field(default_factory=dict)
    stop: bool = False


class Observer:
    """Watches a run as ``watch`` says. ``first`` says that this is the first of the run's processes, which alone
    measures and writes; the others look for NaN and infinite weights where that is to end training, so that all end.
    """

    def __init__(self, watch: Watch, *, first: bool = True, budget: Callable[[float | None], Budget] = Budget) -> None:
        self.watch, self.first = watch, first
        self.budget = budget(watch.budget)
        self.path = Path(LOG_NAME)
        self._make_budget = budget
        self._module: torch.nn.Module | None = None
        self._live: LiveMatrices | None = None
        self._matrices: tuple[RoleMatrix, ...] = ()
        self._opening = 0.0  # seconds that it takes to get at the weights of a step
        self._seconds: dict[str, float] = {}  # matrix → what it took the last time
        self._check_seconds = 0.0
        self._last_check = 0
        self._last_step = 0
        self._due = 0
        self._queue: deque[RoleMatrix] = deque()  # what the measurement at hand has still to measure
        self._measured: list[SeriesRow] = []  # what it has
        self._pending: list[SeriesRow] = []  # not written yet
        self._tables: list[pa.Table] = []
        self._medians: dict[tuple[str, str], list[RoleMedian]] = {}
        self._dead = False
        self._adapter = False

    def begin(self, module: torch.nn.Module, step: int, directory: str | os.PathLike[str]) -> Seen:
        """Make ready for a run that begins, or goes on, after ``step``; its log is in ``directory`` where none is
        named.

        Raises UsageError or ModelError for what cannot be watched, before training has cost anything.
        """
        self._module = None
        self.path = self.watch.log or Path(directory) / LOG_NAME
        part = watched(module, self.watch.submodule)
        if why := why_not_whole(module):
            if self.first:
                logger.warning("the model is not measured while it is trained: %s", why)
            return Seen()
        if self.first:
            self._live = LiveMatrices(part, self.watch.roles, self.watch.layers)
            self._matrices, self._adapter = self._live.matrices, self._live.adapter
            self._continue_log(step)
        self._module, self._last_check, self._last_step, self._dead = part, step, step, False
        self._seconds, self._queue, self._measured = {}, deque(), []
        self.budget = self._make_budget(self.watch.budget)
        if not (self.first and self.watch.at_start and step == 0):
            return Seen()
        self._start(step)
        self._go_on(step, whole=True)
        return Seen(self._finish())

    def after_step(self, step: int) -> Seen:
        """Do what is due, and can be afforded, after the step of this number. What fails is told, and ends no training:
        it is only watched no longer.
        """
        module = self._module
        if module is None:
            return Seen()
        try:
            return self._after_step(module, step)
        except Exception as error:  # whatever it is: a device without memory too
            logger.warning("the weights are not looked at any more from step %d on: %s", step, error)
            self._queue.clear()
            self.end(step)
            self._module = None
            return Seen()

    def _after_step(self, module: torch.nn.Module, step: int) -> Seen:
        stop = self._look(module, step)
        if not self.first:
            return Seen(stop=stop)
        last, self._last_step = self._last_step, step
        if step // self.watch.every > last // self.watch.every:  # a batch may be several steps of the optimizer
            if self._queue:
                self._skip(step, f"{self._left()} of the measurement due at step {self._due:,} were still to come")
            else:
                self._start(step)
        numbers: dict[str, float] = {}
        if self._queue and self.budget.allows(self._opening + self._estimate()):
            settle(module)
            self._go_on(step)
            if not self._queue:
                numbers = self._finish()
        if stop:
            self.save()
        return Seen(numbers, stop)

    def end(self, step: int) -> None:
        """Write what is left to write, at the end of training."""
        if self._module is None or not self.first:
            return
        if self._queue:
            self._skip(step, f"{self._left()} of the measurement due at step {self._due:,} were to come as it ended")
            self._queue.clear()
        self.save()

    def save(self) -> None:
        """Write the log. What cannot be written is told, and does not end the training."""
        if self._module is None or not self.first:
            return
        with self.budget.spending():
            if self._pending:
                self._tables.append(table_of(self._pending))
                self._pending = []
            told = {
                "every": float(self.watch.every),
                "adapter": float(self._adapter),
                **({} if self.watch.budget is None else {"budget": self.watch.budget}),
                "training_seconds": self.budget.training,
                "measuring_seconds": self.budget.spent,
            }
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                write_log(self.path, self._tables, told)
            except (OutputError, OSError) as error:
                logger.warning("the log of the weights could not be written: %s", error)

    # What is looked at, and when

    def _look(self, module: torch.nn.Module, step: int) -> bool:
        """Whether a weight is NaN or infinite and training is to end for it. A look that cannot be afforded waits."""
        always = self.watch.stop_on_nonfinite
        if self._dead or not (always or (self.first and self.budget.allows_check(self._check_seconds))):
            return False
        settle(module)
        spent = self.budget.spent
        with self.budget.spending(check=True):
            found = nonfinite_tensors(module)
        self._check_seconds, since = self.budget.spent - spent, self._last_check
        self._last_check = step
        if found:
            self._tell_dead(step, since, found)
        return bool(found) and always

    def _start(self, step: int) -> None:
        self._due, self._measured = step, []
        self._queue = deque(self._matrices)

    def _estimate(self) -> float:
        """Seconds that the next matrix will take: what it took the last time, or as much as others for each entry."""
        matrix = self._queue[0]
        if matrix.key in self._seconds or not self._seconds:
            return self._seconds.get(matrix.key, 0.0)
        entries = sum(known.parameters for known in self._matrices if known.key in self._seconds)
        return sum(self._seconds.values()) / max(1, entries) * matrix.parameters

    def _go_on(self, step: int, *, whole: bool = False) -> None:
        """Measure what the budget allows of what is still to come, all of it where it is to be ``whole``."""
        assert self._live is not None
        opening = Budget(None)
        with self.budget.spending(), opening.spending():
            reader = self._live.reader()
        self._opening = opening.spent
        while self._queue and (whole or self.budget.allows(self._estimate())):
            with self.budget.spending():
                self._measure_next(step, reader)

    def _measure_next(self, step: int, reader: Callable[[str], Array]) -> None:
        matrix = self._queue.popleft()
        alone = Budget(None)
        with alone.spending():
            blocks = replace(matrix, reader=reader).blocks()
            found = measure(blocks, name=matrix.key, tol=self.watch.tol)
        self._seconds[matrix.key] = alone.spent
        row = SeriesRow(
            step=step,
            due=self._due,
            kind="matrix",
            place=matrix.place,
            tensors=matrix.tensors,
            rows=matrix.shape[0],
            cols=matrix.shape[1],
            frobenius_norm=found.frobenius_norm,
            spectral_norm=found.spectral_norm,
            spectral_norm_upper=found.spectral_norm_upper,
            stable_rank=found.stable_rank,
            stable_rank_lower=found.stable_rank_lower,
            nonfinite=found.nonfinite,
            seconds=alone.spent,
        )
        self._measured.append(row)
        self._pending.append(row)

    def _finish(self) -> dict[str, float]:
        """The numbers of a measurement that is complete; what it shows is told, and the log written."""
        dead = [name for row in self._measured if row.nonfinite for name in row.tensors]
        if dead:
            self._tell_dead(max(row.step for row in self._measured), self._last_check, list(dict.fromkeys(dead)))
        for key, medians in medians_of(self._measured).items():
            self._medians.setdefault(key, []).extend(medians)
        with self.budget.spending():
            found = findings_at(self._due, self._medians, adapter=self._adapter)
        self._tell(max(row.step for row in self._measured), *found)
        self.save()
        overhead = {f"{PREFIX}/overhead": self.budget.overhead} if self._due else {}  # none before the first step
        return {**logged(self._measured), **overhead}

    # What is told

    def _tell_dead(self, step: int, since: int, tensors: list[str]) -> None:
        """Once in a run: what has become NaN or infinite, at ``step`` or in one of those after ``since``."""
        if self._dead:
            return
        self._dead = True
        self._tell(step, nonfinite_finding(step, since, tensors))

    def _tell(self, step: int, *findings: Finding) -> None:
        """Warn of ``findings``, those of one rule at once, and have the log say each. Only the first process does."""
        if not self.first:
            return
        for _, one in told_together((step, found) for found in findings):
            logger.warning("%s (%s). %s", one.detail.rstrip("."), one.id, one.advice)
        self._pending += [
            SeriesRow(step, self._due, "finding", found.place, found.tensors, rule=found.id, note=found.detail)
            for found in findings
        ]

    def _skip(self, step: int, why: str) -> None:
        note = f"skipped to stay within the budget of {self.watch.budget}: {why}"
        self._pending.append(SeriesRow(step, step, "skipped", note=note))

    def _left(self) -> str:
        return f"{len(self._queue):,} of {plural(len(self._matrices), 'matrix', 'matrices')}"

    # The log of before

    def _continue_log(self, step: int) -> None:
        """Have the log begin with what an earlier run left up to ``step``; that of another run gets another name."""
        self._tables, self._pending, self._medians = [], [], {}
        if not self.path.exists():
            return
        if step == 0:
            aside = next(name for name in _numbered(self.path) if not name.exists())
            if is_log(self.path):
                os.replace(self.path, aside)
                logger.warning("an earlier run's log %s is now called %s", self.path, aside.name)
                return
        rows = [row for row in read_log(self.path)[0] if row.step <= step]
        self._tables = [table_of(rows)]
        self._medians = medians_of(rows)


def _numbered(path: Path) -> Iterator[Path]:
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(1))
