"""A model type's verdict: built tiny, saved, mapped and proved; and the table of all, printed by

python -m tests.architecture.proofs [MODEL_TYPE ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file

from tests.architecture.features import used
from tests.architecture.proving import Key, Proof, Prover, run
from tests.architecture.saved import infos, value
from tests.architecture.towers import run_tower
from tests.support.tiny import all_model_types, tiny
from tests.support.tiny_sizes import AGAIN, ALONE, GATE_FACTORS, INPUTS, MORE_ATTENTIONS, NOT_BUILT, UNPROVEN
from weightaudit.architecture import map_model
from weightaudit.architecture.dimensions import lookup
from weightaudit.architecture.registry import for_model_type, layers_of_towers, multimodal, not_mapped
from weightaudit.records import TOWERS

_TOWERS = {rule.rule for rule in multimodal().ignored}


@dataclass(frozen=True)
class Verdict:
    """What was shown of a model type; ``shown`` and ``missing`` map a role to how, and to why not; ``towers`` are the
    tensors beside the language model of a multimodal one, ``listed`` the towers of which no layer is mapped; ``used``
    are the features of the specs by which it was read.
    """

    model_type: str
    family: str
    shown: dict[str, set[str]]
    missing: dict[str, str]
    unmapped: dict[str, str]
    notes: tuple[str, ...]
    tensors: int
    accounted: int
    towers: tuple[str, ...]
    lacking: tuple[Key, ...]
    left: int
    in_order: bool
    listed: tuple[str, ...]
    used: frozenset[str]

    @property
    def ordinary(self) -> bool:
        """Whether every attention that ran is a layer's of the map, and the layers ran in the order of their numbers:
        exactly the layers that have no attention have none in the map.
        """
        return not self.left and self.in_order

    @property
    def proven(self) -> bool:
        """Every role of every layer, with nothing unmapped and nothing absent."""
        more = self.ordinary or self.model_type in MORE_ATTENTIONS
        return more and not (self.missing or self.unmapped or self.notes)

    @property
    def excused(self) -> bool:
        """Whether what is not shown is just what `UNPROVEN` gives reasons for, place by place."""
        reasons = UNPROVEN.get(self.model_type, {})
        more = self.ordinary or self.model_type in MORE_ATTENTIONS or "*" in reasons
        whole = all(any(_covers(reason, key) for reason in reasons) for key in self.lacking)
        return more and whole and not (self.unmapped or self.notes)

    @property
    def stale(self) -> tuple[str, ...]:
        """Reasons given for what is shown."""
        reasons = UNPROVEN.get(self.model_type, {})
        idle = [reason for reason in reasons if reason != "*" and not any(_covers(reason, key) for key in self.lacking)]
        return (*idle, *(["more attentions"] if self.ordinary and self.model_type in MORE_ATTENTIONS else []))

    def __str__(self) -> str:
        problems = [*self.notes]
        problems += [f"{role}: {why}" for role, why in self.missing.items()]
        problems += [f"{self.left} attentions ran of which the map has no layer"] if self.left else []
        problems += [] if self.in_order else ["its layers did not run in the order of their numbers"]
        problems += [f"{name}: {why}" for name, why in list(self.unmapped.items())[:5]]
        return f"{self.model_type} ({self.family}): {'; '.join(problems) or 'proven'}"


def _covers(reason: str, key: Key) -> bool:
    """Whether an excuse (``Q``, or ``encoder/Q`` or ``1/Q`` for a stack's or a layer's) is about this matrix."""
    where, _, role = reason.rpartition("/")
    return role in ("*", key[3]) and where in ("", key[0], str(key[1]))


def _proof(model_type: str, model: Any, matrices: dict[Key, torch.Tensor]) -> Proof:
    """The language model's, and that of each tower that is mapped; a tower may attend elsewhere too (to pool)."""
    reasons = UNPROVEN.get(model_type, {})
    proof = Proof(missing={("", None, None, "*"): reasons.get("*", "")})
    if "*" not in reasons:
        name, besides = ALONE.get(model_type, ("", INPUTS.get(model_type, {})))
        inputs = {key: torch.tensor(values) for key, values in besides.items()}
        alone = model.get_submodule(name)
        language = {key: matrix for key, matrix in matrices.items() if key[0] not in TOWERS}
        proof = Prover(language, run(alone, **inputs), model, GATE_FACTORS.get(model_type, 1.0)).prove()
    if model_type in AGAIN:
        lacking = {key: matrices[key] for key in proof.missing if key in matrices}
        more = {name: torch.tensor(values) for name, values in AGAIN[model_type].items()}
        proof.shown |= (found := Prover(lacking, run(model, **more), model).applied())
        proof.missing = {key: why for key, why in proof.missing.items() if key not in found}
    for stack in TOWERS:
        own = {key: matrix for key, matrix in matrices.items() if key[0] == stack}
        if own and f"{stack}/*" in reasons:
            proof.missing[stack, None, None, "*"] = reasons[f"{stack}/*"]
        elif own:
            of_tower = Prover(own, run_tower(model, stack), model).prove()
            proof.shown |= of_tower.shown
            proof.missing |= of_tower.missing
            proof.order |= of_tower.order
    return proof


