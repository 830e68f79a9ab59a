"""`Html`: a stranger's words are text in every place that a page has for them, and what is no markup is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.report import comparison_factory
from tests.support import factory
from tests.support.covering import some_of
from tests.support.page import Reader
from weightaudit import ScanReport
from weightaudit.report import markup
from weightaudit.report.comparison.page import page as comparison_page
from weightaudit.report.document import colours, document, script_json
from weightaudit.report.html.body import body
from weightaudit.report.hypertext import NOTHING, Html, each, filled, html, join, link, literal, local, shown
from weightaudit.text import printable

HOSTILE = (
    "<script>document.title='pwned'</script>",
    *factory.HOSTILE_NAMES,
    '" onmouseover="document.title=1',
    "' autofocus onfocus='document.title=1",
    "</b></td></table><iframe src=x>",
    "AT&T &lt;b&gt; &#60;i&#62;",
    "{0} {name} {{}} $title ${body} %s",
    "javascript:document.title='pwned'",
)
PLACES: dict[str, Callable[[str], Html]] = {
    "shown": shown,
    "html": lambda text: html("<b>{}</b>", text),
    "html by name": lambda text: html('<b title="{text}">{text}</b>', text=text),
    "html in html": lambda text: html("<i>{}</i>", html("<b>{}</b>", text)),
    "each": lambda text: each("<li>{}</li>", [text, "x"]),
    "each of several": lambda text: each('<li title="{}">{}</li>', [(text, 1), ("x", text)]),
    "join": lambda text: join("<br>", [shown(text), html("<b>{}</b>", text)]),
    "link's words": lambda text: link("#here", text),
    "link's address": lambda text: link(text, "here"),
    "filled": lambda text: filled(html("<b>$text</b>"), text=shown(text)),
    "table": lambda text: markup.table(text, [text, "n"], [[text, "1"], [html("<b>{}</b>", text), text]], numeric=(1,)),
    "section": lambda text: markup.section(text, text, html("<p>{}</p>", text)),
    "details": lambda text: markup.details(text, html("<p>{}</p>", text)),
    "definitions": lambda text: markup.definitions("facts", [(text, text)]),
    "cards": lambda text: markup.cards([(text, text, text, False)]),
    "navigation": lambda text: markup.navigation([(text, text)]),
    "captioned": lambda text: markup.captioned(text, text, NOTHING),
    "plot_hosts": lambda text: markup.plot_hosts(text, [100, 200]),
    "plot_hosts, none drawn": lambda text: markup.plot_hosts(text, [100], drawn=False),
}


def parts(text: str) -> list[tuple[str, list[str]]]:
    """The tags, and the names of their attributes."""
    return [(tag, list(attributes)) for tag, attributes in Reader(text).tags]


@pytest.mark.parametrize("place", PLACES)
def test_a_stranger_s_words_are_text_everywhere(place: str) -> None:
    tags = parts(PLACES[place]("plain"))
    for text in HOSTILE:
        made = PLACES[place](text)
        assert isinstance(made, Html)
        assert parts(made) == tags
        reader = Reader(made)
        values = [value for _, attributes in reader.tags for value in attributes.values() if value]
        assert any(printable(text) in words for words in ["".join(reader.texts), *values])
        assert all(c.isprintable() or c == "\n" for c in made)


def test_a_page_s_title_body_and_data_are_text() -> None:
    def whole(words: str) -> Html:
        page = html("<p>{}</p>", words)
        return document(title=words, style=colours(()), body=page, data=script_json([words]), scripts=(), plotly="p.js")

    tags = parts(whole("plain"))
    assert [text for text in HOSTILE if parts(whole(text)) != tags] == []


@pytest.mark.parametrize(
    ("address", "led"),
    [
        ("", ""),
        ("a/report.html", "./a/report.html"),
        ("../a/report.html", "../a/report.html"),
        ("./a", "./a"),
        ("/etc/passwd", ".//etc/passwd"),
        ("//example.invalid/x", ".///example.invalid/x"),
        ("http://example.invalid", "./http://example.invalid"),
        ("javascript:alert(1)", "./javascript:alert(1)"),
        (" javascript:alert(1)", "./ javascript:alert(1)"),
        ("\tdata:text/html,x", "./\\tdata:text/html,x"),
    ],
)
def test_a_link_leads_nowhere_but_near_the_page(address: str, led: str) -> None:
    assert Reader(link(address, "x")).tags == [("a", {"href": led})]
    assert printable(local(address)) == led


def test_a_link_within_the_page() -> None:
    assert link("#m-3", "Q") == '<a href="#m-3">Q</a>'


def test_numbers_have_formats_and_markup_stays() -> None:
    assert html("{:.2f} {:,} {:g}", 2 / 3, 1234, 2.0) == "0.67 1,234 2"
    assert html("<p>{}{}</p>", html("<b>{}</b>", "a & b"), NOTHING) == "<p><b>a &amp; b</b></p>"
    assert html("{}", html("{{}}")) == "{}"
    assert literal("a { b: c }") == "a { b: c }"
    assert not NOTHING


def test_a_long_name_is_cut_and_long_markup_is_not() -> None:
    assert html("{}", "n" * 500) == "n" * 299 + "…"
    assert html("{}", shown("n" * 500, 1000)) == "n" * 500


@pytest.mark.parametrize("value", [None, b"x", ["x"], object(), {"a": 1}])
def test_what_is_neither_text_nor_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no text, number or markup"):
        html("{}", value)
    with pytest.raises(TypeError, match="no text, number or markup"):
        html("{name}", name=value)
    with pytest.raises(TypeError, match="no text, number or markup"):
        each("{}", [value])


def test_concatenated_markup_is_text_again() -> None:
    """So that a string that anything may have got into is never taken for markup."""
    one = html("<b>{}</b>", 1)
    for plain in (one + "<script>", "<script>" + one, one + one, f"{one}", "".join([one, one]), one.replace("1", "2")):
        assert type(plain) is str
        assert Reader(html("{}", plain)).tags == []
        with pytest.raises(TypeError, match="no markup: str"):
            join("", [plain])  # type: ignore[list-item]


@pytest.mark.parametrize("part", ["style", "body", "data"])
def test_a_page_of_plain_strings_is_refused(part: str) -> None:
    made: dict[str, Any] = {"style": colours(()), "body": html("<p>x</p>"), "data": script_json([])}
    assert isinstance(document(title="t", scripts=(), plotly="p.js", **made), Html)
    with pytest.raises(TypeError, match="no markup: str"):
        document(title="t", scripts=(), plotly="p.js", **{**made, part: str(made[part])})


def test_whatever_makes_a_page_makes_markup() -> None:
    assert isinstance(body(factory.hostile()), Html)
    assert isinstance(comparison_page(comparison_factory.hostile(), title="x"), Html)


def every_second_layer_unknown() -> ScanReport:
    """So that a profile is nothing but dots."""
    report = factory.bert(layers=160)
    nan = factory.nan_spectrum()
    rows = (replace(row, spectrum=nan) if (row.matrix.layer or 0) % 2 else row for row in report.rows)
    return replace(report, rows=tuple(rows))


DEEP: dict[str, Callable[[], ScanReport]] = {
    "bert": lambda: factory.bert(layers=160),
    "every second layer unknown": every_second_layer_unknown,
    "seq2seq": lambda: factory.seq2seq(layers=90),
    "mixture": lambda: factory.judged_mixture(layers=70, experts=2),
}


@pytest.mark.parametrize("name", some_of(DEEP, "every second layer unknown", "seq2seq", "mixture"))
def test_our_own_words_and_drawings_are_never_cut(name: str) -> None:
    """A plain string in a template is cut as a name is: what grows with the model must be markup."""
    assert "…" not in body(DEEP[name]())


def test_our_own_words_are_never_cut_where_models_are_compared() -> None:
    assert "…" not in Reader(comparison_page(comparison_factory.models(300, 260), title="x")).text
