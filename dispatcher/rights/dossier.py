"""The dossier: everything that proves who agreed to what, when, in which words, from where, and what came of it.

What must stay true: it is read in one transaction and holds what the ledger holds, to the octet; it says nothing that
is not in the ledger. Of somebody who was erased it can be made too, by whoever knows the address: the keyed hash finds
them.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from dispatcher.db.tables import (
    campaign,
    consent_event,
    declaration,
    delivery,
    edition,
    opt_in_request,
    subscriber,
    subscription,
    suppression,
)
from dispatcher.domain import rights
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.suppression import address_hash, entries
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import NotFound
from dispatcher.rights.records import Facts, moment, rows

FORMAT = "dispatcher dossier 1"
_MOST = 10_000  # of each kind; nobody has more


@dataclass(frozen=True, slots=True)
class House:
    """Who issues it: sender's name and address, the legal notice, and which operator made it."""

    name: str
    address: str
    imprint: str
    operator: str


def gather(conn: Connection, keyring: Keyring, address: str, house: House, now: datetime) -> Facts:
    """Gather a person's dossier. Raises AddressInvalid; NotFound, which says what the hash is known for instead."""
    asked = parse_address(address)
    hashed = address_hash(keyring, asked)
    person = conn.execute(select(subscriber).where(subscriber.c.address_hash == hashed)).one_or_none()
    if person is None:
        raise unknown(conn, keyring, asked)
    events = _events(conn, person.id)
    return {
        "format": FORMAT,
        "made_at": moment(now),
        "house": {"name": house.name, "address": house.address, "imprint": house.imprint, "operator": house.operator},
        "asked_for": str(asked),
        "person": rows([person])[0],
        "standing": rows(
            conn.execute(
                select(subscription).where(subscription.c.subscriber_id == person.id).order_by(subscription.c.topic)
            )
        ),
        "events": events,
        "declarations": _declarations(conn, events),
        "requests": _requests(conn, person.id),
        "letters": _letters(conn, person.id),
        "suppressions": _suppressions(conn, hashed),
        "rights": [_right(each) for each in rights.of_address(conn, hashed)],
    }


def unknown(conn: Connection, keyring: Keyring, address: Address) -> NotFound:
    """Say of an address that belongs to nobody here what is known about it all the same."""
    hashed = address_hash(keyring, address)
    listed = ", ".join(f"{e.scope}: {e.reason} since {e.at:%Y-%m-%d %H:%M:%S} UTC" for e in entries(conn, hashed))
    asked = len(rights.of_address(conn, hashed))
    held = [f"its keyed hash stands on the never-mail list ({listed})"] if listed else []
    held += [f"the log of rights has {asked} requests under it"] if asked else []
    what = (
        f"nobody here has or had the address {address}; {' and '.join(held) or 'nothing is held under its keyed hash'}"
    )
    return NotFound(what, "check the spelling; upper and lower case do not matter, every other letter does")


def _events(conn: Connection, subscriber_id: int) -> list[Facts]:
    found = conn.execute(
        select(consent_event)
        .where(consent_event.c.subscriber_id == subscriber_id)
        .order_by(consent_event.c.id)
        .limit(_MOST)
    )
    return rows(found)


def _declarations(conn: Connection, events: list[Facts]) -> list[Facts]:
    ids = {event["declaration_id"] for event in events if event["declaration_id"] is not None}
    return rows(conn.execute(select(declaration).where(declaration.c.id.in_(ids)).order_by(declaration.c.id)))


def _requests(conn: Connection, subscriber_id: int) -> list[Facts]:
    """Without what a link is made of: a dossier must not open one."""
    r = opt_in_request.c
    kept = [column for column in r if column.name not in {"nonce", "token_sha256", "subscriber_id"}]
    return rows(conn.execute(select(*kept).where(r.subscriber_id == subscriber_id).order_by(r.id).limit(_MOST)))


def _letters(conn: Connection, subscriber_id: int) -> list[Facts]:
    """What went out, or did not, campaign by campaign; with the hash of the edition in the person's language."""
    d, c = delivery.c, campaign.c
    language = select(subscriber.c.language).where(subscriber.c.id == subscriber_id).scalar_subquery()
    frozen = (edition.c.campaign_id == c.id) & (edition.c.language == language)
    found = conn.execute(
        select(
            c.id.label("campaign_id"), c.kind, c.topic, c.name, c.subject, c.request_id, d.outcome, d.at, d.code,
            d.reply, d.relay, d.consent_event_id, edition.c.sha256.label("edition_sha256"),
        )
        .join_from(campaign, delivery, d.campaign_id == c.id)
        .outerjoin(edition, frozen)
        .where(d.subscriber_id == subscriber_id)
        .order_by(d.at, c.id)
        .limit(_MOST)
    )  # fmt: skip
    return rows(found)


def _suppressions(conn: Connection, hashed: bytes) -> list[Facts]:
    s = suppression.c
    found = select(s.scope, s.reason, s.source, s.at).where(s.address_hash == hashed).order_by(s.at, s.scope)
    return rows(conn.execute(found))


def _right(asked: rights.Asked) -> Facts:
    return {
        "kind": asked.kind.value,
        "received_at": moment(asked.received_at),
        "due_on": asked.due_on.isoformat(),
        "done_at": moment(asked.done_at) if asked.done_at else None,
        "operator": asked.operator,
        "outcome": asked.outcome,
    }
