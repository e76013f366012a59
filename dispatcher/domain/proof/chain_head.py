"""Where the chain of consent events ends: one row, which whoever appends holds until the end of their transaction.

What must stay true: the row is locked before an event gets its number, so that numbers and chain have one order,
however many append at once; numbers are given out here alone and without a gap, so that a missing one has a name.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, Select, Update, bindparam, func, select, update

from dispatcher.db import raw
from dispatcher.db.columns import insert_or
from dispatcher.db.tables import consent_chain, consent_event
from dispatcher.domain.proof import chain
from dispatcher.domain.proof.moments import Moment

_COLUMNS = ("instance", "begun_at", "chained_later", "events", "last_id", "head")
_NEAR = 100_000  # numbers behind the last one: more than one append takes


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain, and what it goes by. `last_id`: the highest number given out."""

    instance: bytes
    begun_at: Moment
    chained_later: int
    events: int
    last_id: int
    head: bytes

    @property
    def beginning(self) -> bytes:
        """Give what the first event's hash goes on from."""
        return chain.begin(self.instance, self.begun_at, self.chained_later)


def take(conn: Connection, now: datetime) -> Head:
    """Lock the end of the chain until this transaction ends, and give it. The first who comes begins the chain."""
    found = _one(conn, _taking())
    if found is not None:
        return found
    _begin(conn, now)
    begun = _one(conn, _taking())
    assert begun is not None
    return begun


def read(conn: Connection) -> Head | None:
    """Give the end of the chain; None: no event was ever appended."""
    return _one(conn, _read())


def as_it_stands(conn: Connection) -> Head | None:
    """Give what the row says, to be verified; None: there is none, or it says nothing of the kind."""
    dialect = conn.dialect.name
    columns = raw.columns(dialect, consent_chain, _COLUMNS)
    row = conn.execute(select(*columns).select_from(consent_chain)).first()
    if row is None:
        return None
    instance, begun_at, *numbers, head = row
    moment = raw.microseconds(dialect, begun_at)
    if moment is None or not isinstance(instance, bytes) or not isinstance(head, bytes):
        return None
    counts = [number for number in numbers if isinstance(number, int) and number >= 0]
    if len(counts) < len(numbers):
        return None
    chained_later, events, last_id = counts
    return Head(instance, Moment(moment), chained_later, events, last_id, head)


def move(conn: Connection, by: int, last_id: int, head: bytes) -> None:
    """Set the end of the chain, which this transaction has taken, behind so many new events."""
    conn.execute(moving(), behind(by, last_id, head))


def behind(by: int, last_id: int, head: bytes) -> dict[str, object]:
    """Give what `moving` is run with: how many events are new, the last one's number and hash."""
    return {"by": by, "last": last_id, "end": head}


@lru_cache(maxsize=1)  # like what follows: to put it together anew for each event costs more than to run it
def moving() -> Update:
    """Give the statement that sets the end of the chain."""
    c = consent_chain.c
    moved = {"events": c.events + bindparam("by"), "last_id": bindparam("last"), "head": bindparam("end")}
    return update(consent_chain).where(c.id == 1).values(moved)


@lru_cache(maxsize=1)
def _taking() -> Select[tuple[bytes, datetime, int, int, int, bytes, int | None]]:
    return _read().with_for_update(of=consent_chain)


@lru_cache(maxsize=1)
def _read() -> Select[tuple[bytes, datetime, int, int, int, bytes, int | None]]:
    c, number = consent_chain.c, consent_event.c.id
    # A row that somebody put behind the last one keeps its number: an append must not fail by it. One that is far away
    # (2^63 - 1) is in nobody's way yet, and would leave no number to give out.
    is_near = (number > c.last_id) & (number <= c.last_id + _NEAR)
    highest = select(func.max(number)).where(is_near).correlate(consent_chain).scalar_subquery()
    return select(c.instance, c.begun_at, c.chained_later, c.events, c.last_id, c.head, highest.label("highest")).where(
        c.id == 1
    )


def _one(conn: Connection, statement: Select[tuple[bytes, datetime, int, int, int, bytes, int | None]]) -> Head | None:
    row = conn.execute(statement).one_or_none()
    if row is None:
        return None
    last_id = max(row.last_id, row.highest or 0)
    return Head(
        bytes(row.instance), chain.moment(row.begun_at), row.chained_later, row.events, last_id, bytes(row.head)
    )


def _begin(conn: Connection, now: datetime) -> None:
    instance = secrets.token_bytes(16)
    row = {
        "id": 1,
        "instance": instance,
        "begun_at": now,
        "chained_later": 0,
        "events": 0,
        "last_id": 0,
        "head": chain.begin(instance, now, 0),
    }
    conn.execute(insert_or(conn.dialect.name, consent_chain).on_conflict_do_nothing(), row)
