"""Imports run one way: no module imports itself by way of others, not even for a type."""

from __future__ import annotations

import grimp
import pytest


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
