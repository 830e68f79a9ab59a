"""The strict schema: what a spec may say, and that everything else fails by name."""

from __future__ import annotations

from importlib.resources import files

import pytest

from weightaudit.architecture import expressions, families, family, templates
from weightaudit.architecture.loader import parse_family
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
    "an unknown key": ('origin = "a test"', 'orgin = "a test"', "unknown key 'orgin', did you mean 'origin'?"),
    "an unknown key of a matrix": ('role = "M1"', 'role = "M1"\ncolumns = 3', "did you mean 'cols'?"),
    "an unknown key of a fused": ("packing =", "pakcing =", "unknown key 'pakcing', did you mean 'packing'?"),
    "an unknown key of a dimension": ('rule = "4', 'rul = "4', "unknown key 'rul', did you mean 'rule'?"),
    "an unknown key of an ignored": ('rule = "norm"', 'rule = "norm"\nbufer = true', "did you mean 'buffer'?"),
    "an unknown packing": ('"contiguous"', '"contigous"', "unknown packing 'contigous', did you mean 'contiguous'?"),
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
        assert all(name in text for rule in (*known.matrices, *known.ignored) for name in rule.names)


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
    [("hidden", 12), ("4*hidden", 48), ("hidden/heads", 4), ("heads*hidden/4 + 2", 11), ("hidden + 2*heads", 18)],
)
def test_expressions(expression: str, value: int) -> None:
    dimensions = {"hidden": 12, "heads": 3}
    assert expressions.check(expression, dimensions) == ""
    assert expressions.evaluate(expression, dimensions) == value


@pytest.mark.parametrize("heads", [5, 0])
def test_an_expression_divides_exactly_or_not_at_all(heads: int) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        expressions.evaluate("hidden/heads", {"hidden": 12, "heads": heads})


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
    found = templates.compile_template(TEMPLATE, ["m.", "x."]).fullmatch(name)
    assert (found and found["layer"]) == layer
