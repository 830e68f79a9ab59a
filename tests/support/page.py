"""A page's tags, text and scripts, as a browser would have them without running anything."""

from __future__ import annotations

from html.parser import HTMLParser

from weightaudit import ScanReport
from weightaudit.report import html


class Reader(HTMLParser):
    """Start tags with their attributes, the text outside scripts and styles, and the content of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def read(report: ScanReport) -> Reader:
    """The report's page."""
    return Reader(html.page(report))
