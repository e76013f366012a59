"""News from elsewhere fill series: which feeds there are, when each is asked, what it brought, what is wrong with it.

What must stay true: who may not send lets no feed send by itself; a page is made without asking anybody, but on
somebody's word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher.compose.digest import MOST_ARTICLES
from dispatcher.compose.news import Unread
from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.tidings import Tiding, tiding, unread
from dispatcher.console.visit import Visit
from dispatcher.db.terms import Language, SeriesState
from dispatcher.domain.newsletters import campaigns, news_feeds
from dispatcher.domain.newsletters import series as life
from dispatcher.domain.newsletters.news_feeds import NewsFeed, Wanted
from dispatcher.domain.newsletters.series import Series
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import InputRefused
from dispatcher.sending import house as houses
from dispatcher.sending import newsroom

_PATIENCE = 5.0  # seconds for each address on the way: somebody waits
_MINUTES = timedelta(minutes=1)
_LONGEST_AHEAD = 24 * 60
_ENTRIES = 50  # that are shown


@dataclass(frozen=True, slots=True)
class Line:
    """A feed, the series it fills, when it is asked next (None: not by itself), and what came of it last."""

    feed: NewsFeed
    of: Series
    asked_at: datetime | None
    came: Tiding | None


def line(conn: Connection, feed: NewsFeed) -> Line:
    """Give how a feed stands."""
    of = life.get(conn, feed.series_id)
    return Line(feed, of, _asked_at(feed, of), tiding(feed.said))


def _asked_at(feed: NewsFeed, of: Series) -> datetime | None:
    if feed.off_at is not None or of.next_at is None:
        return None
    issue = of.next_at if feed.brought_for != of.next_at else next(of.recurrence.after(of.next_at))
    asked_at = issue - timedelta(seconds=feed.ahead_s)
    return asked_at if feed.not_before is None else max(asked_at, feed.not_before)


def show(visit: Visit) -> Values:
    """List them."""
    return {"lines": [line(visit.conn, feed) for feed in news_feeds.listed(visit.conn)]}


def one(visit: Visit) -> Values:
    """Give what it fills, when it is asked, what came of it and which drafts it brought."""
    feed = _feed(visit)
    brought = news_feeds.brought(visit.conn, feed.id)
    return {
        "one": line(visit.conn, feed),
        "brought": [(campaigns.get(visit.conn, each.campaign_id), each.articles) for each in brought],
        "again": news_feeds.AGAIN.total_seconds(),
        "four_eyes": visit.desk.settings.four_eyes,
    }


def ask_for_new(visit: Visit) -> Values:
    """Show the form."""
    return {"free": _free(visit.conn), "chosen": visit.asked("series"), **_form(visit)}


def add(visit: Visit) -> Response:
    """Let a feed fill a series."""
    number = visit.said("series")
    if not number.isascii() or not number.isdigit() or int(number) not in {of.id for of in _free(visit.conn)}:
        raise Mend({"series": "feeds.series_missing"})
    wanted = _wanted(visit, int(number))
    try:
        made = newsroom.add(visit.conn, wanted, visit.who.name, visit.now)
    except InputRefused:
        raise Mend({"url": "feeds.url_wrong"}) from None
    visit.note("feed", made.id, series=made.series_id, releases=made.releases)
    return visit.go(f"{_ALL}/{made.id}", "feeds.is_added", host=made.host)


def ask(visit: Visit) -> Response:
    """Ask it now, and show what it would bring. Nothing is written down but that somebody asked."""
    number, desk = visit.number("feed"), visit.desk
    with visit.change() as conn:
        host = news_feeds.get(conn, number).host
        visit.note("feed", number)
    wire = newsroom.wire_of(houses.desk(desk.settings, needs_keys=False))
    glance = newsroom.look(desk.engine, number, replace(wire, patience=_PATIENCE))
    if isinstance(glance.came, Unread):
        return visit.page("feeds_news", number=number, host=host, came=unread(glance.came.why), glance=None)
    return visit.page("feeds_news", number=number, host=host, came=None, glance=glance, most=_ENTRIES)


def ask_to_change(visit: Visit) -> Values:
    """Show the form with what stands."""
    feed = _feed(visit)
    return {"one": line(visit.conn, feed), **_form(visit)}


def change(visit: Visit) -> Response:
    """Let it be asked otherwise."""
    before = _feed(visit)
    if before.releases:
        _require_sender(visit)
    try:
        changed = newsroom.change(visit.conn, before.id, _wanted(visit, before.series_id))
    except InputRefused:
        raise Mend({"url": "feeds.url_wrong"}) from None
    visit.note("feed", changed.id, releases=changed.releases, before=before.releases, moved=changed.url != before.url)
    return visit.go(f"{_ALL}/{changed.id}", "feeds.is_changed", host=changed.host)


def switch_off(visit: Visit) -> Response:
    """Ask it no more, until it is switched on."""
    of = news_feeds.switch_off(visit.conn, visit.number("feed"), visit.now)
    visit.note("feed", of.id)
    return visit.go(f"{_ALL}/{of.id}", "feeds.is_off", host=of.host)


def switch_on(visit: Visit) -> Response:
    """Ask it again before the next issue."""
    if _feed(visit).releases:
        _require_sender(visit)
    of = news_feeds.switch_on(visit.conn, visit.number("feed"))
    visit.note("feed", of.id)
    return visit.go(f"{_ALL}/{of.id}", "feeds.is_on", host=of.host)


def ask_to_remove(visit: Visit) -> Values:
    """Ask whether it is to be forgotten."""
    return {"one": line(visit.conn, _feed(visit))}


def remove(visit: Visit) -> Response:
    """Forget it, and which of its entries were used."""
    gone = news_feeds.remove(visit.conn, visit.number("feed"))
    visit.note("feed", gone.id, series=gone.series_id)
    return visit.go(_ALL, "feeds.is_removed", host=gone.host)


def _feed(visit: Visit) -> NewsFeed:
    return news_feeds.get(visit.conn, visit.number("feed"))


def _free(conn: Connection) -> Sequence[Series]:
    """Give the series that a feed can be let fill."""
    taken = {feed.series_id for feed in news_feeds.listed(conn)}
    return [of for of in life.newest(conn) if of.id not in taken and of.state is not SeriesState.ENDED]


def _form(visit: Visit) -> dict[str, object]:
    return {
        "languages": list(Language),
        "most_articles": MOST_ARTICLES,
        "to_send": int(news_feeds.AHEAD_TO_SEND / _MINUTES),
        "to_review": int(news_feeds.AHEAD_TO_REVIEW / _MINUTES),
        "four_eyes": visit.desk.settings.four_eyes,
    }


def _wanted(visit: Visit, series_id: int) -> Wanted:
    """Read the form. Raises Mend."""
    language = visit.said("language")
    if language not in list(Language):
        raise Mend({"language": "feeds.language_missing"})
    most = _number(visit, "most", MOST_ARTICLES, "feeds.most_wrong")
    if most is None:
        raise Mend({"most": "feeds.most_wrong"})
    ahead = _number(visit, "ahead", _LONGEST_AHEAD, "feeds.ahead_wrong")
    releases = visit.said("releases") == "yes"
    if releases:
        _require_sender(visit)
    lead = ahead * _MINUTES if ahead is not None else None
    return Wanted(visit.said("url"), series_id, Language(language), releases=releases, most=most, ahead=lead)


def _number(visit: Visit, field: str, largest: int, sentence: str) -> int | None:
    """Give a number from 1 on; None: the field is empty."""
    text = visit.said(field)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 6 or not 1 <= int(text) <= largest:
        raise Mend({field: sentence})
    return int(text)


def _require_sender(visit: Visit) -> None:
    if not visit.may(Permission.SEND_CAMPAIGNS):
        raise HTTPException(403, "permission")


_P = Permission
_ALL, _ONE = "/campaigns/feeds", "/campaigns/feeds/{feed}"
PAGES = area(
    "campaigns",
    look(_ALL, _P.SEE_CAMPAIGNS, "feeds", show),
    look(f"{_ALL}/new", _P.EDIT_CAMPAIGNS, "feeds_new", ask_for_new),
    act(f"{_ALL}/new", _P.EDIT_CAMPAIGNS, "feeds.added", add),
    look(_ONE, _P.SEE_CAMPAIGNS, "feeds_one", one),
    act(f"{_ONE}/ask", _P.EDIT_CAMPAIGNS, "feeds.asked", ask, mends=_ONE, alone=True),
    look(f"{_ONE}/change", _P.EDIT_CAMPAIGNS, "feeds_change", ask_to_change),
    act(f"{_ONE}/change", _P.EDIT_CAMPAIGNS, "feeds.changed", change),
    act(f"{_ONE}/off", _P.EDIT_CAMPAIGNS, "feeds.off", switch_off, mends=_ONE),
    act(f"{_ONE}/on", _P.EDIT_CAMPAIGNS, "feeds.on", switch_on, mends=_ONE),
    look(f"{_ONE}/remove", _P.EDIT_CAMPAIGNS, "feeds_remove", ask_to_remove),
    act(f"{_ONE}/remove", _P.EDIT_CAMPAIGNS, "feeds.removed", remove),
)
