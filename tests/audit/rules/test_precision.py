"""Sound models of many kinds: no finding that is not true. Fresh ones are untrained, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import weightaudit as wa
from tests.support.minilm import minilm_directory, needs_minilm
from tests.support.rxnmapper import needs_rxnmapper, rxnmapper_directory
from tests.support.tiny import model_class, tiny_config

FRESH = (
    *("gpt2", "mamba"),
    "xlstm",  # which starts with zeros
)
ALSO_FRESH = (
    *("bert", "deepseek_v3"),
    *("bart", "bloom", "fnet", "gpt_oss", "mixtral", "t5", "xlnet", "afmoe"),
    *("albert", "big_bird", "camembert", "codegen", "deberta-v2", "distilbert", "electra", "falcon", "gemma2"),
    *("gpt_neo", "gpt_neox", "gptj", "llama", "marian", "mpt", "opt", "phi3", "qwen3_moe", "roberta", "stablelm"),
    "whisper",
)
"""Of the kinds of the others: when all tests run."""
CAUSAL = ("gpt2", "gpt_neox", "llama", "mistral", "mixtral", "opt", "phi", "qwen2")
MASKED = ("bert", "distilbert", "electra", "roberta")


def besides(names: Iterable[str]) -> list[Any]:
    """The names as cases for when all tests run."""
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


def fresh(model_type: str) -> Any:
    """A tiny model as transformers initialises it."""
    torch.manual_seed(0)
    return model_class(model_type)(tiny_config(model_type))


def found(model: Any, directory: Path) -> list[tuple[str, str]]:
    model.save_pretrained(directory)
    return [(finding.severity, finding.id) for finding in wa.scan(directory).findings]


@pytest.mark.parametrize("model_type", [*FRESH, *besides(ALSO_FRESH)])
def test_a_fresh_model_is_untrained_and_nothing_else(model_type: str, tmp_path: Path) -> None:
    assert found(fresh(model_type), tmp_path) == [("error", "untrained-model")]


def test_a_row_for_padding_does_not_hide_an_untrained_embedding(tmp_path: Path) -> None:
    model = fresh("bert")
    assert not model.bert.embeddings.word_embeddings.weight[model.config.pad_token_id].any()
    model.save_pretrained(tmp_path)
    (finding,) = wa.scan(tmp_path).findings
    assert finding.detail.startswith("This model looks as it was initialised: in all matrices")
    assert ": EMBED, " in finding.detail


def _sequences(vocabulary: int) -> Iterator[torch.Tensor]:
    """(16, 16) tokens: runs that step by 1 to 3, from any start."""
    generator = torch.Generator().manual_seed(1)
    while True:
        start = torch.randint(4, vocabulary, (16, 1), generator=generator)
        step = torch.randint(1, 4, (16, 1), generator=generator)
        yield 4 + (start - 4 + step * torch.arange(16)) % (vocabulary - 4)


def train(model: Any, *, causal: bool, steps: int) -> tuple[float, float]:
    """The loss before and after; AdamW on next tokens, or on one in four masked ones."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _, tokens in zip(range(steps), _sequences(model.config.vocab_size), strict=False):
        given, labels = tokens, tokens
        if not causal:
            hidden = torch.arange(16) % 4 == 3
            given = tokens.masked_fill(hidden, 3)
            labels = tokens.masked_fill(~hidden, -100)
        loss = model(input_ids=given, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


@pytest.mark.slow
@pytest.mark.parametrize("model_type", [*CAUSAL, *MASKED])
def test_a_briefly_trained_model_has_no_fault(model_type: str, tmp_path: Path) -> None:
    model = fresh(model_type)
    before, after = train(model, causal=model_type in CAUSAL, steps=15)
    assert after < before
    assert set(found(model, tmp_path)) <= {("warning", "untrained")}


@needs_minilm
@pytest.mark.parametrize("roles", ["POOLER,O,M2", pytest.param(None, marks=pytest.mark.slow)])
def test_minilm_has_an_untrained_pooler_and_an_outlying_channel(roles: str | None) -> None:
    """True: it was distilled and tuned with mean pooling, so that no loss ever reached the pooler."""
    directory = minilm_directory() or ""
    report = wa.scan(directory, roles=roles)
    has_tokens = roles is None and any((Path(directory) / one).exists() for one in ("tokenizer.json", "vocab.txt"))
    assert [(one.id, one.layer, one.role) for one in report.findings] == [
        ("untrained", None, "POOLER"),
        ("super-weight", None, "M2"),
        *([("undertrained-tokens", None, "EMBED")] if has_tokens else []),
    ]
    assert "output channel 99 in 4 of 6 layers" in report.findings[1].detail


@needs_rxnmapper
def test_rxnmapper_is_a_pickle_with_an_untrained_pooler() -> None:
    """True: masked tokens were all that it was trained on."""
    report = wa.scan(rxnmapper_directory() or "")
    assert [(one.id, one.layer, one.role) for one in report.findings] == [
        ("untrained", None, "POOLER"),
        ("pickle", None, ""),
    ]
    assert "pytorch_model.bin" in report.findings[1].detail
