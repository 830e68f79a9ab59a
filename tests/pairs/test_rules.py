"""The findings of a difference: each cause once, with its numbers and places, and nothing of what is not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.pairs.changes import (
    ADAPTER,
    CAST,
    COLS,
    ENTRIES,
    LAYERS,
    NAN,
    ROWS,
    change,
    explained,
    facts,
    identity,
    low_rank,
    model,
    result,
    vector,
    with_layer,
)
from weightaudit.audit.rules import RULES as OF_A_SCAN
from weightaudit.audit.rules import make_policy
from weightaudit.pairs.rules import RULES, judge
from weightaudit.parse import parse_selectors, parse_severities
from weightaudit.records import Change, DiffResult, Directions, Finding, Grid, OneSided, Place, RankFacts

CAST_LORA = low_rank(entries=facts(precision_derived="bfloat16", floor=1e-4))
ALL_CAST = {"kind": "cast"}
DENSE = {"kind": "dense"}
ROLES = ("EMBED", "Q", "K", "V", "O", "M1", "M2")


def found(changed: DiffResult, *, severity: str = "", ignore: str = "") -> list[Finding]:
    policy = make_policy(parse_severities(severity), parse_selectors(ignore), RULES)
    return list(judge(changed, policy).findings)


def told(changed: DiffResult) -> dict[str, str]:
    """Details by id; no id comes twice."""
    findings = found(changed)
    assert len({one.id for one in findings}) == len(findings)
    return {one.id: one.detail for one in findings}


def every(known: dict[str, Any], *vectors: Change) -> list[Change]:
    return [*model(**dict.fromkeys(ROLES, known))[: 6 * LAYERS + 1], *vectors]


def ids(changed: DiffResult) -> set[str]:
    return set(told(changed))


def test_ids_are_their_own_and_each_says_what_it_is() -> None:
    names = [rule.id for rule in (*OF_A_SCAN, *RULES)]
    assert len(set(names)) == len(names)
    for number, rule in enumerate(RULES):
        assert rule.id.startswith("diff-")
        assert all((rule.title, rule.measures, rule.source, rule.advice.endswith(".")))
        assert set(rule.suppressed_by) <= {one.id for one in RULES[:number]}


def test_nothing_differs() -> None:
    said = told(result(model()))
    assert said == {"diff-identical": "No entry of 25 matrices and 2 norms and biases differs."}
    partly = told(result(model(), partial=("--roles",)))["diff-identical"]
    assert "a part only (--roles)" in partly
    assert ids(result(())) == set()
    alone = [OneSided(Place(), ("extra",), (3,), "derived")]
    assert ids(result(model(), alone)) == set()


def test_a_full_fine_tune_is_no_finding() -> None:
    assert ids(result(every(DENSE, vector("norm", "dense")))) == set()


def test_nothing_but_a_lora() -> None:
    said = told(result(model(Q=low_rank(), V=low_rank(rest=1.05))))
    assert said == {
        "diff-lora": "Nothing but a rank-8 change, as a LoRA makes it, on Q and V of layers 0-3. What those directions "
        "leave is 1.03 in the median, 1.05 at most times what rounding comes to."
    }


def test_nothing_but_a_lora_and_a_cast() -> None:
    cast = {**dict.fromkeys(ROLES, ALL_CAST), "Q": CAST_LORA, "V": CAST_LORA}
    changes = [*model(**cast)[:-2], vector("norm.weight", "cast"), vector("norm.bias")]
    said = told(result(changes))
    assert set(said) == {"diff-lora"}
    assert said["diff-lora"].startswith(
        "Nothing but a rank-8 change, as a LoRA makes it, on Q and V of layers 0-3, then a cast to bfloat16."
    )


@pytest.mark.parametrize(
    "more",
    [
        {"one_sided": [OneSided(Place(), ("score.weight",), (3,), "derived")]},
        {"changes": [vector("score.bias", "dense")]},
        {"changes": [change(Place(role="HEAD"), "dense")]},
        {"changes": [change(Place(role="HEAD"), shape=(70, 32), shape_base=(64, 32))]},
        {"changes": [change(Place(role="HEAD"), "cast")]},  # of a model that was not cast
        {"partial": ("--layers",)},
    ],
)
def test_nothing_but_is_said_only_where_it_is_true(more: dict[str, Any]) -> None:
    changes = [*model(Q=low_rank(), V=low_rank()), *more.pop("changes", ())]
    said = told(result(changes, **more))["diff-lora"]
    assert said.startswith("A rank-8 change")


def test_ranks_that_differ_are_no_lora() -> None:
    changes = [change(Place(layer=i, role="Q"), **low_rank(3 + i)) for i in range(4)]
    said = told(result(changes))["diff-lora"]
    assert "few directions above the resolution of the numbers, 3 to 6 of them a matrix" in said
    assert "LoRA" not in said
    mostly = [change(Place(layer=i, role="Q"), **low_rank(rank)) for i, rank in enumerate((8, 8, 8, 7))]
    assert "3 of 4 have that rank, the others 7." in told(result(mostly))["diff-lora"]


def test_a_lora_in_some_roles_of_a_model_that_was_trained() -> None:
    said = told(result(model(Q=low_rank(), V=low_rank(), M1=DENSE)))
    assert said["diff-lora"].startswith("A rank-8 change, as a LoRA makes it, on Q and V of layers 0-3.")


def test_an_adapter_itself() -> None:
    of_factors = low_rank(rest=0.0, entries=None)
    changes = [change(Place(layer=i, role="Q"), **of_factors) for i in range(3)]
    said = told(result(changes, derived=identity("a", ADAPTER)))
    assert said == {"diff-lora": "Nothing but a rank-8 change, as a LoRA makes it, on Q of layers 0-2."}
    zero = [change(Place(layer=i, role="Q"), entries=None) for i in range(3)]
    assert told(result(zero, derived=identity("a", ADAPTER))) == {
        "diff-identical": "The adapter changes nothing: 3 products of it are zero."
    }


def test_a_cast() -> None:
    said = told(result(every(ALL_CAST, vector("norm", "cast"))))
    assert set(said) == {"diff-cast"}
    assert said["diff-cast"].startswith("Nothing but a cast to bfloat16: 25 of 25 changed matrices")
    mixed = told(result(model(Q=ALL_CAST, K=DENSE, V=DENSE, O=DENSE)))
    finer = {"kind": "cast", "entries": facts(precision_base="bfloat16", change_sq=1e-4, floor_base=1e-4)}
    undone = told(result(every(finer, vector("norm", "cast"))))
    assert undone["diff-cast"].startswith("Nothing but a cast, of the base: 25 of 25 changed matrices")
    assert mixed["diff-cast"].startswith("A cast to bfloat16: 4 of 16 changed matrices (Q of layers 0-3)")


@pytest.mark.parametrize(
    ("known", "id", "words"),
    [
        (
            {"kind": "quantised", "grid": Grid(4, 128, True)},
            "diff-quantised",
            "4 bits with one scale for 128 neighbours, levels evenly spaced",
        ),
        (
            {"kind": "quantised", "grid": Grid(8, -1, False)},
            "diff-quantised",
            "one scale for a matrix, levels not even",
        ),
        (
            {"kind": "pruned", "entries": facts(zeros_derived=ENTRIES // 2, cut=ENTRIES // 2, two_of_four=True)},
            "diff-pruned",
            "the share of zeros is now 50.0%, two of every four (2:4). What is left is as it was.",
        ),
        ({"kind": "pruned and changed", "entries": facts(zeros_derived=ENTRIES // 4)}, "diff-pruned", "changed too"),
        ({"kind": "rows permuted", "block": 8}, "diff-permuted", "rows permuted in 4. It is a copy"),
        ({"kind": "rows permuted", "block": 8}, "diff-permuted", "in blocks of 8"),
        ({"kind": "moved", "moved_from": Place(layer=9, role="Q")}, "diff-moved", "layer 0 Q was layer 9 Q"),
        ({"kind": "rotated"}, "diff-rotated", "not a fine-tune"),
        ({"kind": "scaled", "entries": facts(inner=-10.0)}, "diff-scaled", "by one factor, 0.9, in 4"),
        ({"kind": "columns scaled"}, "diff-scaled", "by a factor for each column in 4"),
        ({"kind": "sparse", "entries": facts(changed=ENTRIES // 10)}, "diff-sparse", "differs, 10.0%"),
        ({"kind": "few rows", "entries": facts(rows_changed=4)}, "diff-rows", f"16 of {4 * ROWS} rows of 4 of 4"),
    ],
)
def test_what_was_done(known: dict[str, Any], id: str, words: str) -> None:
    said = told(result(model(Q=known)))
    assert set(said) - {"diff-partial"} == {id}
    assert words in said[id]
    assert "Q of layers 0-3" in said[id]
    assert id in {one.id for one in RULES}
    assert next(one for one in found(result(model(Q=known))) if one.id == id).role == "Q"


def test_what_was_done_before_a_cast() -> None:
    cast = facts(precision_derived="bfloat16", zeros_derived=ENTRIES // 2)
    said = told(result(model(Q={"kind": "pruned", "entries": cast}, V={"kind": "few rows", "entries": cast})))
    assert "What is left is as it was, but for a cast to bfloat16." in said["diff-pruned"]
    assert said["diff-rows"].startswith("Of 4 of 8 changed matrices (V of layers 0-3) half of the rows at least are")


def test_two_experts_that_changed_places_are_told_in_a_model_that_was_trained() -> None:
    swapped = [
        change(Place(layer=1, expert=i, role="M1"), "moved", moved_from=Place(layer=1, expert=1 - i, role="M1"))
        for i in range(2)
    ]
    said = told(result([*every(DENSE), *swapped]))
    assert "layer 1 expert 0 M1 was layer 1 expert 1 M1" in said["diff-moved"]


def test_unrelated_and_replaced() -> None:
    unlike: dict[str, Any] = {"kind": "unrelated", "entries": facts(inner=-100.0, change_sq=200.0)}
    said = told(result(every(unlike)))
    assert set(said) == {"diff-unrelated"}
    assert "25 of 25 matrices" in said["diff-unrelated"]
    (one,) = found(result(every(unlike)))
    assert (one.severity, one.value) == ("error", 1.0)
    some = told(result([*every(DENSE), change(Place(role="HEAD"), **unlike)]))
    assert set(some) == {"diff-replaced"}
    assert "(HEAD)" in some["diff-replaced"]


def test_a_vocabulary() -> None:
    changes = [*every(DENSE)[1:], change(Place(role="EMBED"), shape=(70, 32), shape_base=(64, 32))]
    said = told(result(changes))["diff-vocabulary"]
    assert said == "EMBED has 70 rows, in the base 64: 6 rows were added. The first 64 are unchanged."
    cut = [change(Place(role="HEAD"), "dense", shape=(60, 32), shape_base=(64, 32))]
    assert "4 rows were cut off. The first 60 are compared (dense)" in told(result(cut))["diff-vocabulary"]
    order = told(result([change(Place(role="EMBED"), "rows permuted", block=1)]))
    assert set(order) == {"diff-vocabulary"}


def test_what_was_frozen() -> None:
    trained = with_layer(every(DENSE), 1, kind="unchanged")
    said = told(result(trained))["diff-partial"]
    assert "6 of 25 matrices (Q, K, V, O, M1 and M2 of layer 1)" in said
    roles = told(result(model(**{role: DENSE for role in ROLES if role not in ("EMBED", "K")})))["diff-partial"]
    assert "5 of 25 matrices (EMBED; K of layers 0-3)" in roles
    stray = every(DENSE)
    stray[3] = replace(stray[3], kind="unchanged")
    assert ids(result(stray)) == set()
    assert "diff-partial" not in ids(result(model(Q={"kind": "moved", "moved_from": Place(layer=9, role="Q")})))


def test_a_shrinkage() -> None:
    (one,) = found(result(every({"kind": "dense", "entries": facts(inner=-0.1)})))
    assert one.id == "diff-decay"
    assert one.value == pytest.approx(1e-3)
    assert "shrunk alike, by 0.001 of their size" in one.detail
    assert "0.999" in one.detail
    (other,) = found(result(every({"kind": "dense", "entries": facts(inner=0.1)})))
    assert "grown alike" in other.detail


def test_at_the_resolution_and_noise() -> None:
    small = {"kind": "at the resolution", "entries": facts(precision_derived="bfloat16")}
    said = told(result(every(small)))
    assert "at or below what bfloat16 holds" in said["diff-resolution"]
    flat: dict[str, Any] = {"kind": "noise", "ranks": RankFacts(None, NAN, (1.0,), 0.1, 0.95)}
    noise = told(result(every(flat)))
    assert set(noise) == {"diff-noise"}
    assert "or at most 5% above" in noise["diff-noise"]
    for flatness in (0.996, 1.0, 1.01):  # chance has it below noise's own, too
        level = told(result(every({**flat, "ranks": RankFacts(None, NAN, (1.0,), 0.1, flatness)})))
        assert level["diff-noise"].endswith("its largest singular value is that of noise of its size.")
    few = [*every(DENSE), change(Place(role="HEAD"), **flat)]
    assert ids(result(few)) == set()


def test_new_directions() -> None:
    turned = {"kind": "dense", "directions": Directions(1.0, 1.0, (0.9, 0.6, 0.1))}
    said = told(result(every({"kind": "dense", "directions": Directions(1.0, 1.0, (0.1,))})[:5] + every(turned)[5:]))
    assert "20 of 25 examined matrices" in said["diff-new-directions"]
    assert "40 in all" in said["diff-new-directions"]
    assert ids(result(every(DENSE))) == set()


def test_not_finite_on_the_derived_side_alone() -> None:
    lost = {"kind": "not finite", "entries": facts(nonfinite_derived=3)}
    (one,) = [one for one in found(result(model(Q=lost))) if one.severity == "error"]
    assert (one.id, one.value) == ("diff-nonfinite", 12.0)
    assert "12 entries of Q of layers 0-3 are NaN or infinite" in one.detail
    both = {"kind": "not finite", "entries": facts(nonfinite_derived=3, nonfinite_base=3)}
    assert "diff-nonfinite" not in ids(result(model(Q=both)))
    assert (
        "b.bias" in told(result([vector("b.bias", "not finite", entries=facts(nonfinite_derived=1))]))["diff-nonfinite"]
    )
    overflow = replace(CAST, nonfinite_derived=2)
    assert "diff-nonfinite" in ids(result(model(Q={"kind": "cast", "entries": overflow})))


def merged(*scales: float, **known: Any) -> DiffResult:
    """A model that an adapter of Q and V may have been merged into, at these scales."""
    recipes = [explained(scale, **known) for scale in scales]
    changes = [
        replace(one, recipe=recipes[(one.place.layer or 0) % len(recipes)]) if one.place.role in ("Q", "V") else one
        for one in model(Q=low_rank(), V=low_rank())
    ]
    return result(changes, parents=[identity("style", ADAPTER)])


def test_an_adapter_that_is_merged() -> None:
    said = told(merged(1.001))
    assert set(said) == {"diff-merged"}
    assert said["diff-merged"].startswith(
        "The adapter style is in all 8 matrices that it changes (Q and V of layers 0-3) once, and nothing else: what "
        "is left is 1 times what rounding comes to."
    )


def test_an_adapter_that_is_not() -> None:
    (one,) = found(merged(0.0))
    assert (one.id, one.severity, one.value) == ("diff-not-merged", "error", 8.0)
    by_chance = merged(0.4, unexplained=1.0 - 1.0 / ENTRIES, exact=False, rest=1e6)
    assert set(told(by_chance)) == {"diff-not-merged"}
    partly = told(merged(0.0, 1.0))
    assert set(partly) == {"diff-not-merged"}
    assert "not in 4 of 8 matrices that it changes (Q and V of layers 0,2)" in partly["diff-not-merged"]
    base = merged(0.0)
    same = [replace(one, kind="unchanged") for one in base.changes]
    said = told(result(same, parents=base.parents))
    assert set(said) == {"diff-not-merged"}  # which tells that nothing differs too
    assert "8 of them are the base's to the last bit" in said["diff-not-merged"]


@pytest.mark.parametrize(
    ("scale", "id", "words"),
    [
        (2.0, "diff-merged-twice", "twice: its scale is 2."),
        (0.5, "diff-merge-scale", "at another scale than its own: 0.5 times that"),
        (-1.0, "diff-merge-scale", "-1 times that"),
    ],
)
def test_another_scale(scale: float, id: str, words: str) -> None:
    said = told(merged(scale))
    assert set(said) == {id}
    assert words in said[id]


def test_more_than_the_adapter() -> None:
    said = told(merged(1.0, rest=50.0, unexplained=0.1, exact=False))
    assert set(said) == {"diff-merge-residue"}
    assert "50 times what rounding comes to, 0.1 of the change's square" in said["diff-merge-residue"]
    whole = merged(1.0)
    beside = result([*whole.changes, vector("score.bias", "dense")], parents=whole.parents)
    assert "Elsewhere these changed: score.bias" in told(beside)["diff-merge-residue"]
    assert "diff-merged" not in told(beside)


def test_nothing_else_is_said_only_of_a_model_that_has_nothing_else() -> None:
    whole = merged(1.0)
    lone = [OneSided(Place(role="CLASSIFIER"), ("score.weight",), (3, COLS), "derived")]
    said = told(result(whole.changes, lone, parents=whole.parents))
    assert set(said) == {"diff-merge-residue"}
    assert said["diff-merge-residue"] == "This model alone has CLASSIFIER."
    grown = [*whole.changes[1:], change(Place(role="EMBED"), shape=(70, 32), shape_base=(64, 32))]
    assert "Elsewhere these changed: EMBED" in told(result(grown, parents=whole.parents))["diff-merge-residue"]
    assert "All else is the base's, 2 norms and biases too." in told(whole)["diff-merged"]
    partly = told(result(whole.matrices, parents=whole.parents, partial=("--roles",)))["diff-merged"]
    assert "all 8 matrices that it changes and that were compared (Q and V of layers 0-3)" in partly
    assert partly.endswith("All else that was compared is the base's.")
    alone = [one for one in whole.changes if one.recipe is not None]
    assert "All else" not in told(result(alone, parents=whole.parents))["diff-merged"]
    cast = [replace(one, kind="cast") if one.recipe is None else one for one in whole.changes]
    assert "All else is the base's, rounded" in told(result(cast, parents=whole.parents))["diff-merged"]


def test_what_is_no_number_is_none_that_the_adapter_leaves_alone() -> None:
    lost = merged(1.0)
    first = replace(lost.changes[1], kind="not finite", entries=facts(nonfinite_derived=1), recipe=explained(NAN))
    said = told(result([*lost.changes[:1], first, *lost.changes[2:]], parents=lost.parents))
    assert set(said) == {"diff-merged", "diff-nonfinite"}
    assert "is in 7 of 8 matrices" in said["diff-merged"]
    assert "Of layer 0 Q it cannot be told: it has entries that are no numbers." in said["diff-merged"]
    assert said["diff-nonfinite"].startswith("1 entry of layer 0 Q is NaN")


def test_a_matrix_that_an_adapter_explains_is_not_unrelated() -> None:
    whole = merged(1.0)
    hidden = [replace(one, kind="unrelated") if one.recipe is not None else one for one in whole.changes]
    assert set(told(result(hidden, parents=whole.parents))) == {"diff-merged"}
    lost = merged(1.0, exact=False)
    hidden = [replace(one, kind="unrelated") if one.recipe is not None else one for one in lost.changes]
    assert "diff-replaced" in told(result(hidden, parents=lost.parents))


def test_vectors_that_an_adapter_has_are_its_own() -> None:
    whole = merged(1.0)
    with_norm = [*whole.changes, vector("score.bias", "dense", recipe=explained(1.0, 0.0))]
    said = told(result(with_norm, parents=whole.parents))
    assert set(said) == {"diff-merged"}
    assert "all 9 matrices and vectors that it changes" in said["diff-merged"]


def test_many_matrices_take_no_time_squared() -> None:
    """Each change is a large record: none is compared with all others."""
    calls = 0

    class Counted(Change):
        def __eq__(self, other: object) -> bool:
            nonlocal calls
            calls += 1
            return self is other

        __hash__ = Change.__hash__

    known = vars(change(Place(layer=0, role="Q"), "dense", recipe=explained(0.5)))
    for scale in (0.5, 1.0, NAN):
        changes = [
            Counted(**{**known, "place": Place(layer=layer, role="Q"), "recipe": explained(scale)})
            for layer in range(50)
        ]
        told(result([*changes, change(Place(role="HEAD"), recipe=explained(1.0))], parents=[identity("a", ADAPTER)]))
    assert calls == 0


def test_what_rounding_swallows_is_not_judged() -> None:
    assert not {"diff-merged", "diff-not-merged"} & ids(merged(NAN))
    assert "it cannot be told" in told(merged(NAN, 1.0))["diff-merged"]
    nothing = [replace(one, kind="unchanged") for one in merged(NAN).changes]
    assert ids(result(nothing, parents=[identity("style", ADAPTER)])) == {"diff-identical"}


def recipe(*weights: tuple[float, ...], exact: bool = True) -> DiffResult:
    changes = [
        change(Place(layer=i, role="Q"), "dense", recipe=explained(*some, exact=exact))
        for i, some in enumerate(weights)
    ]
    return result(changes, parents=[identity("p"), identity("q")])


def test_a_linear_merge() -> None:
    said = told(recipe((0.3, 0.7, 0.0), (0.3, 0.7, 0.0)))
    assert set(said) == {"diff-recipe"}
    assert "0.3 × p and 0.7 × q of what these have changed" in said["diff-recipe"]
    assert "the same in all" in said["diff-recipe"]
    vary = told(recipe((0.2, 0.8, 0.0), (0.4, 0.6, 0.01)))["diff-recipe"]
    assert "0.3 × p (0.200 to 0.400)" in vary
    assert "differ between matrices" in vary
    assert "0.005 of the base" in vary
    assert ids(recipe((0.3, 0.7, 0.0), exact=False)) == set()
    assert "0.5 × q" in told(recipe((NAN, 0.5, 0.0)))["diff-recipe"]


def test_a_linear_merge_of_matrices_alone() -> None:
    changes = recipe((0.3, 0.7, 0.0), (0.3, 0.7, 0.0)).changes
    parents = [identity("p"), identity("q")]
    other = [*changes, change(Place(layer=7, role="Q"), "dense")]
    assert ids(result(other, parents=parents)) == set()  # of which no parent is known
    sums = vector("a.bias", "dense", recipe=explained(0.3, 0.7, 0.0))
    apart = [vector("b.bias", "dense", recipe=explained(0.3, 0.7, 0.0, exact=False)), vector("c.bias", "dense")]
    said = told(result([*changes, sums, vector("d.bias")], parents=parents))["diff-recipe"]
    assert "Not so" not in said
    lone = [OneSided(Place(), ("e.bias",), (3,), "base")]
    said = told(result([*changes, sums, *apart], lone, parents=parents))["diff-recipe"]
    assert said.endswith("Not so b.bias and c.bias. The base alone has e.bias.")


def test_a_cast_is_told_where_nothing_else_tells_it() -> None:
    """Beside an adapter that is not there, and beside a low-rank change of other matrices."""
    base = merged(0.0)
    cast = [replace(one, kind="cast", entries=CAST) for one in base.changes]
    assert set(told(result(cast, parents=base.parents))) == {"diff-not-merged", "diff-cast"}
    to_half = replace(CAST, precision_derived="float16", casts=("float16",))
    some = told(result(model(Q=CAST_LORA, V=CAST_LORA, M1={"kind": "cast", "entries": to_half})))["diff-lora"]
    assert some.startswith("A rank-8 change")
    assert some.endswith("M1 of layers 0-3: the base's, cast to float16.")
    plain = told(result(model(Q=low_rank(), V=low_rank(), M1=ALL_CAST)))["diff-lora"]
    assert plain.endswith("M1 of layers 0-3: the base's, cast to bfloat16.")


def test_a_cast_is_called_by_what_tells_all() -> None:
    """A matrix of few numbers may be the result of several ways of rounding."""
    both = {"kind": "cast", "entries": replace(CAST, casts=("bfloat16", "bfloat16 towards zero"))}
    one = {"kind": "cast", "entries": replace(CAST, casts=("bfloat16 towards zero",))}
    said = told(result(model(Q=both, V=one)))["diff-cast"]
    assert said.startswith("Nothing but a cast to bfloat16 towards zero: 8 of 8")


def test_what_is_stored_quantised_is_not_told_to_be_stored_as_numbers() -> None:
    known = {"kind": "quantised", "grid": Grid(4, 128, True)}
    stored = [replace(one, dtype="GPTQ 4 bits") for one in result(model(Q=known)).changes]
    assert "diff-quantised" not in ids(result(stored))


@pytest.mark.parametrize("stored", [{"dtype": "Q4_K"}, {"dtype_base": "Q4_K"}])
def test_what_levels_leave_is_no_training_and_no_noise(stored: dict[str, Any]) -> None:
    """Rounding to levels shrinks a little, is white, and spares embeddings."""
    flat: dict[str, Any] = {"kind": "noise", "ranks": RankFacts(None, NAN, (1.0,), 0.1, 0.95)}
    shrunk = {**flat, "entries": facts(inner=-0.1)}
    changes = model(**dict.fromkeys(ROLES[1:], shrunk))
    assert ids(result(changes)) == {"diff-noise", "diff-decay", "diff-partial"}
    quantised = [replace(one, **stored) if one.kind == "noise" else one for one in changes]
    assert ids(result(quantised)) == set()


def test_zeros_are_no_pattern() -> None:
    entries = facts(zeros_derived=ENTRIES, cut=ENTRIES, two_of_four=True)
    said = told(result(model(Q={"kind": "pruned", "entries": entries})))["diff-pruned"]
    assert said.endswith("the share of zeros is now 100.0%.")


def test_an_adapter_is_no_weight_decay() -> None:
    """The magnitudes of DoRA make all matrices larger or smaller."""
    changes = every({"kind": "dense", "entries": facts(inner=-0.1)})
    assert ids(result(changes, derived=identity("a", ADAPTER))) == set()


def test_an_adapter_of_products_and_whole_weights_that_change_nothing() -> None:
    zero = [change(Place(layer=i, role="Q"), entries=None) for i in range(3)]
    said = told(result([*zero, vector("norm")], derived=identity("a", ADAPTER)))["diff-identical"]
    assert said == (
        "The adapter changes nothing: 3 products of it are zero and 1 weight that it makes or has whole is the base's."
    )


def test_options_judge_these_too() -> None:
    cast = result(every(ALL_CAST, vector("norm", "cast")))
    policy = make_policy((), parse_selectors("diff-cast"), RULES)
    judged = judge(cast, policy)
    assert judged.findings == ()
    assert [one.by for one in judged.suppressed] == ["diff-cast"]
    assert "diff-cast" not in judged.rules
    assert "diff-lora" in judged.rules
    one = result([change(Place(layer=3, role="Q"), "cast")])
    assert found(one, ignore="diff-cast:layer 3 Q") == []
    assert len(found(one, ignore="diff-cast:layer 2 Q")) == 1
    assert found(one, severity="diff-cast=error")[0].severity == "error"
    ignored = judge(merged(0.0), make_policy((), parse_selectors("diff-not-merged"), RULES))
    assert ignored.findings == ()  # what is ignored has still told the cause


def test_names_are_strangers_words() -> None:
    named = merged(1.0)
    said = told(result(named.changes, parents=[identity("\x1b[2J", ADAPTER)]))["diff-merged"]
    assert "\x1b" not in said
    assert (
        "\x1b"
        not in told(result([vector("\x1b[2J", "not finite", entries=facts(nonfinite_derived=1))]))["diff-nonfinite"]
    )
