"""A pause: somebody wants no letters for some weeks and keeps what they agreed to.

    (no pause) -> pause -> resume, by the person or, on the day, by the tick -> (no pause)

What must stay true: while `subscriber.paused_until` is set, the gate lets no newsletter go to the person, whatever the
time; only `resume` and `resume_due` clear it. Both ends of a pause stand in the ledger.
"""

from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, select, update

from dispatcher.db.columns import among
from dispatcher.db.tables import subscriber
from dispatcher.db.terms import ConsentKind
from dispatcher.domain import consent
from dispatcher.domain.consent import Event, Evidence
from dispatcher.zone import ZONE

WEEKS = (2, 4, 8)  # what a person can choose
_AT_ONCE = 500  # people to a tick


def ends_on(weeks: int, now: datetime) -> date:
    """Give the day on which letters go again, if somebody pauses now."""
    return now.astimezone(ZONE).date() + timedelta(weeks=weeks)


def pause(conn: Connection, subscriber_id: int, weeks: int, evidence: Evidence, now: datetime) -> date:
    """Send a person nothing for so many weeks, from this moment on; give the day on which letters go again.

    A pause that stands already is replaced. Raises ValueError for a number of weeks that nobody is offered.
    """
    if weeks not in WEEKS:
        raise ValueError(f"a pause of {weeks} weeks")
    until = ends_on(weeks, now)
    conn.execute(update(subscriber).where(subscriber.c.id == subscriber_id).values(paused_until=until))
    consent.append(conn, [Event(subscriber_id, None, ConsentKind.PAUSED, evidence)], now)
    return until


def resume(conn: Connection, subscriber_id: int, evidence: Evidence, now: datetime) -> bool:
    """End a person's pause at once. False: there was none."""
    return bool(_resume(conn, subscriber.c.id == subscriber_id, evidence, now))


def resume_due(conn: Connection, now: datetime) -> int:
    """End the pauses whose day has come, some hundred of them at a time; say how many."""
    is_over = subscriber.c.paused_until <= now.astimezone(ZONE).date()
    due = conn.execute(select(subscriber.c.id).where(is_over).limit(_AT_ONCE)).scalars().all()
    if not due:
        return 0
    which = and_(among(conn, subscriber.c.id, due), is_over)  # asked again: they may have paused anew just now
    return len(_resume(conn, which, Evidence(source="the pause is over"), now))


def _resume(conn: Connection, which: ColumnElement[bool], evidence: Evidence, now: datetime) -> list[int]:
    ended = conn.execute(
        update(subscriber)
        .where(which, subscriber.c.paused_until.is_not(None))
        .values(paused_until=None)
        .returning(subscriber.c.id)
    )
    resumed = sorted(ended.scalars())
    consent.append(conn, [Event(who, None, ConsentKind.RESUMED, evidence) for who in resumed], now)
    return resumed
