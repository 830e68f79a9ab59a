"""Running experiments: what is done already is skipped, what cannot run is said, everything else is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightaudit.audit import Progress
from weightaudit.errors import OutputError, UsageError, WeightauditError
from weightaudit.model_files import ModelFiles
from weightaudit.paper import outputs
from weightaudit.paper.cells import Cells
from weightaudit.paper.png import check_drawable
from weightaudit.paper.registry import Experiment
from weightaudit.paper.settings import configured
from weightaudit.report.atomic_write import Attempts

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ran:
    """An experiment and its verdict (what verdict.json holds), or why there is none."""

    experiment: Experiment
    verdict: dict[str, Any] | None
    why_not: str = ""


def run_one(
    experiment: Experiment,
    config: Any,
    out: Path,
    progress: Progress,
    attempts: Attempts,
    *,
    again: bool,
    say: Say,
) -> Ran:
    """Run into ``out/NAME``, or take what an earlier run of the same settings and versions left there.

    ``say`` hears in one line what became of it, and ``attempts`` has the error of a file that cannot be written. Raises
    what the experiment raises.
    """
    directory = out / experiment.name
    _check_directories(out, {experiment: config})
    before = None if again else outputs.finished(experiment.name, config, directory)
    if before is not None:
        say(f"{experiment.name}: {directory} has it already, by the same settings and versions; --again runs it anew")
        return Ran(experiment, before)
    check_drawable()
    outputs.prepare(directory)
    cells = Cells(directory, config)
    try:
        result = experiment.run(config, progress, *([cells] if experiment.goes_on else []))
    except BaseException:  # Ctrl-C too; raised again
        with suppress(OSError):  # it has something in it, of an earlier run
            directory.rmdir()
        raise
    verdict = outputs.write(experiment.name, experiment.title, result, config, directory, attempts)
    if not verdict["lacking"]:
        cells.clear()
    say(f"{experiment.name}: wrote {directory}")
    return Ran(experiment, verdict)


def _check_directories(out: Path, experiments: Mapping[Experiment, Any]) -> None:
    """OutputError where what these experiments write would come into the folder of a model that one of them reads."""
    named = (model for config in experiments.values() for model in getattr(config, "models", ()))
    models = ModelFiles.of(named, walk=False)
    for directory in (out, *(out / experiment.name for experiment in experiments)):
        models.check_directory(directory)


def run_all(
    experiments: Mapping[Experiment, Any],
    out: Path,
    progress: Progress,
    attempts: Attempts,
    *,
    again: bool,
    say: Say,
) -> list[Ran]:
    """`run_one` for every experiment and its config, on past those whose data or models are not to be had, and those
    for which ``out``, which is made, has no room.
    """
    _check_directories(out, experiments)
    outputs.prepare(out)
    ran = []
    for experiment, config in experiments.items():
        try:
            ran.append(run_one(experiment, config, out, progress, attempts, again=again, say=say))
        except OutputError as error:
            with attempts:
                raise
            ran.append(Ran(experiment, None, str(error)))
        except UsageError:
            raise  # a wrong option: the next experiment would fare no better
        except WeightauditError as error:
            say(f"{experiment.name}: not run: {error}")
            ran.append(Ran(experiment, None, str(error)))
    return ran


def all_configs(experiments: Mapping[str, Experiment], given: Mapping[str, str | bool]) -> dict[Experiment, Any]:
    """The config of each experiment within ``all``: its own defaults, and of ``given`` what it has a setting for."""
    configs = {}
    for experiment in experiments.values():
        known = experiment.config_class.__dataclass_fields__
        values = {**experiment.in_all, **{name: value for name, value in given.items() if name in known}}
        configs[experiment] = configured(experiment.config_class, values)
    return configs
