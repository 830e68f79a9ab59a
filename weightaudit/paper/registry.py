"""The experiments, in the order in which ``all`` runs them. Light: an experiment's module loads when it is asked for.

To add one: make a folder whose ``experiment`` has a config made of `setting` fields and ``run(config, progress) ->
Result``, and name it here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from weightaudit.paper.results import Result


@dataclass(frozen=True)
class Experiment:
    """One experiment: its name on the command line, its title, and where its code is.

    ``in_all`` are values that its settings have when it runs as a part of ``all``, as typed. One that ``goes_on`` keeps
    what it has finished: ``run(config, progress, cells)``.
    """

    name: str
    title: str
    module: str
    config_name: str
    in_all: Mapping[str, str | bool] = field(default_factory=dict, hash=False)
    goes_on: bool = False

    @property
    def config_class(self) -> type[Any]:
        """The frozen dataclass of its settings."""
        found: type[Any] = getattr(import_module(self.module), self.config_name)
        return found

    @property
    def run(self) -> Callable[..., Result]:
        """``run(config, progress)``: computes, and neither prints nor writes, but for `Cells` that it is given."""
        found: Callable[..., Result] = import_module(self.module).run
        return found


def _at(folder: str) -> str:
    return f"weightaudit.paper.{folder}.experiment"


EXPERIMENTS: dict[str, Experiment] = {
    one.name: one
    for one in (
        Experiment("table1", "Table 1: sizes of the six models", _at("table1"), "Table1Config"),
        Experiment(
            "figure1",
            "Figure 1: norms and stable ranks of pretrained transformers",
            _at("figure1"),
            "Figure1Config",
            in_all={"offline": True},  # gigabytes are fetched only by who asks for them
        ),
        Experiment("figure2", "Figure 2: inverse stable rank against weight decay", _at("figure2"), "Figure2Config"),
        Experiment("figure3", "Figure 3: merging by summing weights", _at("figure3"), "Figure3Config"),
        Experiment("fashion-mnist", "Merging on Fashion-MNIST", _at("fashion_mnist"), "FashionMnistConfig"),
        Experiment(
            "transfer", "Transfer: what weights say of a merge", _at("transfer"), "TransferConfig", goes_on=True
        ),
        Experiment("lemmas", "The theory, checked numerically", _at("lemmas"), "LemmasConfig"),
    )
}
