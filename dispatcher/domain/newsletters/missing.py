"""Who of a campaign's audience did not get it, and why, page by page.

    remaining  ->  deferred  ->  withheld, failed, unknown

What must stay true: pages go the way that people go while a campaign runs. So whoever reads them one after another
leaves nobody out: who moves on meanwhile comes twice at worst, and the later word is the right one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from dispatcher.db.columns import Id, Rows
from dispatcher.db.tables import batch, deferral, delivery, subscriber
from dispatcher.db.terms import BatchState, CampaignState
from dispatcher.domain.newsletters.accounts import IS_MISSED, is_waiting
from dispatcher.domain.newsletters.campaigns import Campaign

PAGE = 1000
_IDS = Rows("ids", {"id": Id})


@dataclass(frozen=True, slots=True)
class Missing:
    """Someone in the audience who did not get it, and why."""

    subscriber_id: int
    public_id: bytes
    address: str
    outcome: str
    reason: str
    said: str = ""  # in the reason, the words of the relay, or ours
    attempt: int | None = None  # deferred: the next one
    retry_at: datetime | None = None


class Part(IntEnum):
    """Where somebody stands who is missing, in the order of pages."""

    REMAINING = 0
    DEFERRED = 1
    FINAL = 2


class Place(NamedTuple):
    """The last one of a page: where they stood, in which batch (remaining ones only), and their number."""

    part: Part = Part.REMAINING
    batch_no: int = 0
    subscriber_id: int = 0


START = Place()
_Placed = tuple[Place, Missing]


def page(
    conn: Connection, of: Campaign, after: Place, limit: int, only: str | None = None
) -> tuple[list[Missing], Place | None]:
    """Give the next ones, of one outcome if named, and where the page after them begins. None: there is no more."""
    found = _from(conn, of, after, limit + 1, only)
    more = found[limit - 1][0] if len(found) > limit else None
    return [missing for _, missing in found[:limit]], more


def everyone(conn: Connection, of: Campaign) -> Iterator[Missing]:
    """Give everyone who did not get it."""
    after: Place | None = START
    while after is not None:
        people, after = page(conn, of, after, PAGE)
        yield from people


def part_of(outcome: str) -> Part:
    """Give where people of an outcome stand."""
    return {"remaining": Part.REMAINING, "deferred": Part.DEFERRED}.get(outcome, Part.FINAL)


def _from(conn: Connection, of: Campaign, after: Place, limit: int, only: str | None) -> list[_Placed]:
    found: list[_Placed] = []
    final = partial(_final, only=only)
    for part, read in ((Part.REMAINING, _remaining), (Part.DEFERRED, _deferred), (Part.FINAL, final)):
        if only is not None and part is not part_of(only):
            continue
        if part >= after.part and len(found) < limit:
            found += read(conn, of, after if part is after.part else Place(part), limit - len(found))
    return found


def _remaining(conn: Connection, of: Campaign, after: Place, limit: int) -> list[_Placed]:
    batches = conn.execute(
        select(batch.c.no, batch.c.due_at)
        .where(batch.c.campaign_id == of.id, batch.c.state != BatchState.DONE, batch.c.no >= after.batch_no)
        .order_by(batch.c.no)
    ).all()
    found: list[_Placed] = []
    for no, due_at in batches:
        reason = _not_yet(of, due_at)
        beyond = after.subscriber_id if no == after.batch_no else 0
        for row in _untouched(conn, of, no, beyond, limit - len(found)):
            missing = Missing(row.id, bytes(row.public_id), row.address or "(erased)", "remaining", reason)
            found.append((Place(Part.REMAINING, no, row.id), missing))
        if len(found) >= limit:
            break
    return found


def _not_yet(of: Campaign, due_at: datetime | None) -> str:
    if of.state is CampaignState.CANCELLED:
        return "the campaign was cancelled first"
    return "not yet tried" + (f": by the clock there at {due_at:%Y-%m-%d %H:%M} UTC" if due_at is not None else "")


def _untouched(conn: Connection, of: Campaign, no: int, beyond: int, limit: int) -> list[Any]:
    """Give those of a batch of whom nothing is recorded."""
    held = select(batch.c.subscriber_ids).where(batch.c.campaign_id == of.id, batch.c.no == no)
    page_of = conn.execute(held).scalar_one()
    ids, s = _IDS.table(conn.dialect.name), subscriber.c
    left = (
        select(s.id, s.public_id, s.address)
        .join(ids, ids.c.id == s.id)
        .outerjoin(delivery, (delivery.c.campaign_id == of.id) & (delivery.c.subscriber_id == ids.c.id))
        .outerjoin(deferral, (deferral.c.campaign_id == of.id) & (deferral.c.subscriber_id == ids.c.id))
        .where(delivery.c.subscriber_id.is_(None), deferral.c.subscriber_id.is_(None), s.id > beyond)
        .order_by(s.id)
        .limit(limit)
    )
    return list(conn.execute(left, _IDS.values(conn.dialect.name, [(i,) for i in page_of])))


def _deferred(conn: Connection, of: Campaign, after: Place, limit: int) -> list[_Placed]:
    f, s = deferral.c, subscriber.c
    waiting = (
        select(f.subscriber_id, s.public_id, s.address, f.code, f.reply, f.retry_at, f.attempt)
        .join(subscriber, s.id == f.subscriber_id)
        .where(is_waiting(of.id), f.subscriber_id > after.subscriber_id)
        .order_by(f.subscriber_id)
        .limit(limit)
    )
    found = []
    for row in conn.execute(waiting):
        said = _said(row.code, row.reply)
        when = f"attempt {row.attempt}, next at {row.retry_at:%Y-%m-%d %H:%M} UTC: {said}"
        missing = Missing(
            row.subscriber_id, bytes(row.public_id), row.address or "(erased)", "deferred", when, said, row.attempt,
            row.retry_at,
        )  # fmt: skip
        found.append((Place(Part.DEFERRED, 0, row.subscriber_id), missing))
    return found


def _final(conn: Connection, of: Campaign, after: Place, limit: int, only: str | None) -> list[_Placed]:
    d, s = delivery.c, subscriber.c
    final = (
        select(d.subscriber_id, s.public_id, s.address, d.outcome, d.code, d.reply)
        .join(subscriber, s.id == d.subscriber_id)
        .where(d.campaign_id == of.id, IS_MISSED, d.subscriber_id > after.subscriber_id)
        .order_by(d.subscriber_id)
        .limit(limit)
    )
    if only is not None:
        final = final.where(d.outcome == only)
    found = []
    for row in conn.execute(final):
        said = _said(row.code, row.reply)
        missing = Missing(row.subscriber_id, bytes(row.public_id), row.address or "(erased)", row.outcome, said, said)
        found.append((Place(Part.FINAL, 0, row.subscriber_id), missing))
    return found


def _said(code: int | None, reply: str | None) -> str:
    """Give the relay's words, or ours; a reply of the relay's begins with its code."""
    return reply or str(code or "")
