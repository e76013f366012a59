"""Issues of series: when the time of one has come, the draft that waits becomes a campaign for that moment.

    a draft waits                released as it was looked over when it was put in, and launched by the same tick
    none does                    passed over: `empty`
    it is another since then     `refused`, with the reason; the draft waits, to be mended
    later than six hours         `missed`: a letter for Tuesday morning is none for Thursday
    its feed is still asked      it waits for what that brings (newsroom.py)

What must stay true: an issue comes once. The series' row is held from the look at it until its next time is written.
"""

from datetime import datetime

import structlog
from sqlalchemy import Connection, Engine

from dispatcher.compose.house import House
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import IssueOutcome
from dispatcher.domain.newsletters import news_feeds, series
from dispatcher.domain.newsletters.series import Series
from dispatcher.errors import DispatcherError

log = structlog.get_logger()


def issue_due(engine: Engine, house: House) -> None:
    """See to every series of which an issue is due, and to each issue of one that was left alone for long."""
    with reading(engine).connect() as conn:
        due = series.due(conn, clock.now(conn))
    for series_id in due:
        while _issue_next(engine, series_id, house):
            pass


def _issue_next(engine: Engine, series_id: int, house: House) -> bool:
    """Give False when none is due any more, somebody else sees to it, or its feed is still asked."""
    try:
        with engine.begin() as conn:
            now = clock.now(conn)
            of = series.take_due(conn, series_id, now)
            if of is None or _waits_for_its_feed(conn, of, now):
                return False
            _issue(conn, of, house, now)
    except DispatcherError as error:
        log.error("issue.refused", series=series_id, error=type(error).__name__)
        with engine.begin() as conn:
            of = series.take_due(conn, series_id, clock.now(conn))
            if of is None:
                return False
            series.note(conn, of, IssueOutcome.REFUSED, why=f"{error.what}; {error.cure}")
    return True


def _waits_for_its_feed(conn: Connection, of: Series, now: datetime) -> bool:
    assert of.next_at is not None
    return now - of.next_at <= series.LATEST and news_feeds.is_awaited(conn, of)


def _issue(conn: Connection, of: Series, house: House, now: datetime) -> None:
    assert of.next_at is not None
    drafts = series.waiting(conn, of.id, limit=1)
    if now - of.next_at > series.LATEST:
        series.note(conn, of, IssueOutcome.MISSED, why="no worker was there in time")
        log.warning("issue.missed", series=of.id)
    elif not drafts:
        feed = news_feeds.of_series(conn, of.id)
        said = f"feed {feed.id}: {feed.said}" if feed is not None and feed.said else "there was no content"
        series.note(conn, of, IssueOutcome.EMPTY, why=said)
        log.warning("issue.empty", series=of.id)
    else:
        from dispatcher.sending import release  # what freezes letters weighs 5 MB, and most workers only send

        release.issue(conn, drafts[0], of.next_at, of.zone, house)
        series.note(conn, of, IssueOutcome.RELEASED, drafts[0])
        log.info("issue.released", series=of.id, campaign=drafts[0])
