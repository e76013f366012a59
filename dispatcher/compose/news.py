"""A feed of news as it came over the wire (RSS, Atom), read into entries of plain text.

    octets -> well-formed, and without entities of its own -> feedparser -> texts without markup, links for the web only

What must stay true: whatever a stranger's server sends, this ends, in bounded time and memory, with entries or with a
sentence that says why there are none. No markup of theirs goes further, and no link but of the web.
"""

import calendar
import hashlib
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from xml.parsers import expat

import feedparser
import nh3

LARGEST = 2_000_000  # octets of a feed
MOST_READ = 1_000  # entries of a feed, as they stand in it
LONGEST_TITLE, LONGEST_SUMMARY, LONGEST_LINK = 200, 400, 1_000  # characters
_MOST_MARKUP = 50_000  # characters of an entry's text that are looked at
_DEEPEST = 100  # elements within each other
_BLOCKS = {
    "address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "h1", "h2",
    "h3", "h4", "h5", "h6", "header", "hr", "li", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
}  # fmt: skip
# What these hold is no text for a reader.
_DROPPED = {"script", "style", "iframe", "object", "noscript", "template", "svg", "math", "select", "textarea", "title"}
_TAG = re.compile(r"<[^>]*>")
# Control characters, those that turn the direction of what follows, and those that no font shows.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ue000-\uf8ff\ufff9-\uffff\U000e0000-\U0010ffff]")
_NOT_IN_LINKS = re.compile(
    '[\x00-\x20"<>\\\\^`{|}\x7f-\xa0\u2028-\u202e\u2066-\u2069\ue000-\uf8ff\U000e0000-\U0010ffff]'
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of news. `key` tells it from every other of its feed; "" and None where the feed says nothing."""

    key: bytes
    title: str
    summary: str
    link: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class News:
    """What a feed holds, the newest first, each once. `unusable` had neither a title nor a text; `beyond` came after
    the first thousand.
    """

    title: str
    entries: tuple[Entry, ...]
    unusable: int
    beyond: int


@dataclass(frozen=True, slots=True)
class Unread:
    """There is nothing to be had from it, and why, in words."""

    why: str


def read(octets: bytes, url: str) -> News | Unread:
    """Read a feed that came from this address."""
    fault = _fault(octets)
    if fault is not None:
        return Unread(fault)
    # What is well-formed never meets the library's way with broken markup, whose time nobody can bound. It is not told
    # the address: an id that is a number would become one, and another when the feed moves.
    found = feedparser.parse(BytesIO(octets), sanitize_html=False, resolve_relative_uris=False)
    if not found.version:
        return Unread("it is XML, but neither RSS nor Atom")
    stated = found.entries
    read_ = [_entry(one, url) for one in stated[:MOST_READ]]
    usable = list({entry.key: entry for entry in reversed(read_) if entry is not None}.values())[::-1]
    usable.sort(key=_moment, reverse=True)
    unusable = sum(entry is None for entry in read_)
    return News(plain(found.feed.get("title"), LONGEST_TITLE), tuple(usable), unusable, len(stated[MOST_READ:]))


def plain(markup: object, longest: int) -> str:
    """Give the words of somebody else's HTML in one line, cut at a word."""
    cleaned = nh3.clean(
        str(markup or "")[:_MOST_MARKUP], tags=_BLOCKS, clean_content_tags=_DROPPED, attributes={}, link_rel=None
    )
    text = " ".join(_UNSEEN.sub(" ", html.unescape(_TAG.sub(" ", cleaned))).split())
    if len(text) <= longest:
        return text
    return text[:longest].rpartition(" ")[0].rstrip(" ,;:.-–") + " …" if " " in text[:longest] else text[:longest] + "…"


def _moment(entry: Entry) -> datetime:
    return entry.at or datetime.min.replace(tzinfo=UTC)


class _Dangerous(Exception):
    pass


class _Guard:
    """Reads XML, and stops at what could make a few octets large: entities of its own, elements without end."""

    def __init__(self) -> None:
        self._depth = 0
        self.parser = expat.ParserCreate()
        self.parser.EntityDeclHandler = self._declares
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._begins, self._ends

    def _declares(self, *_: object) -> None:
        raise _Dangerous("it declares entities of its own")

    def _begins(self, *_: object) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Dangerous(f"more than {_DEEPEST} elements stand within each other")

    def _ends(self, _: object) -> None:
        self._depth -= 1


def _fault(octets: bytes) -> str | None:
    """Say why it cannot be a feed; None: it is well-formed XML that declares nothing and is not too deep."""
    if len(octets) > LARGEST:
        return f"it is larger than {LARGEST // 1_000_000} MB"
    if not octets.strip():
        return "it is empty"
    try:
        _Guard().parser.Parse(octets, True)
    except _Dangerous as refused:
        return str(refused)
    except expat.ExpatError as error:
        return f"it is not XML: {expat.ErrorString(error.code)}, line {error.lineno}"
    except (ValueError, LookupError) as error:
        return f"it is not XML: {error}"
    return None


def _entry(stated: Any, url: str) -> Entry | None:
    title, link = plain(stated.get("title"), LONGEST_TITLE), _link(stated, url)
    summary = next(filter(None, (plain(text, LONGEST_SUMMARY) for text in _texts(stated))), "")
    title = title or summary[:80]
    if not title:
        return None
    known_by = str(stated.get("id") or "").strip() or str(stated.get("link") or "").strip() or title
    key = hashlib.sha256(known_by.encode("utf-8", "surrogatepass")).digest()
    return Entry(key, title, "" if summary == title else summary, link, _date(stated))


def _texts(stated: Any) -> Iterator[object]:
    yield stated.get("summary")
    for content in stated.get("content") or ():
        yield content.get("value")


def _link(stated: Any, url: str) -> str:
    """Give a whole address of the web, or nothing."""
    named, number = str(stated.get("link") or "").strip(), str(stated.get("id") or "")
    try:
        whole = urljoin(url, named)
        parts = urlsplit(whole)
        is_number = bool(stated.get("guidislink")) and number == named and not urlsplit(number).scheme
    except ValueError:
        return ""
    if not named or is_number:  # many an RSS feed counts its entries, and says by silence that this is an address
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        return ""
    written = _NOT_IN_LINKS.sub(lambda found: quote(found.group()), whole)
    return written if len(written) <= LONGEST_LINK else ""


def _date(stated: Any) -> datetime | None:
    # The library would give the one for the other, and warn.
    at = stated.get("published_parsed") if "published" in stated else stated.get("updated_parsed")
    try:
        return datetime.fromtimestamp(calendar.timegm(at), UTC) if at else None
    except (ValueError, OverflowError, OSError):
        return None
