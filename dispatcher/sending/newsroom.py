"""News of feeds become the next issues of their series: what is due is brought by a thread beside the tick
(news_rounds.py), a step at a time.

    claimed -> asked (network) -> draft, and its entries remembered -> through the gate into the series' slot -> brought

What must stay true: an entry is written down in the transaction of the draft that it is in; whoever is killed leaves a
claim that ends, and either nothing or a draft, with which the next one goes on. Nothing goes past preflight's gate:
what stands in the way leaves a draft that says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection, Engine

from dispatcher.compose.digest import MOST_ARTICLES, Digest, write
from dispatcher.compose.news import Entry, News, Unread
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.domain import zones
from dispatcher.domain.newsletters import campaigns, news_feeds, series
from dispatcher.domain.newsletters.campaigns import Draft
from dispatcher.domain.newsletters.news_feeds import Errand, NewsFeed, Wanted
from dispatcher.domain.staff import audit
from dispatcher.errors import DispatcherError
from dispatcher.sending import release
from dispatcher.sending.news import Came, Unchanged, Wire, ask
from dispatcher.sending.preflight import gate
from dispatcher.sending.preflight.examination import Desk
from dispatcher.sending.preflight.gate import Order, Released

log = structlog.get_logger()


def add(conn: Connection, wanted: Wanted, by: str, now: datetime) -> NewsFeed:
    """Enter a feed. Raises NotFound, InputRefused, MoveRefused."""
    return news_feeds.add(conn, wanted, by, now, MOST_ARTICLES)


def change(conn: Connection, feed_id: int, wanted: Wanted) -> NewsFeed:
    """Let a feed be asked otherwise. Raises NotFound, InputRefused."""
    return news_feeds.change(conn, feed_id, wanted, MOST_ARTICLES)


def wire_of(desk: Desk) -> Wire:
    """Give how a house asks feeds."""
    return Wire(desk.passport, desk.stationery.public_url)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a feed would bring now. `fresh` are its unused entries, `kept` of which would be in the issue."""

    feed: NewsFeed
    came: News | Unread
    fresh: tuple[Entry, ...]
    kept: tuple[Entry, ...]


def look(engine: Engine, feed_id: int, wire: Wire) -> Glance:
    """Ask a feed as if it were due, and write nothing down. Raises NotFound."""
    with reading(engine).connect() as conn:
        feed = news_feeds.get(conn, feed_id)
    came = ask(feed.url, wire)
    if isinstance(came, Unread):
        return Glance(feed, came, (), ())
    if isinstance(came, Unchanged):
        return Glance(feed, Unread("its server says that nothing has changed, though not asked"), (), ())
    with reading(engine).connect() as conn:
        fresh = _fresh(conn, feed_id, came.news)
    return Glance(feed, came.news, fresh, fresh[: feed.most])


def to_json(glance: Glance) -> dict[str, object]:
    """Give a look at a feed that could be read, for programs."""
    assert isinstance(glance.came, News)
    entries = [
        {"title": one.title, "summary": one.summary, "link": one.link, "at": one.at, "is_new": one in glance.kept}
        for one in glance.came.entries
    ]
    return {
        "title": glance.came.title,
        "entries": entries,
        "new": len(glance.kept),
        "passed_over": len(glance.fresh) - len(glance.kept),
        "unusable": glance.came.unusable,
        "beyond": glance.came.beyond,
    }


def bring(engine: Engine, feed_id: int, desk: Desk) -> None:
    """See to a feed that is due: to the end, or until it is tried again."""
    with engine.begin() as conn:
        errand = news_feeds.claim(conn, feed_id, clock.now(conn))
    if errand is None:
        return
    draft_id = errand.feed.draft_id
    if draft_id is None:
        draft_id = _fetch(engine, errand, desk)
    if draft_id is not None:
        _hand_on(engine, errand, draft_id, desk)


def _fetch(engine: Engine, errand: Errand, desk: Desk) -> int | None:
    """Ask, and make a draft of what is new. None: there is nothing to hand on."""
    with reading(engine).connect() as conn:
        waits = series.waiting(conn, errand.of.id, limit=1)
    if waits:
        said = f"not asked: campaign {waits[0]} waits in series {errand.of.id} already"
        _settle(engine, errand, lambda conn, now: news_feeds.settle(conn, errand, said, now))
        return None
    came = ask(errand.feed.url, wire_of(desk), errand.feed.etag, errand.feed.last_modified)
    if isinstance(came, Unread):
        log.warning("news.unread", feed=errand.feed.id)
        _fail(engine, errand, f"it could not be read: {came.why}")
        return None
    try:
        with engine.begin() as conn:
            return _write(conn, errand, came, desk) if news_feeds.hold(conn, errand) else None
    except DispatcherError as error:
        _fail(engine, errand, f"what it brought is no letter: {error.what}; {error.cure}")
        return None


