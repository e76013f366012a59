"""Feeds of news that fill series: the next issue of a series is what its feed brought since the last one.

    asked      when the time of the series' next issue is as near as `ahead` says
    draft      what is new becomes a draft; its entries are remembered in the same transaction, and never used again
    handed on  to the series' slot, through preflight's gate, or to whoever reviews it; then the issue is brought

What must stay true: an entry is used once, whoever is killed; a feed is asked by one process at a time, and only the
newest claim writes (the fence); an issue waits for its feed until everything is done, or is missed. One that was
switched off is not asked, keeps what it used, and no issue waits for it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from dispatcher.db.columns import insert_or
from dispatcher.db.tables import campaign, news_entry, news_feed, series
from dispatcher.db.terms import CampaignState, Language, SeriesState
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters import series as life
from dispatcher.errors import InputRefused, MoveRefused, NotFound

LISTED = 1000
LEASE = timedelta(minutes=15)  # how long one process may be at it
AGAIN = timedelta(minutes=5)  # until a feed that could not be read is asked once more
LONGEST_AHEAD = timedelta(hours=24)
AHEAD_TO_SEND, AHEAD_TO_REVIEW = timedelta(minutes=15), timedelta(hours=4)  # if nothing else is said
_LONGEST_URL = 1000
_LONGEST_WORDS = 500


@dataclass(frozen=True, slots=True)
class NewsFeed:
    """A feed as it stands."""

    id: int
    url: str
    series_id: int
    language: Language
    releases: bool
    most: int
    ahead_s: int
    created_at: datetime
    created_by: str
    etag: str | None
    last_modified: str | None
    brought_for: datetime | None
    draft_id: int | None
    turn: int
    not_before: datetime | None
    said: str | None
    said_at: datetime | None
    failing_since: datetime | None
    off_at: datetime | None

    @property
    def host(self) -> str:
        """Give its host: the rest of a URL may be a secret of its own."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to be brought. `ahead` None: as is usual for one that is sent, or reviewed."""

    url: str
    series_id: int
    language: Language = Language.DE
    releases: bool = False
    most: int = 10
    ahead: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Brought:
    """A draft that a feed brought, and of how many of its entries it is made."""

    campaign_id: int
    articles: int


@dataclass(frozen=True, slots=True)
class Errand:
    """A feed that is claimed for the issue of a series."""

    feed: NewsFeed
    of: life.Series
    at: datetime


_f = news_feed.c
_COLUMNS = [_f[name] for name in NewsFeed.__slots__]


def add(conn: Connection, wanted: Wanted, by: str, now: datetime, most_articles: int) -> NewsFeed:
    """Enter a feed. Raises NotFound, InputRefused, and MoveRefused when the series has one or has ended."""
    of = life.get(conn, wanted.series_id)
    _require_good(wanted, most_articles)
    if of.state is SeriesState.ENDED:
        raise MoveRefused(f"series {of.id} has ended", "create a new one")
    row = {"series_id": of.id, "created_at": now, "created_by": by, **_wishes(wanted)}
    entered = insert_or(conn.dialect.name, news_feed).on_conflict_do_nothing().returning(*_COLUMNS)
    made = conn.execute(entered, row).one_or_none()
    if made is None:
        held = of_series(conn, of.id)
        number = held.id if held else "?"
        raise MoveRefused(f"series {of.id} has feed {number} already", f"dispatcher feeds remove {number}, then again")
    return _read(made)


def change(conn: Connection, feed_id: int, wanted: Wanted, most_articles: int) -> NewsFeed:
    """Let a feed be asked otherwise from now on; the series that it fills stays. Which entries were used is not
    forgotten, even at another address. Raises NotFound, InputRefused.
    """
    before = get(conn, feed_id)
    _require_good(wanted, most_articles)
    values = {**_wishes(wanted), "turn": _f.turn + 1, "not_before": None}
    if wanted.url != before.url:  # what the former address said about itself holds no more
        values |= {"etag": None, "last_modified": None, "failing_since": None}
    return _changed(conn, feed_id, values)


def switch_off(conn: Connection, feed_id: int, now: datetime) -> NewsFeed:
    """Ask a feed no more, until it is switched on; whoever is at it brings nothing. Raises NotFound."""
    values = {"off_at": get(conn, feed_id).off_at or now, "turn": _f.turn + 1, "not_before": None}
    return _changed(conn, feed_id, {**values, "failing_since": None})


