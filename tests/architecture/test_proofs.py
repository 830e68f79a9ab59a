"""Every mapped model type that transformers has: tiny, random, saved, mapped, and each role proved by execution.

Nothing compares names with names: `proving` holds what the mapped matrices compute against what the model computed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

from tests.architecture.proofs import Verdict, judge
from tests.architecture.tiny import all_model_types
from tests.architecture.tiny_sizes import UNPROVEN
from weightaudit.architecture import families

FAMILIES = [family.name for family in families()]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_role_of_each_model_type_is_proved(family: str, tmp_path: Path) -> None:
    types = next(known.model_types for known in families() if known.name == family)
    verdicts = [judge(model_type, tmp_path) for model_type in types if model_type in all_model_types()]
    wrong = [verdict for verdict in verdicts if not verdict.proven and not _excused(verdict)]
    assert [str(verdict) for verdict in wrong] == []
    # No tensor is dropped: each is analysed, ignored by a rule, or listed with a reason.
    assert all(verdict.tensors == verdict.accounted for verdict in verdicts)
    stale = [verdict.model_type for verdict in verdicts if verdict.proven and verdict.model_type in UNPROVEN]
    assert stale == []


def _excused(verdict: Verdict) -> bool:
    roles = UNPROVEN.get(verdict.model_type, {}).keys()
    return not verdict.unmapped and not verdict.notes and set(verdict.missing) <= set(roles)


def test_a_model_type_is_one_of_transformers() -> None:
    of_its_own = {"phi-msft", "internlm2", "internlm", "aquila", "qwen", "baichuan"}  # remote code, no class
    known = {model_type for family in families() for model_type in family.model_types}
    assert known - set(transformers.CONFIG_MAPPING) - of_its_own == set()
