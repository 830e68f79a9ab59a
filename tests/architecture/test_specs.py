"""The strict schema: what a spec may say, and that everything else fails by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files

import pytest

from weightaudit.architecture import expressions, families, family, registry, templates
from weightaudit.architecture.loader import parse_family, read_multimodal, read_reasons
from weightaudit.architecture.matching import Matcher
from weightaudit.architecture.schema import Family, IgnoreRule, MatrixRule
from weightaudit.errors import SpecError, UsageError

GOOD = """
name = "toy"
model_types = ["toy"]
origin = "a test"
prefixes = ["model."]
tied = false
[dimensions]
hidden = { keys = ["d"] }
layers = { keys = ["n"] }
ff = { keys = ["f"], rule = "4*hidden" }
[otherwise]
key = "narrow"
every = "layers"
ff = "2*hidden"
[[matrix]]
role = "M1"
names = ["{prefix}layers.{layer}.up.weight"]
rows = "ff"
cols = "hidden"
[[fused]]
roles = ["Q", "K"]
packing = "contiguous"
names = ["{prefix}layers.{layer}.qk.weight"]
rows = ["hidden", "hidden"]
cols = "hidden"
[[ignored]]
rule = "norm"
names = ["{prefix}norm.{weight|bias}"]
"""


def test_a_good_spec_is_read() -> None:
    toy = parse_family("toy.toml", GOOD)
    assert (toy.name, toy.roles, toy.packings) == ("toy", ("Q", "K", "M1"), ("contiguous",))
    assert [dimension.name for dimension in toy.dimensions] == ["hidden", "layers", "ff"]


BAD = {
    "an unknown key": ('origin = "a test"', 'orgin = "a test"', "unknown key 'orgin'. Did you mean origin?"),
    "an unknown key of a matrix": ('role = "M1"', 'role = "M1"\ncolumns = 3', "Did you mean cols?"),
    "an unknown key of a fused": ("packing =", "pakcing =", "unknown key 'pakcing'. Did you mean packing?"),
    "an unknown key of a dimension": ('rule = "4', 'rul = "4', "unknown key 'rul'. Did you mean rule?"),
    "an unknown key of an ignored": ('rule = "norm"', 'rule = "norm"\nbufer = true', "Did you mean buffer?"),
    "an unknown packing": ('"contiguous"', '"contigous"', "unknown packing 'contigous'. Did you mean contiguous?"),
    "a size nobody defined": ('rows = "ff"', 'rows = "fff"', "'fff' is no dimension"),
    "a rule promised and not given": ('rule = "4*hidden"', "rule_if_missing = true", "rule_if_missing needs a rule"),
    "a rule of a later dimension": ('"4*hidden"', '"4*ff"', "'ff' is no dimension defined above it"),
    "a size that is no product": ('rows = "ff"', 'rows = "ff**2"', "no sum of products"),
    "an unknown placeholder": ("{layer}.up", "{lyaer}.up", "'{lyaer}' in"),
    "a pattern in a template": ("norm.{weight", ".*norm.{weight", "no tensor name has"),
    "a lower-case role": ('role = "M1"', 'role = "m1"', "upper case"),
    "roles and rows of different number": ('["hidden", "hidden"]', '["hidden"]', "one size for each"),
    "a wrong type": ("tied = false", 'tied = "no"', "key 'tied' must be true or false"),
    "a missing key": ('cols = "hidden"\n[[fused]]', "[[fused]]", "key 'cols' must be a text"),
    "an empty list": ('model_types = ["toy"]', "model_types = []", "key 'model_types' must be a list of texts"),
    "another file's name": ('name = "toy"', 'name = "tow"', "must be called tow.toml"),
    "a tie to nothing": ('role = "M1"', 'role = "M1"\ntied_to = "EMBED"', "no role of the family"),
    "no TOML": ("tied = false", "tied = = false", "not TOML"),
    "vectors of a wrong type": ("tied = false", 'tied = false\nvectors = "yes"', "key 'vectors' must be true or false"),
    "vectors misspelt": ("tied = false", "tied = false\nvector = true", "'vector'. Did you mean vectors?"),
    "hybrid of a wrong type": ("tied = false", "tied = false\nhybrid = 1", "key 'hybrid' must be true or false"),
    "hybrid misspelt": ("tied = false", "tied = false\nhibrid = true", "unknown key 'hibrid'. Did you mean hybrid?"),
    "a note of a wrong type": ("tied = false", "tied = false\nnote = true", "key 'note' must be a text"),
    "a note misspelt": ("tied = false", 'tied = false\nnotes = "x"', "unknown key 'notes'. Did you mean note?"),
    "remote of a wrong type": ("tied = false", 'tied = false\nremote = "toy"', "key 'remote' must be a list of texts"),
    "remote and no model type": ("tied = false", 'tied = false\nremote = ["tow"]', "'tow' is none of model_types"),
    "remote misspelt": ("tied = false", 'tied = false\nremotes = ["toy"]', "'remotes'. Did you mean remote?"),
    "extends of a wrong type": ("tied = false", "tied = false\nextends = 3", "key 'extends' must be a text"),
    "extends nothing known": ("tied = false", 'tied = false\nextends = "tow"', "'tow' cannot be extended here"),
    "extends misspelt": ("tied = false", 'tied = false\nextend = "x"', "unknown key 'extend'. Did you mean extends?"),
    "experts of a wrong type": ('cols = "hidden"\n[[f', 'cols = "hidden"\nexperts = 3\n[[f', "'experts' must be a"),
    "experts nobody defined": ('cols = "hidden"\n[[f', 'cols = "hidden"\nexperts = "e"\n[[f', "'e' is no dimension"),
    "experts misspelt": ('cols = "hidden"\n[[f', 'cols = "hidden"\nexpert = "hidden"\n[[f', "Did you mean experts?"),
    "flat of a wrong type": ('role = "M1"', 'role = "M1"\nflat = "no"', "key 'flat' must be true or false"),
    "flat misspelt": ('role = "M1"', 'role = "M1"\nflatt = true', "unknown key 'flatt'. Did you mean flat?"),
    "flat and fused": ("packing =", "flat = true\npacking =", "unknown key 'flat'"),
    "when of a wrong type": ('role = "M1"', 'role = "M1"\nwhen = "multi_query"', "key 'when' must be a list of texts"),
    "when no flag": ('role = "M1"', 'role = "M1"\nwhen = ["not not it"]', "'not not it' is no flag of a config"),
    "when misspelt": ('role = "M1"', 'role = "M1"\nwhenn = ["it"]', "unknown key 'whenn'. Did you mean when?"),
    "a stack of a wrong type": ('role = "M1"', 'role = "M1"\nstack = 1', "key 'stack' must be a text"),
    "an unknown stack": ('role = "M1"', 'role = "M1"\nstack = "encodr"', "'stack' must be encoder or decoder"),
    "a stack misspelt": ('role = "M1"', 'role = "M1"\nstak = "encoder"', "unknown key 'stak'. Did you mean stack?"),
    "optional of a wrong type": ('keys = ["d"]', 'keys = ["d"], optional = 1', "key 'optional' must be true or false"),
    "optional misspelt": ('keys = ["d"]', 'keys = ["d"], optinal = true', "'optinal'. Did you mean optional?"),
    "a promise of a wrong type": ('rule = "4', 'rule_if_missing = 3, rule = "4', "must be true or false"),
    "a promise misspelt": ('rule = "4', 'rule_if_mising = true, rule = "4', "Did you mean rule_if_missing?"),
    "transposed misspelt": ('role = "M1"', 'role = "M1"\ntransposd = true', "Did you mean transposed?"),
    "a tie misspelt": ('role = "M1"', 'role = "M1"\ntied_too = "Q"', "unknown key 'tied_too'. Did you mean tied_to?"),
    "otherwise without a key": ('key = "narrow"', "", "key 'key' must be a text"),
    "otherwise every what": ('every = "layers"', 'every = "x"', "'x' is no dimension"),
    "otherwise what nobody defined": ('ff = "2*hidden"', 'f = "2*hidden"', "unknown key 'f'. Did you mean ff?"),
    "otherwise of what nobody defined": ('ff = "2*hidden"', 'ff = "2*hiden"', "'hiden' is no dimension"),
    "otherwise misspelt": ("[otherwise]", "[otherwize]", "unknown key 'otherwize'. Did you mean otherwise?"),
    "layers without their number": ('layers = { keys = ["n"] }', "", "needs a dimension 'layers'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_spec_fails_by_name(case: str) -> None:
    old, new, cause = BAD[case]
    assert GOOD.count(old) == 1
    with pytest.raises(SpecError) as caught:
        parse_family("toy.toml", GOOD.replace(old, new))
    assert cause in str(caught.value)
    assert str(caught.value).startswith("toy.toml")


MULTIMODAL = """
prefixes = ["model."]
[ignored]
"vision tower" = ["visual"]
[ignored_of.toy_vl]
"sound tower" = ["blocks"]
[layers]
toy_vl = "blocks"
[types]
toy_vl = "toy"
"""
BAD_MULTIMODAL = {
    "a tower of one type that is no list": ('["blocks"]', '"blocks"', "key 'sound tower' must be a list of texts"),
    "a pattern for a tower of one type": ('["blocks"]', '[".*"]', "no tensor name has"),
    "a type without rules": ("[ignored_of.toy_vl]", "[ignored_of]", "each value must be a table"),
    "an unknown key": ("[ignored]", "[ignoerd]", "unknown key 'ignoerd'. Did you mean ignored?"),
    "no types": ('[types]\ntoy_vl = "toy"', "", "'types' must be a table"),
    "a type that is no text": ('"toy"', "3", "key 'toy_vl' must be a text"),
    "another name of layers that is no text": ('toy_vl = "blocks"', "toy_vl = 3", "key 'toy_vl' must be a text"),
    "a tower that is no list": ('["visual"]', '"visual"', "key 'vision tower' must be a list of texts"),
    "a pattern for a tower": ('["visual"]', '[".*"]', "no tensor name has"),
    "prefixes that are none": ('["model."]', "[3]", "key 'prefixes' must be a list of texts"),
}


@pytest.mark.parametrize("case", BAD_MULTIMODAL)
def test_a_bad_table_of_multimodal_models_fails_by_name(case: str) -> None:
    old, new, cause = BAD_MULTIMODAL[case]
    assert read_multimodal("m.toml", MULTIMODAL).types == {"toy_vl": "toy"}
    assert MULTIMODAL.count(old) == 1
    with pytest.raises(SpecError) as caught:
        read_multimodal("m.toml", MULTIMODAL.replace(old, new))
    assert cause in str(caught.value)
    assert str(caught.value).startswith("m.toml")


def test_a_reason_is_a_text() -> None:
    assert read_reasons("n.toml", 'toy = "why"') == {"toy": "why"}
    with pytest.raises(SpecError, match=r"n\.toml: key 'toy' must be a text"):
        read_reasons("n.toml", "toy = 3")


def test_every_spec_names_its_origin_in_a_comment_and_describes_itself() -> None:
    specs = list(files("weightaudit.architecture").joinpath("specs").iterdir())
    assert {spec.name for spec in specs} == {f"{known.name}.toml" for known in families()}
    for spec in specs:
        assert spec.read_text("utf-8").startswith("# ")
        assert "# Origin: " in spec.read_text("utf-8")
    assert {"bert", "gpt2", "gptj", "phi", "roberta", "llama"} <= {known.name for known in families()}
    for known in families():
        text = known.describe()
        assert str(known) in text
        assert all(name in text for rule in known.matrices for name in rule.names)
        assert all(name in text for rule in known.ignored for name in rule.names)


@pytest.mark.parametrize("many", [(3, 1), pytest.param((1, None), marks=pytest.mark.slow)], ids=["of some", "every"])
def test_a_model_type_s_family_is_found_without_reading_all_specs(
    many: tuple[int, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, most = many
    served = {one: known for known in families()[::step] for one in sorted(known.model_types)[:most]}
    assert len(served) >= len(families()) // step
    read: list[str] = []

    def counted(name: str, text: str, others: Callable[[str], str]) -> Family:
        read.append(name)
        return parse_family(name, text, others)

    monkeypatch.setattr(registry, "parse_family", counted)
    monkeypatch.setattr(registry, "for_model_type", registry.for_model_type.__wrapped__)
    for model_type, known in served.items():
        monkeypatch.setattr(registry, "_read", cache(registry._read.__wrapped__))
        read.clear()
        assert registry.for_model_type(model_type) == known
        assert f"{known.name}.toml" in read
        assert len(read) < 10, (model_type, read)
    assert registry.for_model_type("no such type") is None


def test_no_two_families_have_a_model_type(monkeypatch: pytest.MonkeyPatch) -> None:
    all_types = [model_type for known in families() for model_type in known.model_types]
    assert len(set(all_types)) == len(all_types)
    texts = registry._specs()
    twin = texts["bert.toml"].replace('name = "bert"', 'name = "twin"')
    monkeypatch.setattr(registry, "_specs", lambda: {**texts, "twin.toml": twin})
    monkeypatch.setattr(registry, "for_model_type", registry.for_model_type.__wrapped__)
    monkeypatch.setattr(registry, "_read", cache(registry._read.__wrapped__))
    with pytest.raises(SpecError, match=r"twin.toml: bert has model type 'bert' too"):
        registry.for_model_type("bert")


def test_family_by_name_or_model_type_or_the_nearest() -> None:
    assert family("camembert") is family("roberta")
    assert family("phi-msft").name == "phi"
    with pytest.raises(UsageError, match="roberta") as caught:
        family("robertta")
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="weightaudit archs"):
        family("x\x1b[2J")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("hidden", 12),
        ("4*hidden", 48),
        ("hidden/heads", 4),
        ("heads*hidden/4 + 2", 11),
        ("hidden + 2*heads", 18),
        ("hidden//5*heads", 6),
    ],
)
def test_expressions(expression: str, value: int) -> None:
    dimensions = {"hidden": 12, "heads": 3}
    assert expressions.check(expression, dimensions) == ""
    assert expressions.evaluate(expression, dimensions) == value


@pytest.mark.parametrize("heads", [5, 0])
def test_an_expression_divides_exactly_or_not_at_all(heads: int) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        expressions.evaluate("hidden/heads", {"hidden": 12, "heads": heads})


def test_division_that_rounds_down_takes_no_zero() -> None:
    with pytest.raises(ValueError, match="no whole number"):
        expressions.evaluate("hidden//heads", {"hidden": 12, "heads": 0})


def _names_of(template: str, prefix: str) -> list[str]:
    """Names that fit a template, one for each word of it."""
    parts = re.split(r"\{([^{}]*)\}", template)
    said = {"prefix": prefix, "rest": "a.b", "stack": "encoder", "enc": "dec", "module": "H_module"}
    words = [part.split("|") if i % 2 and "|" in part else [said.get(part, "3") if i % 2 else part]
             for i, part in enumerate(parts)]  # fmt: skip
    return ["".join(one[n % len(one)] for one in words) for n in range(max(map(len, words)))]


@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_the_rule_of_a_name_is_the_first_whose_pattern_it_fits(step: int) -> None:
    """Whatever is left out unasked by how names end."""
    for known in families()[::step]:
        every: tuple[MatrixRule | IgnoreRule, ...] = (*known.matrices, *known.ignored)
        rules = [(name, rule) for rule in every for name in rule.names]
        patterns = [(templates.compile_template(name, known.prefixes), rule) for name, rule in rules]
        matcher = Matcher(known)
        names = [one for name, _ in rules for one in _names_of(name, (*known.prefixes, "")[0])]
        assert len(names) >= len(rules)
        for name in (*names, "x.weight", "bias", "\n"):
            fitting = (rule for pattern, rule in patterns if pattern.fullmatch(name))
            found = matcher.match(name)
            assert (found and found.rule) is next(fitting, None), name
        assert all(matcher.match(name) for name in names)


def test_a_name_that_ends_as_another_rule_s_may_fit_one_of_any_ending() -> None:
    apart = (IgnoreRule("one", ("layers.{layer}.attn.wq.weight",)), IgnoreRule("two", ("blocks.{rest}.wq.weight",)))
    matcher = Matcher(replace(family("gpt2"), matrices=(), ignored=apart))
    for name, rule in (("layers.1.attn.wq.weight", apart[0]), ("blocks.1.attn.wq.weight", apart[1])):
        found = matcher.match(name)
        assert found is not None
        assert found.rule is rule


TEMPLATE = "{prefix}h.{layer}.{a|b.c}.weight"


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("h.0.a.weight", "0"),
        ("m.h.17.b.c.weight", "17"),
        ("m.x.m.h.1.a.weight", "1"),
        ("xh.0.a.weight", None),
        ("h.0.a.weight.extra", None),
        ("h.0.a.weight\n", None),
        ("hh.0.a.weight", None),
        ("h.00.a.weight", None),
        ("h.-1.a.weight", None),
        ("h.٣.a.weight", None),
        ("h.0.axweight", None),
        ("h." + "9" * 5000 + ".a.weight", None),
    ],
)
def test_templates_match_whole_names_only(name: str, layer: str | None) -> None:
    found = templates.compile_template(TEMPLATE, ("m.", "x.")).fullmatch(name)
    assert (found and found["layer"]) == layer
