"""What people write for --roles and --layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from weightaudit.audit.selection import select
from weightaudit.errors import UsageError
from weightaudit.parse import parse_layers, parse_roles
from weightaudit.records import ModelMap, Part, RoleMatrix


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("0-2", (0, 1, 2)),
        ("5", (5,)),
        ("3, 0-1,1", (0, 1, 3)),
        (range(2), (0, 1)),
        ([4, 4, 1], (1, 4)),
        (7, (7,)),
        (np.arange(2), (0, 1)),
        (np.int64(3), (3,)),
        (None, None),
    ],
)
def test_layers(written: object, numbers: object) -> None:
    assert parse_layers(written) == numbers  # type: ignore[arg-type]  # the table holds every accepted type


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("9-2", "the range runs backwards. Write 2-9"),
        ("a", "'a' is no layer number"),
        ("", "no layer number"),
        ("1-", "'1-' is no layer number and no range"),
        ("-3", "no layer number"),
        ("0-99999999999", "no layer number"),
        ("²", "no layer number"),
        ([], "the list is empty"),
        ([-1], "not a layer number"),
        ([True], "not a layer number"),
        ([0.5], "not a layer number"),
        ("\x1b[31m", "no layer number"),
    ],
)
def test_layers_refused(written: object, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_layers(written)  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_roles() -> None:
    assert parse_roles("q, K,q") == ("Q", "K")
    assert parse_roles(["M1"]) == ("M1",)
    assert parse_roles(None) is None
    with pytest.raises(UsageError, match="the list is empty"):
        parse_roles(" , ")


def _matrix(layer: int | None, role: str) -> RoleMatrix:
    return RoleMatrix("", layer, None, role, (Part(f"{layer}.{role}"),), (2, 2), "float32")


MODEL = ModelMap(
    family="toy",
    model_type="toy",
    guessed=False,
    dimensions={},
    matrices=(_matrix(None, "EMBED"), _matrix(0, "Q"), _matrix(0, "M1"), _matrix(1, "Q")),
    coverage=(),
)


def test_select() -> None:
    assert select(MODEL, None, None) == MODEL.matrices
    assert [m.layer for m in select(MODEL, ["Q"], None)] == [0, 1]
    assert [m.role for m in select(MODEL, None, [0])] == ["Q", "M1"]


def test_the_work_of_selecting_grows_with_the_layers_not_with_their_square() -> None:
    compared = 0

    class Layer(int):
        __hash__ = int.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return int.__eq__(self, other)

    def comparisons(layers: int) -> int:
        nonlocal compared
        model = replace(MODEL, matrices=tuple(_matrix(Layer(i), "Q") for i in range(layers)))
        compared = 0
        assert len(select(model, None, [Layer(i) for i in range(layers)])) == layers
        return compared

    assert comparisons(800) < 3 * comparisons(400) + 100


@pytest.mark.parametrize(
    ("roles", "layers", "says"),
    [
        (["QQ"], None, "Did you mean Q? It has EMBED, Q and M1."),
        (None, [2], "It has layers 0-1."),
        (["M1"], [1], "the model has no such matrix"),
        (["EMBED"], [0], "without --layers"),
    ],
)
def test_select_refuses_what_is_not_there(roles: list[str] | None, layers: list[int] | None, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(MODEL, roles, layers)
    assert says in str(caught.value)
