"""Everything we hold about a person, explained, for the person themselves (Art. 15 and 20 GDPR).

What must stay true: nothing that is stored under the person's number or the hash of their address is left out. Kept
back is only what a confirmation link is made of: who reads the file must not be able to press the button by it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from dispatcher.db.columns import holds
from dispatcher.db.tables import batch, campaign, deferral, opt_in_request
from dispatcher.db.terms import Language
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import subscribers
from dispatcher.domain.tokens import Keyring
from dispatcher.rights import dossier, wording
from dispatcher.rights.dossier import MOST, House
from dispatcher.rights.records import Facts, rows

FORMAT = "dispatcher export 1"
SECTIONS = (
    "person", "former_addresses", "standing", "events", "declarations", "privacy_notices", "requests",
    "confirmation_mails", "wanted_by_others", "letters", "editions", "waiting", "audiences", "suppressions", "rights",
)  # fmt: skip


def gather(conn: Connection, keyring: Keyring, address: str, house: House, now: datetime) -> Facts:
    """Gather what is held about whoever has this address. Raises AddressInvalid, NotFound.

    Who had it before and moved is not meant: whoever asks by an old address need not be the one who has left it.
    """
    asked = parse_address(address)
    hashed = address_hash(keyring, asked)
    person = subscribers.by_hash(conn, hashed)
    if person is None:
        raise dossier.unknown(conn, keyring, asked)
    facts = dossier.gather(conn, keyring, address, house, now)
    return {
        **facts,
        "format": FORMAT,
        "requests": _requests(conn, person.id),
        "wanted_by_others": _wanted_by_others(conn, person.id, hashed),
        "waiting": _waiting(conn, person.id),
        "audiences": _audiences(conn, person.id),
    }


def explained(facts: Facts, language: Language) -> Facts:
    """Add in words what each section and field means, and what Art. 15(1) and (2) GDPR want to be said."""
    told = wording.words(language)
    sections = {
        name: {"about": told["sections"][name], "fields": _fields(facts[name], told["fields"])} for name in SECTIONS
    }
    return {**facts, "notice": dict(told["notice"]), "explanation": sections}


def _fields(section: Any, told: Any) -> dict[str, str]:
    row = section if isinstance(section, dict) else (section[0] if section else {})
    return {name: told.get(name, name) for name in row}


def _waiting(conn: Connection, subscriber_id: int) -> list[Facts]:
    """Letters that a relay put off and that are to be tried again."""
    d = deferral.c
    found = (
        select(d.campaign_id, d.attempt, d.retry_at, d.code, d.reply, d.relay, d.consent_event_id)
        .join_from(campaign, deferral, d.campaign_id == campaign.c.id)
        .where(d.subscriber_id == subscriber_id)
        .order_by(d.campaign_id)
    )
    return rows(conn.execute(found))


def _requests(conn: Connection, subscriber_id: int) -> list[Facts]:
    """With the address that the person wanted to move to: it was theirs to name."""
    r = opt_in_request.c
    kept = [c for c in r if c.name not in {"nonce", "token_sha256", "subscriber_id"}]
    return rows(conn.execute(select(*kept).where(r.subscriber_id == subscriber_id).order_by(r.id).limit(MOST)))


def _wanted_by_others(conn: Connection, subscriber_id: int, hashed: bytes) -> list[Facts]:
    """Somebody else named this address for a move of theirs. Who they are is theirs."""
    r = opt_in_request.c
    found = (
        select(r.errand, r.requested_at, r.expires_at, r.used_at, r.other_address, r.other_hash)
        .where(r.other_hash == hashed, r.subscriber_id != subscriber_id)
        .order_by(r.id)
        .limit(MOST)
    )
    return rows(conn.execute(found))


def _audiences(conn: Connection, subscriber_id: int) -> list[Facts]:
    """Campaigns in whose frozen audience the person is or was."""
    b = batch.c
    found = (
        select(b.campaign_id, b.no, b.state, b.provider, b.due_at, b.variant)
        .where(holds(conn, b.subscriber_ids, subscriber_id))
        .order_by(b.campaign_id, b.no)
        .limit(MOST)
    )
    return rows(conn.execute(found))
