"""What is counted; missing.py names who is missing.

    audience = sent + deferred + failed + unknown + withheld + remaining

Every figure comes from the ledger's rows; none is counted along.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, select

from dispatcher.db.tables import batch, deferral, delivery
from dispatcher.db.terms import BatchState, CampaignState, Outcome
from dispatcher.domain import folding
from dispatcher.domain.newsletters.campaigns import Campaign

# As the index of those who did not get it has it: behind a parameter the planner would not see that it serves.
IS_MISSED: ColumnElement[bool] = literal_column(f"delivery.outcome <> '{Outcome.SENT.value}'")
_RATE_OVER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Status:
    """A campaign in figures. `rate_per_s` is that of the last half minute; `eta_s` is None when it cannot be known.
    From `prices_until` on nothing goes any more; `next_at` is when the time of the next readers comes, by their clocks.
    While it `is_launching`, people are still being added to `audience` and `remaining`.
    """

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
    prices_as_of: datetime | None
    prices_until: datetime | None
    next_at: datetime | None
    is_launching: bool = False


def status(conn: Connection, of: Campaign, now: datetime) -> Status:
    """Count a campaign. Before its launch everything is 0."""
    d = delivery.c
    counted = conn.execute(select(d.outcome, func.count()).where(d.campaign_id == of.id).group_by(d.outcome))
    counts = Counter[str](dict(counted.all())) + Counter(folding.counts(conn, of.id))
    deferred = conn.execute(select(func.count()).select_from(deferral).where(is_waiting(of.id))).scalar_one()
    audience = of.audience or 0
    remaining = audience - sum(counts.values()) - deferred
    rate, coming = _rate(conn, of, now), next_at(conn, of, now)
    has_end = bool(rate) and of.state is CampaignState.SENDING and not of.is_launching and not coming
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
        eta_s=round(remaining / rate) if has_end else None,
        problem=problem(conn, of),
        prices_as_of=of.prices_as_of,
        prices_until=of.prices_until,
        next_at=coming,
        is_launching=of.is_launching,
    )


def problem(conn: Connection, of: Campaign) -> str | None:
    """Say why a campaign stands still or makes no progress, in words; None: nothing is known to be wrong."""
    return of.problem or _batch_problem(conn, of)


def next_at(conn: Connection, of: Campaign, now: datetime) -> datetime | None:
    """Say when the time of the next readers comes, by their own clocks; None: everybody's has come."""
    if of.wall_time is None:
        return None
    b = batch.c
    at: datetime | None = conn.execute(
        select(func.min(b.due_at)).where(b.campaign_id == of.id, b.state != BatchState.DONE, b.due_at > now)
    ).scalar_one()
    return at


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