def switch_on(conn: Connection, feed_id: int) -> NewsFeed:
    """Ask a feed again, before the next issue. Raises NotFound."""
    return _changed(conn, feed_id, {"off_at": None})


def brought(conn: Connection, feed_id: int, limit: int = 10) -> list[Brought]:
    """Give the last drafts that a feed brought, the newest first."""
    e = news_entry.c
    counted = select(e.campaign_id, func.count().label("articles"))
    counted = counted.where(e.feed_id == feed_id, e.campaign_id.is_not(None)).group_by(e.campaign_id)
    rows = conn.execute(counted.order_by(e.campaign_id.desc()).limit(limit))
    return [Brought(row.campaign_id, row.articles) for row in rows]


def get(conn: Connection, feed_id: int) -> NewsFeed:
    """Give a feed. Raises NotFound."""
    row = conn.execute(select(*_COLUMNS).where(_f.id == feed_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no feed {feed_id}", "`dispatcher feeds list` shows those there are")
    return _read(row)


def listed(conn: Connection) -> list[NewsFeed]:
    """Give the feeds, the oldest first."""
    return [_read(row) for row in conn.execute(select(*_COLUMNS).order_by(_f.id).limit(LISTED))]


def of_series(conn: Connection, series_id: int) -> NewsFeed | None:
    """Find the feed that fills a series."""
    row = conn.execute(select(*_COLUMNS).where(_f.series_id == series_id)).one_or_none()
    return _read(row) if row is not None else None


def failing(conn: Connection) -> list[NewsFeed]:
    """Give the feeds of active series from which nothing could be had when they were asked last."""
    wanted = select(*_COLUMNS).join(series, series.c.id == _f.series_id)
    wanted = wanted.where(_f.failing_since.is_not(None), _f.off_at.is_(None), series.c.state == SeriesState.ACTIVE)
    return [_read(row) for row in conn.execute(wanted.order_by(_f.id).limit(LISTED))]


def remove(conn: Connection, feed_id: int) -> NewsFeed:
    """Forget a feed, and which of its entries were used. Drafts that it brought stay. Raises NotFound."""
    of = get(conn, feed_id)
    conn.execute(delete(news_entry).where(news_entry.c.feed_id == feed_id))
    conn.execute(delete(news_feed).where(_f.id == feed_id))
    return of


def is_awaited(conn: Connection, of: life.Series) -> bool:
    """Claim that the issue that is due waits for what its feed brings."""
    feed = of_series(conn, of.id)
    if feed is None or feed.off_at is not None or feed.brought_for == of.next_at:
        return False
    return not life.waiting(conn, of.id, limit=1)


def due(conn: Connection, now: datetime) -> list[int]:
    """Give the feeds that are to be asked for the next issue of their series."""
    s = series.c
    near = select(_f.id, _f.ahead_s, _f.brought_for, s.next_at).join(series, s.id == _f.series_id)
    free = or_(_f.not_before.is_(None), _f.not_before <= now)
    near = near.where(s.next_at <= now + LONGEST_AHEAD, free, _f.off_at.is_(None))
    rows = conn.execute(near.order_by(s.next_at).limit(LISTED))
    return [r.id for r in rows if r.brought_for != r.next_at and r.next_at - timedelta(seconds=r.ahead_s) <= now]


def claim(conn: Connection, feed_id: int, now: datetime) -> Errand | None:
    """Take a feed that is due, for a quarter of an hour. None: it is not any more, or somebody else is at it."""
    if feed_id not in due(conn, now):
        return None
    free = and_(or_(_f.not_before.is_(None), _f.not_before <= now), _f.off_at.is_(None))
    taken = update(news_feed).where(_f.id == feed_id, free).values(turn=_f.turn + 1, not_before=now + LEASE)
    row = conn.execute(taken.returning(*_COLUMNS)).one_or_none()
    if row is None:
        return None
    feed = _read(row)
    of = life.get(conn, feed.series_id)
    return Errand(feed, of, of.next_at) if of.next_at is not None else None


def unused(conn: Connection, feed_id: int, keys: Collection[bytes]) -> set[bytes]:
    """Give those of these entries that were neither used nor passed over."""
    e = news_entry.c
    known = select(e.key).where(e.feed_id == feed_id, e.key.in_(keys))
    return set(keys) - {bytes(key) for key in conn.execute(known).scalars()}


def enter(conn: Connection, errand: Errand, draft_id: int, used: Sequence[bytes], passed: Sequence[bytes]) -> None:
    """Write down which entries a draft is made of, and which it left out. Called by whoever holds the feed (`hold`)."""
    feed_id, now = errand.feed.id, campaigns.get(conn, draft_id).created_at
    rows = [{"feed_id": feed_id, "key": key, "seen_at": now, "campaign_id": draft_id} for key in used]
    rows += [{"feed_id": feed_id, "key": key, "seen_at": now, "campaign_id": None} for key in passed]
    conn.execute(insert(news_entry), rows)
    conn.execute(update(news_feed).where(_f.id == feed_id).values(draft_id=draft_id))


def hold(conn: Connection, errand: Errand) -> bool:
    """Hold a feed until the end of the transaction. False: the claim is over, and somebody else has it."""
    mine = select(_f.id).where(_f.id == errand.feed.id, _f.turn == errand.feed.turn).with_for_update()
    return conn.execute(mine).one_or_none() is not None


def note_answer(conn: Connection, errand: Errand, etag: str | None, last_modified: str | None) -> None:
    """Remember what the next request sends along; the feed could be read."""
    values = {"etag": etag, "last_modified": last_modified, "failing_since": None}
    conn.execute(update(news_feed).where(_f.id == errand.feed.id).values(**values))


def note_failure(conn: Connection, errand: Errand, why: str, now: datetime) -> None:
    """Write down that nothing could be had: it is tried again until the issue's time has come, then that is brought."""
    is_last = now >= errand.at
    values = {
        "brought_for": errand.at if is_last else errand.feed.brought_for,
        "not_before": None if is_last else min(now + AGAIN, errand.at),
        "failing_since": errand.feed.failing_since or now,
        "said": why[:_LONGEST_WORDS],
        "said_at": now,
    }
    conn.execute(update(news_feed).where(_f.id == errand.feed.id).values(**values))


def settle(conn: Connection, errand: Errand, said: str, now: datetime) -> None:
    """Write down what came of it: for this issue everything is done."""
    values = {"brought_for": errand.at, "draft_id": None, "not_before": None, "said": said[:_LONGEST_WORDS]}
    conn.execute(update(news_feed).where(_f.id == errand.feed.id).values(**values, said_at=now))


def is_still_a_draft(conn: Connection, draft_id: int) -> bool:
    """Claim that a draft was neither put into a series nor released."""
    c = campaign.c
    free = select(c.id).where(c.id == draft_id, c.state == CampaignState.DRAFT, c.series_id.is_(None))
    return conn.execute(free).one_or_none() is not None


def _wishes(wanted: Wanted) -> dict[str, Any]:
    ahead = wanted.ahead or (AHEAD_TO_SEND if wanted.releases else AHEAD_TO_REVIEW)
    return {
        "url": wanted.url,
        "language": wanted.language,
        "releases": wanted.releases,
        "most": wanted.most,
        "ahead_s": int(ahead.total_seconds()),
    }


def _changed(conn: Connection, feed_id: int, values: dict[str, Any]) -> NewsFeed:
    changed = update(news_feed).where(_f.id == feed_id).values(**values).returning(*_COLUMNS)
    row = conn.execute(changed).one_or_none()
    if row is None:
        raise NotFound(f"there is no feed {feed_id}", "`dispatcher feeds list` shows those there are")
    return _read(row)


def _require_good(wanted: Wanted, most_articles: int) -> None:
    try:
        parts = urlsplit(wanted.url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and wanted.url.isprintable()
        has_login = parts.username is not None
    except ValueError:
        is_web = has_login = False
    if not is_web or " " in wanted.url or len(wanted.url) > _LONGEST_URL:
        raise InputRefused("the feed's address is none of the web", "write it whole: https://www.example.de/feed.xml")
    if has_login:
        raise InputRefused("the feed's address bears a log-in", "lists show addresses: use one that needs none")
    if not 1 <= wanted.most <= most_articles:
        raise InputRefused(f"an issue cannot have {wanted.most} articles", f"from 1 to {most_articles} can be")
    if wanted.ahead is not None and not timedelta(minutes=1) <= wanted.ahead <= LONGEST_AHEAD:
        raise InputRefused("a feed is asked a minute to a day before the issue's time", "name 1 to 1440 minutes")


def _read(row: object) -> NewsFeed:
    values = {name: getattr(row, name) for name in NewsFeed.__slots__}
    values["language"] = Language(values["language"])
    return NewsFeed(**values)
