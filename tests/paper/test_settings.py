"""Each default once: described, parsed from what somebody typed, and checked."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.toy_experiment import ToyConfig
from weightaudit.errors import UsageError
from weightaudit.options import options_of
from weightaudit.paper.registry import EXPERIMENTS
from weightaudit.paper.settings import check, configured, describe


def test_described() -> None:
    described = describe(ToyConfig(rate=0.5))
    assert list(described) == [field.name for field in dataclasses.fields(ToyConfig)]
    assert described["rate"] == {"value": 0.5, "origin": "ours", "unit": "", "about": "step size"}
    assert described["widths"] == {"value": [10, 10], "origin": "stated", "unit": "neurons", "about": "hidden layers"}


def test_typed_values_become_the_fields_types() -> None:
    given: dict[str, str | bool] = {
        "epochs": "7",
        "rate": "1e-1",
        "lambdas": "0, 1e-4,1",
        "widths": "3",
        "labels": "sin",
        "data_dir": "/a,b",
        "balanced": True,
    }
    assert configured(ToyConfig, given) == ToyConfig(7, 0.1, (0.0, 1e-4, 1.0), (3,), "sin", "/a,b", True)
    assert configured(ToyConfig, {}) == ToyConfig()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("epochs", "7.5", "--epochs 7.5: it is not a whole number"),
        ("epochs", "0", "--epochs 0: it must be at least 1"),
        ("rate", "fast", "--rate fast: it is not a number"),
        ("rate", "0", "--rate 0.0: it must be above 0"),
        ("rate", "3", "--rate 3.0: it must be at most 2"),
        ("rate", "nan", "--rate nan: it is not a finite number"),
        ("lambdas", "0,-1", "--lambdas -1.0: it must be at least 0"),
        ("lambdas", "0,x", "--lambdas x: it is not a number"),
        ("lambdas", " , ", "--lambdas: it is empty"),
        ("labels", "cos", "--labels cos: no such choice. Choose from sign, sin"),
        ("epochs", "\x1b[2J", r"--epochs \x1b[2J: it is not a whole number"),
    ],
)
def test_wrong_values(name: str, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        configured(ToyConfig, {name: text})
    assert str(caught.value).startswith(says)


def test_a_config_made_otherwise_is_a_bug() -> None:
    @dataclasses.dataclass(frozen=True)
    class Bare:
        epochs: int = 1

    with pytest.raises(TypeError, match="epochs"):
        check(Bare())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiments_defaults_pass_its_own_checks(name: str) -> None:
    config = EXPERIMENTS[name].config_class()
    check(config)
    for known in options_of(config).values():
        assert known.origin in ("stated", "ours")
        assert known.help
