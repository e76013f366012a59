"""What became of one person's letters, campaign by campaign, the newest first."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from dispatcher.db.tables import campaign, delivery
from dispatcher.db.terms import CampaignKind, Outcome, Topic


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter: of which campaign, what became of it, and under which consent event it went."""

    campaign_id: int
    kind: CampaignKind
    topic: Topic | None
    name: str
    outcome: Outcome
    at: datetime
    code: int | None
    reply: str | None
    relay: str | None
    consent_event_id: int | None


def of_person(conn: Connection, subscriber_id: int, before: int | None, limit: int) -> list[Letter]:
    """Give the letters whose outcome is recorded, of campaigns with a smaller number than `before`.

    Rows of old newsletters are folded into counts (folding.py), and are not among them.
    """
    c, d = campaign.c, delivery.c
    # From the campaigns to the rows: the ledger's key begins with the campaign, and there is no other index.
    wanted = (
        select(c.id, c.kind, c.topic, c.name, d.outcome, d.at, d.code, d.reply, d.relay, d.consent_event_id)
        .join_from(campaign, delivery, (d.campaign_id == c.id) & (d.subscriber_id == subscriber_id))
        .order_by(c.id.desc())
        .limit(limit)
    )
    if before is not None:
        wanted = wanted.where(c.id < before)
    return [
        Letter(
            row.id, CampaignKind(row.kind), Topic(row.topic) if row.topic else None, row.name, Outcome(row.outcome),
            row.at, row.code, row.reply, row.relay, row.consent_event_id,
        )
        for row in conn.execute(wanted)
    ]  # fmt: skip