def judge(model_type: str, directory: Path, **values: Any) -> Verdict:
    """Build, save, map and prove a model type; its files go below ``directory``. ``values`` override its config."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    model = tiny(model_type, **values)
    place = directory / model_type
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(place)
    config = json.loads((place / "config.json").read_text())
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(place.glob("*.safetensors")):
        tensors |= load_file(file)
    model_map = map_model(config, infos(tensors))
    matrices = {(m.stack, m.layer, m.expert, m.role): value(m, tensors).float() for m in model_map.matrices}
    assert len(matrices) == len(model_map.matrices)
    assert all(tuple(matrices[m.stack, m.layer, m.expert, m.role].shape) == m.shape for m in model_map.matrices)
    proof = _proof(model_type, model, matrices)
    shown: dict[str, set[str]] = {}
    for key, how in proof.shown.items():
        shown.setdefault(key[3], set()).add(how)
    untrue = [f"{one} is no copy of {other}" for one, other in model_map.ties if not tensors[one].equal(tensors[other])]
    known = for_model_type(model_type)
    own = (known.note,) if known is not None else ()
    with_config = {
        tower.stack
        for tower in layers_of_towers().towers
        if tower.stack != "video" and any(isinstance(lookup(config, key), dict) for key in tower.configs)
    }  # one config serves images and video, so it does not tell that there is a tower for video
    return Verdict(
        model_type,
        model_map.family,
        shown,
        {key[3]: why for key, why in proof.missing.items()},
        {entry.tensor: entry.detail for entry in model_map.coverage if entry.status == "unmapped"},
        (
            *(note for note in model_map.notes if note not in own),
            *(told.says for told in model_map.discrepancies),
            *untrue,
        ),
        len(tensors),
        sum(entry.status in ("analysed", "ignored") or bool(entry.detail) for entry in model_map.coverage),
        tuple(entry.tensor for entry in model_map.coverage if entry.detail in _TOWERS),
        tuple(proof.missing),
        proof.left,
        proof.in_order,
        tuple(sorted(with_config - {matrix.stack for matrix in model_map.matrices})),
        frozenset(used(config, tensors)),
    )


def table(model_types: Iterable[str]) -> list[tuple[str, str, str]]:
    """(model type, verdict, family or why not), a row each."""
    rows = []
    for model_type in model_types:
        known = for_model_type(model_type)
        if known is None:
            rows.append((model_type, "not mapped", not_mapped()[model_type]))
            continue
        if model_type in NOT_BUILT:
            rows.append((model_type, "mapped, not all provable", f"{known.name}: {NOT_BUILT[model_type]}"))
            continue
        with tempfile.TemporaryDirectory() as directory:
            verdict = judge(model_type, Path(directory))
        excuse = "; ".join(f"{role}: {why}" for role, why in UNPROVEN.get(model_type, {}).items())
        ways = sorted({how for role in ("Q", "K", "V") for how in verdict.shown.get(role, ())} - {"equal"})
        detail = verdict.family + (f" ({', '.join(ways)})" if ways else "")
        rows.append(
            (model_type, "proven", detail)
            if verdict.proven
            else (model_type, "mapped, not all provable", f"{known.name}: {excuse or verdict}")
        )
    return rows


def main() -> None:
    rows = table(sys.argv[1:] or all_model_types())
    for row in rows:
        print(f"{row[0]:<26} {row[1]:<26} {row[2]}")
    print(dict(Counter(row[1] for row in rows)))


if __name__ == "__main__":
    main()
