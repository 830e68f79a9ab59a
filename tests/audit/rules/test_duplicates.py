"""Matrices stored twice: one finding for each set of places that repeat one another."""

from __future__ import annotations

from dataclasses import replace

from tests.audit.rules.healthy import evidence, norms, row, zeroed
from weightaudit.audit.rules import RuleContext, run_rules
from weightaudit.records import LayerRow


def copied(source: int, target: int, roles: str = "Q K V O M1 M2") -> RuleContext:
    """The sound model with some roles of one layer stored as another layer too."""
    rows = list(evidence().rows)
    by_key = {one.matrix.key: one for one in rows}
    for i, one in enumerate(rows):
        if one.matrix.layer == target and one.matrix.role in roles.split():
            origin = by_key[f"/{source}//{one.matrix.role}"]
            rows[i] = LayerRow(one.matrix, origin.spectrum, origin.digest)
    return evidence(rows)


def test_one_matrix_in_two_places() -> None:
    (finding,) = run_rules(copied(2, 9, "O"))
    assert (finding.id, finding.layer, finding.role, finding.value) == ("duplicate", None, "O", 2.0)
    assert finding.tensors == ("model.2.None.O", "model.9.None.O")
    assert finding.detail == "layer 2 O = layer 9 O: equal entry by entry; 589,824 parameters repeat others."


def test_a_layer_copied_whole_is_one_finding() -> None:
    (finding,) = run_rules(copied(2, 9))
    assert (finding.id, finding.role) == ("duplicate", "")
    assert len(finding.tensors) == 12
    assert finding.detail.startswith("layer 2 Q = layer 9 Q, layer 2 K = layer 9 K")


def test_experts_of_one_origin() -> None:
    experts = [row("M1", layer, (64, 256), 1.0, 5.0, expert=e, digest=str(layer)) for layer in (0, 1) for e in range(8)]
    found = run_rules(evidence(experts))
    assert [(one.id, one.layer, one.role, one.value) for one in found] == [
        ("duplicate", 0, "M1", 8.0),
        ("duplicate", 1, "M1", 8.0),
    ]
    assert "layer 0 expert 0 M1 = layer 0 expert 1 M1" in found[0].detail


def test_zero_and_constant_matrices_repeat_nothing() -> None:
    def twice(change: object) -> list[str]:
        rows = [change(one) if one.matrix.key in ("/2//O", "/9//O") else one for one in evidence().rows]  # type: ignore[operator]
        return [one.id for one in run_rules(evidence(rows))]

    assert twice(zeroed) == ["zero-matrix", "zero-matrix"]
    assert twice(lambda one: replace(norms(20.0, 1.0, width=0.0)(one), digest="ones")) == ["near-rank-one"] * 2


def test_one_tensor_in_two_roles_is_stored_once() -> None:
    rows = [
        row("K", 0, (64, 256), 1.0, 5.0, "kv.weight", digest="kv"),
        row("V", 0, (64, 256), 1.0, 5.0, "kv.weight", digest="kv"),
    ]
    assert run_rules(evidence(rows)) == ()
