"""Markup is written in literal templates and nowhere else: what mypy cannot hold of `Html`, read off the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import weightaudit

PACKAGE = Path(weightaudit.__file__).parent
HOME = "report/hypertext.py"
"""Where the type is at home, and may be called."""
WRAPS = {"report/document.py": {"_read", "_script", "script_json"}}
"""What calls `Html` itself: files of the package, JSON without < > and &."""
ADDRESSES = {"report/document.py": {"document", "_plotly_inside"}}
"""What puts a whole address, or a script, into a template; `link` of the type's home is for all others."""
MAKERS = ("html", "each", "join", "literal")
"""Functions whose first argument is our own words."""
NO_PAGES = {"report/junit.py", "report/charts.py", "report/esd_chart.py"}
"""What writes markup of another kind: XML, with escapes of its own, and the templates of plotly's hover labels."""
TAG = re.compile(r"</?[a-z][^<>]*>?")


def wrong(source: str, path: str) -> Iterator[str]:
    """What breaks the rules in the file at ``path``, from the package's folder."""
    nodes = list(ast.walk(ast.parse(source)))
    parents: dict[ast.AST, ast.AST] = {}
    for node in nodes:
        parents.update(dict.fromkeys(ast.iter_child_nodes(node), node))
    imported: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "weightaudit.report.hypertext":
            imported |= {alias.name for alias in node.names}
            yield from (f"{alias.name} has another name" for alias in node.names if alias.asname)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name.rpartition(".")[2] for alias in node.names]
            yield from ("the module is imported whole" for name in names if name == "hypertext")
    for node in nodes:
        if names_the_type(node, parents) and within(node, parents) not in WRAPS.get(path, ()):
            yield "Html is called, or handed on"
        elif isinstance(node, ast.Name) and node.id in MAKERS and node.id in imported:
            call = parents[node]
            if not (isinstance(call, ast.Call) and call.func is node and call.args):
                yield f"{node.id} is handed on"
                continue
            templates = list(literals(call.args[0]))
            if not templates:
                yield f"{node.id} of what is no literal"
            if node.id in ("html", "each"):
                trusted = within(node, parents) in ADDRESSES.get(path, ())
                yield from (fault for template in templates for fault in misplaced(template, trusted=trusted))
        elif is_markup(node) and not (is_docstring(node, parents) or written_by(node, parents) in MAKERS):
            yield f"markup outside a template: {ast.unparse(node)}"


