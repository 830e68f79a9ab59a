"""Matrices of no known role: which tensors are such, what each is as a matrix, and how it is known."""

from __future__ import annotations

import pytest

from tests.architecture.saved import info
from weightaudit.architecture import map_model
from weightaudit.errors import MappingError
from weightaudit.records import OTHER, Finding, ModelMap, Place, RoleMatrix, TensorInfo


def mapped(*tensors: TensorInfo, config: dict[str, object] | None = None, everything: bool = True) -> ModelMap:
    return map_model(config, {one.name: one for one in tensors}, everything=everything)


def test_a_kernel_is_its_first_dimension_by_all_others() -> None:
    found = mapped(info("conv.weight", (8, 3, 5, 5)), info("proj", (4, 6)), info("conv1d.weight", (6, 2, 4)))
    assert {matrix.key: matrix.shape for matrix in found.matrices} == {
        "///OTHER/conv.weight": (8, 75),
        "///OTHER/conv1d.weight": (6, 8),
        "///OTHER/proj": (4, 6),
    }
    assert {entry.roles for entry in found.coverage} == {(OTHER,)}


def test_a_batch_of_one_is_the_matrix_that_it_holds() -> None:
    (matrix,) = mapped(info("pos_embed", (1, 20, 16))).matrices
    assert matrix.shape == (20, 16)


def test_numbers_in_names_are_in_their_order() -> None:
    names = [
        "layer.10.a",
        "layer.2.b",
        "layer.2.a",
        "layer.010.a",
        "layer.9" + "9" * 900,
        "head",
        "layer.1.10",
        "layer.1.9",
    ]
    found = mapped(*(info(name, (4, 6)) for name in names))
    assert [matrix.tensors[0] for matrix in found.matrices] == [
        *(
            "head",
            "layer.1.9",
            "layer.1.10",
            "layer.2.a",
            "layer.2.b",
            "layer.010.a",
            "layer.10.a",
            "layer.9" + "9" * 900,
        )
    ]


def test_what_is_no_matrix_of_numbers_is_left() -> None:
    found = mapped(
        info("proj", (4, 6)),
        info("bias", (4,)),
        info("index", (9, 9), "int64"),
        info("phases", (4, 4), "complex64"),
        info("nothing", (0, 4)),
        info("layers.0.attn.masked_bias", (4, 4)),
    )
    assert [matrix.tensors for matrix in found.matrices] == [("proj",)]
    assert {entry.tensor for entry in found.coverage if entry.status == "analysed"} == {"proj"}


def test_roles_that_are_known_stay_and_come_first() -> None:
    tensors = (
        info("model.layers.0.self_attn.q_proj.weight", (8, 8)),
        info("model.embed_tokens.weight", (9, 8)),
        info("a.first.weight", (3, 8)),
        info("lm_head.weight", (9, 8)),
    )
    assert [matrix.place.label for matrix in mapped(*tensors).matrices] == [
        *("EMBED", "Q", "HEAD"),
        "OTHER a.first.weight",
    ]
    before = mapped(*tensors, everything=False)
    assert mapped(*tensors[:2], tensors[3]).matrices == before.matrices
    assert [entry.status for entry in before.coverage] == ["unmapped", *["analysed"] * 3]


def test_names_that_end_alike_do_not_collide() -> None:
    names = ("w", "w.weight", "/w", "//w", "OTHER/w", "a b", "a\u00a0b")
    keys = [matrix.key for matrix in mapped(*(info(name, (2, 3)) for name in names)).matrices]
    assert len(set(keys)) == len(names)


@pytest.mark.parametrize("config", [None, {}, {"_class_name": "UNet2DConditionModel"}, {"model_type": "vit"}])
def test_a_config_need_not_say_what_the_model_is(config: dict[str, object] | None) -> None:
    found = mapped(info("conv_in.weight", (8, 3, 3, 3)), config=config)
    assert [matrix.role for matrix in found.matrices] == [OTHER]


def test_where_nothing_is_a_matrix_it_says_so() -> None:
    with pytest.raises(MappingError, match="not one of 1 could be mapped to a matrix"):
        mapped(info("scale", (4,)))


def test_a_place_of_no_known_role_has_its_tensor() -> None:
    matrix = RoleMatrix("", None, None, OTHER, mapped(info("a.w", (2, 3))).matrices[0].parts, (2, 3), "float32")
    assert matrix.place == Place(role=OTHER, tensor="a.w")
    assert matrix.place.words() == "OTHER a.w"
    assert matrix.place.population != Place(role=OTHER, tensor="b.w").population
    assert Finding("x", "info", "X", role=OTHER, tensors=("a.w",)).place == matrix.place
    assert Finding("x", "info", "X", role=OTHER, tensors=("a.w", "b.w")).place == Place(role=OTHER)
