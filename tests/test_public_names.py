"""The public names are documented, in numpydoc's sections: each parameter and field, and nothing that is not there."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import weightaudit as wa
from weightaudit.options import options_of

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
FUNCTIONS = ("matrices", "measure", "scan")
RECORDS = ("Finding", "RoleMatrix", "ScanReport", "Spectrum")


def section(thing: Any, title: str) -> list[str]:
    """The names that a section of the docstring describes, in order; fails where one has no description."""
    text = inspect.getdoc(thing) or ""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"no section {title}"
    names: list[str] = []
    described = True
    for line in found[1].rstrip().split("\n"):
        if line.startswith(" "):
            described = True
        elif line:
            assert described, names[-1]
            described = False
            names += line.split(", ")
    assert described, names[-1]
    return names


def test_the_page_has_every_public_name() -> None:
    shown = re.findall(r"^::: weightaudit\.(\w+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(shown) == [name for name in wa.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_described(name: str) -> None:
    function = getattr(wa, name)
    assert sorted(section(function, "Parameters")) == sorted(inspect.signature(function).parameters)
    assert section(function, "Returns")
    assert section(function, "Raises")


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_is_described(name: str) -> None:
    record = getattr(wa, name)
    assert sorted(section(record, "Attributes")) == sorted(field.name for field in dataclasses.fields(record))


def test_every_option_is_described_where_it_has_its_default() -> None:
    for name, option in options_of(wa.AuditConfig).items():
        assert option.help.endswith("."), name


def test_what_an_error_has_is_described() -> None:
    error = wa.WeightauditError("model", "it is not there", "Look elsewhere")
    assert all(hasattr(error, name) for name in section(wa.WeightauditError, "Attributes"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_work(name: str) -> None:
    function = getattr(wa, name)
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, sys.modules[function.__module__])
    assert test.examples
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0