def is_markup(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and TAG.search(node.value) is not None


def names_the_type(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether ``node`` is `Html` as a value, by its name or, for `cast`, as text."""
    if isinstance(node, ast.Constant):
        return node.value == "Html"
    return isinstance(node, ast.Name) and node.id == "Html" and not annotates(node, parents)


def within(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    """The function around ``node``, "" where none is."""
    while node in parents and not isinstance(node, ast.FunctionDef):
        node = parents[node]
    return node.name if isinstance(node, ast.FunctionDef) else ""


def annotates(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether ``node`` is said of an argument, a result or a variable."""
    while node in parents:
        child, node = node, parents[node]
        if child is getattr(node, "annotation", None) or child is getattr(node, "returns", None):
            return True
    return False


def literals(node: ast.expr) -> Iterator[str]:
    """The strings that ``node`` may be; none where it is anything but literals."""
    if isinstance(node, ast.IfExp):
        both = [list(literals(branch)) for branch in (node.body, node.orelse)]
        yield from (both[0] + both[1] if all(both) else ())
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def misplaced(template: str, *, trusted: bool) -> Iterator[str]:
    """Fields where escaping does not help: outside quotes in a tag, an address, a script."""
    fields = re.sub(r"\{\{|\}\}", "", template)
    for tag in TAG.findall(fields):
        if not tag.endswith(">") or re.sub('"[^"]*"', "", tag).count('"'):
            yield f"a tag is not whole: {tag}"
        if "{" in re.sub('"[^"]*"', "", tag):
            yield f"a field stands outside quotes: {tag}"
        if re.search(r'\s(href|src|srcdoc|action|formaction|data|ping|poster)="\s*\{', tag) and not trusted:
            yield f"an address comes from a field: {tag}"
        if re.search(r"\son\w+=", tag):
            yield f"a script in an attribute: {tag}"
    if re.search(r"<(script|style)\b[^>]*>[^<]*\{", fields) and not trusted:
        yield f"a script comes from a field: {template}"


def is_docstring(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    return isinstance(parents[node], ast.Expr)


def written_by(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    """The function whose template ``node`` is, "" where it is none's."""
    while isinstance(parents[node], ast.IfExp):
        node = parents[node]
    call = parents[node]
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args[:1] == [node]:
        return call.func.id
    return ""


def pages() -> dict[str, str]:
    """The source of whatever makes a part of a page, by its path from the package's folder."""
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    return {
        name: source
        for name, source in sources.items()
        if name != HOME and (name.startswith("report/") or "weightaudit.report.hypertext" in source)
    }


def test_markup_is_written_in_literal_templates() -> None:
    sources = pages()
    assert {"paper/page.py", "report/html/body.py", "report/comparison/body.py", "report/document.py"} <= set(sources)
    found = {
        name: faults
        for name, source in sources.items()
        if name not in NO_PAGES
        if (faults := list(wrong(source, name)))
    }
    assert found == {}


def test_what_wraps_is_still_there() -> None:
    """No name in the short list outlives its function."""
    for path, names in (*WRAPS.items(), *ADDRESSES.items()):
        tree = ast.parse(PACKAGE.joinpath(path).read_text("utf-8"))
        assert names <= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("Html(name)", "Html is called, or handed on"),
        ("cast(Html, name)", "Html is called, or handed on"),
        ('cast("Html", name)', "Html is called, or handed on"),
        ("map(Html, names)", "Html is called, or handed on"),
        ('html(f"{name}")', "html of what is no literal"),
        ('html(f"<b>{name}</b>")', "html of what is no literal"),
        ('html("<b>" + name)', "html of what is no literal"),
        ('html("<b>{}</b>" if name else name)', "html of what is no literal"),
        ("join(name, [])", "join of what is no literal"),
        ("each(name, [])", "each of what is no literal"),
        ("literal(name)", "literal of what is no literal"),
        ("map(html, names)", "html is handed on"),
        ("html(*names)", "html of what is no literal"),
        ("x = f'<b>{name}</b>'", "markup outside a template: '<b>'"),
        ("x = '</p>'.join(names)", "markup outside a template: '</p>'"),
        ("html('{}', '<i>' + name)", "markup outside a template: '<i>'"),
        ("html('<b {}>x</b>', name)", "a field stands outside quotes: <b {}>"),
        ("html('<b class={}>x</b>', name)", "a field stands outside quotes: <b class={}>"),
        ("html('<b class={}', name)", "a tag is not whole: <b class={}"),
        ("""html('<a href="{}">x</a>', name)""", 'an address comes from a field: <a href="{}">'),
        ("""html('<a onclick="f()">x</a>')""", 'a script in an attribute: <a onclick="f()">'),
        ("html('<script>{}</script>', name)", "a script comes from a field: <script>{}</script>"),
        ("html('<style>.a{{{}}}</style>', name)", "a script comes from a field: <style>.a{{{}}}</style>"),
        ("from weightaudit.report.hypertext import Html as H", "Html has another name"),
        ("from weightaudit.report import hypertext", "the module is imported whole"),
        ("import weightaudit.report.hypertext as h", "the module is imported whole"),
    ],
)
def test_markup_made_otherwise_is_noticed(line: str, fault: str) -> None:
    source = f"from weightaudit.report.hypertext import Html, each, html, join, literal\ndef page(name):\n    {line}\n"
    assert fault in list(wrong(source, "report/html/body.py"))


def test_what_is_allowed_passes() -> None:
    source = '''"""Makes <b>."""
from weightaudit.report.hypertext import Html, each, html, join
def asset(name: str) -> Html:
    """A <file>."""
    parts: list[Html] = [html("<b>{}</b>" if name else '<b class="n">{}</b>', name)]
    return join("<br>", [each('<a href="#{}">{}</a>', []), *parts, html("{{{}}} 1 < 2", name)])
'''
    assert list(wrong(source, "report/html/body.py")) == []
    wraps = "def {}() -> Html:\n    return Html(open('x').read())\n"
    assert list(wrong(wraps.format("_read"), "report/document.py")) == []
    assert list(wrong(wraps.format("colours"), "report/document.py")) != []
    assert list(wrong(wraps.format("_read"), "report/html/body.py")) != []
