"""How many agreed and how many left, day by day: counted along the ledger of consent.

What must stay true: events are numbered in the order in which they are committed, without a gap (chain_head.py), so
what was counted up to a number is counted for good, and the next look reads only what came behind it. A ledger that
went back, or that is another one, is counted anew: the hash of the last event that was counted tells.

A day is one of UTC, on which the event was recorded: what a file brought counts on the day of the import.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import Connection, Date, Integer, case, func, select

from dispatcher.db.tables import consent_event
from dispatcher.db.terms import ConsentKind, Topic
from dispatcher.domain.proof import chain_head

AGREED = (ConsentKind.CONFIRMED, ConsentKind.IMPORTED)
LEFT = (ConsentKind.WITHDRAWN, ConsentKind.OBJECTED, ConsentKind.ERASED)
_PAGE = 200_000  # events: a fifth of a second of the database's time


@dataclass(frozen=True, slots=True)
class Moved:
    """How many agreed to a topic, and how many left it; who renews their consent agrees once more."""

    agreed: int = 0
    left: int = 0

    def __bool__(self) -> bool:
        return bool(self.agreed or self.left)

    def __add__(self, other: "Moved") -> "Moved":
        return Moved(self.agreed + other.agreed, self.left + other.left)


@dataclass(frozen=True, slots=True)
class Movements:
    """What was counted, up to the event `upto` with the hash `hashed`."""

    days: Mapping[tuple[Topic, date], Moved] = field(default_factory=dict)
    upto: int = 0
    hashed: bytes = b""


class Following:
    """The movements of one process, counted on at each look. For one thread at a time."""

    def __init__(self) -> None:
        self._counted = Movements()

    def look(self, conn: Connection) -> Movements:
        """Count what came since the last look; give everything."""
        self._counted = follow(conn, self._counted)
        return self._counted


def follow(conn: Connection, before: Movements, page: int = _PAGE) -> Movements:
    """Count what came behind `before`; give all that is counted now."""
    end = chain_head.read(conn)
    if end is None:
        return Movements()
    if not _stands(conn, before):
        before = Movements()
    days = dict(before.days)
    for first in range(before.upto + 1, end.last_id + 1, page):
        _add(conn, days, first, min(first + page - 1, end.last_id))
    return Movements(days, end.last_id, _hash_of(conn, end.last_id))


def _add(conn: Connection, days: dict[tuple[Topic, date], Moved], first: int, last: int) -> None:
    e = consent_event.c
    day = func.date(e.at, type_=Date())
    agreed, left = (func.sum(case((e.kind.in_(kinds), 1), else_=0), type_=Integer()) for kinds in (AGREED, LEFT))
    rows = conn.execute(
        select(e.topic, day, agreed, left)
        .where(e.id.between(first, last), e.kind.in_([*AGREED, *LEFT]), e.topic.is_not(None))
        .group_by(e.topic, day)
    )
    for topic, on, joined, gone in rows:
        key = (Topic(topic), on)
        days[key] = days.get(key, Moved()) + Moved(joined, gone)


def _stands(conn: Connection, before: Movements) -> bool:
    return not before.upto or _hash_of(conn, before.upto) == before.hashed


def _hash_of(conn: Connection, event_id: int) -> bytes:
    found = conn.execute(select(consent_event.c.chain_hash).where(consent_event.c.id == event_id)).scalar_one_or_none()
    return bytes(found) if found is not None else b""
