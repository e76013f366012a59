"""What is counted, and who is missing.

    audience = sent + deferred + failed + unknown + withheld + remaining

Every figure comes from the ledger's rows; none is counted along.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, select

from dispatcher.db.columns import Id, Rows
from dispatcher.db.tables import batch, deferral, delivery, subscriber
from dispatcher.db.terms import BatchState, CampaignState, Outcome
from dispatcher.domain import folding
from dispatcher.domain.campaigns import Campaign

_RATE_OVER = timedelta(seconds=30)
_IDS = Rows("ids", {"id": Id})


@dataclass(frozen=True, slots=True)
class Status:
    """A campaign in figures. `rate_per_s` is that of the last half minute; `eta_s` is None when it cannot be known."""

    state: CampaignState
    audience: int
    sent: int
    deferred: int
    failed: int
    unknown: int
    withheld: int
    remaining: int
    rate_per_s: float
    eta_s: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Missing:
    """Someone in the audience who did not get it, and why."""

    subscriber_id: int
    address: str
    outcome: str
    reason: str


def status(conn: Connection, of: Campaign, now: datetime) -> Status:
    """Count a campaign. Before its launch everything is 0."""
    d = delivery.c
    counted = conn.execute(select(d.outcome, func.count()).where(d.campaign_id == of.id).group_by(d.outcome))
    counts = Counter[str](dict(counted.all())) + Counter(folding.counts(conn, of.id))
    deferred = conn.execute(select(func.count()).select_from(deferral).where(is_waiting(of.id))).scalar_one()
    audience = of.audience or 0
    remaining = audience - sum(counts.values()) - deferred
    rate = _rate(conn, of, now)
    return Status(
        state=of.state,
        audience=audience,
        sent=counts.get(Outcome.SENT, 0),
        deferred=deferred,
        failed=counts.get(Outcome.FAILED, 0),
        unknown=counts.get(Outcome.UNKNOWN, 0),
        withheld=counts.get(Outcome.WITHHELD, 0),
        remaining=remaining,
        rate_per_s=round(rate, 1),
        eta_s=round(remaining / rate) if rate and of.state is CampaignState.SENDING else None,
        problem=of.problem or _batch_problem(conn, of),
    )


def missing(conn: Connection, of: Campaign) -> Iterator[Missing]:
    """Give everyone who did not get it: withheld, failed, unknown, deferred, and those whose turn has not come."""
    d, f, s = delivery.c, deferral.c, subscriber.c
    final = (
        select(d.subscriber_id, s.address, d.outcome, d.code, d.reply)
        .join(subscriber, s.id == d.subscriber_id)
        .where(d.campaign_id == of.id, d.outcome != Outcome.SENT)
        .order_by(d.outcome, d.subscriber_id)
    )
    for row in conn.execute(final.execution_options(yield_per=1000)):
        yield Missing(row.subscriber_id, row.address or "(erased)", row.outcome, _said(row.code, row.reply))
    waiting = (
        select(f.subscriber_id, s.address, f.code, f.reply, f.retry_at, f.attempt)
        .join(subscriber, s.id == f.subscriber_id)
        .where(is_waiting(of.id))
        .order_by(f.subscriber_id)
    )
    for late in conn.execute(waiting.execution_options(yield_per=1000)):
        when = f"attempt {late.attempt}, next at {late.retry_at:%Y-%m-%d %H:%M} UTC: "
        yield Missing(late.subscriber_id, late.address or "(erased)", "deferred", when + _said(late.code, late.reply))
    yield from _untouched(conn, of)


def is_complete(conn: Connection, campaign_id: int, audience: int) -> bool:
    """Say whether a campaign is sent: no open batch, no deferral, as many deliveries as the audience has people."""
    open_batch = select(batch.c.no).where(
        batch.c.campaign_id == campaign_id, batch.c.state.not_in([BatchState.DONE, BatchState.QUARANTINED])
    )
    open_deferral = select(deferral.c.subscriber_id).where(is_waiting(campaign_id))
    if conn.execute(select(open_batch.exists() | open_deferral.exists())).scalar_one():
        return False
    served = select(func.count()).select_from(delivery).where(delivery.c.campaign_id == campaign_id)
    return int(conn.execute(served).scalar_one()) == audience


def is_waiting(campaign_id: int) -> ColumnElement[bool]:
    """Give the condition of a deferral that counts: one beside an outcome came late, from a worker since fenced."""
    settled = select(delivery.c.subscriber_id).where(
        delivery.c.campaign_id == campaign_id, delivery.c.subscriber_id == deferral.c.subscriber_id
    )
    return and_(deferral.c.campaign_id == campaign_id, ~settled.exists())


def _untouched(conn: Connection, of: Campaign) -> Iterator[Missing]:
    reason = "the campaign was cancelled first" if of.state is CampaignState.CANCELLED else "not yet tried"
    pages = conn.execute(
        select(batch.c.subscriber_ids)
        .where(batch.c.campaign_id == of.id, batch.c.state != BatchState.DONE)
        .order_by(batch.c.no)
    ).all()
    for (page,) in pages:
        ids = _IDS.table(conn.dialect.name)
        left = conn.execute(
            select(subscriber.c.id, subscriber.c.address)
            .join(ids, ids.c.id == subscriber.c.id)
            .outerjoin(delivery, (delivery.c.campaign_id == of.id) & (delivery.c.subscriber_id == ids.c.id))
            .outerjoin(deferral, (deferral.c.campaign_id == of.id) & (deferral.c.subscriber_id == ids.c.id))
            .where(delivery.c.subscriber_id.is_(None), deferral.c.subscriber_id.is_(None))
            .order_by(subscriber.c.id),
            _IDS.values(conn.dialect.name, [(i,) for i in page]),
        )
        for row in left:
            yield Missing(row.id, row.address or "(erased)", "remaining", reason)


def _rate(conn: Connection, of: Campaign, now: datetime) -> float:
    if of.launched_at is None:
        return 0.0
    if of.finished_at is not None:
        sent = select(func.count()).where(delivery.c.campaign_id == of.id, delivery.c.outcome == Outcome.SENT)
        took = (of.finished_at - of.launched_at).total_seconds()
        return float(conn.execute(sent).scalar_one()) / took if took > 0 else 0.0
    over = min(_RATE_OVER, max(now - of.launched_at, timedelta(seconds=1)))
    recent = select(func.count()).where(
        delivery.c.campaign_id == of.id, delivery.c.outcome != Outcome.WITHHELD, delivery.c.at > now - over
    )
    return float(conn.execute(recent).scalar_one()) / over.total_seconds()


def _batch_problem(conn: Connection, of: Campaign) -> str | None:
    if of.state is not CampaignState.SENDING:
        return None
    newest = (
        select(batch.c.last_error)
        .where(
            batch.c.campaign_id == of.id,
            batch.c.last_error.is_not(None),
            batch.c.state.not_in([BatchState.DONE, BatchState.LEASED]),
        )
        .order_by(batch.c.not_before.desc())
        .limit(1)
    )
    problem: str | None = conn.execute(newest).scalar_one_or_none()
    return problem


def _said(code: int | None, reply: str | None) -> str:
    """Give the relay's words, or ours; a reply of the relay's begins with its code."""
    return reply or str(code or "")
