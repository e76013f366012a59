"""The dossier: everything that proves who agreed to what, when, in which words, from where, and what came of it.

What must stay true: it is read in one transaction and holds what the ledger holds, to the octet; it says nothing that
is not in the ledger. Of somebody who was erased it can be made too, by whoever knows the address: the keyed hash finds
them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from dispatcher.compose.edition import Edition
from dispatcher.counting import counted
from dispatcher.db.tables import (
    campaign,
    consent_event,
    declaration,
    delivery,
    edition,
    former_address,
    opt_in_request,
    privacy_notice,
    subscriber,
    subscription,
    suppression,
)
from dispatcher.db.terms import EVERY_TOPIC
from dispatcher.domain import coverage
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.people import rights
from dispatcher.domain.suppression import entries
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused, NotFound
from dispatcher.rights.records import Facts, moment, plain, rows

FORMAT = "dispatcher dossier 1"
MOST = 10_000  # rows of each kind; where there are more, `cut` says so


@dataclass(frozen=True, slots=True)
class House:
    """Who issues it: sender's name and address, the legal notice, and which operator made it."""

    name: str
    address: str
    imprint: str
    operator: str


def gather(conn: Connection, keyring: Keyring, address: str, house: House, now: datetime) -> Facts:
    """Gather the dossier of whoever has this address, or had it until they moved. Raises AddressInvalid; NotFound,
    which says what the hash is known for instead.
    """
    asked = parse_address(address)
    hashed = address_hash(keyring, asked)
    person = find(conn, hashed)
    if person is None:
        raise unknown(conn, keyring, asked)
    events, letters = _events(conn, person.id), _letters(conn, person.id)
    kept = {"events": events, "requests": _requests(conn, person.id), "letters": letters}
    return {
        "format": FORMAT,
        "made_at": moment(now),
        "house": {"name": house.name, "address": house.address, "imprint": house.imprint, "operator": house.operator},
        "asked_for": str(asked),
        "asked_hash": hashed.hex(),
        "person": _person(person, hashed),
        "former_addresses": _former(conn, person.id),
        "standing": _standing(conn, person),
        **kept,
        "declarations": _declarations(conn, events),
        "confirmation_mails": _confirmation_mails(conn, kept["requests"]),
        "privacy_notices": _notices(conn, events),
        "editions": _editions(conn, letters),
        "suppressions": _suppressions(conn, hashed),
        "rights": [{name: plain(value) for name, value in rights.as_facts(each, now).items()}
                   for each in rights.of_address(conn, hashed)],
        "cut": [name for name, section in kept.items() if len(section) == MOST],
    }  # fmt: skip


def find(conn: Connection, hashed: bytes) -> Any:
    """Find the person who has an address, else whoever had it last; None for nobody."""
    person = conn.execute(select(subscriber).where(subscriber.c.address_hash == hashed)).one_or_none()
    if person is not None:
        return person
    f = former_address.c
    had = select(f.subscriber_id).where(f.address_hash == hashed).order_by(f.event_id.desc()).limit(1)
    return conn.execute(select(subscriber).where(subscriber.c.id == had.scalar_subquery())).one_or_none()


def unknown(conn: Connection, keyring: Keyring, address: Address) -> NotFound:
    """Say of an address that belongs to nobody here what is known about it all the same."""
    hashed = address_hash(keyring, address)
    listed = ", ".join(f"{e.scope}: {e.reason} since {e.at:%Y-%m-%d %H:%M:%S} UTC" for e in entries(conn, hashed))
    asked = len(rights.of_address(conn, hashed))
    held = [f"its keyed hash stands on the never-mail list ({listed})"] if listed else []
    held += [f"the log of rights has {counted(asked, 'request')} under it"] if asked else []
    f = former_address.c
    had = conn.execute(select(f.until).where(f.address_hash == hashed).order_by(f.event_id.desc()).limit(1)).scalar()
    held += [f"somebody had it who moved to another on {had:%Y-%m-%d}"] if had else []
    what = f"nobody here has the address {address}; {' and '.join(held) or 'nothing is held under its keyed hash'}"
    return NotFound(what, "check the spelling; upper and lower case do not matter, every other letter does")


def _person(person: Any, hashed: bytes) -> Facts:
    """Whoever moved is not named by the address that they have now: it is not the one in dispute."""
    facts = rows([person])[0]
    return facts if bytes(person.address_hash) == hashed else {**facts, "address": None, "name": ""}


def _former(conn: Connection, subscriber_id: int) -> list[Facts]:
    f = former_address.c
    found = select(f.address_hash, f.event_id, f.until).where(f.subscriber_id == subscriber_id).order_by(f.event_id)
    return rows(conn.execute(found.limit(MOST)))


