"""What stands beside the consent ledger, held against it: where people stand, by which event letters went, the words.

The walk along the chain cannot see an event that was cut off at its end; but subscriptions and deliveries name it.
"""

import hashlib
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, func, not_, or_, select

from dispatcher.db import raw
from dispatcher.db.tables import (
    consent_event,
    declaration,
    delivery,
    opt_in_request,
    privacy_notice,
    subscriber,
    subscription,
)
from dispatcher.db.terms import SubscriptionState
from dispatcher.domain.proof import consent_rows
from dispatcher.domain.proof.walk import Break, Findings, Wrong


def beyond(conn: Connection, last_id: int) -> Break | None:
    """Find the events that subscriptions or deliveries name, and that lie behind the last one there is."""
    for column, who in ((subscription.c.event_id, "a subscription"), (delivery.c.consent_event_id, "a delivery")):
        named = conn.execute(select(func.max(column))).scalar_one()
        if named is not None and not (isinstance(named, int) and named <= last_id):  # on SQLite it may be a text
            return Break(Wrong.MISSING, f"the newest are missing: {who} names event {named}", last_id + 1)
    return None


def standings(conn: Connection) -> Break | None:
    """Find the subscriptions that are not what the events make of them: the first is named, and how many there are.

    Each names the event that put it there; so it is of the same person and topic, makes that state, and none came later
    that would have made another.
    """
    s, e = subscription.c, consent_event.c
    is_theirs = and_(e.subscriber_id == s.subscriber_id, e.topic == s.topic)
    is_wrong = or_(e.id.is_(None), not_(is_theirs), e.topic.is_(None), not_(_makes(consent_event)), _overruled())
    joined = subscription.outerjoin(consent_event, e.id == s.event_id)
    count = conn.execute(select(func.count()).select_from(joined).where(is_wrong)).scalar_one()
    if not count:
        return None
    first = select(s.subscriber_id, s.topic, s.state, s.event_id).select_from(joined).where(is_wrong)
    row = conn.execute(first.order_by(s.subscriber_id, s.topic).limit(1)).one()
    more = f"; so are {count - 1:,} more" if count > 1 else ""
    what = f"{row.topic} is {row.state} by event {row.event_id}, which is not what the events say{more}"
    return Break(Wrong.STANDING, what, row.event_id, row.subscriber_id)


def words(conn: Connection, findings: Findings) -> None:
    """Note the declarations and privacy notices whose text is not that of their hash."""
    for table, names in ((declaration, ("key", "version", "language")), (privacy_notice, ("language", "sha256"))):
        columns = raw.columns(conn.dialect.name, table, ("text", "sha256", *names))
        for text, sha256, *which in conn.execute(select(*columns).select_from(table).order_by(*table.primary_key)):
            octets = text.encode() if isinstance(text, str) else b""
            if hashlib.sha256(octets).digest() != sha256:
                named = " ".join(each.hex() if isinstance(each, bytes) else str(each) for each in which)
                findings.note(Break(Wrong.WORDS, f"the text of {_NAMES[table.name]} {named} is not what was entered"))


def blanked_early(conn: Connection, kept_since: datetime) -> int:
    """Count the events without personal fields of people who have an address, that happened later than the proof of an
    ended consent is kept, and that are of no request which nobody confirmed: nothing in this house blanks those.
    """
    e, r = consent_event.c, opt_in_request.c
    is_let_go = exists().where(r.id == e.request_id, r.erased_at.is_not(None))
    return int(
        conn.execute(
            select(func.count())
            .select_from(consent_event.join(subscriber, subscriber.c.id == e.subscriber_id))
            .where(
                e.salt.is_(None),
                subscriber.c.address.is_not(None),
                func.coalesce(e.given_at, e.at, type_=e.at.type) > kept_since,
                ~is_let_go,
            )
        ).scalar_one()
    )


_NAMES = {declaration.name: "declaration", privacy_notice.name: "privacy notice"}


def _makes(event: Table) -> ColumnElement[bool]:
    """This event makes the state that the subscription has."""
    s = subscription.c
    return or_(*(and_(s.state == state, event.c.kind.in_(consent_rows.making(state))) for state in SubscriptionState))


def _overruled() -> ColumnElement[bool]:
    """A later event makes something of the subscription. Who has agreed and asks once more, or agrees to lesser words,
    goes on having agreed as before (consent_rows.set_standings).
    """
    s, later = subscription.c, consent_event.alias("later")
    number = select(declaration.c.number).where(declaration.c.id == later.c.declaration_id).scalar_subquery()
    is_lesser = func.coalesce(number, 0) < func.coalesce(s.declaration_number, 0)
    asks = later.c.kind.in_(consent_rows.making(SubscriptionState.PENDING))
    agrees = later.c.kind.in_(consent_rows.making(SubscriptionState.CONFIRMED))
    ends = later.c.kind.in_(consent_rows.making(SubscriptionState.WITHDRAWN))
    has_agreed = s.state == SubscriptionState.CONFIRMED
    return exists().where(
        later.c.subscriber_id == s.subscriber_id,
        later.c.id > s.event_id,
        later.c.topic == s.topic,
        or_(ends, and_(asks, ~has_agreed), and_(agrees, ~and_(has_agreed, is_lesser))),
    )
