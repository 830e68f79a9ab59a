"""Imports run one way: no module imports itself by way of others, not even for a type, and each contract is one that
sees what it forbids.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import api
from importlinter.configuration import configure
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract


def cycles(graph: grimp.ImportGraph) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        open_.append(module)
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if imported not in number:
                visit(imported)
            if imported in open_:
                lowest[module] = min(lowest[module], lowest[imported])
        if lowest[module] == number[module]:
            start = open_.index(module)
            component = open_[start:]
            del open_[start:]
            if len(component) > 1:
                found.append(sorted(component))

    for module in sorted(graph.modules):
        if module not in number:
            visit(module)
    return found


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("weightaudit", exclude_type_checking_imports=False, cache_dir=None)


def test_no_cycles(graph: grimp.ImportGraph) -> None:
    assert cycles(graph) == []


def test_nothing_imports_the_root(graph: grimp.ImportGraph) -> None:
    importers = graph.find_modules_that_directly_import("weightaudit") - {"weightaudit.__main__"}
    assert importers == set()


def test_a_cycle_is_seen() -> None:
    graph = grimp.ImportGraph()
    for module in ("a", "b", "c"):
        graph.add_module(module)
    graph.add_import(importer="a", imported="b")
    graph.add_import(importer="b", imported="a")
    graph.add_import(importer="c", imported="a")
    assert cycles(graph) == [["a", "b"]]


FORBIDDEN = {
    "bytes flow one way: each room imports only the rooms below it": ("errors", "weightaudit.config"),
    "report shows numbers; it never reads bytes, names or arrays itself": ("report.tables", "weightaudit.compiled.jit"),
    "neither a scan nor a comparison of models knows how it is shown": ("merging.rules", "weightaudit.report.tables"),
    "checkpoint knows sources, not roles, numbers or pages": ("checkpoint.index", "weightaudit.architecture.registry"),
    "codecs turn bytes that are at hand into numbers; they read no file": (
        "checkpoint.codecs.bits",
        "weightaudit.source.local",
    ),
    "architecture sees names, shapes and config values, never bytes": ("architecture.mapping", "numpy"),
    "spectral sees arrays, never files, the Hub or model classes": ("spectral.inputs", "transformers"),
    "spectral: algorithms know operators by their protocol alone": (
        "spectral.spectrum",
        "weightaudit.spectral.operators.dense",
    ),
    "spectral computes with numpy; what is torch's own is in one module": ("spectral.krylov", "torch"),
    "nothing knows the paper's experiments but their command": ("audit.scan", "weightaudit.paper.registry"),
}
"""An import that each contract of pyproject.toml is there to forbid."""


@pytest.fixture(scope="module")
def contracts() -> dict[str, Any]:
    configure()
    said = api.read_configuration(str(Path(__file__).parents[1] / "pyproject.toml"))
    kinds = {"layers": LayersContract, "forbidden": ForbiddenContract}
    return {
        one["name"]: kinds[one["type"]](
            name=one["name"],
            session_options=said["session_options"],
            contract_options={key: value for key, value in one.items() if key not in ("name", "type")},
        )
        for one in said["contracts_options"]
    }


@pytest.fixture(scope="module")
def whole_graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "weightaudit", include_external_packages=True, exclude_type_checking_imports=False, cache_dir=None
    )


def test_every_contract_is_broken_below(contracts: dict[str, Any]) -> None:
    assert contracts.keys() == FORBIDDEN.keys()


@pytest.mark.parametrize("name", FORBIDDEN)
def test_each_contract_sees_an_import_that_it_forbids(
    name: str, contracts: dict[str, Any], whole_graph: grimp.ImportGraph
) -> None:
    assert contracts[name].check(deepcopy(whole_graph), verbose=False).kept
    importer, imported = FORBIDDEN[name]
    assert {f"weightaudit.{importer}", imported} <= whole_graph.modules
    broken = deepcopy(whole_graph)
    broken.add_import(importer=f"weightaudit.{importer}", imported=imported)
    assert not contracts[name].check(broken, verbose=False).kept
