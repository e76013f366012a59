"""What our readers' mail programs cannot show, by the data of caniemail.com (its file is no part of this project).

A letter's elements and properties are looked up, for each program in its newest tested version. What our layout does
with intent, since it falls back to something that reads as well, is not told with every letter (`_FALLS_BACK`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.sending.preflight.examination import Examination
from dispatcher.sending.preflight.findings import LETTERS, Check, Finding, Severity
from dispatcher.sending.preflight.page import Page

# Those that most German readers use; a name in caniemail's data.
PROGRAMS = ("gmail", "outlook", "apple-mail", "gmx", "web-de", "t-online-de", "thunderbird", "yahoo", "samsung-email")

# Our own layout's, each with what is seen where it is not known.
_FALLS_BACK = frozenset({
    "css-at-media",  # the desk's measures, which a phone can show
    "css-at-media-prefers-color-scheme",  # light colours, or the program's own dark ones
    "css-border-radius",  # square corners
    "css-max-height",  # these two are the preheader's, which `display: none` hides by itself
    "css-overflow",
    "css-white-space",  # a price breaks in two lines
    "html-body",  # the table within it has the colour, too
    "html-dir",  # German and English run the usual way
    "html-lang",  # a screen reader takes its own language
    "html-role",  # a screen reader tells of a table
    "html-style",  # as without @media
})  # fmt: skip
_ELEMENTS = {
    "h1": "html-h1-h6", "h2": "html-h1-h6", "h3": "html-h1-h6", "h4": "html-h1-h6", "ul": "html-lists",
    "ol": "html-lists", "s": "html-strike",
}  # fmt: skip
_FORMATS = ("png", "jpg", "gif", "webp", "svg", "avif", "apng", "bmp", "heif", "tiff")


class DataAway(Exception):
    """The file of data cannot be used."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Something a letter may use: its name for people, and the programs that do not show it."""

    title: str
    lacking: frozenset[str]


def check_programs(exam: Examination) -> Iterator[Finding]:
    """Name what a letter uses and a program does not show."""
    path = exam.desk.caniemail
    if path is None:
        yield Finding(Check.PROGRAMS, "off", Severity.NOTE, LETTERS)
        return
    try:
        features = read_features(path)
    except DataAway as away:
        yield Finding(Check.PROGRAMS, "no_data", Severity.WARN, f"{path}", {"said": str(away)})
        return
    for look in exam.looks.values():
        for slug in sorted(_used(look.page) & features.keys() - _FALLS_BACK):
            if features[slug].lacking:
                values = {"feature": features[slug].title, "programs": ", ".join(sorted(features[slug].lacking))}
                yield Finding(Check.PROGRAMS, "lacking", Severity.WARN, look.file, values)


def read_features(path: Path) -> dict[str, Feature]:
    """Read the data: each feature by its slug. Raises DataAway."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        names = data["nicenames"]["family"]
        return {
            entry["slug"]: Feature(entry["title"], frozenset(_lacking(entry["stats"], names))) for entry in data["data"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataAway(str(error) or type(error).__name__) from None


def _lacking(stats: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """The programs of ours that do not show a feature, on any of their platforms, in the newest version tested."""
    for family in PROGRAMS:
        platforms = stats.get(family, {})
        cannot = sorted(platform for platform, versions in platforms.items() if _newest(versions).startswith("n"))
        if cannot:
            everywhere = len(cannot) == len(platforms)
            yield names.get(family, family) + ("" if everywhere else f" ({', '.join(cannot)})")


def _newest(versions: Mapping[str, str]) -> str:
    """They are listed from the oldest on."""
    return list(versions.values())[-1] if versions else "u"


def _used(page: Page) -> set[str]:
    """The slugs of what a page uses."""
    used = {f"css-{name}" for name, _ in page.declarations}
    used |= {"css-display-flex" for name, value in page.declarations if name == "display" and "flex" in value}
    used |= {"css-display-grid" for name, value in page.declarations if name == "display" and "grid" in value}
    used |= {_ELEMENTS.get(element, f"html-{element}") for element in page.elements}
    used |= {f"html-{attribute}" for attribute in page.attributes - {"style", "width", "height"}}
    for query, slug in (("@media", "css-at-media"), ("prefers-color-scheme", "css-at-media-prefers-color-scheme")):
        if query in page.sheet:
            used.add(slug)
    endings = {
        address.partition("?")[0].rpartition(".")[2].lower().replace("jpeg", "jpg") for address, _ in page.pictures
    }
    return used | {f"image-{ending}" for ending in endings if ending in _FORMATS}
