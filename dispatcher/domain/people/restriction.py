"""Restriction of processing (Art. 18 GDPR): what we know of a person is kept, and nothing else is done with it.

    (free) -> restrict -> release, once the person was told (Art. 18(3)) -> (free)

What must stay true: while `subscriber.restricted_at` is set nothing is mailed to the person, no newsletter and no mail
around consent; no sign-up, no import and no period of retention changes what is stored; to leave works all the same,
for it needs nobody's leave. Both ends stand in the ledger of consent, and the beginning in the file of endings too.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Column, ColumnElement, Connection, exists, select, update

from dispatcher.db.columns import one_of_many
from dispatcher.db.tables import consent_event, subscriber
from dispatcher.db.terms import ConsentKind
from dispatcher.domain import consent, endings
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.endings import Restricted


def restrict(conn: Connection, subscriber_id: int, evidence: Evidence, now: datetime) -> bool:
    """Restrict a person's data, at once. False: it was before."""
    s = subscriber.c
    began = conn.execute(
        update(subscriber)
        .where(s.id == subscriber_id, s.restricted_at.is_(None))
        .values(restricted_at=now)
        .returning(s.address_hash)
    ).one_or_none()
    if began is None:
        return False
    endings.note(conn, [Restricted(bytes(began.address_hash), now)])
    consent.append(conn, [Event(subscriber_id, None, ConsentKind.RESTRICTED, evidence)], now)
    return True


def release(conn: Connection, subscriber_id: int, evidence: Evidence, now: datetime) -> bool:
    """End a restriction: consent, periods and rights are again what they were. False: there was none."""
    s = subscriber.c
    ended = conn.execute(
        update(subscriber)
        .where(s.id == subscriber_id, s.restricted_at.is_not(None))
        .values(restricted_at=None)
        .returning(s.id)
    ).one_or_none()
    if ended is None:
        return False
    consent.append(conn, [Event(subscriber_id, None, ConsentKind.RELEASED, evidence)], now)
    return True


def was_released_after(conn: Connection, subscriber_id: int, moment: datetime) -> bool:
    """Say whether the ledger knows of an end of a restriction later than this."""
    e = consent_event.c
    later = select(e.id).where(e.subscriber_id == subscriber_id, e.kind == ConsentKind.RELEASED, e.at > moment)
    return conn.execute(later.limit(1)).one_or_none() is not None


def among(conn: Connection, ids: Collection[int]) -> set[int]:
    """Give those of these people whose data is restricted."""
    if not ids:
        return set()
    s = subscriber.c
    return set(conn.execute(select(s.id).where(s.restricted_at.is_not(None), one_of_many(conn, s.id, ids))).scalars())


def is_of(person: Column[int]) -> ColumnElement[bool]:
    """Give the condition that the data of the person whom a column names is restricted."""
    return exists().where(subscriber.c.id == person, subscriber.c.restricted_at.is_not(None))
