"""What became of one person's letters, campaign by campaign, the newest first."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, union_all

from dispatcher.db.tables import campaign, delivery, opt_in_request
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
    c, d, r = campaign.c, delivery.c, opt_in_request.c
    # The ledger's key begins with the campaign, and there is no other index. Newsletters are few; of confirmations
    # there is one for everybody who ever signed up, so those are found by the person's own requests.
    is_theirs: ColumnElement[bool] = (d.campaign_id == c.id) & (d.subscriber_id == subscriber_id)
    columns = (c.id, c.kind, c.topic, c.name, d.outcome, d.at, d.code, d.reply, d.relay, d.consent_event_id)
    older = c.id < before if before is not None else c.id > 0
    newsletters = select(*columns).join_from(campaign, delivery, is_theirs)
    newsletters = newsletters.where(c.kind == CampaignKind.NEWSLETTER, older)
    confirmations = (
        select(*columns)
        .join_from(opt_in_request, campaign, c.request_id == r.id)
        .join(delivery, is_theirs)
        .where(r.subscriber_id == subscriber_id, older)
    )
    both = union_all(newsletters, confirmations).subquery()
    return [
        Letter(
            row.id, CampaignKind(row.kind), Topic(row.topic) if row.topic else None, row.name, Outcome(row.outcome),
            row.at, row.code, row.reply, row.relay, row.consent_event_id,
        )
        for row in conn.execute(select(both).order_by(both.c.id.desc()).limit(limit))
    ]  # fmt: skip
