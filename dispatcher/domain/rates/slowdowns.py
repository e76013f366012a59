"""What a provider's answers over a relay make of the rate there: stop for so long, or slow down; and how it recovers.

    Advice(stop)       nothing goes there for so long, and half as fast after it
    Advice(slow_to)    at most so many letters a minute
    Advice()           half of what it was

What must stay true: a hundred lanes that hear the same words at once slow the rate down once. The rate recovers by
itself: it doubles every few minutes until it is what it was, and waits with that while more than one letter in twenty
is deferred. A rate is kept, not a factor: a part of "as many as can" would be no number.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, update

from dispatcher.db.columns import insert_or
from dispatcher.db.tables import slowdown

DOUBLES_AFTER = timedelta(minutes=5)
ONCE_IN = timedelta(minutes=1)  # what is heard again within it is the same word
FULL_SPEED = 6_000  # letters a minute: from where a rate without a limit comes down, and where it has none again
TOO_MANY = 0.05  # the part of letters deferred at which nothing recovers


@dataclass(frozen=True, slots=True)
class Place:
    """A provider, over a relay: where a rate holds."""

    relay: str
    provider: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What an answer asks of us, with the reason in words. `hold`: for how long before the rate begins to recover."""

    reason: str
    stop: timedelta | None = None
    slow_to: int | None = None  # letters a minute
    hold: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Slowdown:
    """How things stand at a place. The rate is that at `since`, from when it recovers; None: it is not slowed."""

    place: Place
    rate_per_min: int | None
    since: datetime
    paused_until: datetime | None
    reason: str

    def rate(self, usual: int | None, now: datetime) -> int | None:
        """Give the letters a minute that may go there now, where `usual` may go usually; None: as many as can."""
        if self.rate_per_min is None:
            return usual
        doublings = min(max((now - self.since) // DOUBLES_AFTER, 0), 32)
        rate = self.rate_per_min << doublings
        return rate if rate < _speed(usual) else usual

    def free_at(self, usual: int | None) -> datetime:
        """Give when letters go there as usual again, if nothing holds it back meanwhile."""
        end = self.paused_until or self.since
        if self.rate_per_min is None:
            return end
        doublings = 0
        while (self.rate_per_min << doublings) < _speed(usual):
            doublings += 1
        return max(end, self.since + doublings * DOUBLES_AFTER)


def heed(conn: Connection, place: Place, advice: Advice, usual: int | None, now: datetime) -> bool:
    """Slow down, or stop, at a place where `usual` letters a minute go usually. False: the same was heard just now."""
    stands = _at(conn, place)
    current = _speed(stands.rate(usual, now) if stands else usual)
    values = {
        "rate_per_min": min(advice.slow_to or max(current // 2, 1), current),
        "since": now + max(advice.hold, advice.stop or advice.hold),
        "paused_until": now + advice.stop if advice.stop else None,
        "reason": advice.reason,
    }
    statement = insert_or(conn.dialect.name, slowdown).values(relay=place.relay, provider=place.provider, **values)
    return (
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=["relay", "provider"], set_=values, where=_is_news(advice, now)
            ).returning(slowdown.c.relay)
        ).one_or_none()
        is not None
    )


def hold_back(conn: Connection, place: Place, now: datetime) -> None:
    """Let the rate at a place recover no further for now: too much is deferred."""
    stands = _at(conn, place)
    if stands is None or stands.rate_per_min is None or stands.since >= now:
        return
    rate = stands.rate(None, now)
    if rate is not None:
        mine = (slowdown.c.relay == place.relay) & (slowdown.c.provider == place.provider)
        unchanged = slowdown.c.since == stands.since
        conn.execute(update(slowdown).where(mine, unchanged).values(rate_per_min=rate, since=now))


def resume(conn: Connection, provider: str, now: datetime) -> None:
    """End the pauses that a provider asked for, over every relay; the rates there recover from now on."""
    is_paused = (slowdown.c.provider == provider) & (slowdown.c.paused_until > now)
    conn.execute(update(slowdown).where(is_paused).values(paused_until=None, since=now))


def forget(conn: Connection, provider: str) -> None:
    """Forget what a provider's answers made of its rates, over every relay."""
    conn.execute(slowdown.delete().where(slowdown.c.provider == provider))


def everywhere(conn: Connection) -> dict[Place, Slowdown]:
    """Give how things stand wherever a rate was ever slowed."""
    return {found.place: found for found in map(_read, conn.execute(select(slowdown).limit(10_000)))}


def _is_news(advice: Advice, now: datetime) -> ColumnElement[bool]:
    """Give the condition that a place is not as slow already as the advice asks, for having heard the same."""
    s = slowdown.c
    if advice.stop:
        return or_(s.paused_until.is_(None), s.paused_until < now + advice.stop - ONCE_IN)
    is_running = or_(s.paused_until.is_(None), s.paused_until <= now)
    heard = [s.since <= now - ONCE_IN]
    if advice.slow_to:
        heard += [s.rate_per_min.is_(None), s.rate_per_min > advice.slow_to]
    return is_running & or_(*heard)


def _at(conn: Connection, place: Place) -> Slowdown | None:
    mine = (slowdown.c.relay == place.relay) & (slowdown.c.provider == place.provider)
    row = conn.execute(select(slowdown).where(mine)).one_or_none()
    return _read(row) if row is not None else None


def _read(row: Any) -> Slowdown:
    return Slowdown(Place(row.relay, row.provider), row.rate_per_min, row.since, row.paused_until, row.reason)


def _speed(rate: int | None) -> int:
    return FULL_SPEED if rate is None else rate
