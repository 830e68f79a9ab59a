"""A spec of the user's own: proved by execution as the shipped ones are, and read as a stranger's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.architecture.proving import Prover, run
from tests.architecture.saved import info, infos, value
from tests.support.tiny import tiny
from tests.support.toy_spec import CONFIG, TOY
from weightaudit.architecture import map_model, read_spec, serves
from weightaudit.errors import ConfigError, MappingError, UsageError
from weightaudit.parse import MAX_SPEC, SpecFile, parse_spec

SPEC = SpecFile("my.toml", TOY)
NAMES = {
    "self_attn.o_proj": "mix.out",
    "mlp.gate_proj": "feed.gate",
    "mlp.up_proj": "feed.up",
    "mlp.down_proj": "feed.down",
}


def test_a_made_up_family_is_proved_by_execution() -> None:
    model = tiny("llama")
    stored = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    own = {"net.words": stored["model.embed_tokens.weight"], "score": stored["lm_head.weight"]}
    said = model.config
    for layer in range(said.num_hidden_layers):
        before, after = f"model.layers.{layer}.", f"net.blocks.{layer}."
        own |= {f"{after}{new}": stored[f"{before}{old}.weight"] for old, new in NAMES.items()}
        own[f"{after}mix.all"] = torch.cat([stored[f"{before}self_attn.{one}_proj.weight"] for one in "qkv"])
        own[f"{after}before"] = stored[f"{before}input_layernorm.weight"]
    config = {
        "model_type": "toy",
        "width": said.hidden_size,
        "depth": said.num_hidden_layers,
        "heads": said.num_attention_heads,
        "kv_heads": said.num_key_value_heads,
        "head_dim": said.head_dim,
        "wide": said.intermediate_size,
        "tokens": said.vocab_size,
        "tie_word_embeddings": False,
    }
    found = map_model(config, infos(own), spec=SPEC)
    assert (found.family, found.guessed, found.discrepancies) == ("toy", False, ())
    assert not [entry for entry in found.coverage if entry.status == "unmapped"]
    assert found.notes == (
        f"Roles were read by the spec {SPEC}, which --spec names, and by none of weightaudit's own.",
    )
    assert found.spec == str(SPEC)
    matrices = {(m.stack, m.layer, m.expert, m.role): value(m, own).float() for m in found.matrices}
    proof = Prover(matrices, run(model), model).prove()
    assert not proof.missing
    assert not proof.left
    assert {key[3] for key in proof.shown} >= {"Q", "K", "V", "O", "GATE", "M1", "M2", "EMBED", "HEAD"}


def small(**more: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {
        "net.words": (9, 8),
        "score": (9, 8),
        "net.blocks.0.mix.all": (24, 8),
        "net.blocks.0.mix.out": (8, 8),
        "net.blocks.0.feed.gate": (12, 8),
        "net.blocks.0.feed.up": (12, 8),
        "net.blocks.0.feed.down": (8, 12),
        **more,
    }


def tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, object]:
    return {name: info(name, shape) for name, shape in shapes.items()}


def test_what_the_spec_does_not_know_is_told() -> None:
    found = map_model(CONFIG, tensors(small(**{"net.blocks.0.new": (4, 4)})), spec=SPEC)  # type: ignore[arg-type]
    assert "1 matrix has no role by it: net.blocks.0.new." in found.notes
    all_of_it = map_model(CONFIG, tensors(small(**{"net.blocks.0.new": (4, 4)})), spec=SPEC, everything=True)  # type: ignore[arg-type]
    assert [m.tensors for m in all_of_it.matrices if m.role == "OTHER"] == [("net.blocks.0.new",)]


def test_sizes_that_contradict_the_config_are_told() -> None:
    found = map_model(CONFIG, tensors(small(**{"net.blocks.0.feed.up": (13, 8)})), spec=SPEC)  # type: ignore[arg-type]
    assert any("net.blocks.0.feed.up: its shape is (13, 8)" in told.says for told in found.discrepancies)


def test_a_spec_that_fits_nothing_says_so() -> None:
    with pytest.raises(
        MappingError, match=r"spec my\.toml: it does not fit these 1 tensor: .*no pattern of family toy"
    ):
        map_model(CONFIG, {"other": info("other", (3, 3))}, spec=SPEC)


def test_a_spec_for_other_models_says_so() -> None:
    with pytest.raises(MappingError, match=r'my\.toml: it is for model types toy, and config.json says llama.*"llama"'):
        map_model({"model_type": "llama"}, {"other": info("other", (3, 3))}, spec=SPEC)
    assert serves(SPEC, "toy", "")
    assert serves(SPEC, "", "")
    assert not serves(SPEC, "llama", "")


def test_a_checkpoint_without_a_config_is_read_by_sizes_that_may_be_any() -> None:
    free = TOY.replace('{ keys = ["depth"] }', '{ keys = ["depth"], open = true }')
    for key in ("width", "heads", "wide", "tokens"):
        free = free.replace(f'keys = ["{key}"] }}', f'keys = ["{key}"], open = true }}')
    free = free.replace(
        'rows = ["heads*head_dim", "kv_heads*head_dim", "kv_heads*head_dim"]', 'rows = ["any", "any", "any"]'
    )
    found = map_model(None, tensors(small()), spec=SpecFile("free.toml", free))  # type: ignore[arg-type]
    assert {m.role: m.shape for m in found.matrices} == {
        "EMBED": (9, 8), "HEAD": (9, 8), "Q": (8, 8), "K": (8, 8), "V": (8, 8), "QKV": (24, 8),
        "O": (8, 8), "GATE": (12, 8), "M1": (12, 8), "M2": (8, 12),
    }  # fmt: skip
    with pytest.raises(ConfigError, match="it has no width"):
        map_model(None, tensors(small()), spec=SPEC)  # type: ignore[arg-type]


def test_it_may_extend_a_family_that_is_known() -> None:
    near = 'name = "near"\nextends = "llama"\nmodel_types = ["near"]\norigin = "a test"\n'
    assert "Q" in read_spec(SpecFile("near.toml", near)).roles


BAD = {
    "another shipped family": ('name = "toy"', 'name = "llama"', "is a family of weightaudit's own"),
    "a name that is none": ('name = "toy"', 'name = "../toy"', "spec my.toml name: it must be lower-case letters"),
    "a path to extend": ('name = "toy"', 'name = "toy"\nextends = "../../../etc/passwd"', "which is no known family"),
    "itself to extend": ('name = "toy"', 'name = "toy"\nextends = "toy"', "'extends' names 'toy'"),
    "a list to extend": ('name = "toy"', 'name = "toy"\nextends = ["llama"]', "key 'extends' must be a text"),
    "an unknown key": ("vectors", "vektors", "unknown key 'vektors'. Did you mean vectors?"),
    "a wrong type": ("vectors = true", "vectors = 1", "key 'vectors' must be true or false"),
    "no TOML": ("vectors = true", "vectors = = true", "not TOML: Invalid value (at line 8, column 11)"),
    "a key of a rule": ('role = "O"', 'role = "O"\nshape = 3', "[[matrix]] 1: unknown key 'shape'"),
    "a pattern for a name": ("{prefix}words", "(a+)+$", "characters that no tensor name has"),
    "a prefix that repeats itself": ('["net."]', '["a.", "a.a."]', "'a.a.' must be one part of a name"),
    "a prefix twice": ('["net."]', '["a.", "a."]', "prefixes: one is named twice"),
    "a prefix within": ("{prefix}words", "a{prefix}words", "its {prefix} is not what it begins with"),
    "half a part": ("{prefix}words", "{prefix}blocks.1{layer}.words", "less than a part of a name"),
    "half a number": ("{prefix}words", "{prefix}blocks.1{pair}.words", "less than a part of a name"),
    "a stack twice": ("{prefix}words", "{stack}.{enc}.words", "more than one of {stack}, {enc} and {module}"),
    "a layer twice": ("{prefix}words", "blocks.{layer}.{pair}.words", "more than one of {layer} and {pair}"),
    "tensors beside none": ('role = "EMBED"', 'role = "EMBED"\nbeside = ["x"]', "each of 'names' needs {layer}"),
    "a role of weightaudit's own": ('role = "O"', 'role = "OTHER"', "OTHER is what weightaudit calls"),
    "many choices": ("{prefix}words", "{a|aa}{a|aa}{a|aa}b", "more than 2 placeholders of words"),
    "a long template": ("{prefix}words", "w" * 301, "more than 300 characters"),
    "a long size": ('rows = "vocab"', f'rows = "{"*".join(["vocab"] * 50)}"', "more than 200 characters"),
    "a steering text": ('origin = "a test"', 'origin = "a\\u001b[2J"', "one line of printable characters"),
    "a steering rule": ("[[fused]]", '[[ignored]]\nrule = "a\\nb"\nnames = ["x"]\n[[fused]]', "one line of printable"),
    "a number of digits": ("vectors = true", f"vectors = {'9' * 9999}", "spec my.toml"),
    "lists in lists": ("vectors = true", f"vectors = {'[' * 9999}", "spec my.toml"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_a_spec_may_not_say(case: str) -> None:
    before, after, says = BAD[case]
    assert before in TOY
    with pytest.raises(UsageError) as error:
        read_spec(SpecFile("my.toml", TOY.replace(before, after)))
    assert says in str(error.value)
    assert str(error.value).endswith("docs/adding-a-family.md describes the format")
    assert "bug in weightaudit" not in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1000


def test_a_thousand_roles_of_one_tensor_are_refused() -> None:
    roles = ", ".join(f'"R{i}"' for i in range(65))
    rows = ", ".join(['"any"'] * 65)
    text = (
        TOY + f'[[fused]]\nroles = [{roles}]\nrows = [{rows}]\ncols = "hidden"\npacking = "contiguous"\nnames = ["x"]\n'
    )
    with pytest.raises(UsageError, match="more than 64 of one tensor"):
        read_spec(SpecFile("my.toml", text))


def test_sizes_that_grow_without_end_are_refused() -> None:
    chain = "".join(
        f'd{"x" * i} = {{ keys = ["q"], rule = "{"*".join(["d" + "x" * (i - 1)] * 8)}" }}\n' for i in range(1, 9)
    )
    text = TOY.replace("[[fused]]", f'd = {{ keys = ["width"] }}\n{chain}[[fused]]', 1)
    with pytest.raises(ConfigError, match="absurdly large"):
        map_model(CONFIG, tensors(small()), spec=SpecFile("my.toml", text))  # type: ignore[arg-type]


def test_a_file_is_read_once_and_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(TOY)
    spec = parse_spec(path)
    assert spec == parse_spec(str(path)) == SPEC
    assert spec is not None
    assert str(spec).startswith("my.toml (sha256 ")
    path.write_text(TOY + "# changed\n")
    changed = parse_spec(path)
    assert str(changed) != str(spec)
    assert parse_spec("") is None


def test_files_that_are_no_text_of_that_size(tmp_path: Path) -> None:
    large, binary, pipe = tmp_path / "large.toml", tmp_path / "binary.toml", tmp_path / "pipe.toml"
    large.write_text("#" * (MAX_SPEC + 1))
    binary.write_bytes(b"name = '\xff'")
    os.mkfifo(pipe)
    for path, says in ((large, "more than"), (binary, "no UTF-8"), (pipe, "not a plain file"), (tmp_path, "spec ")):
        with pytest.raises(UsageError, match=says):
            parse_spec(path)
    with pytest.raises(UsageError, match="no such file"):
        parse_spec(tmp_path / "none.toml")
