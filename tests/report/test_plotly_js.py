"""The plotly.js that pages draw with: the official file, and all that the pages' charts need of it."""

from __future__ import annotations

import hashlib
import re

from tests.report.drawn import ASSETS, ROOT, drawn_kinds
from weightaudit.report import plotly_js
from weightaudit.report.document import plotly_bytes, plotly_code


def test_the_file_is_just_the_official_one() -> None:
    content = ASSETS.joinpath(plotly_js.FILE).read_bytes()
    assert hashlib.sha256(content).hexdigest() == plotly_js.SHA256
    assert f"plotly.js (cartesian - minified) v{plotly_js.VERSION}\n" in content[:200].decode()
    assert plotly_bytes() == content
    assert len(content) < 1_600_000


def test_it_has_every_kind_of_trace_that_pages_draw() -> None:
    drawn = drawn_kinds()
    assert {"scatter", "heatmap"} <= drawn
    assert drawn <= set(re.findall(r'moduleType:"trace",name:"(\w+)"', plotly_code()))


def test_it_may_stand_in_an_element() -> None:
    """Nothing in it ends that element or changes how it is read, so that its hash is that of the file."""
    code = plotly_code().lower()
    assert [text for text in ("</script", "<!--", "\r", "\0") if text in code] == []


def test_its_licences_come_along() -> None:
    folder = ASSETS.joinpath(plotly_js.FILE.partition("/")[0])
    assert "Plotly Technologies Inc." in folder.joinpath("LICENSE").read_text("utf-8")
    parts = folder.joinpath("LICENSES-OF-PARTS.txt").read_text("utf-8")
    assert f"plotly.js {plotly_js.VERSION} " in parts
    assert "Michael Bostock" in parts
    assert f"the npm package {plotly_js.NPM_PACKAGE}" in " ".join((ROOT / "NOTICE").read_text("utf-8").split())
