"""A person is held until the transaction ends, in the lock order of the house: open requests, then the person's row.

What must stay true: whoever presses a button holds a request first and the person after it, so nobody who takes both in
this order waits in a circle; when `hold` returns no request of theirs is open, and none can be opened until the
transaction ends, for whoever opens one holds the person's row.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, select

from dispatcher.db.tables import opt_in_request, subscriber
from dispatcher.domain.people import profiles, subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.errors import NotFound


@dataclass(frozen=True, slots=True)
class Held:
    """A person as they stand now that nobody else can change them; how many requests lost their links.

    `addresses`: every one that was stored of them, the one they wanted to move to or came from included.
    """

    person: Subscriber
    requests: int
    addresses: frozenset[str]


def hold(conn: Connection, subscriber_id: int, now: datetime) -> Held:
    """Hold a person and let all open requests of theirs lead nowhere; so, too, those of whoever wanted to move to their
    address. Raises NotFound.
    """
    requests, addresses = 0, set[str]()
    while True:
        ended, named = _end_requests(conn, subscriber_id, now)
        requests, addresses = requests + ended, addresses | named
        attempt = conn.begin_nested()
        person = subscribers.held(conn, subscriber_id)
        if person is None:
            raise NotFound(f"there is no person {subscriber_id}", "look them up anew")
        if not _are_open(conn, person):
            attempt.commit()
            return Held(person, requests, frozenset(addresses | ({person.address} if person.address else set())))
        attempt.rollback()  # somebody opened one before they were held: let go of the row, for requests come first


def _end_requests(conn: Connection, subscriber_id: int, now: datetime) -> tuple[int, set[str]]:
    r = opt_in_request.c
    own = select(subscriber.c.address_hash).where(subscriber.c.id == subscriber_id).scalar_subquery()
    which = _open(subscriber_id, own)
    mine = select(r.other_address).where(which, r.subscriber_id == subscriber_id, r.other_address.is_not(None))
    named = set(conn.execute(mine).scalars())
    return len(profiles.erase_requests(conn, which, now)), named


def _are_open(conn: Connection, person: Subscriber) -> bool:
    which = _open(person.id, person.address_hash)
    return conn.execute(select(opt_in_request.c.id).where(which).limit(1)).one_or_none() is not None


def _open(subscriber_id: int, hashed: object) -> ColumnElement[bool]:
    r = opt_in_request.c
    return or_(r.subscriber_id == subscriber_id, r.other_hash == hashed) & r.erased_at.is_(None)
