"""After a restore: campaigns that were under way are held, for the ledger has lost whom they reached since the backup.

    sending, paused   -> paused   whose batch was claimed since, or held then, and has no row in the ledger: `unknown`;
                                  was its launch under way, whoever was not in the audience yet is left out
    preparing         -> draft    its audience was not frozen yet; whom it reached cannot be said
    scheduled         -> draft    if its time has come meanwhile, or it was launched; else it stays
    draft             -> draft    if it was launched; and it waits in no series any more
    not there at all  -> cancelled  it was launched after the backup; its number is not given out again
    asks to renew     -> cancelled instead of draft: there is nothing to edit, and the command asks anew

What must stay true: nothing of what is held goes on without an operator's word; and when it goes on, nobody gets a
second letter whose first may be out. Confirmation mails go on: a second copy of a question does no harm.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from dispatcher.counting import counted
from dispatcher.db.columns import among
from dispatcher.db.tables import batch, delivery, subscription
from dispatcher.db.tables import campaign as campaign_table
from dispatcher.db.terms import (
    BatchState,
    CampaignKind,
    CampaignState,
    Language,
    Outcome,
    SubscriptionState,
    Topic,
    UnknownPolicy,
)
from dispatcher.domain import ledger
from dispatcher.domain.ledger import Final
from dispatcher.domain.newsletters import campaigns, releases, series
from dispatcher.domain.newsletters.campaigns import Campaign

IN_DOUBT = "its batch was in a worker's hands when the database was put back: the letter may have gone out"
_LOST = "lost by a restore"
_WHY_LOST = "it was written and launched after the backup that was put back: whom it reached is not known any more"
_LAUNCHED_SINCE = "held: it was launched after the backup that was put back; whoever it reached would get it again"
_CUT_OFF = (
    "; its audience was still being frozen at the time of the backup: whoever was not in it yet is left out, for they"
    " may have got their letter since"
)
_ALIVE = (CampaignState.SCHEDULED, CampaignState.PREPARING, CampaignState.SENDING, CampaignState.PAUSED)


@dataclass(frozen=True, slots=True)
class Held:
    """A campaign that was held: what it was, what it is now, why, and how many people are in doubt because of it."""

    id: int
    name: str
    was: CampaignState
    now_is: CampaignState
    why: str
    in_doubt: int


@dataclass(frozen=True, slots=True)
class Since:
    """What the files tell of the time since the backup: campaigns that were launched, batches that were claimed."""

    launched: Mapping[int, Topic]
    claimed: Mapping[int, frozenset[int]]


def hold(conn: Connection, since: Since, now: datetime) -> list[Held]:
    """Hold every newsletter that may have reached somebody since the backup; give them. To repeat it is harmless."""
    c = campaign_table.c
    alive = select(c.id).where(c.kind == CampaignKind.NEWSLETTER, c.state.in_(_ALIVE)).order_by(c.id)
    held = _mark_drafts(conn, since.launched)
    for campaign_id in conn.execute(alive).scalars().all():
        of = campaigns.get(conn, campaign_id)
        if of.state in {CampaignState.SENDING, CampaignState.PAUSED}:
            held.append(_pause(conn, of, since.claimed.get(of.id, frozenset()), now))
        elif of.state is CampaignState.PREPARING or of.id in since.launched or _is_due(of, now):
            held.append(_take_back(conn, of, since, now))
    series.hold(conn, now)
    return held + _enter_lost(conn, since.launched, now)


def _mark_drafts(conn: Connection, launched: Collection[int]) -> list[Held]:
    """Say of drafts that they were released and launched since; no series may send them again by itself."""
    c = campaign_table.c
    drafts = select(c.id, c.name).where(among(conn, c.id, launched), c.state == CampaignState.DRAFT).order_by(c.id)
    found = conn.execute(drafts).all() if launched else []
    for row in found:
        conn.execute(update(campaign_table).where(c.id == row.id).values(problem=_LAUNCHED_SINCE, series_id=None))
    draft = CampaignState.DRAFT
    return [Held(row.id, row.name, draft, draft, _LAUNCHED_SINCE, 0) for row in found]


def _enter_lost(conn: Connection, launched: Mapping[int, Topic], now: datetime) -> list[Held]:
    """Enter the newsletters that this database does not know any more, as cancelled. A number that were given out again
    would give other letters the Message-IDs of theirs, and mail programs would take them for copies.
    """
    c = campaign_table.c
    known = set(conn.execute(select(c.id).where(among(conn, c.id, launched))).scalars())
    lost = {campaign_id: topic for campaign_id, topic in sorted(launched.items()) if campaign_id not in known}
    if not lost:
        return []
    rows = [
        {
            "id": campaign_id, "kind": CampaignKind.NEWSLETTER, "topic": topic, "name": _LOST, "subject": "",
            "default_language": Language.DE, "state": CampaignState.CANCELLED, "problem": _WHY_LOST,
            "unknown_policy": UnknownPolicy.HOLD, "expires_after_s": 0, "created_at": now, "finished_at": now,
        }
        for campaign_id, topic in lost.items()
    ]  # fmt: skip
    conn.execute(insert(campaign_table), rows)
    if conn.dialect.name == "postgresql":
        highest = select(func.max(c.id)).scalar_subquery()
        conn.execute(select(func.setval(func.pg_get_serial_sequence("campaign", "id"), highest)))
    was, now_is = CampaignState.SENDING, CampaignState.CANCELLED
    return [Held(campaign_id, _LOST, was, now_is, _WHY_LOST, 0) for campaign_id in lost]


def _is_due(of: Campaign, now: datetime) -> bool:
    return of.send_at is not None and of.send_at <= now


def _pause(conn: Connection, of: Campaign, claimed: Collection[int], now: datetime) -> Held:
    in_doubt = _doubt(conn, of, claimed, now)
    why = (
        f"held: the database was put back to an earlier state while this was under way; whose letter may be out"
        f" is `unknown` and gets no second one: {counted(in_doubt, 'person', 'people')}"
    )
    if of.is_launching:
        why += _CUT_OFF
        campaigns.note_audience(conn, of.id, of.audience or 0)
    if of.state is CampaignState.SENDING:
        campaigns.move(conn, of.id, CampaignState.PAUSED, problem=why)
    else:
        campaigns.note_problem(conn, of.id, why)
    return Held(of.id, of.name, of.state, CampaignState.PAUSED, why, in_doubt)


def _take_back(conn: Connection, of: Campaign, since: Since, now: datetime) -> Held:
    why = (
        _LAUNCHED_SINCE
        if of.id in since.launched
        else "held: its time came while the database was gone; if it was sent then, it would be sent again"
    )
    to = CampaignState.DRAFT if of.renews is None else CampaignState.CANCELLED
    campaigns.move(conn, of.id, to, problem=why, finished_at=now if to is CampaignState.CANCELLED else None)
    releases.end(conn, of.id, why, now)
    return Held(of.id, of.name, of.state, to, why, 0)


def _doubt(conn: Connection, of: Campaign, claimed: Collection[int], now: datetime) -> int:
    """Enter as `unknown` who has no row in the ledger and is in a batch that was held or claimed; give how many.

    Whose consent is not current in this database got nothing since it was lost either, unless they gave it and withdrew
    it since: the next claim withholds them.
    """
    c = batch.c
    in_hands: ColumnElement[bool] = c.state == BatchState.LEASED
    if claimed:
        in_hands = in_hands | among(conn, c.no, claimed)
    open_batches = select(c.subscriber_ids, c.variant, c.state)
    open_batches = open_batches.where(c.campaign_id == of.id, c.state != BatchState.DONE, in_hands)
    count = 0
    for ids, variant, state in conn.execute(open_batches).all():
        # Which subject the rest of a trial got, this database does not know any more.
        edition_no = of.edition_of(variant) if state != BatchState.WAITING else None
        finals = _in_doubt(conn, of, list(ids), edition_no)
        ledger.record(conn, finals, now)
        count += len(finals)
    return count


def _in_doubt(conn: Connection, of: Campaign, ids: list[int], edition_no: int | None) -> list[Final]:
    s, d = subscription.c, delivery.c
    is_served = select(d.subscriber_id).where(d.campaign_id == of.id, d.subscriber_id == s.subscriber_id).exists()
    rows = conn.execute(
        select(s.subscriber_id, s.event_id).where(
            s.topic == of.topic,
            among(conn, s.subscriber_id, ids),
            s.state == SubscriptionState.CONFIRMED,
            ~is_served,
        )
    )
    return [
        Final(of.id, r.subscriber_id, Outcome.UNKNOWN, r.event_id, None, IN_DOUBT, None, edition_no=edition_no)
        for r in rows
    ]