def _standing(conn: Connection, person: Any) -> list[Facts]:
    """With what says that nothing goes out in spite of a consent: an entry on the never-mail list, or older words."""
    s = subscription.c
    found = rows(conn.execute(select(subscription).where(s.subscriber_id == person.id).order_by(s.topic)))
    current = coverage.current_topics(conn, person.id)
    barred = entries(conn, bytes(person.address_hash))
    return [
        {
            **stands,
            "barred_by": sorted({e.reason.value for e in barred if e.scope in (EVERY_TOPIC, stands["topic"])}),
            "words_suffice": stands["topic"] in current if stands["state"] == "confirmed" else None,
        }
        for stands in found
    ]


def _events(conn: Connection, subscriber_id: int) -> list[Facts]:
    found = conn.execute(
        select(consent_event)
        .where(consent_event.c.subscriber_id == subscriber_id)
        .order_by(consent_event.c.id)
        .limit(MOST)
    )
    return rows(found)


def _declarations(conn: Connection, events: list[Facts]) -> list[Facts]:
    ids = {event["declaration_id"] for event in events if event["declaration_id"] is not None}
    return rows(conn.execute(select(declaration).where(declaration.c.id.in_(ids)).order_by(declaration.c.id)))


def _requests(conn: Connection, subscriber_id: int) -> list[Facts]:
    """Without what a link is made of: a dossier must not open one. Of another address its keyed hash alone: it may be
    somebody else's.
    """
    r = opt_in_request.c
    kept = [c for c in r if c.name not in {"nonce", "token_sha256", "subscriber_id", "other_address"}]
    return rows(conn.execute(select(*kept).where(r.subscriber_id == subscriber_id).order_by(r.id).limit(MOST)))


def _confirmation_mails(conn: Connection, requests: list[Facts]) -> list[Facts]:
    """The letters around consent as they were frozen; a field in braces stands where the mail had its value."""
    found = _in_parts(
        conn, select(campaign.c.request_id, edition.c.campaign_id, edition.c.language, edition.c.frozen)
        .join_from(edition, campaign, edition.c.campaign_id == campaign.c.id)
        .order_by(campaign.c.request_id, edition.c.language),
        campaign.c.request_id, [each["id"] for each in requests],
    )  # fmt: skip
    return [
        {"request_id": row.request_id, "campaign_id": row.campaign_id, "language": row.language, **_mail(row.frozen)}
        for row in found
    ]


def _mail(stored: str) -> Facts:
    """One that was altered since is shown as it is, and said to be altered: a dossier does not fail for it."""
    frozen = json.loads(stored)
    try:
        Edition.from_json(stored)
    except InputRefused:
        is_as_frozen = False
    else:
        is_as_frozen = True
    return {**{name: frozen[name] for name in ("kind", "subject", "text", "sha256")}, "is_as_frozen": is_as_frozen}


def _notices(conn: Connection, events: list[Facts]) -> list[Facts]:
    hashes = {bytes.fromhex(event["privacy_sha256"]) for event in events if event["privacy_sha256"]}
    p = privacy_notice
    return rows(_in_parts(conn, select(p).order_by(p.c.first_shown_at, p.c.language), p.c.sha256, sorted(hashes)))


def _editions(conn: Connection, letters: list[Facts]) -> list[Facts]:
    """Of each campaign every language it was frozen in: which one a person got was decided by theirs on that day."""
    e = edition.c
    wanted = select(e.campaign_id, e.no.label("edition_no"), e.language, e.sha256).order_by(
        e.campaign_id, e.no, e.language
    )
    return rows(_in_parts(conn, wanted, e.campaign_id, [letter["campaign_id"] for letter in letters]))


def _in_parts(conn: Connection, wanted: Select[Any], column: Any, values: list[Any]) -> Iterable[Any]:
    for start in range(0, len(values), 500):
        yield from conn.execute(wanted.where(column.in_(values[start : start + 500])))


def _letters(conn: Connection, subscriber_id: int) -> list[Facts]:
    """What went out, or did not, campaign by campaign."""
    d, c = delivery.c, campaign.c
    found = conn.execute(
        select(
            c.id.label("campaign_id"), c.kind, c.topic, c.name, c.subject, c.request_id, d.outcome, d.at, d.code,
            d.reply, d.relay, d.consent_event_id, d.edition_no,
        )
        .join_from(campaign, delivery, d.campaign_id == c.id)
        .where(d.subscriber_id == subscriber_id)
        .order_by(d.at, c.id)
        .limit(MOST)
    )  # fmt: skip
    return rows(found)


def _suppressions(conn: Connection, hashed: bytes) -> list[Facts]:
    s = suppression.c
    found = select(s.scope, s.reason, s.source, s.at).where(s.address_hash == hashed).order_by(s.at, s.scope)
    return rows(conn.execute(found))