def _write(conn: Connection, errand: Errand, came: Came | Unchanged, desk: Desk) -> int | None:
    """Make a draft of what is new, and remember its entries."""
    now, feed, of = clock.now(conn), errand.feed, errand.of
    fresh: tuple[Entry, ...] = ()
    match came:
        case Came(news, etag, last_modified):
            fresh = _fresh(conn, feed.id, news)
            news_feeds.note_answer(conn, errand, etag, last_modified)
        case Unchanged():
            news_feeds.note_answer(conn, errand, feed.etag, feed.last_modified)
    if not fresh:
        news_feeds.settle(conn, errand, "it brought nothing new", now)
        return None
    kept, passed = fresh[: feed.most], fresh[feed.most :]
    source = write(Digest(feed.language, of.subject, min(now, errand.at), kept))
    name = f"{of.name} {errand.at.astimezone(zones.zone_of(of.zone)):%Y-%m-%d}"
    contents = {feed.language: (f"feed-{feed.id}.{feed.language}.md", source)}
    draft = Draft(of.topic, name, of.subject, feed.language, contents, by=audit.feed(feed.id))
    draft_id = release.draft(conn, draft, desk.house, now)
    news_feeds.enter(conn, errand, draft_id, [entry.key for entry in kept], [entry.key for entry in passed])
    log.info("news.drafted", feed=feed.id, campaign=draft_id, articles=len(kept), passed=len(passed))
    return draft_id


def _hand_on(engine: Engine, errand: Errand, draft_id: int, desk: Desk) -> None:
    """Let preflight's gate decide, where the feed releases by itself; else leave the draft to whoever reviews it."""
    of = errand.of
    fills = f"dispatcher series fill {of.id} --campaign {draft_id}"
    why = f"brought by feed {errand.feed.id}, and waits for somebody to look at it: {fills}"
    if errand.feed.releases:
        why = _release(engine, errand, draft_id, desk) or ""

    def settle(conn: Connection, now: datetime) -> None:
        if news_feeds.is_still_a_draft(conn, draft_id):
            campaigns.note_problem(conn, draft_id, why)
            news_feeds.settle(conn, errand, f"campaign {draft_id} is a draft: {why}", now)
        else:
            news_feeds.settle(conn, errand, f"campaign {draft_id} is in series {of.id}", now)

    _settle(engine, errand, settle)


def _release(engine: Engine, errand: Errand, draft_id: int, desk: Desk) -> str | None:
    """Put a draft into its series, through the gate. Give what stands in the way."""
    feed, of = errand.feed, errand.of
    cure = f"look at it, then: dispatcher series fill {of.id} --campaign {draft_id}"
    with reading(engine).connect() as conn:
        if not news_feeds.is_still_a_draft(conn, draft_id):
            return None  # whoever was here before us was killed between the release and its note
        at = series.turn_of(conn, of.id, draft_id) or errand.at
        goes_at = max(at, clock.now(conn))
    order = Order(draft_id, goes_at, of.zone, audit.feed(feed.id), {}, series_id=of.id)
    try:
        came = gate.release_campaign(engine, order, desk)
    except DispatcherError as error:
        return f"feed {feed.id} could not release it ({error.what}); {cure}"
    if isinstance(came, Released):
        return None
    checks = ", ".join(sorted({finding.check for finding in came.report.stops()}))
    return f"feed {feed.id} could not release it: preflight stops it ({checks}); {cure}"


def _fresh(conn: Connection, feed_id: int, news: News) -> tuple[Entry, ...]:
    unused = news_feeds.unused(conn, feed_id, [entry.key for entry in news.entries])
    return tuple(entry for entry in news.entries if entry.key in unused)


def _fail(engine: Engine, errand: Errand, why: str) -> None:
    _settle(engine, errand, lambda conn, now: news_feeds.note_failure(conn, errand, why, now))


def _settle(engine: Engine, errand: Errand, write_down: Callable[[Connection, datetime], None]) -> None:
    with engine.begin() as conn:
        if news_feeds.hold(conn, errand):
            write_down(conn, clock.now(conn))
