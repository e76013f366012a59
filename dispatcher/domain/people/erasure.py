"""A person is erased on their word (Art. 17 GDPR).

    address, name and mailbox provider go  ·  open requests lead nowhere  ·  every topic ends, by an `erased` event  ·
    the keyed hash goes on the never-mail list  ·  what relays said of the person goes where it repeats the address  ·
    files that were handed in, and may name the person, go

What must stay true: all of it is one transaction; no import brings the person back, only their own new double opt-in;
the events stay as proof, locked, as long as a claim could be raised (Art. 17(3)(e)), and are found by the keyed hash
alone: whoever does not know the address learns none from it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, bindparam, select, update

from dispatcher.db.tables import campaign, deferral, delivery, subscriber
from dispatcher.db.terms import ConsentKind, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent, suppression, uploads
from dispatcher.domain.addresses import Address, without
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.people import holding


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did: which topics ended, how many requests lost their links, how many answers were cleared."""

    topics: tuple[Topic, ...]
    requests: int
    answers: int


def erase(
    conn: Connection, subscriber_id: int, evidence: Evidence, now: datetime, named: Address | None = None
) -> Erased | None:
    """Erase a person. None: there is nothing left to erase. To repeat it is harmless.

    `named` is the address that the operator knows them by: what relays said is cleared of it, and of what is stored.
    A letter under way is held back at the gate; one whose dot is out already cannot be called back.
    """
    held = holding.hold(conn, subscriber_id, now)
    s = subscriber.c
    gone = conn.execute(
        update(subscriber)
        .where(s.id == subscriber_id, s.address.is_not(None) | s.erased_at.is_(None))
        .values(
            address=None, name="", provider="other", zone=None, paused_until=None, restricted_at=None, erased_at=now
        )
        .returning(s.id)
    ).one_or_none()
    known = {*held.addresses, *([named.mail] if named else [])}
    answers = _clear_answers(conn, subscriber_id, known)
    if gone is None:
        return None
    # What ended before keeps the day on which it did: the proof's time runs from there.
    stands = consent.standing(conn, subscriber_id)
    topics = tuple(topic for topic, (state, _) in stands.items() if state is not SubscriptionState.WITHDRAWN)
    events = [Event(subscriber_id, topic, ConsentKind.ERASED, evidence) for topic in topics or (None,)]
    consent.append(conn, events, now)
    reason = SuppressionReason.ERASED
    suppression.suppress(conn, [held.person.address_hash], None, reason, evidence.source, now)
    uploads.forget(conn, now)
    return Erased(topics, held.requests, answers)


def _clear_answers(conn: Connection, subscriber_id: int, addresses: Iterable[str]) -> int:
    """Take the address out of what relays said of this person, and the part before the @ where it stands alone.

    Relays' answers are recorded without the recipient's address since sending/discretion.py; older ones may hold it.
    """
    known = sorted(addresses, key=len, reverse=True)
    return sum(_clear(conn, table, subscriber_id, known) for table in (delivery, deferral)) if known else 0


def _clear(conn: Connection, table: Table, subscriber_id: int, addresses: list[str]) -> int:
    c = table.c
    theirs = (c.subscriber_id == subscriber_id) & c.relay.is_not(None)
    # Campaign by campaign: the key begins with it, and there is no other index.
    rows = conn.execute(
        select(c.campaign_id, c.reply).join_from(campaign, table, c.campaign_id == campaign.c.id).where(theirs)
    ).all()
    cleared = [
        {"of": row.campaign_id, "cleared": said}
        for row in rows
        if row.reply and (said := _unnamed(row.reply, addresses)) != row.reply
    ]
    if cleared:
        of = c.campaign_id == bindparam("of")
        conn.execute(update(table).where(theirs, of).values(reply=bindparam("cleared")), cleared)
    return len(cleared)


def _unnamed(said: str, addresses: list[str]) -> str:
    for mail in addresses:
        said = _without_local_part(mail.rpartition("@")[0], without(mail, said))
    return said


def _without_local_part(local: str, said: str) -> str:
    """As a word of its own; one of two letters names nobody, and relays say `Ok` of everybody."""
    if len(local) <= _SAYS_NOTHING:
        return said
    return re.sub(rf"(?<![\w.+-]){re.escape(local)}(?![\w+-]|\.\w)", "<recipient>", said, flags=re.IGNORECASE)


_SAYS_NOTHING = 2
