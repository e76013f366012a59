"""News of a feed written down as a content file (docs/content.md), an article each.

What must stay true: what strangers wrote stays text. It can be no Markdown, no field of the recipient and no YAML,
whatever it holds; and an editor who opens the file finds one that reads as if somebody had written it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import yaml

from dispatcher.compose.news import Entry
from dispatcher.compose.words import long_date
from dispatcher.languages import Language
from dispatcher.zone import ZONE

MOST_ARTICLES = 20
_LONGEST_PREHEADER = 120
_MARKDOWN = re.compile(r"[\\`*_\[\]<>#~|&!]|^[-+=]|(?:(?<=^\d)|(?<=^\d\d)|(?<=^\d{3})|(?<=^\d{4}))[.)](?=\s|$)")
_BRACE = re.compile(r"\{(?=[{%#])")


@dataclass(frozen=True, slots=True)
class Digest:
    """What the letter says, and as of when."""

    language: Language
    title: str
    as_of: datetime
    entries: Sequence[Entry]


def write(digest: Digest) -> str:
    """Write the file."""
    head = {
        "language": digest.language.value,
        "title": _literal(digest.title),
        "preheader": _literal(_preheader(digest.entries)),
        "as_of": f"{digest.as_of.astimezone(ZONE):%Y-%m-%d %H:%M}",
        "articles": [_article(entry, digest.language) for entry in digest.entries],
    }
    written = yaml.safe_dump(head, allow_unicode=True, sort_keys=False, width=10**9)
    return f"---\n{written}---\n"


def _article(entry: Entry, language: Language) -> dict[str, str]:
    day = f"*{long_date(entry.at.astimezone(ZONE).date(), language)}*" if entry.at else ""
    text = " – ".join(filter(None, [day, _literal(_MARKDOWN.sub(r"\\\g<0>", entry.summary))]))
    said = {"title": _literal(entry.title), "text": text, "link": entry.link}
    return {key: value for key, value in said.items() if value}


def _preheader(entries: Sequence[Entry]) -> str:
    said = " · ".join(entry.title for entry in entries)
    return said if len(said) <= _LONGEST_PREHEADER else said[:_LONGEST_PREHEADER].rpartition(" ")[0] + " …"


def _literal(text: str) -> str:
    """Give text in which no brace opens a field."""
    return _BRACE.sub("{% raw %}{{% endraw %}", text)
