"""Who of a claimed batch is still to be served."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, and_, or_, select

from dispatcher.db.columns import Id, Rows
from dispatcher.db.tables import deferral, delivery, subscriber, subscription
from dispatcher.db.terms import Language
from dispatcher.domain import passage
from dispatcher.domain.batches import Claim
from dispatcher.domain.campaigns import Campaign

_IDS = Rows("ids", {"id": Id})


@dataclass(frozen=True, slots=True)
class Recipient:
    """Someone to whom a letter is to go: what the letter needs to know."""

    subscriber_id: int
    public_id: bytes
    address: str
    name: str
    language: Language
    consented_on: date | None
    attempt: int  # 1: the first


def to_serve(conn: Connection, mine: Claim, of: Campaign, now: datetime) -> list[Recipient]:
    """Give those of a claimed batch who are still to be served: no delivery row, no deferral that is not yet due.

    Whoever may not be written to any more is recorded as withheld here, which spares a connection at the gate.
    """
    ids = _IDS.table(conn.dialect.name)
    s, d = subscriber.c, deferral.c
    rows = conn.execute(
        select(s.id, s.public_id, s.address, s.name, s.language, subscription.c.since, d.attempt)
        .select_from(ids)
        .join(subscriber, s.id == ids.c.id)
        .outerjoin(subscription, and_(subscription.c.subscriber_id == s.id, subscription.c.topic == of.topic))
        .outerjoin(delivery, and_(delivery.c.campaign_id == mine.campaign_id, delivery.c.subscriber_id == s.id))
        .outerjoin(deferral, and_(d.campaign_id == mine.campaign_id, d.subscriber_id == s.id))
        .where(delivery.c.subscriber_id.is_(None), or_(d.retry_at.is_(None), d.retry_at <= now))
        .order_by(s.id),
        _IDS.values(conn.dialect.name, [(i,) for i in mine.subscriber_ids]),
    ).all()
    permitted = passage.permitted_among(conn, of, [row.id for row in rows])
    passage.withhold(conn, of, [row.id for row in rows if row.id not in permitted], now)
    return [
        Recipient(
            subscriber_id=row.id,
            public_id=bytes(row.public_id),
            address=row.address,
            name=row.name,
            language=Language(row.language),
            consented_on=row.since.date() if row.since else None,
            attempt=(row.attempt or 0) + 1,
        )
        for row in rows
        if row.id in permitted
    ]
