"""Batches that their holders do not survive: halved until the letter that does it stands alone, and then set aside.

    a claim that is given back, or makes progress, counts as no attempt
    the 6th claim without progress   ->  two halves, each with three attempts behind it
    a half of one person             ->  quarantined: that person's letter has failed, the campaign goes on

What must stay true: everyone of the batch is in one of the halves, and whoever waits for another attempt waits in the
batch that names them.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from dispatcher.db.columns import among
from dispatcher.db.tables import batch, campaign, deferral
from dispatcher.db.terms import BatchState, Outcome
from dispatcher.domain import ledger
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.ledger import Final

MOST_ATTEMPTS = 5
_BEHIND_A_HALF = 3
SET_ASIDE = f"set aside: the worker ended {MOST_ATTEMPTS} times over this letter"


def weigh(conn: Connection, mine: Claim, left: Sequence[int], now: datetime) -> bool:
    """Look at a claimed batch before it is served; `left` are those still to be served.

    False: it was halved or quarantined, and is not ours any more.
    """
    if mine.attempts == 1 or not left or _has_progressed(conn, mine, len(left)):
        return True
    if mine.attempts <= MOST_ATTEMPTS:
        return True
    if len(left) == 1:
        _quarantine(conn, mine, left[0], now)
    else:
        _halve(conn, mine, left[len(left) // 2 :])
    return False


def _has_progressed(conn: Connection, mine: Claim, left: int) -> bool:
    """Say whether fewer are left than when this was last looked at; if so, the attempts begin anew."""
    before = conn.execute(select(batch.c.left_last).where(_is(mine))).scalar_one()
    if before is not None and left >= before:
        return False
    values = {"left_last": left} if before is None else {"left_last": left, "attempts": 2}
    conn.execute(update(batch).where(_is(mine)).values(**values))
    return before is not None


def _quarantine(conn: Connection, mine: Claim, who: int, now: datetime) -> None:
    ledger.record(conn, [Final(mine.campaign_id, who, Outcome.FAILED, None, None, SET_ASIDE, None)], now)
    conn.execute(
        update(batch)
        .where(_is(mine))
        .values(state=BatchState.QUARANTINED, owner=None, lease_until=None, last_error=SET_ASIDE)
    )


def _halve(conn: Connection, mine: Claim, moved: Sequence[int]) -> None:
    # The campaign's row is the lock under which numbers of batches are given out after the launch.
    conn.execute(select(campaign.c.id).where(campaign.c.id == mine.campaign_id).with_for_update())
    last = select(func.max(batch.c.no)).where(batch.c.campaign_id == mine.campaign_id)
    new = int(conn.execute(last).scalar_one()) + 1
    gone = set(moved)
    kept = [who for who in mine.subscriber_ids if who not in gone]
    again = {"state": BatchState.READY, "attempts": _BEHIND_A_HALF, "left_last": None}
    conn.execute(update(batch).where(_is(mine)).values(subscriber_ids=kept, owner=None, lease_until=None, **again))
    whose = {"campaign_id": mine.campaign_id, "no": new, "provider": mine.provider, "due_at": mine.due_at}
    whose["variant"] = mine.variant
    conn.execute(insert(batch).values(subscriber_ids=list(moved), **whose, **again))
    waiting = and_(deferral.c.campaign_id == mine.campaign_id, among(conn, deferral.c.subscriber_id, moved))
    conn.execute(update(deferral).where(waiting).values(batch_no=new))


def _is(mine: Claim) -> ColumnElement[bool]:
    return and_(batch.c.campaign_id == mine.campaign_id, batch.c.no == mine.no, batch.c.token == mine.token)
