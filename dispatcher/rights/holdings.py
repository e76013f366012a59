"""Everything we hold about a person, explained, for the person themselves (Art. 15 and 20 GDPR).

What must stay true: nothing that is stored under the person's number or the hash of their address is left out. Kept
back is only what a confirmation link is made of: who reads the file must not be able to press the button by it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from dispatcher.db.tables import batch, campaign, deferral
from dispatcher.db.terms import BatchState, Language
from dispatcher.domain.tokens import Keyring
from dispatcher.rights import dossier, wording
from dispatcher.rights.dossier import House
from dispatcher.rights.records import Facts, rows

FORMAT = "dispatcher export 1"
SECTIONS = (
    "person", "standing", "events", "declarations", "requests", "letters", "waiting", "planned", "suppressions",
    "rights",
)  # fmt: skip


def gather(conn: Connection, keyring: Keyring, address: str, house: House, now: datetime) -> Facts:
    """Gather what is held. Raises AddressInvalid, NotFound."""
    facts = dossier.gather(conn, keyring, address, house, now)
    subscriber_id = int(facts["person"]["id"])
    return {
        **facts,
        "format": FORMAT,
        "waiting": _waiting(conn, subscriber_id),
        "planned": _planned(conn, subscriber_id),
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


def _planned(conn: Connection, subscriber_id: int) -> list[Facts]:
    """Campaigns under way in whose frozen audience the person is."""
    b = batch.c
    is_open = b.state != BatchState.DONE
    found = conn.execute(select(b.campaign_id, b.subscriber_ids).where(is_open).order_by(b.campaign_id, b.no))
    return [{"campaign_id": row.campaign_id} for row in found if subscriber_id in row.subscriber_ids]
