"""A feed is asked: what is in it, that nothing is new, or in words why it cannot be read. Nothing is written here."""

import asyncio
from dataclasses import dataclass

from dispatcher.compose.news import LARGEST, News, Unread, read
from dispatcher.outgoing import Answer, Outgoing, Passport, Unanswered, follow

PATIENCE = 20.0  # seconds, for each address on the way
_LONGEST_VALIDATOR = 500
_ACCEPT = "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8"


@dataclass(frozen=True, slots=True)
class Wire:
    """How a feed is asked: to where requests may go, as whom, and how long each may take."""

    passport: Passport
    public_url: str
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class Came:
    """A feed was read. `etag` and `last_modified`: what the next request may send along (RFC 9110 13.1)."""

    news: News
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The server says that nothing has changed since it was asked last."""


def ask(url: str, wire: Wire, etag: str | None = None, last_modified: str | None = None) -> Came | Unchanged | Unread:
    """Ask for a feed; with what its last answer gave along, whether it has changed."""
    headers = {
        "User-Agent": f"dispatcher (reads this feed for a newsletter; {wire.public_url})",
        "Accept": _ACCEPT,
        "Accept-Encoding": "identity",  # what is small here may be large when it is unfolded
        **({"If-None-Match": etag} if etag else {}),
        **({"If-Modified-Since": last_modified} if last_modified else {}),
    }
    wanted = Outgoing(url, headers=headers, keep=LARGEST + 1, patience=wire.patience)
    came = asyncio.run(follow(wanted, wire.passport, stays_secure=True))
    if came.is_circle:
        return Unread("it is redirected from one address to the next, without end")
    if isinstance(came.answer, Unanswered):
        return Unread(f"it does not answer ({came.answer.trouble}: {came.answer.why})")
    return _read(came.answer, came.url)


def _read(answer: Answer, url: str) -> Came | Unchanged | Unread:
    if answer.status == 304:
        return Unchanged()
    if answer.status != 200:
        return Unread(f"its server answers {answer.status}")
    if answer.headers.get("content-encoding", "identity") not in ("", "identity"):
        return Unread("its server sends it packed, though asked not to")
    if len(answer.body) < answer.size <= LARGEST:
        return Unread("its server broke off in the middle")
    news = read(answer.body, url)
    if isinstance(news, Unread):
        return news
    return Came(news, _validator(answer, "etag"), _validator(answer, "last-modified"))


def _validator(answer: Answer, name: str) -> str | None:
    value = answer.headers.get(name, "")
    return value if 0 < len(value) <= _LONGEST_VALIDATOR and value.isascii() and value.isprintable() else None
