"""A letter's HTML as preflight looks at it: its links, pictures, text, elements and style, by the standard library."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_SILENT = {"style", "title", "head", "script"}
_BREAKS = {"p", "br", "td", "tr", "table", "div", "li", "h1", "h2", "h3", "h4", "hr"}
_DECLARATION = re.compile(r"([a-z-]+)\s*:\s*([^;{}]+)")


@dataclass(slots=True)
class Page:
    """What stands in a page. `pictures` are (address, alternative text); None: it has none."""

    links: list[str] = field(default_factory=list)
    pictures: list[tuple[str, str | None]] = field(default_factory=list)
    text: str = ""
    elements: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    declarations: set[tuple[str, str]] = field(default_factory=set)
    sheet: str = ""  # what stands in <style>


def read_page(html: str) -> Page:
    """Take a page apart."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    page = reader.page
    page.text = " ".join("".join(reader.words).split())
    page.declarations |= set(declarations(page.sheet))
    return page


def declarations(css: str) -> Iterator[tuple[str, str]]:
    """Give each declaration of a style as (property, value)."""
    for name, value in _DECLARATION.findall(css.lower()):
        yield name, value.replace("!important", "").strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self.words = Page(), list[str]()
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.page.elements.add(tag)
        self.page.attributes.update(said)
        self.page.declarations.update(declarations(said.get("style") or ""))
        if tag == "a" and said.get("href"):
            self.page.links.append(said["href"] or "")
        if tag == "img":
            self.page.pictures.append((said.get("src") or "", said.get("alt")))
        if tag in _SILENT:
            self._silent.append(tag)
        if tag in _BREAKS:
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()
        if tag in _BREAKS:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)
        elif self._silent[-1] == "style":
            self.page.sheet += data
