"""A person is erased on their word (Art. 17 GDPR).

    address, name and mailbox provider go  ·  open requests lead nowhere  ·  every topic ends, by an `erased` event  ·
    the keyed hash goes on the never-mail list  ·  what relays said of the person goes where it repeats the address

What must stay true: all of it is one transaction; no import brings the person back, only their own new double opt-in;
the events stay as proof, locked, as long as a claim could be raised (Art. 17(3)(e)), and are found by the keyed hash
alone: whoever does not know the address learns none from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, or_, select, update

from dispatcher.db.tables import campaign, deferral, delivery, opt_in_request, subscriber
from dispatcher.db.terms import ConsentKind, SuppressionReason, Topic
from dispatcher.domain import consent, profiles, suppression
from dispatcher.domain.addresses import spellings
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.subscribers import Subscriber


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did: which topics ended, how many requests lost their links, how many answers were cleared."""

    topics: tuple[Topic, ...]
    requests: int
    answers: int


def erase(conn: Connection, person: Subscriber, evidence: Evidence, now: datetime) -> Erased | None:
    """Erase a person. None: there is nothing left to erase. To repeat it is harmless.

    A letter under way is held back at the gate; one whose dot is out already cannot be called back.
    """
    requests = _end_requests(conn, person, now)  # first: whoever presses a button holds a request, and then appends
    c = subscriber.c
    gone = conn.execute(
        update(subscriber)
        .where(c.id == person.id, c.erased_at.is_(None))
        .values(address=None, name="", provider="other", paused_until=None, erased_at=now)
        .returning(c.id)
    ).one_or_none()
    if gone is None:
        return None
    topics = tuple(consent.standing(conn, person.id)) or tuple(Topic)
    consent.append(conn, [Event(person.id, topic, ConsentKind.ERASED, evidence) for topic in topics], now)
    reason = SuppressionReason.ERASED
    suppression.suppress(conn, [person.address_hash], None, reason, evidence.source, now)
    return Erased(topics, requests, _clear_answers(conn, person))


def _end_requests(conn: Connection, person: Subscriber, now: datetime) -> int:
    """Let the links of this person's requests lead nowhere, and those of whoever wanted to move to the address."""
    r = opt_in_request.c
    theirs = or_(r.subscriber_id == person.id, r.other_hash == person.address_hash)
    return len(profiles.erase_requests(conn, theirs & r.erased_at.is_(None), now))


def _clear_answers(conn: Connection, person: Subscriber) -> int:
    """Take away what relays said of this person where it repeats the address, or the part before the @ alone.

    Relays' answers are recorded without the recipient's address since sending/discretion.py; older ones may hold it.
    """
    if person.address is None:
        return 0
    wanted = (*spellings(person.address), person.address.rpartition("@")[0].lower())
    return sum(_clear(conn, table, person.id, wanted) for table in (delivery, deferral))


def _clear(conn: Connection, table: Table, subscriber_id: int, wanted: Sequence[str]) -> int:
    c = table.c
    theirs = (c.subscriber_id == subscriber_id) & c.relay.is_not(None)
    # Campaign by campaign: the key begins with it, and there is no other index.
    rows = conn.execute(
        select(c.campaign_id, c.reply).join_from(campaign, table, c.campaign_id == campaign.c.id).where(theirs)
    ).all()
    naming = [row.campaign_id for row in rows if row.reply and any(word in row.reply.lower() for word in wanted)]
    for campaign_id in naming:
        conn.execute(update(table).where(theirs, c.campaign_id == campaign_id).values(reply=""))
    return len(naming)
