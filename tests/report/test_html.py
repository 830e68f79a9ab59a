"""The page as text: complete in itself, the same every time, and safe whatever the names say."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import factory
from tests.support.covering import some_of
from tests.support.page import read
from weightaudit.report import html
from weightaudit.report.document import script_json
from weightaudit.report.html.body import body
from weightaudit.report.html.method import reproduce_command
from weightaudit.report.hypertext import shown
from weightaudit.report.markup import count, figure, interval, magnitude, nbytes, share
from weightaudit.report.style import INK, role_styles
from weightaudit.text import ranges

# What the profiles are drawn with; nothing in it loads or runs anything.
DRAWN = {
    "svg": {"viewbox", "preserveaspectratio", "role", "aria-label"},
    "path": {"class", "d", "stroke-dasharray"},
}


@pytest.mark.parametrize("name", some_of(factory.SMALL, "judged", "hostile", "judged_mixture"))
def test_same_report_same_bytes(name: str, tmp_path: Path) -> None:
    for path in ("a.html", "b.html"):
        factory.SMALL[name]().write(tmp_path / path)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize("name", some_of(factory.SMALL, "judged", "hostile", "judged_mixture"))
def test_nothing_is_loaded_from_anywhere(name: str) -> None:
    for tag, attributes in read(factory.SMALL[name]()).tags:
        assert "src" not in attributes
        assert tag not in ("img", "iframe", "object", "embed", "form", "base")
        assert not any(attribute.startswith("on") for attribute in attributes)
        if tag in DRAWN:
            assert set(attributes) <= DRAWN[tag]
        if "href" in attributes:
            assert str(attributes["href"]).startswith(("#", "data:,"))


def test_policy_names_the_scripts_by_hash_and_nothing_else() -> None:
    page = read(factory.hostile())
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    data, plotly, script = page.scripts
    types = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert types == ["application/json", "text/plain", None]  # plotly.js is run when there is something to draw
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (plotly, script)]
    assert rules.pop("script-src") == " ".join(f"'sha256-{text}'" for text in hashes)
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert json.loads(data)["cells"]["tensors"][:2] == list(factory.HOSTILE_NAMES[:2])


def test_hostile_names_are_text_and_steer_nothing() -> None:
    page = read(factory.hostile())
    assert factory.HOSTILE in page.text
    written = html.page(factory.hostile()).replace(page.scripts[1], "")
    assert "<img" not in written
    assert "<!--<" not in written
    steering = [c for c in written if not c.isprintable() and c != "\n"]
    assert steering == []


def test_script_json_cannot_leave_its_element() -> None:
    text = script_json(["</script>", "<!--", "\u2028", "é", "&amp;"])
    assert json.loads(text) == ["</script>", "<!--", "\u2028", "é", "&amp;"]
    assert text.isascii()
    assert not set(text) & set("<>&")


def test_dimensions_have_names_that_people_use() -> None:
    report = factory.bert()
    keys = {"vocab": 9, "kv_heads": 2, "head_dim": 64, "dense_ff": 128, "token_types": 2}
    report = replace(report, map=replace(report.map, dimensions=keys))
    heads = "Model Key/value heads Head dimension FF dimension (dense) Vocabulary Token types"
    assert heads in read(report).text


def test_a_known_model_shows_table_1_and_no_banner() -> None:
    text = read(factory.bert()).text
    assert "Layers Model dimension FF dimension Attention heads" in text
    assert "bert-base-uncased 12 768 3,072 12" in text
    assert "86b5e0934494bd15c9632b12f734a8a67f723594" in text
    assert "guessed" not in text
    ids = [attributes.get("id") for _, attributes in read(factory.bert()).tags]
    assert "findings" not in ids
    assert len(ids) - ids.count(None) == len(set(ids)) - 1  # no id twice


def test_a_guessed_model_says_so_first() -> None:
    text = read(factory.guessed()).text
    assert "The roles on this page are guessed" in text
    assert "nearest known families are llama , mistral ." in text
    assert "Model dimension" not in text
    assert "The interval stayed wide" in text
    assert "unknown model type 'novel'" in text
    assert text.index("guessed", 300) < text.index("Summary", 300)


def test_coverage_counts_every_status() -> None:
    page = read(factory.bert())
    statuses = [a["data-status"] for tag, a in page.tags if tag == "details" and "data-status" in a]
    assert statuses == ["analysed", "ignored", "tied", "unmapped"]
    assert "unmapped 1 tensor, 35 elements" in page.text


@pytest.mark.parametrize("name", ["embeddings_only", "all_nan"])
def test_odd_reports_say_what_is_missing(name: str) -> None:
    text = read(factory.ALL[name]()).text
    said = {"embeddings_only": "No measured matrix belongs to a layer", "all_nan": "NaN or infinite entries 18"}
    assert said[name] in text
    assert "nan" not in text.replace("NaN", "").lower().split()
    assert "None" not in text


def test_an_empty_summary_is_shown_as_unknown() -> None:
    text = " ".join(re.sub("<[^>]*>", " ", body(replace(factory.guessed(), summary={}))).split())
    assert "Stable rank — harmonic mean" in text
    assert "None" not in text


def test_many_notes_are_folded() -> None:
    notes = tuple(f"note {i}" for i in range(12))
    assert "7 more notes" in body(replace(factory.bert(), notes=notes))


def test_command_repeats_the_scan() -> None:
    assert reproduce_command(factory.bert()) == (
        "weightaudit scan bert-base-uncased --revision 86b5e0934494bd15c9632b12f734a8a67f723594 --method auto "
        "--tol 0.01 --delta 1e-06 --seed 0 --device cpu --threads 2 --out report.html"
    )
    local = factory.guessed()
    identity = replace(local.identity, location="/data/my model; rm -rf $HOME")
    options = {**local.options, "roles": ["Q", "M1"], "layers": [0, 1, 2, 5], "ignore": ["pickle", "untrained"]}
    chosen = replace(local, identity=identity, options=options)
    words = shlex.split(reproduce_command(chosen))
    assert words[2] == "/data/my model; rm -rf $HOME"
    assert words[3:9] == ["--roles", "Q,M1", "--layers", "0-2,5", "--ignore", "pickle,untrained"]


@pytest.mark.parametrize(
    ("layers", "text"), [([], ""), ([3], "3"), ([2, 1, 0], "0-2"), ([0, 2, 3, 9], "0,2-3,9"), ([1, 2], "1-2")]
)
def test_layer_ranges(layers: list[int], text: str) -> None:
    assert ranges(layers) == text


def test_numbers_for_people() -> None:
    assert (figure(29.0), figure(0.1), figure(0.0), figure(None), figure(float("nan"))) == (
        "29.00",
        "0.1000",
        "0",
        "—",
        "—",
    )
    assert (figure(12345.0), figure(1e12), figure(9.9996)) == ("12340", "1e+12", "10.00")
    assert interval(2.71828, 2.71829) == "2.718 – 2.719"
    assert interval(1.0, 1.0) == "1.000"
    assert (count(1234567), magnitude(109_482_240), magnitude(999_600), magnitude(12)) == (
        "1,234,567",
        "109 M",
        "1.00 M",
        "12",
    )
    assert (nbytes(570), nbytes(440_449_768)) == ("570 bytes", "440 MB")
    assert (share(0.999999), share(1.0), share(0.5), share(None)) == ("99.99 %", "100 %", "50 %", "—")
    assert shown("a<b>\x1b\u202e\"'") == "a&lt;b&gt;\\x1b\\u202e&quot;&#x27;"


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_read(theme: str) -> None:
    """WCAG 2.2: 4.5 for text, 3 for lines and marks."""
    ink = INK[theme]
    for paper in ("page", "card"):
        assert all(contrast(ink[name], ink[paper]) >= 4.5 for name in ("ink", "muted", "accent", "warn", "bad"))
    for style in role_styles(["Q", "K", "V", "O", "QKV", "M1", "M2", "GATE", "XQ", "POOLER"]).values():
        assert contrast(getattr(style, theme), ink["card"]) >= 3


def test_roles_keep_their_style_and_differ() -> None:
    roles = role_styles(["A2", "M2", "Q", "EMBED", "XQ", "KV_A", "A1"])
    assert list(roles) == ["EMBED", "KV_A", "Q", "XQ", "M2", "A2", "A1"]
    assert roles["Q"] == role_styles(["Q"])["Q"]
    assert len({(style.light, style.dash, style.symbol) for style in roles.values()}) == len(roles)
