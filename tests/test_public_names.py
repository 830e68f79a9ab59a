"""The public names are documented, in numpydoc's sections: each parameter and field, and nothing that is not there."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

import weightaudit as wa
from weightaudit.errors import UsageError
from weightaudit.options import options_of

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
FUNCTIONS = (
    "batch",
    "compare",
    "diff",
    "load",
    "matrices",
    "measure",
    "merge",
    "merge_check",
    "open_checkpoint",
    "scan",
)
RECORDS = ("Batch", "Comparison", "DiffReport", "Finding", "MergeReport", "RoleMatrix", "ScanReport", "Spectrum")


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


@pytest.mark.parametrize("name", ["", ".api", ".audit", ".records", ".spectral", ".training"])
def test_packages_list_the_names_that_they_import_on_first_use(name: str) -> None:
    """Type checkers are told these alone, and not that there is a ``__getattr__``, or no misspelt name is an error."""
    package = importlib.import_module(f"weightaudit{name}")
    assert dir(package) == sorted(package.__all__)
    shown = [ast.unparse(node) for node in ast.parse(inspect.getsource(package)).body]
    assert not [code for code in shown if "__getattr__" in code and not code.startswith("if not TYPE_CHECKING:")]


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


def test_signatures_show_options_with_their_types_and_defaults() -> None:
    shown = inspect.signature(wa.scan).parameters
    for field in dataclasses.fields(wa.AuditConfig):
        assert (shown[field.name].default, shown[field.name].annotation) == (field.default, field.type)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: wa.scan("x", tolerance=1), r"^scan\(\) got an unexpected keyword argument 'tolerance'"),
        (lambda: cast(Any, wa.scan)(), r"^scan\(\) missing a required argument: 'model'"),
        (lambda: wa.matrices("x", roles="Q"), r"^matrices\(\) got an unexpected keyword argument 'roles'"),
    ],
)
def test_wrong_keywords_are_the_functions(call: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        call()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"spectrum": "some"}, "spectrum: 'some' is none of yes, no and full"),
        ({"offline": 1}, "offline: 1 is neither True nor False"),
        ({"device": torch.device("cpu")}, "is no text"),
        ({"revision": 5}, "revision: 5 is no text"),
        ({"max_wait": "5"}, "max_wait: '5' is no number"),
        ({"tol": True}, "tol: True is no number"),
        ({"threads": 2.0}, "threads: 2.0 is no whole number"),
        ({"seed": "0"}, "seed: '0' is no whole number"),
    ],
)
def test_values_of_other_types_are_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        wa.scan("nowhere", **options)


def test_a_display_of_another_type_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="progress: 'yes' is neither True, False nor a Progress"):
        wa.scan(tmp_path, progress="yes")  # type: ignore[arg-type]


def test_docstrings_name_the_choices() -> None:
    assert "Choices are auto, exact and krylov." in (wa.scan.__doc__ or "")


def test_numbers_of_numpy_are_plain_ones() -> None:
    config = wa.AuditConfig().with_written({"seed": np.int64(3), "tol": np.float32(0.5), "max_wait": 5})
    assert [type(value) for value in (config.seed, config.tol, config.max_wait)] == [int, float, float]
