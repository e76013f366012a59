"""Old newsletters: the rows that say who got which letter become counts.

After the period nobody needs to be told about one letter of years ago: that the person agreed, when and to which words
stands in the ledger of consent, and longer. Kept are the rows of people who objected or complained, for with them a
dispute about a letter is likely; they go with their proof, whose end takes the hash by which they are found. So are
those of people whose data is restricted (Art. 18 GDPR), as long as it is.

What must stay true: the figures of a campaign stay what they were. A campaign under way is not touched.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, or_, select

from dispatcher.db.columns import among, insert_or
from dispatcher.db.tables import batch, campaign, deferral, delivery, delivery_count, subscriber, suppression
from dispatcher.db.terms import CampaignKind, CampaignState, SuppressionReason

_CHUNK = 1_000  # rows to a transaction
_DISPUTED = (SuppressionReason.OBJECTED, SuppressionReason.COMPLAINT)


def due(cutoff: datetime) -> Select[int, Any]:
    """Give the SELECT (rows to fold, when the oldest of these campaigns ended)."""
    return (
        select(func.count(), func.min(_ended()))
        .select_from(campaign)
        .join(delivery, delivery.c.campaign_id == campaign.c.id)
        .where(_is_old(cutoff), ~_is_disputed())
    )


def fold(conn: Connection, cutoff: datetime, after: Sequence[int]) -> tuple[int, list[int] | None]:
    """Fold the next rows; give how many, and (campaign, person) to go on after. None: there is no old campaign left."""
    at, person = (after[0], after[1]) if after else (0, 0)
    c, d = campaign.c, delivery.c
    has_rows = exists().where(d.campaign_id == c.id, ~_is_disputed()) | exists().where(batch.c.campaign_id == c.id)
    next_ = select(c.id).where(_is_old(cutoff), c.id >= at, has_rows).order_by(c.id).limit(1)
    of = conn.execute(next_).scalar_one_or_none()
    if of is None:
        return 0, None
    if of != at:
        person = 0
    found = (
        select(d.subscriber_id)
        .where(d.campaign_id == of, d.subscriber_id > person, ~_is_disputed())
        .order_by(d.subscriber_id)
        .limit(_CHUNK)
    )
    ids = list(conn.execute(found).scalars())
    gone = conn.execute(
        delete(delivery).where(d.campaign_id == of, among(conn, d.subscriber_id, ids)).returning(d.outcome)
    )
    folded = Counter(gone.scalars())
    _count(conn, of, folded)
    if len(ids) == _CHUNK:
        return folded.total(), [of, ids[-1]]
    for table in (batch, deferral):  # they name the audience, too
        conn.execute(delete(table).where(table.c.campaign_id == of))
    return folded.total(), [of + 1, 0]


def counts(conn: Connection, campaign_id: int) -> dict[str, int]:
    """Give how many people's rows were folded, by outcome."""
    c = delivery_count.c
    return dict(conn.execute(select(c.outcome, c.people).where(c.campaign_id == campaign_id)).all())


def _count(conn: Connection, campaign_id: int, folded: Counter[str]) -> None:
    if not folded:
        return
    rows = [{"campaign_id": campaign_id, "outcome": outcome, "people": n} for outcome, n in folded.items()]
    statement = insert_or(conn.dialect.name, delivery_count)
    more = delivery_count.c.people + statement.excluded.people
    conn.execute(
        statement.on_conflict_do_update(index_elements=["campaign_id", "outcome"], set_={"people": more}), rows
    )


def _is_old(cutoff: datetime) -> ColumnElement[bool]:
    c = campaign.c
    is_over = c.state.in_([CampaignState.SENT, CampaignState.CANCELLED])
    return and_(c.kind == CampaignKind.NEWSLETTER, is_over, _ended() <= cutoff)


def _ended() -> ColumnElement[datetime]:
    """A cancelled campaign notes no end; it was launched, or made, before it."""
    c = campaign.c
    return func.coalesce(c.finished_at, c.launched_at, c.created_at, type_=c.created_at.type)


def _is_disputed() -> ColumnElement[bool]:
    listed = exists().where(
        suppression.c.address_hash == subscriber.c.address_hash, suppression.c.reason.in_(_DISPUTED)
    )
    return exists().where(
        subscriber.c.id == delivery.c.subscriber_id, or_(subscriber.c.restricted_at.is_not(None), listed)
    )
